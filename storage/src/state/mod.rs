//! Small state that is the only copy of itself: peers, queues, pending reports. One checksummed JSON record a file.
//!
//! The index is no place for it, since the index can be thrown away at any time. A record is written under a temporary name,
//! synced, renamed over the old one, and the folder synced: after a crash the old record is there or the new one, whole.
//! Everything here blocks for as long as the disk takes to sync. Where the archive is encrypted, records and their names are.

mod record;
mod seal;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Serialize, de::DeserializeOwned};

use self::seal::Opened;
pub use self::seal::StatePlace;

/// The folder within the data folder.
const FOLDER: &str = "state";
/// How a record's name ends.
const EXTENSION: &str = "json";
/// How the name of a record that is being written ends. What a crash leaves of it was never said to be kept.
const UNFINISHED: &str = "unfinished";
/// Longest record, in bytes: a list of 100,000 UIDs fits.
pub const RECORD_BYTES_MAX: usize = 32 << 20;
/// Most records of one kind.
pub const RECORDS_MAX: usize = 100_000;
/// Longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 64;

/// Why state was not kept or not read.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The disk failed or is full.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// What was read or written.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The record is too long, or there are too many.
    #[error("{0}")]
    Limit(String),
    /// The value cannot be written as JSON.
    #[error("not to be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// A file that is no record: its checksum or its content is wrong. It is left as it is until its key is put again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// The file.
    pub path: PathBuf,
    /// One phrase.
    pub why: String,
}

/// What a folder held when it was opened.
#[derive(Debug)]
pub struct Loaded<T> {
    /// Key and value of each record, by key.
    pub records: Vec<(String, T)>,
    /// Files that are no records.
    pub damaged: Vec<Damaged>,
}

/// The records of one kind, each found by its key. One process at a time, which the lock of the data folder sees to.
#[derive(Debug)]
pub struct StateFolder {
    folder: PathBuf,
    place: StatePlace,
    kind: String,
    /// Files there are; held while one is written, so that two writers of a key come one after the other.
    count: Mutex<usize>,
}

impl StateFolder {
    /// Opens or makes the folder of a kind (a plain word) and reads all of it.
    ///
    /// # Errors
    /// [`StateError::Io`] when the folder cannot be read; [`StateError::Limit`] when it holds too many files.
    pub fn open<T: DeserializeOwned>(
        place: impl Into<StatePlace>,
        kind: &str,
    ) -> Result<(Self, Loaded<T>), StateError> {
        let place = place.into();
        let folder = place.data.join(FOLDER).join(kind);
        let made = !folder.is_dir();
        fs::create_dir_all(&folder).map_err(|source| io_error(&folder, source))?;
        if made {
            for parent in [folder.parent(), Some(place.data.as_path())].into_iter().flatten() {
                sync_folder(parent)?;
            }
        }
        let found = read_all(&folder, &place, kind)?;
        for path in &found.unfinished {
            fs::remove_file(path).map_err(|source| io_error(path, source))?;
        }
        let count = Mutex::new(found.loaded.records.len() + found.loaded.damaged.len());
        let state = Self {
            folder,
            place,
            kind: kind.to_owned(),
            count,
        };
        for (path, key, body) in found.plain {
            state.seal_plain(&path, &key, body)?;
        }
        Ok((state, found.loaded))
    }

    /// A record from before encryption was turned on is written anew, sealed.
    fn seal_plain(&self, path: &Path, key: &str, body: Vec<u8>) -> Result<(), StateError> {
        let sealed = self.path(key)?;
        // After a crash in between it is there already.
        if !sealed.exists() {
            self.write(&sealed, body)?;
        }
        if sealed != path {
            fs::remove_file(path).map_err(|source| io_error(path, source))?;
        }
        sync_folder(&self.folder)
    }

