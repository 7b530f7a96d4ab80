//! The room of records: what is known of patients and studies, how long studies are kept and why, what holds them, and the one way
//! in which anything is ever destroyed.
//!
//! What people decided lies in the store's journal, one line each, and nowhere else: [`Book`](book) is what follows from those lines
//! and is made anew from them at every start. Whether a study may go is not stored: it is decided anew, by the pure function
//! `filmroom_retention::decide`, each time that somebody asks and once more before anything is destroyed.
//!
//! One mutex orders decisions: what is checked still holds when it is written.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod actor;
mod asserting;
mod book;
mod canonical;
mod certificate;
mod comma_separated;
mod decisions;
mod disposal;
mod error;
mod event;
mod fact;
mod holds;
mod keys;
mod known;
mod links;
mod message;
mod policies;
mod reinstate;
mod rejection;
mod returned;
mod study;
mod survey;
#[cfg(test)]
mod tests;
mod witness;
mod zone;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use filmroom_storage::{index::ChangePlace, store::Store};
use time::{Date, OffsetDateTime, PrimitiveDateTime};
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;

pub use actor::Actor;
pub use certificate::{Verified, to_html, verify_certificate};
pub use decisions::{DecisionFilter, DecisionPage, Explained};
pub use disposal::{Batch, BatchState, Item, ItemState, Proposal, Refused, Tombstone};
pub use error::{Problem, RecordsError};
pub use fact::{Fact, FactName, NewFact, PatientKey, Subject};
pub use holds::{HoldRecord, NewHold, Release, Scope};
pub use links::{MergeRefused, PatientLink};
pub use message::{Heard, Message, Said, Told, Visit, VisitChange};
pub use policies::{PolicyVersion, Submission, SubmissionState};
pub use reinstate::{ReinstateAsked, Reinstated};
pub use rejection::{NoteGate, Reclassified, Rejection, RejectionReason, View, Which};
pub use returned::Returned;
pub use survey::{Count, Survey};
pub use witness::Witness;
pub use zone::Zone;

use book::Book;
use event::Event;
use keys::Keys;
use survey::{Pending, Standing};

/// The kind under which the journal has what this room decides.
const KIND: &str = "records";
/// What was begun and waits for the store is looked after so often.
const LOOK: std::time::Duration = std::time::Duration::from_secs(1);
/// Batches that wait for people are decided on anew so often; before anything is done with one it is in any case.
const LOOK_THROUGH: std::time::Duration = std::time::Duration::from_secs(3600);

/// How the room is set up.
#[derive(Clone)]
pub struct Options {
    /// The site of studies of which nobody said another.
    pub site: String,
    /// The time zone of its clocks: a day is over when it is over there.
    pub zone: Zone,
    /// The site is a public one, where approvals may be needed that others do not need.
    pub is_public: bool,
    /// How long backups are kept, in days: certificates say when the last copy is gone. `None` where there are none.
    pub backups_days: Option<u32>,
    /// Told of each study before it is destroyed; nobody where there is none.
    pub witness: Option<Arc<dyn Witness>>,
    /// What time it is.
    pub clock: Arc<dyn Fn() -> OffsetDateTime + Send + Sync>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            site: "main".to_owned(),
            zone: Zone::default(),
            is_public: false,
            backups_days: None,
            witness: None,
            clock: Arc::new(OffsetDateTime::now_utc),
        }
    }
}

/// The room. Cheap to clone.
#[derive(Clone)]
pub struct Records {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    options: Options,
    keys: Keys,
    /// What came back after it was destroyed.
    returned: returned::Kept,
    /// Held from looking whether something may be decided to having it in the journal and in the book.
    deciding: Arc<tokio::sync::Mutex<()>>,
    /// Held from writing to the journal to having it in the book, by whatever task does it.
    writing: Arc<tokio::sync::Mutex<()>>,
    /// A batch was begun to be carried out.
    begun: tokio::sync::Notify,
    book: RwLock<Book>,
    /// What was decided of all studies.
    standing: Mutex<Option<Standing>>,
    /// What is not in there yet.
    pending: Mutex<Pending>,
    /// The latest change of the archive that is, or is pending.
    followed: Mutex<Option<ChangePlace>>,
}

impl Records {
    /// Opens the room: reads the journal.
    ///
    /// # Errors
    /// [`RecordsError`] when the journal does not read, or its keys.
    pub async fn open(store: Store, options: Options) -> Result<Self, RecordsError> {
        let keys = Keys::open(store.state())?;
        let returned = returned::Kept::open(store.state())?;
        let mut book = Book::default();
        for decision in store.journal().read(0).await? {
            book.replay(&decision)?;
        }
        Ok(Self {
            inner: Arc::new(Inner {
                store,
                options,
                keys,
                returned,
                deciding: Arc::default(),
                writing: Arc::default(),
                begun: tokio::sync::Notify::new(),
                book: RwLock::new(book),
                standing: Mutex::default(),
                pending: Mutex::default(),
                followed: Mutex::default(),
            }),
        })
    }

