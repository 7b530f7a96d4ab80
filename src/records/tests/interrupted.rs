//! A disposal that is cut short anywhere ends destroyed with a certificate, or not destroyed.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use super::*;

/// A future that is given up after so many polls.
struct Until<F> {
    inner: Pin<Box<F>>,
    polls: usize,
}

impl<F: Future> Future for Until<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls == 0 {
            return Poll::Ready(None);
        }
        self.polls -= 1;
        self.inner.as_mut().poll(context).map(Some)
    }
}

async fn check(polls: usize) -> bool {
    let archive = Archive::keeping_five_years().await;
    for study in 1..=3 {
        archive
            .take_in(study, 1, &format!("P{study}"), "20100101")
            .await
            .unwrap();
    }
    let id = archive.begin_disposal(&[1, 2]).await;
    let going_on = Until {
        inner: Box::pin(archive.records.go_on()),
        polls,
    };
    let was_cut = going_on.await.is_none();
    let archive = archive.reopened().await;
    let batch = archive.until_over(&id).await;
    assert_eq!(batch.state, BatchState::Destroyed, "cut after {polls}");
    let certificate = archive.records.certificate(&id).unwrap();
    verify_certificate(&certificate, Some(&archive.records.public_key())).unwrap();
    for study in 1..=3u32 {
        let listed = certificate["studies"].as_array().unwrap();
        let is_listed = listed.iter().any(|found| found["study"] == uid(study).as_str());
        let is_there = archive.records.explain(&uid(study), None).await.is_ok();
        let has_tombstone = archive.records.tombstone(&uid(study)).is_ok();
        assert_eq!(
            (is_listed, has_tombstone),
            (!is_there, !is_there),
            "study {study}, cut after {polls}"
        );
        assert_eq!(is_there, study == 3);
    }
    was_cut
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_it_is_cut_short() {
    let mut polls = 0;
    while check(polls).await && polls < 60 {
        polls += 1 + polls / 4;
    }
}
