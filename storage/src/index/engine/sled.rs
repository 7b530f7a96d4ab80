//! sled, under rules that its failures taught: it is never the only copy of anything.
//!
//! * A snapshot that a crash left half written makes it refuse to open: such leftovers are removed first.
//! * Damage can make it panic: opening happens inside `catch_unwind`.
//! * Threads of its own may hold its lock for a moment after the database was dropped: opening waits for them, and a lock that
//!   stays is told apart from damage, since a damaged index is put aside and made anew.
//! * Its `flush` writes to the page cache of the device's file and flushes no device: [`Engine::flush`] syncs the file itself.

use std::{
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::{Batch, Engine, IndexError, Visit};

/// Longest wait for the threads of a database that was dropped.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// How often the lock is tried.
const LOCK_RETRY: Duration = Duration::from_millis(5);

/// One tree of a sled database.
#[derive(Debug)]
pub struct SledEngine {
    tree: ::sled::Db,
    log: PathBuf,
}

impl SledEngine {
    /// Opens or makes the database in `folder`.
    ///
    /// # Errors
    /// [`IndexError::InUse`] while another database is open there; [`IndexError::Engine`] otherwise, also where sled panics
    /// over damaged bytes.
    pub fn open(folder: &Path, cache_bytes: u64) -> Result<Self, IndexError> {
        fs::create_dir_all(folder).map_err(failed)?;
        remove_half_written_snapshots(folder).map_err(failed)?;
        let config = ::sled::Config::new()
            .path(folder)
            .cache_capacity(cache_bytes)
            .mode(::sled::Mode::HighThroughput)
            .flush_every_ms(None);
        let until = Instant::now() + LOCK_WAIT;
        loop {
            let opened = catch_unwind(AssertUnwindSafe(|| {
                let tree = config.open()?;
                // A first read walks the root, so that damage there shows now and not at the first query.
                tree.first()?;
                Ok::<_, ::sled::Error>(tree)
            }));
            match opened {
                Ok(Ok(tree)) => {
                    return Ok(Self {
                        tree,
                        log: folder.join("db"),
                    });
                }
                Ok(Err(error)) if is_locked(&error) && Instant::now() < until => thread::sleep(LOCK_RETRY),
                Ok(Err(error)) if is_locked(&error) => return Err(IndexError::InUse(error.to_string())),
                Ok(Err(error)) => return Err(failed(error)),
                Err(_) => return Err(IndexError::Engine("sled panicked while it opened the database".into())),
            }
        }
    }
}

/// sled gives its own text for a lock that is taken, and no kind.
fn is_locked(error: &::sled::Error) -> bool {
    matches!(error, ::sled::Error::Io(error) if error.to_string().contains("could not acquire lock"))
}

fn failed(error: impl std::fmt::Display) -> IndexError {
    IndexError::Engine(error.to_string())
}

fn remove_half_written_snapshots(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "generating") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

impl Engine for SledEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        Ok(self.tree.get(key).map_err(failed)?.map(|value| value.to_vec()))
    }

    fn scan(&self, from: &[u8], to: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<(), IndexError> {
        if to.is_some_and(|to| to <= from) {
            return Ok(());
        }
        let rows = match to {
            Some(to) => self.tree.range(from..to),
            None => self.tree.range(from..),
        };
        for row in rows {
            let (key, value) = row.map_err(failed)?;
            if visit(&key, &value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn apply(&self, batch: Batch) -> Result<(), IndexError> {
        let mut rows = ::sled::Batch::default();
        for (key, value) in batch.rows {
            match value {
                Some(value) => rows.insert(key, value),
                None => rows.remove(key),
            }
        }
        self.tree.apply_batch(rows).map_err(failed)
    }

    fn flush(&self) -> Result<(), IndexError> {
        self.tree.flush().map_err(failed)?;
        fs::File::open(&self.log)
            .and_then(|file| file.sync_data())
            .map_err(failed)
    }
}
