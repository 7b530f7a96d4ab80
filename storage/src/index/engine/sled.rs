//! sled, under rules that its failures taught: it is never the only copy of anything.
//!
//! * A snapshot that a crash left half written makes it refuse to open: such leftovers are removed first.
//! * Damage can make it panic: opening happens inside `catch_unwind`.
//! * Threads of its own may hold its lock for a moment after the database was dropped: opening waits for them, and a lock that
//!   stays is told apart from damage, since a damaged index is put aside and made anew.
//! * After one write that failed it fails for good: [`Engine::recover`] opens it anew, once the disk takes bytes again.
//! * Its `flush` writes to the page cache of the device's file and flushes no device: [`Engine::flush`] syncs the file itself.

use std::{
    fs,
    io::{self, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    thread,
    time::{Duration, Instant},
};

use super::{Batch, Engine, IndexError, Visit};
use crate::intake::medium::sync_folder;

/// Longest wait for the threads of a database that was dropped.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// So much must fit before the database is opened anew.
const PROBE_BYTES: usize = 4 << 20;
/// How often the lock is tried.
const LOCK_RETRY: Duration = Duration::from_millis(5);
/// Rows copied at once when the database is written anew.
pub(super) const COPIED_AT_ONCE: usize = 1000;
/// What the folder of the copy, and then that of the original, is called beside the folder itself.
pub(super) const NEW: &str = "new";
const OLD: &str = "old";

/// One tree of a sled database.
#[derive(Debug)]
pub struct SledEngine {
    /// `None` only where opening anew failed.
    tree: RwLock<Option<Arc<::sled::Db>>>,
    folder: PathBuf,
    cache_bytes: u64,
}

impl SledEngine {
    /// Opens or makes the database in `folder`.
    ///
    /// # Errors
    /// [`IndexError::InUse`] while another database is open there; [`IndexError::Engine`] otherwise, also where sled panics
    /// over damaged bytes.
    pub fn open(folder: &Path, cache_bytes: u64) -> Result<Self, IndexError> {
        remove_leftovers(folder).map_err(failed)?;
        Ok(Self {
            tree: RwLock::new(Some(Arc::new(open(folder, cache_bytes)?))),
            folder: folder.to_owned(),
            cache_bytes,
        })
    }

    /// A handle of its own, so that nobody holds the lock while it reads.
    fn tree(&self) -> Result<Arc<::sled::Db>, IndexError> {
        let tree = self.tree.read().unwrap_or_else(PoisonError::into_inner);
        tree.clone()
            .ok_or_else(|| IndexError::Engine("it could not be opened anew after a failure; it is tried again".into()))
    }
}

fn open(folder: &Path, cache_bytes: u64) -> Result<::sled::Db, IndexError> {
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
            Ok(Ok(tree)) => return Ok(tree),
            Ok(Err(error)) if is_locked(&error) && Instant::now() < until => thread::sleep(LOCK_RETRY),
            Ok(Err(error)) if is_locked(&error) => return Err(IndexError::InUse(error.to_string())),
            Ok(Err(error)) => return Err(failed(error)),
            Err(_) => return Err(IndexError::Engine("sled panicked while it opened the database".into())),
        }
    }
}

/// Removes what writing anew left behind.
pub(super) fn remove_leftovers(folder: &Path) -> io::Result<()> {
    for name in [NEW, OLD] {
        match fs::remove_dir_all(folder.with_extension(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Puts the copy in the place of the original, which stays where that fails.
pub(super) fn put_in_place(folder: &Path) -> io::Result<()> {
    let (new, old) = (folder.with_extension(NEW), folder.with_extension(OLD));
    fs::rename(folder, &old)?;
    if let Err(error) = fs::rename(&new, folder) {
        fs::rename(&old, folder)?;
        return Err(error);
    }
    folder.parent().map_or(Ok(()), sync_folder)
}

/// Asks the disk to take some bytes: a database that is open can still be read, and is not given up before there is hope.
pub(super) fn probe(folder: &Path) -> io::Result<()> {
    let path = folder.join("probe");
    let written = fs::File::create(&path).and_then(|mut file| {
        file.write_all(&vec![0; PROBE_BYTES])?;
        file.sync_all()
    });
    fs::remove_file(&path)?;
    written
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
        Ok(self.tree()?.get(key).map_err(failed)?.map(|value| value.to_vec()))
    }

    fn scan(&self, from: &[u8], to: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<(), IndexError> {
        if to.is_some_and(|to| to <= from) {
            return Ok(());
        }
        let tree = self.tree()?;
        let rows = match to {
            Some(to) => tree.range(from..to),
            None => tree.range(from..),
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
        self.tree()?.apply_batch(rows).map_err(failed)
    }

    fn flush(&self) -> Result<(), IndexError> {
        self.tree()?.flush().map_err(failed)?;
        fs::File::open(self.folder.join("db"))
            .and_then(|file| file.sync_data())
            .map_err(failed)
    }

    fn recover(&self) -> Result<(), IndexError> {
        probe(&self.folder).map_err(failed)?;
        let mut tree = self.tree.write().unwrap_or_else(PoisonError::into_inner);
        // Its lock goes with the last handle: readers that have one are waited for.
        *tree = None;
        *tree = Some(Arc::new(open(&self.folder, self.cache_bytes)?));
        Ok(())
    }

    fn rewrite(&self) -> Result<(), IndexError> {
        let new = self.folder.with_extension(NEW);
        remove_leftovers(&self.folder).map_err(failed)?;
        {
            let copy = open(&new, self.cache_bytes)?;
            let mut batch = ::sled::Batch::default();
            for (count, row) in self.tree()?.iter().enumerate() {
                let (key, value) = row.map_err(failed)?;
                batch.insert(key, value);
                if count % COPIED_AT_ONCE == COPIED_AT_ONCE - 1 {
                    copy.apply_batch(std::mem::take(&mut batch)).map_err(failed)?;
                }
            }
            copy.apply_batch(batch).map_err(failed)?;
            copy.flush().map_err(failed)?;
            fs::File::open(new.join("db"))
                .and_then(|file| file.sync_data())
                .map_err(failed)?;
        }
        let mut tree = self.tree.write().unwrap_or_else(PoisonError::into_inner);
        *tree = None;
        // Between the two there is no index, and it would be made anew from the packs.
        let swapped = put_in_place(&self.folder);
        *tree = Some(Arc::new(open(&self.folder, self.cache_bytes)?));
        swapped.map_err(failed)?;
        remove_leftovers(&self.folder).map_err(failed)
    }
}