    /// Reads the records of a kind without opening it for writing; none when there is no such folder.
    ///
    /// # Errors
    /// As [`StateFolder::open`].
    pub fn look<T: DeserializeOwned>(place: impl Into<StatePlace>, kind: &str) -> Result<Loaded<T>, StateError> {
        let place = place.into();
        let folder = place.data.join(FOLDER).join(kind);
        if !folder.is_dir() {
            return Ok(Loaded {
                records: Vec::new(),
                damaged: Vec::new(),
            });
        }
        Ok(read_all(&folder, &place, kind)?.loaded)
    }

    /// Keeps a value under a key. Durable when this returns; on an error the value before is still there.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn put<T: Serialize>(&self, key: &str, value: &T) -> Result<(), StateError> {
        let path = self.path(key)?;
        let bytes = record::encode(value)?;
        if bytes.len() > RECORD_BYTES_MAX {
            let sentence = format!("a record of {} bytes; the longest has {RECORD_BYTES_MAX}", bytes.len());
            return Err(StateError::Limit(sentence));
        }
        let mut count = self.count();
        let is_new = !path.exists();
        if is_new && *count >= RECORDS_MAX {
            let sentence = format!(
                "{} holds {RECORDS_MAX} records, which is the most",
                self.folder.display()
            );
            return Err(StateError::Limit(sentence));
        }
        self.write(&path, bytes)?;
        if is_new {
            *count += 1;
        }
        sync_folder(&self.folder)
    }

    fn write(&self, path: &Path, bytes: Vec<u8>) -> Result<(), StateError> {
        let unfinished = path.with_extension(UNFINISHED);
        let sealed = self.place.seal(&what(&self.kind, path), bytes);
        let written = sealed
            .and_then(|bytes| write_synced(&unfinished, &bytes))
            .and_then(|()| fs::rename(&unfinished, path));
        written.map_err(|source| {
            let _ = fs::remove_file(&unfinished);
            io_error(path, source)
        })
    }

    /// Reads the value of a key again; `None` when there is none.
    ///
    /// # Errors
    /// [`StateError::Io`], also when the record is damaged.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, StateError> {
        let path = self.path(key)?;
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(io_error(&path, source)),
            Ok(_) => {}
        }
        let damaged = |why: String| io_error(&path, io::Error::new(io::ErrorKind::InvalidData, why));
        read::<T>(&path, &self.place, &self.kind)?
            .map(|record| Some(record.value))
            .map_err(damaged)
    }

    /// Forgets a key. Durable when this returns. False when there was none.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn remove(&self, key: &str) -> Result<bool, StateError> {
        let path = self.path(key)?;
        let mut count = self.count();
        match fs::remove_file(&path) {
            Ok(()) => {
                *count = count.saturating_sub(1);
                sync_folder(&self.folder)?;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(io_error(&path, source)),
        }
    }

    fn path(&self, key: &str) -> Result<PathBuf, StateError> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            let sentence = format!("a key of {} bytes; it has 1 to {KEY_BYTES_MAX}", key.len());
            return Err(StateError::Limit(sentence));
        }
        let name = self.place.name_of(&self.kind, key);
        let name = name.map_err(|source| io_error(&self.folder, source))?;
        Ok(self.folder.join(format!("{name}.{EXTENSION}")))
    }

    fn count(&self) -> MutexGuard<'_, usize> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the lock of a data folder for as long as the file lives, for changes while no archive runs on it. `None` when
/// another process has it.
///
/// # Errors
/// [`StateError::Io`].
pub fn lock(data: &Path) -> Result<Option<fs::File>, StateError> {
    let path = data.join("lock");
    let opened = fs::File::options().create(true).truncate(false).write(true).open(&path);
    let file = opened.map_err(|source| io_error(&path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(source)) => Err(io_error(&path, source)),
    }
}