    /// The day at the site.
    #[must_use]
    pub fn today(&self) -> Date {
        let now = (self.inner.options.clock)();
        self.inner.options.zone.day(now)
    }

    /// A time of the site's clocks that names no zone.
    #[must_use]
    pub fn at_site(&self, at: PrimitiveDateTime) -> OffsetDateTime {
        self.inner.options.zone.at(at)
    }

    /// The public key that certificates are signed with, in hexadecimal.
    #[must_use]
    pub fn public_key(&self) -> String {
        self.inner.keys.public_key()
    }

    /// Goes on with disposals that were begun, looks after batches, and keeps what was decided of all studies up to date, until
    /// `shutdown` is cancelled.
    pub async fn work(self, shutdown: CancellationToken) {
        let surveying = self.clone().keep_surveying(shutdown.clone());
        tokio::join!(self.go_on_working(shutdown), surveying);
    }

    async fn keep_surveying(self, shutdown: CancellationToken) {
        let mut failures = 0_u32;
        loop {
            match self.blocking(Self::keep_up).await {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures = failures.saturating_add(1).min(60);
                    tracing::error!(%error, "what is decided of all studies is not kept up to date; it is tried again");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK * (1 + failures)) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    async fn go_on_working(self, shutdown: CancellationToken) {
        let mut looked: Option<std::time::Instant> = None;
        loop {
            if let Err(error) = self.go_on().await {
                tracing::error!(%error, "disposals that were begun cannot be gone on with; it is tried again");
            }
            if looked.is_none_or(|looked| looked.elapsed() > LOOK_THROUGH) {
                looked = Some(std::time::Instant::now());
                let _deciding = self.turn().await;
                if let Err(error) = self.refresh_batches().await {
                    tracing::error!(%error, "batches cannot be looked through; it is tried again");
                }
            }
            self.keep_returned().await;
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = self.inner.begun.notified() => {}
                () = shutdown.cancelled() => return self.keep_returned().await,
            }
        }
    }

    /// Looks at a store as a view has it: what is rejected is neither found nor counted where the view does not show it.
    #[must_use]
    pub fn seen(&self, store: &Store, view: View) -> Store {
        match self.book().rejections.veil(view) {
            Some(veil) => store.behind(veil),
            None => store.clone(),
        }
    }

    fn standing(&self) -> MutexGuard<'_, Option<Standing>> {
        self.inner.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.inner.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn followed(&self) -> MutexGuard<'_, Option<ChangePlace>> {
        self.inner.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn book(&self) -> RwLockReadGuard<'_, Book> {
        self.inner.book.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn to decide: until what is returned is dropped, nothing else is decided. What somebody began to write down and
    /// did not stay for is written down, and in force, by then.
    async fn turn(&self) -> OwnedMutexGuard<()> {
        let turn = Arc::clone(&self.inner.deciding).lock_owned().await;
        drop(self.inner.writing.lock().await);
        turn
    }

    /// Writes a decision down; it is durable, and in force, when this returns. The caller has its [turn](Self::turn). Returns its number.
    ///
    /// It is carried through when the caller is dropped meanwhile: what is in the journal is in force.
    async fn decide(&self, event: Event) -> Result<u64, RecordsError> {
        self.carried_through(|room| async move {
            let payload = serde_json::to_value(&event).map_err(|error| RecordsError::Failed(error.to_string()))?;
            let decision = room.inner.store.journal().append(KIND, payload).await?;
            let stirs = event.stirs();
            {
                let mut book = room.inner.book.write().unwrap_or_else(PoisonError::into_inner);
                book.apply(decision.number, decision.at, event);
            }
            // Behind the book: what is looked at again sees it.
            room.stirred_by(&stirs);
            Ok(decision.number)
        })
        .await
    }

    /// Does what writes to the journal and to the book to its end, whether or not the caller stays.
    async fn carried_through<T, F>(&self, work: impl FnOnce(Self) -> F) -> Result<T, RecordsError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, RecordsError>> + Send + 'static,
    {
        let writing = Arc::clone(&self.inner.writing).lock_owned().await;
        let work = work(self.clone());
        let done = tokio::spawn(async move {
            let _writing = writing;
            work.await
        });
        done.await.map_err(|error| RecordsError::Failed(error.to_string()))?
    }

    /// Runs what reads the index on a thread that may wait.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, RecordsError> + Send + 'static,
    ) -> Result<T, RecordsError> {
        let room = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&room)).await;
        done.map_err(|error| RecordsError::Failed(error.to_string()))?
    }

    /// Refuses to go on when the clock stands before what was decided last: days would be counted wrongly.
    fn check_clock(&self) -> Result<(), RecordsError> {
        let now = (self.inner.options.clock)();
        match self.book().latest {
            Some(latest) if now + time::Duration::hours(1) < latest => Err(RecordsError::conflict(
                "clock-behind",
                "the clock stands before the latest decision of the journal: set it right first",
            )),
            _ => Ok(()),
        }
    }
}
