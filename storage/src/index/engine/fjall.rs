//! fjall: log-structured, with checksums over all it writes.
//!
//! * A batch goes to its journal and to the system before it is acknowledged, so that a killed process loses none; a loss of
//!   power may take the last ones, whole, which the intake log still has.
//! * [`Engine::flush`] syncs the journal to the device.
//! * A table that was damaged is told when it is read, and a journal is cut at the first batch that is not whole.

use std::{
    fs,
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    thread,
    time::{Duration, Instant},
};

use ::fjall::{Database, Error, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{
    Batch, Engine, IndexError, Visit,
    sled::{COPIED_AT_ONCE, NEW, probe, put_in_place, remove_leftovers},
};

/// The one keyspace.
const ROWS: &str = "rows";
/// Longest wait for the threads of a database that was dropped.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// How often the lock is tried.
const LOCK_RETRY: Duration = Duration::from_millis(5);
/// Threads that flush and compact: the index is written by one thread, a batch at a time.
const WORKER_THREADS: usize = 2;
/// Bytes of journals: more are flushed to tables.
const JOURNALS_MAX_BYTES: u64 = 128 << 20;
/// Bytes of rows in memory that are not in a table yet.
const MEMTABLE_BYTES: u64 = 16 << 20;

/// One keyspace of a fjall database.
pub struct FjallEngine {
    /// `None` only where opening anew failed.
    opened: RwLock<Option<Arc<Opened>>>,
    folder: PathBuf,
    cache_bytes: u64,
}

struct Opened {
    rows: Keyspace,
    database: Database,
}

impl FjallEngine {
    /// Opens or makes the database in `folder`.
    ///
    /// # Errors
    /// [`IndexError::InUse`] while another database is open there; [`IndexError::Engine`] otherwise.
    pub fn open(folder: &Path, cache_bytes: u64) -> Result<Self, IndexError> {
        remove_leftovers(folder).map_err(failed)?;
        Ok(Self {
            opened: RwLock::new(Some(Arc::new(open(folder, cache_bytes)?))),
            folder: folder.to_owned(),
            cache_bytes,
        })
    }

    /// A handle of its own, so that nobody holds the lock while it reads.
    fn opened(&self) -> Result<Arc<Opened>, IndexError> {
        let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
        opened
            .clone()
            .ok_or_else(|| IndexError::Engine("it could not be opened anew after a failure; it is tried again".into()))
    }
}

impl Opened {
    fn apply(&self, rows: impl Iterator<Item = (Vec<u8>, Option<Vec<u8>>)>) -> Result<(), IndexError> {
        let mut batch = self.database.batch();
        for (key, value) in rows {
            match value {
                Some(value) => batch.insert(&self.rows, key, value),
                None => batch.remove(&self.rows, key),
            }
        }
        batch.commit().map_err(failed)
    }
}

fn open(folder: &Path, cache_bytes: u64) -> Result<Opened, IndexError> {
    fs::create_dir_all(folder).map_err(failed)?;
    let until = Instant::now() + LOCK_WAIT;
    loop {
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let database = Database::builder(folder)
                .cache_size(cache_bytes)
                .worker_threads(WORKER_THREADS)
                .max_journaling_size(JOURNALS_MAX_BYTES)
                .open()?;
            let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
            let rows = database.keyspace(ROWS, options)?;
            Ok::<_, Error>(Opened { rows, database })
        }));
        match opened {
            Ok(Ok(opened)) => return Ok(opened),
            Ok(Err(Error::Locked)) if Instant::now() < until => thread::sleep(LOCK_RETRY),
            Ok(Err(error @ Error::Locked)) => return Err(IndexError::InUse(error.to_string())),
            Ok(Err(error)) => return Err(failed(error)),
            Err(_) => return Err(IndexError::Engine("fjall panicked while it opened the database".into())),
        }
    }
}

fn failed(error: impl std::fmt::Display) -> IndexError {
    IndexError::Engine(error.to_string())
}

impl Engine for FjallEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        let value = self.opened()?.rows.get(key).map_err(failed)?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(&self, from: &[u8], to: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<(), IndexError> {
        if to.is_some_and(|to| to <= from) {
            return Ok(());
        }
        let to = to.map_or(Bound::Unbounded, Bound::Excluded);
        let opened = self.opened()?;
        for row in opened.rows.range::<&[u8], _>((Bound::Included(from), to)) {
            let (key, value) = row.into_inner().map_err(failed)?;
            if visit(&key, &value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn apply(&self, batch: Batch) -> Result<(), IndexError> {
        self.opened()?.apply(batch.last_of_each())
    }

    fn flush(&self) -> Result<(), IndexError> {
        self.opened()?.database.persist(PersistMode::SyncAll).map_err(failed)
    }

    fn recover(&self) -> Result<(), IndexError> {
        probe(&self.folder).map_err(failed)?;
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        // Its lock goes with the last handle: readers that have one are waited for.
        *opened = None;
        *opened = Some(Arc::new(open(&self.folder, self.cache_bytes)?));
        Ok(())
    }

    fn rewrite(&self) -> Result<(), IndexError> {
        let new = self.folder.with_extension(NEW);
        remove_leftovers(&self.folder).map_err(failed)?;
        {
            let copy = open(&new, self.cache_bytes)?;
            let mut rows = Vec::with_capacity(COPIED_AT_ONCE);
            for row in self.opened()?.rows.iter() {
                let (key, value) = row.into_inner().map_err(failed)?;
                rows.push((key.to_vec(), Some(value.to_vec())));
                if rows.len() == COPIED_AT_ONCE {
                    copy.apply(rows.drain(..))?;
                }
            }
            copy.apply(rows.drain(..))?;
            copy.database.persist(PersistMode::SyncAll).map_err(failed)?;
        }
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        *opened = None;
        // Between the two there is no index, and it would be made anew from the packs.
        let swapped = put_in_place(&self.folder);
        *opened = Some(Arc::new(open(&self.folder, self.cache_bytes)?));
        swapped.map_err(failed)?;
        remove_leftovers(&self.folder).map_err(failed)
    }
}
