//! What writing, searching, proving and sending have in common: the segments, the tree, the keys.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{
    checkpoint::{Checkpoint, Signer, write_secret},
    entry::Entry,
    error::AuditError,
    facets::FacetKey,
    frame::Sealer,
    segment::Segment,
    tree::TreeFile,
};

const SIGNING_KEY: &str = "signing.key";
const SEARCH_KEY: &str = "search.key";
const CHECKPOINTS: &str = "checkpoints";
const DAMAGE: &str = "damage.json";
const TREE: &str = "tree";

/// Damage that was found, until somebody says that he knows of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// The first entry that is wrong, from 0.
    pub index: u64,
    /// What is wrong.
    pub reason: String,
}

pub(crate) struct Shared {
    pub(crate) folder: PathBuf,
    is_writable: bool,
    pub(crate) sealer: Sealer,
    pub(crate) facets: FacetKey,
    pub(crate) signer: Signer,
    pub(crate) tree: TreeFile,
    pub(crate) segments: RwLock<Vec<Arc<Segment>>>,
    /// Entries that are written, whether or not they were acknowledged yet.
    size: AtomicU64,
    /// As `size`, for those that wait for more.
    pub(crate) grown: watch::Sender<u64>,
    pub(crate) latest_checkpoint: Mutex<Option<Checkpoint>>,
    damage: Mutex<Option<Damage>>,
    /// Held while values are erased.
    pub(crate) erasing: Mutex<()>,
}

impl Shared {
    /// Opens keys and tree; segments come later.
    pub(crate) fn open(folder: &Path, key: Option<&[u8; 32]>, is_writable: bool) -> Result<Self, AuditError> {
        let damage = match fs::read(folder.join(DAMAGE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
            // What does not read is damage too.
            Ok(bytes) => Some(serde_json::from_slice(&bytes).unwrap_or_else(|_| Damage {
                index: 0,
                reason: "the note of damage does not read".into(),
            })),
        };
        Ok(Self {
            folder: folder.to_owned(),
            is_writable,
            sealer: Sealer::new(key)?,
            facets: FacetKey::new(&search_key(&folder.join(SEARCH_KEY), is_writable)?),
            signer: Signer::open(&folder.join(SIGNING_KEY), is_writable)?,
            tree: TreeFile::open(&folder.join(TREE), is_writable)?,
            segments: RwLock::new(Vec::new()),
            size: AtomicU64::new(0),
            grown: watch::Sender::new(0),
            latest_checkpoint: Mutex::new(None),
            damage: Mutex::new(damage),
            erasing: Mutex::new(()),
        })
    }

    pub(crate) fn size(&self) -> u64 {
        self.size.load(Ordering::Acquire)
    }

    pub(crate) fn grow_to(&self, size: u64) {
        self.size.store(size, Ordering::Release);
        self.grown.send_replace(size);
    }

    pub(crate) fn checkpoints_path(&self) -> PathBuf {
        self.folder.join(CHECKPOINTS)
    }

    /// All segments, in order.
    pub(crate) fn segments(&self) -> Vec<Arc<Segment>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn add_segment(&self, segment: Arc<Segment>) {
        self.segments
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(segment);
    }

    /// Reads an entry.
    pub(crate) fn entry(&self, index: u64) -> Result<Entry, AuditError> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let after = segments.partition_point(|segment| segment.first <= index);
        let segment = after
            .checked_sub(1)
            .and_then(|position| segments.get(position))
            .cloned();
        drop(segments);
        let missing = || AuditError::Damaged {
            index,
            reason: "the entry is not there".into(),
        };
        let segment = segment.ok_or_else(missing)?;
        let number = u32::try_from(index - segment.first).map_err(|_| missing())?;
        segment.entry(number, &self.sealer)
    }

    pub(crate) fn damage(&self) -> Option<Damage> {
        self.damage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes damage, on the disk too: nothing is destroyed until it is acknowledged. The first that was found stays.
    pub(crate) fn note_damage(&self, index: u64, reason: &str) -> io::Result<()> {
        let mut damage = self.damage.lock().unwrap_or_else(PoisonError::into_inner);
        if damage.as_ref().is_some_and(|known| known.index <= index) {
            return Ok(());
        }
        tracing::error!(
            entry = index,
            reason,
            "the audit log is damaged: nothing is destroyed until `filmroom audit acknowledge`"
        );
        let found = Damage {
            index,
            reason: reason.to_owned(),
        };
        let bytes = serde_json::to_vec(&found)?;
        *damage = Some(found);
        if !self.is_writable {
            return Ok(());
        }
        replace(&self.folder.join(DAMAGE), &bytes)
    }

    /// Forgets damage that was acknowledged.
    pub(crate) fn forget_damage(&self) -> io::Result<()> {
        let mut damage = self.damage.lock().unwrap_or_else(PoisonError::into_inner);
        match fs::remove_file(self.folder.join(DAMAGE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => *damage = None,
        }
        sync_folder(&self.folder)
    }

    /// Appends a checkpoint to those that are kept, durably.
    pub(crate) fn keep_checkpoint(&self, checkpoint: Checkpoint) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.checkpoints_path())?;
        let length = file.metadata()?.len();
        let written = file
            .write_all(format!("{}\n", checkpoint.to_text()).as_bytes())
            .and_then(|()| file.sync_all());
        if let Err(error) = written {
            file.set_len(length)?;
            return Err(error);
        }
        *self.latest_checkpoint.lock().unwrap_or_else(PoisonError::into_inner) = Some(checkpoint);
        // Those that send on have it to send.
        self.grown.send_modify(|_| {});
        Ok(())
    }
}

/// Reads the key that facets are hashed with, or draws one.
fn search_key(path: &Path, is_made: bool) -> Result<Vec<u8>, AuditError> {
    match fs::read(path) {
        Err(error) if is_made && error.kind() == io::ErrorKind::NotFound => {
            let mut key = vec![0; 32];
            SystemRandom::new()
                .fill(&mut key)
                .map_err(|_| AuditError::Key("the operating system gives no random numbers".into()))?;
            write_secret(path, &key)?;
            Ok(key)
        }
        other => Ok(other?),
    }
}

/// Writes a file under another name, syncs it, and renames it over the one there is.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("unfinished");
    let mut file = fs::File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}
