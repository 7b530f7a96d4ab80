//! The store as the rooms see it: take in, look up, read back.

use std::{ops::Range, path::PathBuf, sync::Arc};

use bytes::Bytes;
use futures_util::stream::BoxStream;

use crate::{
    index::{Index, IndexError},
    model::{Description, Header, InstanceRecord, Origin, SeriesInstanceUid, StudyInstanceUid, TransferSyntaxUid},
    source::ReadAt,
};

/// Reads a data set and tells all that the index keeps of it. The archive's `dataset` module is the one implementation;
/// the store calls it when it settles packs and when it rebuilds the index.
pub trait Describer: Send + Sync {
    /// Describes the data set (no preamble, no file meta information).
    ///
    /// # Errors
    /// One sentence on why the bytes are no instance.
    fn describe(&self, data_set: &dyn ReadAt, transfer_syntax: &TransferSyntaxUid) -> Result<Description, String>;
}

/// Where and how the store keeps things.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The data folder; holds `index/`, `intake/`, `objects/`, `journal/`.
    pub data: PathBuf,
    /// Bytes that instances on their way in may hold in memory together; beyond it they go to staged files early.
    pub intake_memory_max_bytes: u64,
    /// Instances longer than this are staged in a file of their own.
    pub staged_from_bytes: u64,
    /// A segment of the intake log is closed at this length.
    pub segment_max_bytes: u64,
    /// Refuse new instances when the file system has fewer bytes free than this.
    pub free_space_min_bytes: u64,
    /// A series settles when no instance has come for this long.
    pub settle_after: std::time::Duration,
    /// A series settles at once when this many bytes wait.
    pub settle_from_bytes: u64,
    /// Memory for the index engine's cache.
    pub index_cache_bytes: u64,
}

impl StoreOptions {
    /// The defaults for a data folder.
    #[must_use]
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            intake_memory_max_bytes: 96 << 20,
            staged_from_bytes: 8 << 20,
            segment_max_bytes: 256 << 20,
            free_space_min_bytes: 512 << 20,
            settle_after: std::time::Duration::from_secs(20),
            settle_from_bytes: 256 << 20,
            index_cache_bytes: 64 << 20,
        }
    }
}

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No room: nothing was kept, what is stored can still be read. A700H, 507.
    #[error("out of space: {0}")]
    OutOfSpace(String),
    /// The store is stopping or cannot write: nothing was kept. A700H, 503.
    #[error("not accepting instances: {0}")]
    Unavailable(String),
    /// The device failed.
    #[error("input or output failed: {0}")]
    Io(#[from] std::io::Error),
    /// The object store failed.
    #[error("the object store failed: {0}")]
    Objects(String),
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// Bytes are not what was stored: length, checksum or framing disagree.
    #[error("stored bytes are damaged: {0}")]
    Damaged(String),
    /// The range does not lie within the instance.
    #[error("range {0:?} is outside the instance")]
    Range(Range<u64>),
}

/// What became of an instance that was committed.
#[derive(Debug)]
pub enum Committed {
    /// On stable storage and visible to the next query.
    Stored(InstanceRecord),
    /// The same data set, byte for byte, was there already.
    AlreadyStored(InstanceRecord),
    /// Another data set with the same SOP Instance UID is there. Nothing was written; the caller decides.
    Collision(Box<Collision>),
}

/// An instance whose SOP Instance UID is taken.
#[derive(Debug)]
pub struct Collision {
    /// What is stored.
    pub stored: InstanceRecord,
    /// What came, handed back.
    pub incoming: Sealed,
    /// What the newcomer was described as.
    pub description: Description,
}

/// The open store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    #[expect(dead_code, reason = "the engine is laid in the next commit")]
    inner: Arc<Inner>,
}

struct Inner;

/// An instance on its way in: bytes are hashed as they come, held in memory up to
/// [`StoreOptions::staged_from_bytes`] and in a staged file beyond. Dropping it forgets it.
#[derive(Debug)]
pub struct Incoming;

/// A complete data set, not yet durable.
#[derive(Debug)]
pub struct Sealed;

