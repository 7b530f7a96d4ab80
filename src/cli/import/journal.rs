//! Remembers what an import has finished, so that it can be interrupted and run again.

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::Path,
    sync::Mutex,
    time::UNIX_EPOCH,
};

use sha2::{Digest, Sha256};

/// What is kept of a finished item: the first bytes of a SHA-256.
const MARK_BYTES: usize = 16;

/// Identifies an item by where it lies and what it was when it was read; a changed file is another item.
pub type Mark = [u8; MARK_BYTES];

/// The mark of a file, or of an entry in an archive.
#[must_use]
pub fn mark(path: &Path, metadata: &fs::Metadata, entry: Option<u64>) -> Mark {
    let modified = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .unwrap_or_default();
    let mut hasher = Sha256::new();
    hasher.update(path.as_os_str().as_encoded_bytes());
    hasher.update([0]);
    hasher.update(metadata.len().to_le_bytes());
    hasher.update(modified.as_nanos().to_le_bytes());
    if let Some(entry) = entry {
        hasher.update(entry.to_le_bytes());
    }
    hasher.finalize().first_chunk().copied().unwrap_or_default()
}

/// A file of marks, one after the other. It names nothing: paths often hold patients' names.
///
/// It is not synced: a mark that is lost costs one comparison with what is stored.
#[derive(Debug)]
pub struct Journal {
    finished: HashSet<Mark>,
    file: Mutex<File>,
}

impl Journal {
    /// Opens or begins a journal. `forget` empties it.
    ///
    /// # Errors
    /// When the file cannot be made, read or written.
    pub fn open(path: &Path, forget: Forget) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        if forget == Forget::All {
            file.set_len(0)?;
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let (marks, torn) = bytes.as_chunks::<MARK_BYTES>();
        if !torn.is_empty() {
            file.set_len((bytes.len() - torn.len()) as u64)?;
        }
        Ok(Self {
            finished: marks.iter().copied().collect(),
            file: Mutex::new(file),
        })
    }

    /// True when an earlier run finished this item.
    #[must_use]
    pub fn has(&self, mark: &Mark) -> bool {
        self.finished.contains(mark)
    }

    /// Writes down that an item is safe.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(&self, mark: &Mark) -> io::Result<()> {
        match self.file.lock() {
            Ok(mut file) => file.write_all(mark),
            Err(poisoned) => poisoned.into_inner().write_all(mark),
        }
    }
}

/// What to do with what earlier runs finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forget {
    /// Leave it out of this run.
    Nothing,
    /// Read everything again.
    All,
}