/// Checks every record of every kind. How many are whole, and which are not.
///
/// # Errors
/// [`StateError::Io`] when a folder cannot be read.
pub fn verify(place: impl Into<StatePlace>) -> Result<(usize, Vec<Damaged>), StateError> {
    let place = place.into();
    let root = place.data.join(FOLDER);
    let (mut whole, mut damaged) = (0, Vec::new());
    if !root.is_dir() {
        return Ok((whole, damaged));
    }
    for entry in fs::read_dir(&root).map_err(|source| io_error(&root, source))? {
        let entry = entry.map_err(|source| io_error(&root, source))?;
        let folder = entry.path();
        if folder.is_dir() {
            let kind = entry.file_name().to_string_lossy().into_owned();
            let loaded = read_all::<serde::de::IgnoredAny>(&folder, &place, &kind)?.loaded;
            whole += loaded.records.len();
            damaged.extend(loaded.damaged);
        }
    }
    Ok((whole, damaged))
}

/// What a folder holds.
struct Found<T> {
    loaded: Loaded<T>,
    unfinished: Vec<PathBuf>,
    /// Records that are to be sealed: file, key and body.
    plain: Vec<(PathBuf, String, Vec<u8>)>,
}

fn read_all<T: DeserializeOwned>(folder: &Path, place: &StatePlace, kind: &str) -> Result<Found<T>, StateError> {
    let mut paths = Vec::new();
    let mut unfinished = Vec::new();
    for entry in fs::read_dir(folder).map_err(|source| io_error(folder, source))? {
        let path = entry.map_err(|source| io_error(folder, source))?.path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some(EXTENSION) => paths.push(path),
            Some(UNFINISHED) => unfinished.push(path),
            _ => {}
        }
        if paths.len() > RECORDS_MAX {
            let sentence = format!("{} holds more than {RECORDS_MAX} records", folder.display());
            return Err(StateError::Limit(sentence));
        }
    }
    paths.sort();
    let (mut records, mut damaged, mut plain) = (BTreeMap::new(), Vec::new(), Vec::new());
    for path in paths {
        let record = match read(&path, place, kind) {
            // Forgotten since it was listed.
            Err(StateError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        match record {
            Ok(Record {
                key,
                value,
                plain: None,
            }) => {
                // The sealed one is the later one, where both are there.
                records.insert(key, value);
            }
            Ok(Record {
                key,
                value,
                plain: Some(body),
            }) => {
                records.entry(key.clone()).or_insert(value);
                plain.push((path, key, body));
            }
            Err(why) => damaged.push(Damaged { path, why }),
        }
    }
    Ok(Found {
        loaded: Loaded {
            records: records.into_iter().collect(),
            damaged,
        },
        unfinished,
        plain,
    })
}

/// A record that is whole.
struct Record<T> {
    key: String,
    value: T,
    /// Its bytes, where they are to be sealed.
    plain: Option<Vec<u8>>,
}

fn read<T: DeserializeOwned>(
    path: &Path,
    place: &StatePlace,
    kind: &str,
) -> Result<Result<Record<T>, String>, StateError> {
    let length = fs::metadata(path).map_err(|source| io_error(path, source))?.len();
    // Sealing adds less than a hundred bytes.
    if length > RECORD_BYTES_MAX as u64 + 100 {
        return Ok(Err(format!("{length} bytes are too many")));
    }
    let bytes = fs::read(path).map_err(|source| io_error(path, source))?;
    let name = path.file_stem().and_then(|stem| stem.to_str());
    let Some((key, named_so)) = name.and_then(|name| place.key_of(kind, name)) else {
        return Ok(Err("its name is no key".to_owned()));
    };
    let (body, is_sealed) = match place.open(&what(kind, path), bytes) {
        Ok(Opened::Body(body)) => (body, true),
        Ok(Opened::Plain(body)) => (body, false),
        Err(why) => return Ok(Err(why)),
    };
    Ok(record::decode(&body).map(|value| Record {
        key,
        value,
        plain: (!is_sealed || !named_so).then_some(body),
    }))
}

/// What a sealed record belongs to: it opens nowhere else.
fn what(kind: &str, path: &Path) -> String {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    format!("{kind}/{name}")
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write;
    let mut file = fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_folder(folder: &Path) -> Result<(), StateError> {
    fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| io_error(folder, source))
}

fn io_error(path: &Path, source: io::Error) -> StateError {
    StateError::Io {
        path: path.to_owned(),
        source,
    }
}