impl Incoming {
    /// Appends received bytes of the data set.
    ///
    /// # Errors
    /// [`StoreError::OutOfSpace`], [`StoreError::Io`]: the instance is lost and the sender must be told.
    pub async fn write(&mut self, _bytes: &[u8]) -> Result<(), StoreError> {
        unimplemented!()
    }

    /// Bytes so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        unimplemented!()
    }

    /// True when nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends the data set.
    ///
    /// # Errors
    /// [`StoreError::Io`] when a staged file cannot be completed.
    pub async fn seal(self) -> Result<Sealed, StoreError> {
        unimplemented!()
    }
}

impl Sealed {
    /// The data set for reading: free of copies in memory, by `pread` from a staged file (call it on a blocking thread
    /// when [`Sealed::is_staged`]).
    #[must_use]
    pub fn data_set(&self) -> &dyn ReadAt {
        unimplemented!()
    }

    /// True when the bytes lie in a file.
    #[must_use]
    pub fn is_staged(&self) -> bool {
        unimplemented!()
    }

    /// SHA-256 of the data set.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        unimplemented!()
    }
}

impl Store {
    /// Opens or makes the data folder: takes its lock, cuts torn tails, replays intake into the index, starts the
    /// committer and the settler.
    ///
    /// # Errors
    /// [`StoreError`] when the folder is in use, unreadable, or of a later schema.
    pub async fn open(_options: StoreOptions, _describer: Arc<dyn Describer>) -> Result<Self, StoreError> {
        unimplemented!()
    }

    /// Begins an instance. `file_head`: preamble, `DICM` and file meta information that will stand before the data set;
    /// `expected_length`: bytes of the data set when known, else of the last one of this sender, else 0.
    #[must_use]
    pub fn receive(&self, _file_head: Bytes, _expected_length: u64) -> Incoming {
        unimplemented!()
    }

    /// Makes an instance durable and visible. Returns after the bytes are on stable storage and the index knows them.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was stored.
    pub async fn commit(
        &self,
        _sealed: Sealed,
        _description: Description,
        _origin: &Origin,
    ) -> Result<Committed, StoreError> {
        unimplemented!()
    }

    /// Keeps an instance apart, durably, outside the index, for a person to decide on.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was kept.
    pub async fn quarantine(&self, _sealed: Sealed, _origin: &Origin, _reason: &str) -> Result<(), StoreError> {
        unimplemented!()
    }

    /// The index.
    #[must_use]
    pub fn index(&self) -> Arc<dyn Index> {
        unimplemented!()
    }

    /// Reads a range of an instance's **data set** (offset 0 is its first byte), as one piece: for headers and frames.
    ///
    /// # Errors
    /// [`StoreError::Range`], [`StoreError::Damaged`], [`StoreError::Objects`].
    pub async fn read(&self, _instance: &InstanceRecord, _range: Range<u64>) -> Result<Bytes, StoreError> {
        unimplemented!()
    }

    /// Streams a range of an instance's data set in pieces of bounded size.
    #[must_use]
    pub fn stream(
        &self,
        _instance: &InstanceRecord,
        _range: Range<u64>,
    ) -> BoxStream<'static, Result<Bytes, StoreError>> {
        unimplemented!()
    }

    /// The file meta information as stored (`DICM` and preamble not included).
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn file_meta(&self, _instance: &InstanceRecord) -> Result<Bytes, StoreError> {
        unimplemented!()
    }

    /// The whole header of one instance.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn header(&self, _instance: &InstanceRecord) -> Result<Header, StoreError> {
        unimplemented!()
    }

    /// The headers of a whole series in order of instance number, in pieces of bounded size.
    #[must_use]
    pub fn headers_of_series(
        &self,
        _study: &StudyInstanceUid,
        _series: &SeriesInstanceUid,
    ) -> BoxStream<'static, Result<(InstanceRecord, Header), StoreError>> {
        unimplemented!()
    }

    /// Settles everything that waits, now; for tests, `import` and a clean stop. Returns when all is in packs.
    ///
    /// # Errors
    /// [`StoreError`] of the first series that could not be settled.
    pub async fn settle_now(&self) -> Result<(), StoreError> {
        unimplemented!()
    }

    /// Stops taking instances in, finishes what is under way, flushes and syncs all.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the last sync fails.
    pub async fn close(&self) -> Result<(), StoreError> {
        unimplemented!()
    }
}
