//! An index that cannot be written: nothing more is acknowledged, everything is read, and it comes back by itself.

use std::sync::atomic::Ordering;

use super::*;
use crate::testing::failing;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_fails_refuses_reads_on_and_comes_back() {
    let fixture = Fixture::new().await;
    let early: Vec<_> = (0..6).map(|n| Sample::new(1, n % 2, n)).collect();
    for sample in &early {
        fixture.put(sample).await;
    }
    let fails = failing::switch(&fixture.options.data);
    fails.store(true, Ordering::SeqCst);
    // What is in the log is safe, so the first may still be acknowledged. Once the failure is known all are refused, a large one
    // as well.
    let first = Sample::new(1, 1, 9);
    let answer = fixture.commit(&first).await;
    assert!(matches!(answer, Committed::Stored(_)), "{answer:?}");
    assert!(fixture.store().flush_and_trim().await.is_err());
    fixture.check(&first).await;
    let mut refused: Vec<_> = (10..14).map(|n| Sample::new(1, 1, n)).collect();
    refused.push(Sample {
        pixels: 50_000,
        ..Sample::new(2, 1, 20)
    });
    for sample in &refused {
        let sealed = fixture.seal(sample).await;
        let answer = fixture.store().commit(sealed, sample.description(), &origin()).await;
        assert!(matches!(answer, Err(StoreError::Io(_))), "{answer:?}");
    }
    assert!(fixture.store().metrics().is_index_failing);

    for sample in &early {
        fixture.check(sample).await;
    }
    // A try while it still fails changes nothing.
    fixture.store().mend().await;
    assert!(fixture.store().metrics().is_index_failing);
    // Senders have large instances under way while it is mended.
    let large = Sample {
        pixels: 60_000,
        ..Sample::new(3, 1, 30)
    };
    let under_way = fixture.seal(&large).await;
    fails.store(false, Ordering::SeqCst);
    while fixture.store().metrics().is_index_failing {
        fixture.store().mend().await;
    }
    let answer = fixture
        .store()
        .commit(under_way, large.description(), &origin())
        .await
        .unwrap();
    assert!(matches!(answer, Committed::Stored(_)), "{answer:?}");
    for sample in &refused {
        // What was in the log already is known by now, the rest is not; both are right after the sender tried again.
        assert!(!matches!(fixture.commit(sample).await, Committed::Collision(_)));
    }
    fixture.store().settle_now().await.unwrap();
    let all: Vec<_> = early.iter().chain(&refused).chain([&first, &large]).collect();
    for sample in &all {
        fixture.check(sample).await;
    }
    assert_eq!(fixture.store().index().totals().unwrap().instances, all.len() as u64);
    fixture.store().flush_and_trim().await.unwrap();
    let report = fixture.store().verify(VerifyOptions::default(), |_| {}).await.unwrap();
    assert_eq!(report.problems, []);
    fixture.store().close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_fails_while_settling_comes_back() {
    let mut fixture = Fixture::new().await;
    let samples: Vec<_> = (0..30).map(|n| Sample::new(n % 3, 1, n)).collect();
    for sample in &samples {
        fixture.put(sample).await;
    }
    fixture.store().flush_and_trim().await.unwrap();
    let fails = failing::switch(&fixture.options.data);
    fails.store(true, Ordering::SeqCst);
    // Whether the moves are refused or lost later, they are made again.
    let settled = fixture.store().settle_now().await;
    assert!(settled.is_err() || fixture.store().flush_and_trim().await.is_err());
    assert!(fixture.store().metrics().is_index_failing);
    for sample in &samples {
        fixture.check(sample).await;
    }
    fails.store(false, Ordering::SeqCst);
    fixture.store().mend().await;
    assert!(!fixture.store().metrics().is_index_failing);
    fixture.store().settle_now().await.unwrap();
    fixture.store().flush_and_trim().await.unwrap();
    fixture.reopen().await;
    for sample in &samples {
        fixture.check(sample).await;
    }
    let report = fixture.store().verify(VerifyOptions::default(), |_| {}).await.unwrap();
    assert_eq!(report.problems, []);
}
