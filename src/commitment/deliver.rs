//! Works on what was accepted: finds out, reports, tries again.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use time::OffsetDateTime;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Commitments, Reporter, Transaction};

/// Requests that are looked into, or reported on, at one time.
const AT_ONCE: usize = 4;

impl Commitments {
    /// Works until `shutdown` is cancelled. What is under way then is taken up again at the next start.
    pub async fn work(self, reporter: Arc<dyn Reporter>, shutdown: CancellationToken) {
        let at_once = Arc::new(Semaphore::new(AT_ONCE));
        let worked_on: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let tasks = TaskTracker::new();
        loop {
            let fresh = {
                let mut worked_on = worked_on.lock().unwrap_or_else(PoisonError::into_inner);
                let fresh = self.fresh(&worked_on);
                worked_on.extend(fresh.iter().map(|transaction| transaction.id.clone()));
                fresh
            };
            for transaction in fresh {
                let (room, reporter, at_once) = (self.clone(), reporter.clone(), at_once.clone());
                let (worked_on, shutdown) = (worked_on.clone(), shutdown.clone());
                tasks.spawn(async move {
                    let id = transaction.id.clone();
                    tokio::select! {
                        () = room.see_to(transaction, reporter.as_ref(), &at_once) => {}
                        () = shutdown.cancelled() => {}
                    }
                    worked_on.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                });
            }
            tokio::select! {
                () = self.inner.bell.notified() => {}
                () = shutdown.cancelled() => break,
            }
        }
        tasks.close();
        tasks.wait().await;
    }

    /// Finds out where that was not done yet, then reports until the report is taken or the time is over.
    async fn see_to(&self, mut transaction: Transaction, reporter: &dyn Reporter, at_once: &Semaphore) {
        if transaction.report.is_none() {
            let Ok(_permit) = at_once.acquire().await else { return };
            let report = self.look(&transaction.transaction_uid, &transaction.references).await;
            tracing::info!(
                safe = report.safe.len(),
                not_safe = report.not_safe.len(),
                peer = transaction.ae_title,
                "storage commitment was asked for"
            );
            transaction.report = Some(report);
        }
        let mut pause = self.inner.limits.pause;
        loop {
            if self.attempt(&transaction, reporter, at_once).await {
                return self.forget(&transaction).await;
            }
            let age = OffsetDateTime::now_utc() - transaction.asked_at;
            if age > self.inner.limits.report_for {
                tracing::error!(
                    peer = transaction.ae_title,
                    "a storage commitment report is given up; the peer has to ask again"
                );
                transaction.given_up = true;
                return self.keep(&transaction).await;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2)
                .min(self.inner.limits.pause_max)
                .max(Duration::from_millis(1));
        }
    }

    async fn attempt(&self, transaction: &Transaction, reporter: &dyn Reporter, at_once: &Semaphore) -> bool {
        let (Some(report), Ok(_permit)) = (&transaction.report, at_once.acquire().await) else {
            return false;
        };
        match reporter.report(&transaction.ae_title, report).await {
            Ok(()) => {
                tracing::info!(peer = transaction.ae_title, "a storage commitment report was taken");
                true
            }
            Err(error) => {
                tracing::warn!(
                    peer = transaction.ae_title,
                    error,
                    "a storage commitment report was not taken"
                );
                false
            }
        }
    }

    async fn keep(&self, transaction: &Transaction) {
        let (room, transaction) = (self.clone(), transaction.clone());
        let kept = tokio::task::spawn_blocking(move || {
            room.inner.folder.put(&transaction.id, &transaction)?;
            room.pending().insert(transaction.id.clone(), transaction);
            Ok::<(), filmroom_storage::state::StateError>(())
        });
        if let Ok(Err(error)) = kept.await {
            tracing::error!(%error, "a request for storage commitment could not be kept");
        }
    }

    async fn forget(&self, transaction: &Transaction) {
        let (room, id) = (self.clone(), transaction.id.clone());
        let removed = tokio::task::spawn_blocking(move || {
            room.inner.folder.remove(&id)?;
            room.pending().remove(&id);
            Ok::<(), filmroom_storage::state::StateError>(())
        });
        if let Ok(Err(error)) = removed.await {
            // It is reported once more after a restart, which changes nothing for the peer.
            tracing::error!(%error, "a request for storage commitment that was reported on could not be removed");
        }
    }
}
