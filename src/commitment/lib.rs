//! The room of storage commitment (PS3.4 §J): what this archive promises to keep, and that it says so.
//!
//! A request is on disk before it is accepted. An instance is safe when its bytes lie in the object store and have the
//! checksum of what was received; a series that still waits in intake is settled at once. The report is tried for days, over
//! restarts, until it is taken.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod deliver;
mod look;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use filmroom_storage::{
    state::{StateError, StateFolder, StatePlace},
    store::Store,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio::sync::Notify;

use filmroom_retrieve::Retrieve;

/// The kind under which requests are kept.
const KIND: &str = "commitments";
/// Most requests that wait to be reported on.
const PENDING_MAX: usize = 10_000;

/// One instance of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// (0008,1150).
    pub sop_class_uid: String,
    /// (0008,1155).
    pub sop_instance_uid: String,
}

/// Why an instance is not safe (PS3.3 §C.14.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotSafe {
    /// It is there, and could not be proved to be what was received.
    ProcessingFailure,
    /// It is not in the archive.
    NoSuchInstance,
    /// There is no room to keep it.
    ResourceLimitation,
    /// It is there, and has another SOP class.
    ClassInstanceConflict,
    /// Another request has the same Transaction UID.
    DuplicateTransaction,
}

/// What was found out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// (0008,1195).
    pub transaction_uid: String,
    /// Instances that are safe.
    pub safe: Vec<Reference>,
    /// Instances that are not, and why.
    pub not_safe: Vec<(Reference, NotSafe)>,
}

/// A request, from when it is accepted until its report is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// By what it is kept.
    pub id: String,
    /// Whom the report is for.
    pub ae_title: String,
    /// (0008,1195).
    pub transaction_uid: String,
    /// When it was asked for.
    #[serde(with = "time::serde::rfc3339")]
    pub asked_at: OffsetDateTime,
    /// What it is about.
    pub references: Vec<Reference>,
    /// What was found out; `None` until then.
    pub report: Option<Report>,
    /// The report is no longer tried: the requestor has to ask again.
    #[serde(default)]
    pub given_up: bool,
}

/// Why a request is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum CommitmentError {
    /// Too many wait already.
    #[error("{PENDING_MAX} requests wait to be reported on, which is the most")]
    TooMany,
    /// It could not be kept.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Tells a requestor. The DIMSE door implements it.
#[async_trait]
pub trait Reporter: Send + Sync {
    /// Delivers a report once. It has been taken when this returns.
    ///
    /// # Errors
    /// One sentence; it will be tried again.
    async fn report(&self, ae_title: &str, report: &Report) -> Result<(), String>;
}

/// How long, and how many at a time.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A report is tried for so long.
    pub report_for: Duration,
    /// Pause after the first attempt that failed; doubled with each.
    pub pause: Duration,
    /// Longest pause.
    pub pause_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            report_for: Duration::from_secs(7 * 86_400),
            pause: Duration::from_secs(1),
            pause_max: Duration::from_secs(600),
        }
    }
}

/// The room. Cheap to clone.
#[derive(Clone)]
pub struct Commitments {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    retrieve: Retrieve,
    limits: Limits,
    folder: StateFolder,
    pending: Mutex<BTreeMap<String, Transaction>>,
    /// Rung when a request was accepted.
    bell: Notify,
}

impl Commitments {
    /// Opens the room over a store whose data folder this is.
    ///
    /// # Errors
    /// [`StateError`] when what was kept cannot be read. A record that is damaged is logged and left out.
    pub fn open(
        store: Store,
        retrieve: Retrieve,
        state: impl Into<StatePlace>,
        limits: Limits,
    ) -> Result<Self, StateError> {
        let (folder, loaded) = StateFolder::open(state, KIND)?;
        for damaged in &loaded.damaged {
            tracing::error!(path = %damaged.path.display(), why = damaged.why, "a request for storage commitment is lost: the requestor has to ask again");
        }
        Ok(Self {
            inner: Arc::new(Inner {
                store,
                retrieve,
                limits,
                folder,
                pending: Mutex::new(loaded.records.into_iter().collect()),
                bell: Notify::new(),
            }),
        })
    }

    /// Accepts a request. Blocks; it is on disk when this returns. The same request again while the first is pending changes
    /// nothing; another one with the same Transaction UID is reported to have failed (PS3.3 §C.14.1.1, 0131H).
    ///
    /// # Errors
    /// [`CommitmentError`]: it was not accepted.
    pub fn ask(
        &self,
        ae_title: &str,
        transaction_uid: &str,
        references: Vec<Reference>,
    ) -> Result<(), CommitmentError> {
        let mut pending = self.pending();
        let same = pending.values().find(|transaction| {
            transaction.ae_title == ae_title && transaction.transaction_uid == transaction_uid && !transaction.given_up
        });
        let mut report = None;
        if let Some(same) = same {
            if same.references == references {
                return Ok(());
            }
            let failed = references.iter().cloned();
            report = Some(Report {
                transaction_uid: transaction_uid.to_owned(),
                safe: Vec::new(),
                not_safe: failed
                    .map(|reference| (reference, NotSafe::DuplicateTransaction))
                    .collect(),
            });
        }
        if pending.len() >= PENDING_MAX {
            return Err(CommitmentError::TooMany);
        }
        let transaction = Transaction {
            id: uuid::Uuid::now_v7().simple().to_string(),
            ae_title: ae_title.to_owned(),
            transaction_uid: transaction_uid.to_owned(),
            asked_at: OffsetDateTime::now_utc(),
            references,
            report,
            given_up: false,
        };
        self.inner.folder.put(&transaction.id, &transaction)?;
        pending.insert(transaction.id.clone(), transaction);
        self.inner.bell.notify_one();
        Ok(())
    }

    /// All requests whose report was not taken yet, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Transaction> {
        self.pending().values().cloned().collect()
    }

    /// Requests that wait and that nobody works on yet.
    fn fresh(&self, worked_on: &BTreeSet<String>) -> Vec<Transaction> {
        let pending = self.pending();
        let fresh = pending
            .values()
            .filter(|transaction| !transaction.given_up && !worked_on.contains(&transaction.id));
        fresh.cloned().collect()
    }

    fn pending(&self) -> MutexGuard<'_, BTreeMap<String, Transaction>> {
        self.inner.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
