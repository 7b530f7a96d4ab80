//! Commits that wait for the object store.

use super::*;

async fn fixture() -> Fixture {
    Fixture::with(|options| options.acknowledge = Acknowledge::ObjectStore).await
}

#[tokio::test]
async fn a_commit_returns_when_the_instance_is_in_a_pack() {
    let fixture = fixture().await;
    let large = Sample {
        pixels: 50_000,
        ..Sample::new(1, 1, 2)
    };
    for sample in [Sample::new(1, 1, 1), large] {
        let record = fixture.put(&sample).await;
        assert!(matches!(record.location, Location::Pack { .. }), "{record:?}");
        fixture.check(&sample).await;
        match fixture.commit(&sample).await {
            Committed::AlreadyStored(again) => assert_eq!(again.location, record.location),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(fixture.store().metrics().instances_waiting, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_that_come_meanwhile_share_a_pack() {
    let fixture = fixture().await;
    let samples: Vec<_> = (1..=60).map(|n| Sample::new(n % 2, 1, n)).collect();
    futures_util::future::join_all(samples.iter().map(|sample| fixture.put(sample))).await;
    let metrics = fixture.store().metrics();
    assert_eq!(metrics.instances_settled, 60);
    assert!(metrics.packs_settled < 40, "{} packs", metrics.packs_settled);
    for sample in &samples {
        fixture.check(sample).await;
    }
}

#[tokio::test]
async fn small_packs_are_merged_when_the_series_is_quiet() {
    let fixture = fixture().await;
    let samples: Vec<_> = (1..=12).map(|n| Sample::new(1, 1, n)).collect();
    for sample in &samples {
        fixture.put(sample).await;
    }
    assert_eq!(fixture.store().metrics().packs_settled, 12);
    fixture.store().settle_now().await.unwrap();
    assert_eq!(fixture.store().metrics().merges, 1);
    for sample in &samples {
        fixture.check(sample).await;
    }
}

#[tokio::test]
async fn a_store_that_fails_is_not_acknowledged_and_loses_nothing() {
    let fixture = fixture().await;
    // Where the folder of all studies should be there is a file: nothing can be put.
    let studies = fixture.folder.path().join("objects").join("studies");
    std::fs::write(&studies, b"").unwrap();
    let sample = Sample::new(1, 1, 1);
    let sealed = fixture.seal(&sample).await;
    let committed = fixture.store().commit(sealed, sample.description(), &origin()).await;
    assert!(matches!(committed, Err(StoreError::Unavailable(_))), "{committed:?}");
    // The sender tries again, and the store is back.
    std::fs::remove_file(&studies).unwrap();
    match fixture.commit(&sample).await {
        Committed::AlreadyStored(record) => assert!(matches!(record.location, Location::Pack { .. })),
        other => panic!("{other:?}"),
    }
    fixture.check(&sample).await;
}
