//! The room of what is scheduled and what was performed: the modality worklist (PS3.4 annex K) and modality performed procedure
//! steps (PS3.4 annex F), with what they let expect of a study.
//!
//! Entries and steps are on disk before anybody is told that they were taken. They are let go after a configured time;
//! instances never are.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod dropped;
mod entry;
mod expected;
mod find;
mod kept;
mod procedure_step;
mod procedure_steps;
mod tags;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use filmroom_dataset::DataSetError;
use filmroom_retrieve::Retrieve;
use filmroom_storage::state::{StateError, StateFolder, StatePlace};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

pub use dropped::Unusable;
pub use entry::{ENTRY_BYTES_MAX, Entry, NotAnEntry, Source};
pub use expected::{Lacking, Looked};
pub use find::project;
pub use kept::to_json;
pub use procedure_step::{ProcedureStep, Scheduled, State, StepError};
pub use procedure_steps::ProcedureSteps;

/// The kind under which entries are kept.
const KIND: &str = "worklist";
/// Most entries that are put here; files come on top.
const ENTRIES_MAX: usize = 20_000;
/// Longest id of an entry, in bytes.
const ID_BYTES_MAX: usize = 64;
/// What is over is looked for so often.
const LOOK: Duration = Duration::from_secs(3600);

/// Where worklist files are, and how long things are kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder of worklist files; `None` reads none.
    pub folder: Option<PathBuf>,
    /// An entry is let go so long after the day it was scheduled for, a procedure step so long after its last change. Zero
    /// keeps them for ever.
    pub keep: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            folder: None,
            keep: Duration::from_secs(90 * 86_400),
        }
    }
}

