//! The room that knows which studies a caller sees: labels that studies have, what was granted to whom, and access that was taken
//! in an emergency.
//!
//! What people decided lies in the store's journal, one line each; [`Book`](book) is what follows from them and is made anew at every
//! start. Doors ask for a [`Sight`] once a request and pass it with each question and selection; the rooms `query` and `retrieve`, which
//! all of them go through, ask it of every study that they meet. So what is not seen is not there: not in lists, not in counts, not
//! as an instance, a frame, a picture or a change.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod book;
mod decide;
mod emergency;
mod event;
mod label;
mod scope;
mod sight;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};

use filmroom_access::{Action, Principal};
use filmroom_audit::Trail;
use filmroom_storage::{journal::JournalError, store::Store};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use book::Book;
pub use book::Grant;
pub use decide::{NewEmergency, NewGrant};
pub use emergency::{Emergency, Finding, REASON_CODES, Review};
use event::Event;
pub use label::{Label, NoLabel};
pub use scope::{PatientKey, Scope};
pub use sight::Sight;

/// Emergencies whose time is over are looked for so often.
const LOOK: Duration = Duration::from_secs(1);

/// Why something was not decided.
#[derive(Debug, thiserror::Error)]
pub enum PrivacyError {
    /// What is said cannot be.
    #[error("{0}")]
    Wrong(String),
    /// Whoever asks may not.
    #[error("{0}")]
    NotLet(String),
    /// There is no such thing.
    #[error("there is no such {0}")]
    Unknown(&'static str),
    /// It is decided already.
    #[error("{0}")]
    Conflict(String),
    /// It could not be kept.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Another fault of ours.
    #[error("{0}")]
    Failed(String),
}

/// The room. Cheap to clone.
#[derive(Clone)]
pub struct Privacy {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    trail: Trail,
    emergency_lasts: Duration,
    clock: Arc<dyn Fn() -> OffsetDateTime + Send + Sync>,
    /// Held from looking whether something may be decided to having it in the journal and in the book.
    deciding: tokio::sync::Mutex<()>,
    book: Arc<RwLock<Book>>,
}

impl fmt::Debug for Privacy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Privacy").finish_non_exhaustive()
    }
}

impl Privacy {
    /// Opens the room: reads the journal. `emergency_lasts`: how long access lasts that is taken in an emergency.
    ///
    /// # Errors
    /// [`PrivacyError`] when the journal does not read: nobody is to be answered then.
    pub async fn open(store: Store, trail: Trail, emergency_lasts: Duration) -> Result<Self, PrivacyError> {
        Self::with_clock(store, trail, emergency_lasts, Arc::new(OffsetDateTime::now_utc)).await
    }

    pub(crate) async fn with_clock(
        store: Store,
        trail: Trail,
        emergency_lasts: Duration,
        clock: Arc<dyn Fn() -> OffsetDateTime + Send + Sync>,
    ) -> Result<Self, PrivacyError> {
        let mut book = Book::default();
        for decision in store.journal().read(0).await? {
            book.replay(&decision)?;
        }
        Ok(Self {
            inner: Arc::new(Inner {
                store,
                trail,
                emergency_lasts,
                clock,
                deciding: tokio::sync::Mutex::new(()),
                book: Arc::new(RwLock::new(book)),
            }),
        })
    }

    /// The decision on patients' data: what this caller sees when it does this. Every door asks here and nowhere else.
    #[must_use]
    pub fn sight(&self, of: &Principal, action: Action) -> Sight {
        let reach = of.reach(action);
        let holder: Vec<&str> = of.subject().into_iter().collect();
        self.seen(reach.sees_most, reach.sees_labelled, !of.may(action), &holder)
    }

    /// What a device sees that named no user. `proved`: its AE title, where a certificate proves that it is its own.
    #[must_use]
    pub fn sight_of_device(&self, proved: Option<&str>) -> Sight {
        let holder = proved.map(|ae_title| format!("peer:{ae_title}"));
        let holders: Vec<&str> = holder.as_deref().into_iter().collect();
        self.seen(true, false, false, &holders)
    }

    fn seen(&self, sees_most: bool, sees_labelled: bool, is_blind: bool, holders: &[&str]) -> Sight {
        let book = self.book();
        if sees_most && !is_blind && (sees_labelled || book.labels.is_empty()) {
            return Sight::all();
        }
        let now = self.now();
        let scopes = holders.iter().flat_map(|holder| book.scopes_of(holder, now));
        let index = self.inner.store.index();
        Sight::some(
            &self.inner.book,
            index,
            sees_most,
            is_blind,
            scopes,
            holders,
            book.version,
        )
    }

    /// Ends emergencies whose time is over, until `shutdown` is cancelled.
    pub async fn work(self, shutdown: CancellationToken) {
        loop {
            if let Err(error) = self.end_overdue().await {
                tracing::error!(%error, "that access in an emergency is over is not recorded yet; it is tried again");
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    fn now(&self) -> OffsetDateTime {
        (self.inner.clock)()
    }

    fn book(&self) -> RwLockReadGuard<'_, Book> {
        self.inner.book.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a decision down; it is durable, and in force, when this returns. The caller holds `deciding`.
    async fn decide(&self, event: Event) -> Result<u64, PrivacyError> {
        let payload = serde_json::to_value(&event).map_err(|error| PrivacyError::Failed(error.to_string()))?;
        let decision = self.inner.store.journal().append(event::KIND, payload).await?;
        let mut book = self.inner.book.write().unwrap_or_else(PoisonError::into_inner);
        book.apply(decision.number, decision.at, event);
        Ok(decision.number)
    }
}
