//! Commits that wait for the object store.

use super::*;
use crate::testing::stumbling::{self, Stumble};

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

/// A commit that does not hang, whatever becomes of it.
async fn commit(fixture: &Fixture, sample: &Sample) -> Result<Committed, StoreError> {
    let sealed = fixture.seal(sample).await;
    let origin = origin();
    let committed = fixture.store().commit(sealed, sample.description(), &origin);
    tokio::time::timeout(Duration::from_secs(60), committed)
        .await
        .expect("a commit that nobody answers")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_that_panics_is_told_and_holds_up_nobody() {
    let mut fixture = fixture().await;
    let samples: Vec<_> = (1..=3).map(|n| Sample::new(1, 1, n)).collect();
    stumbling::next(&fixture.options.data, Stumble::Panic);
    let failed = commit(&fixture, &samples[0]).await;
    assert!(matches!(failed, Err(StoreError::Unavailable(_))), "{failed:?}");
    // The series is free, and what the put had taken waits again.
    assert_eq!(fixture.store().metrics().instances_waiting, 1);
    assert!(matches!(commit(&fixture, &samples[1]).await, Ok(Committed::Stored(_))));
    assert_eq!(fixture.store().metrics().instances_waiting, 0);
    match commit(&fixture, &samples[0]).await {
        Ok(Committed::AlreadyStored(record)) => assert!(matches!(record.location, Location::Pack { .. })),
        other => panic!("{other:?}"),
    }
    fixture.reopen().await;
    for sample in &samples[..2] {
        fixture.check(sample).await;
    }
}

/// One put hangs, and a commit of another series waits for its turn: both are told when the store closes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_is_told_when_the_store_closes() {
    let mut fixture = fixture().await;
    let sample = Sample::new(1, 1, 1);
    stumbling::next(&fixture.options.data, Stumble::Hang);
    let close = async {
        while stumbling::is_ahead(&fixture.options.data) {
            tokio::task::yield_now().await;
        }
        fixture.store().close().await.unwrap();
    };
    let (told, ()) = tokio::join!(commit(&fixture, &sample), close);
    assert!(matches!(told, Err(StoreError::Unavailable(_))), "{told:?}");
    fixture.reopen().await;
    fixture.check(&sample).await;
    assert!(matches!(
        commit(&fixture, &sample).await,
        Ok(Committed::AlreadyStored(_))
    ));
}