/// Why an entry was not put or removed.
#[derive(Debug, thiserror::Error)]
pub enum WorklistError {
    /// The id cannot be one.
    #[error("{0}")]
    Id(&'static str),
    /// It is no entry.
    #[error(transparent)]
    NotAnEntry(#[from] NotAnEntry),
    /// It is no data set.
    #[error("the entry is no DICOM JSON (PS3.18 annex F): {0}")]
    DataSet(#[from] DataSetError),
    /// There is none of this id.
    #[error("there is no such entry")]
    Unknown,
    /// It is a file.
    #[error("the entry is a file in the folder of worklist files: change it there")]
    IsFile,
    /// There are too many.
    #[error("there are {ENTRIES_MAX} entries, which is the most")]
    TooMany,
    /// It could not be kept.
    #[error(transparent)]
    State(#[from] StateError),
}

/// An entry as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(with = "time::serde::rfc3339")]
    changed_at: OffsetDateTime,
    attributes: Value,
}

/// The room. Cheap to clone.
#[derive(Clone)]
pub struct Worklist {
    inner: Arc<Inner>,
}

struct Inner {
    folder: StateFolder,
    /// Those that were put; held while they are changed.
    put: Mutex<BTreeMap<String, Arc<Entry>>>,
    dropped: Mutex<dropped::Dropped>,
    steps: ProcedureSteps,
    keep: Duration,
}

impl Worklist {
    /// Opens the room with the state of a data folder.
    ///
    /// # Errors
    /// [`StateError`] when it cannot be read. A record that is damaged is logged and left out.
    pub fn open(options: Options, retrieve: Retrieve, state: impl Into<StatePlace>) -> Result<Self, StateError> {
        let state = state.into();
        let (folder, loaded) = StateFolder::open::<Kept>(state.clone(), KIND)?;
        for damaged in &loaded.damaged {
            tracing::error!(path = %damaged.path.display(), why = damaged.why, "an entry of the worklist is lost: put it again");
        }
        let mut put = BTreeMap::new();
        for (id, kept) in loaded.records {
            let entry = kept::from_json(&kept.attributes)
                .map_err(|error| error.to_string())
                .and_then(|attributes| {
                    Entry::new(&id, Source::Put, kept.changed_at, attributes, None).map_err(|error| error.0)
                });
            match entry {
                Ok(entry) => {
                    put.insert(id, Arc::new(entry));
                }
                Err(why) => tracing::error!(id, why, "an entry of the worklist cannot be used: put it again"),
            }
        }
        Ok(Self {
            inner: Arc::new(Inner {
                folder,
                put: Mutex::new(put),
                dropped: Mutex::new(dropped::Dropped::new(options.folder)),
                steps: ProcedureSteps::open(retrieve, state)?,
                keep: options.keep,
            }),
        })
    }

    /// What was performed.
    #[must_use]
    pub fn procedure_steps(&self) -> &ProcedureSteps {
        &self.inner.steps
    }

    /// All entries, those that were put first, by id. Blocks: the folder of files is looked at.
    #[must_use]
    pub fn entries(&self) -> Vec<Arc<Entry>> {
        let mut all: Vec<_> = self.put_entries().values().cloned().collect();
        let mut dropped = self.dropped();
        dropped.look();
        all.extend(dropped.entries().cloned());
        all
    }

    /// One entry. Blocks.
    #[must_use]
    pub fn entry(&self, id: &str) -> Option<Arc<Entry>> {
        if !id.starts_with(dropped::PREFIX) {
            return self.put_entries().get(id).cloned();
        }
        let mut dropped = self.dropped();
        dropped.look();
        dropped.entries().find(|entry| entry.id == id).cloned()
    }

    /// Worklist files that are no entries, and why. Blocks.
    #[must_use]
    pub fn unusable_files(&self) -> Vec<Unusable> {
        let mut dropped = self.dropped();
        dropped.look();
        dropped.unusable()
    }

    /// Puts an entry, given as DICOM JSON, in the place of one of the same id. Durable when this returns. Blocks. True when
    /// there was none.
    ///
    /// # Errors
    /// [`WorklistError`].
    pub fn put(&self, id: &str, attributes: &Value) -> Result<(Arc<Entry>, bool), WorklistError> {
        check_id(id)?;
        let attributes = kept::from_json(attributes)?;
        let mut put = self.put_entries();
        let before = put.get(id).cloned();
        if before.is_none() && put.len() >= ENTRIES_MAX {
            return Err(WorklistError::TooMany);
        }
        let now = OffsetDateTime::now_utc();
        let entry = Arc::new(Entry::new(id, Source::Put, now, attributes, before.as_deref())?);
        let kept = Kept {
            changed_at: now,
            attributes: to_json(&entry.attributes),
        };
        self.inner.folder.put(id, &kept)?;
        put.insert(id.to_owned(), entry.clone());
        Ok((entry, before.is_none()))
    }

    /// Removes an entry that was put. Durable when this returns. Blocks.
    ///
    /// # Errors
    /// [`WorklistError`].
    pub fn remove(&self, id: &str) -> Result<(), WorklistError> {
        if id.starts_with(dropped::PREFIX) {
            return Err(match self.entry(id) {
                Some(_) => WorklistError::IsFile,
                None => WorklistError::Unknown,
            });
        }
        let mut put = self.put_entries();
        if !put.contains_key(id) {
            return Err(WorklistError::Unknown);
        }
        self.inner.folder.remove(id)?;
        put.remove(id);
        Ok(())
    }

    /// Lets go of what is over, now and every hour, until `shutdown` is cancelled.
    pub async fn work(self, shutdown: CancellationToken) {
        loop {
            let room = self.clone();
            let let_go = tokio::task::spawn_blocking(move || room.let_go(OffsetDateTime::now_utc())).await;
            match let_go {
                Ok(Ok((0, 0))) => {}
                Ok(Ok((entries, steps))) => {
                    tracing::info!(entries, steps, "let go of what was scheduled and performed")
                }
                Ok(Err(error)) => tracing::error!(%error, "what is over could not be removed from the worklist"),
                Err(error) => tracing::error!(%error, "looking through the worklist ended by a panic"),
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// Lets go of entries and steps that are over; tells how many.
    fn let_go(&self, now: OffsetDateTime) -> Result<(usize, usize), StateError> {
        if self.inner.keep.is_zero() {
            return Ok((0, 0));
        }
        let Some(since) = time::Duration::try_from(self.inner.keep)
            .ok()
            .and_then(|keep| now.checked_sub(keep))
        else {
            return Ok((0, 0));
        };
        let over: Vec<String> = self
            .put_entries()
            .values()
            .filter(|entry| entry.changed_at < since && entry.last_day().is_some_and(|day| day < since.date()))
            .map(|entry| entry.id.clone())
            .collect();
        for id in &over {
            // One at a time, so that nobody waits for all of them.
            let mut put = self.put_entries();
            self.inner.folder.remove(id)?;
            put.remove(id);
        }
        Ok((over.len(), self.inner.steps.let_go(since)?))
    }

    fn put_entries(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Entry>>> {
        self.inner.put.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dropped(&self) -> MutexGuard<'_, dropped::Dropped> {
        self.inner.dropped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check_id(id: &str) -> Result<(), WorklistError> {
    if id.is_empty() || id.len() > ID_BYTES_MAX {
        return Err(WorklistError::Id("the id of an entry has 1 to 64 bytes"));
    }
    if id.starts_with(dropped::PREFIX) {
        return Err(WorklistError::IsFile);
    }
    if id.chars().any(char::is_control) {
        return Err(WorklistError::Id("the id of an entry has no control characters"));
    }
    Ok(())
}
