//! The store as the rooms see it: take in, look up, read back.

mod acknowledge;
mod candidates;
mod changes;
mod checksum;
mod commit;
mod destroy;
mod encryption;
mod header_pages;
mod headers;
mod index_folder;
mod keeper;
mod mend;
mod merge;
mod object_stores;
mod open;
mod orphan;
mod quarantine;
mod read;
mod rebuild;
mod repair;
mod settle;
mod taken;
#[cfg(test)]
mod tests;
mod verify;

pub use self::{
    destroy::{DestroyScope, Destroyed, DestroyedInstance},
    encryption::EncryptedSoFar,
    header_pages::{HeaderPages, InstanceHeader},
    object_stores::{ObjectsEngine, StateAccess, check_objects, state_place},
    rebuild::RebuildReport,
    verify::{Problem, ProblemKind, ScrubOptions, ScrubState, Soundness, VerifyOptions, VerifyPosition, VerifyReport},
};
pub use crate::intake::incoming::{Incoming, Sealed};

use std::{
    collections::HashMap,
    fs::File,
    ops::Range,
    path::PathBuf,
    sync::{Arc, Mutex, Weak},
    thread::JoinHandle,
};

use tokio::sync::mpsc;

use crate::{
    encryption::Encryption,
    index::{
        Catalog, CatalogWriter, Index, IndexError, Veil, Veiled,
        engine::{Engine, EngineKind},
    },
    intake::{Order, Retired, Segments, SeriesKey, Shelf, Turnstile, Waiting, incoming::Nursery, medium::Medium},
    journal::{Journal, JournalError},
    metrics::{Counters, Metrics},
    model::{Description, InstanceRecord, TransferSyntaxUid},
    objects::{EncryptedObjects, ObjectStore},
    source::ReadAt,
    state::StatePlace,
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
    /// The folder of a second store that holds every object too; repairs come from there.
    pub replica: Option<PathBuf>,
    /// The same in a bucket. It may be away at any time, also at the start.
    pub replica_s3: Option<Box<crate::objects::S3Options>>,
    /// Where settled instances lie.
    pub objects: ObjectsEngine,
    /// Room on the local disk for what was read from a store that is not local; 0: none.
    pub cache_bytes: u64,
    /// When a commit returns.
    pub acknowledge: Acknowledge,
    /// The engine of the index. An index of another engine is made anew.
    pub index_engine: EngineKind,
    /// Encrypt what is stored; `None` is off.
    pub encryption: Option<Encryption>,
}

/// When an instance counts as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Acknowledge {
    /// Once it is synced to the intake log.
    #[default]
    Intake,
    /// Once the object store has it: losing the intake loses nothing then.
    ObjectStore,
}

impl StoreOptions {
    /// The defaults for a data folder.
    #[must_use]
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            intake_memory_max_bytes: 96 << 20,
            staged_from_bytes: 8 << 20,
            segment_max_bytes: 64 << 20,
            free_space_min_bytes: 512 << 20,
            settle_after: std::time::Duration::from_secs(20),
            settle_from_bytes: 256 << 20,
            index_cache_bytes: 64 << 20,
            replica: None,
            replica_s3: None,
            objects: ObjectsEngine::Local,
            cache_bytes: 10 << 30,
            acknowledge: Acknowledge::Intake,
            index_engine: EngineKind::default(),
            encryption: None,
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
    /// The store is encrypted, and the keys given are not those.
    #[error("{0}")]
    Keys(String),
    /// Bytes are not what was stored: length, checksum or framing disagree.
    #[error("stored bytes are damaged: {0}")]
    Damaged(String),
    /// The instance was destroyed by a decision and does not come back.
    #[error("the instance was destroyed by decision {0} and is not taken again")]
    Destroyed(u64),
    /// The range does not lie within the instance.
    #[error("range {0:?} is outside the instance")]
    Range(Range<u64>),
}

impl From<JournalError> for StoreError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Io(error) => Self::Io(error),
            JournalError::Damaged { .. } => Self::Damaged(error.to_string()),
            JournalError::Mirror(_) => Self::Objects(error.to_string()),
        }
    }
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
    inner: Arc<Inner>,
    /// Through what the index is looked at.
    veiled: Option<Arc<Veiled>>,
}

struct Inner {
    options: StoreOptions,
    describer: Arc<dyn Describer>,
    engine: Arc<dyn Engine>,
    catalog: Arc<Catalog>,
    writer: Arc<Mutex<CatalogWriter>>,
    segments: Arc<Segments>,
    waiting: Arc<Mutex<Waiting>>,
    nursery: Nursery,
    shelf: Arc<Shelf>,
    headers: headers::HeaderCache,
    medium: Arc<dyn Medium>,
    objects: Arc<dyn ObjectStore>,
    /// The same without the replica.
    primary: Arc<dyn ObjectStore>,
    /// The same below encryption: bytes as they lie.
    sealed_primary: Arc<dyn ObjectStore>,
    /// The same without the cache that may stand before it: for those that ask what is really there.
    stored: Arc<dyn ObjectStore>,
    /// `stored`, where it is encrypted.
    encrypted: Option<EncryptedObjects>,
    journal: Journal,
    state: StatePlace,
    audit_key: Option<[u8; 32]>,
    retired: Mutex<Vec<Retired>>,
    /// The batch up to which the index is on stable storage.
    flushed: Mutex<u64>,
    acknowledging: acknowledge::Acknowledging,
    /// Series that something is put into.
    series_locks: Mutex<HashMap<SeriesKey, Weak<tokio::sync::Mutex<()>>>>,
    settling: acknowledge::Settling,
    destroying: Arc<destroy::Destroying>,
    /// One object is encrypted at a time.
    encrypting: tokio::sync::Mutex<()>,
    /// One flush runs at a time.
    keeping: tokio::sync::Mutex<()>,
    runtime: tokio::runtime::Handle,
    counters: Arc<Counters>,
    turnstile: Arc<Turnstile>,
    scrub: Mutex<ScrubState>,
    /// The second store, where there is one: what is damaged here is repaired from there.
    replica: Option<Arc<dyn ObjectStore>>,
    /// The same below encryption.
    sealed_replica: Option<Arc<dyn ObjectStore>>,
    running: Mutex<Option<Running>>,
    /// Held as long as the store is open.
    _lock: File,
}

/// What is there until the store is closed.
struct Running {
    orders: mpsc::Sender<Order>,
    committer: JoinHandle<()>,
    tasks: Vec<tokio::task::AbortHandle>,
}

impl Store {
    fn whole(inner: Arc<Inner>) -> Self {
        Self { inner, veiled: None }
    }

    /// The same store, looked at through a veil: what that hides is neither found nor told of. It is taken care of all the same.
    #[must_use]
    pub fn behind(&self, veil: Arc<dyn Veil>) -> Self {
        let catalog = Arc::clone(&self.inner.catalog) as Arc<dyn Index>;
        Self {
            inner: Arc::clone(&self.inner),
            veiled: Some(Arc::new(Veiled::new(catalog, veil))),
        }
    }

    /// The index.
    #[must_use]
    pub fn index(&self) -> Arc<dyn Index> {
        match &self.veiled {
            Some(veiled) => Arc::clone(veiled) as Arc<dyn Index>,
            None => Arc::clone(&self.inner.catalog) as Arc<dyn Index>,
        }
    }

    /// The journal of decisions.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.inner.journal
    }

    /// Where small state lies that is the only copy of itself, sealed where the archive is encrypted.
    #[must_use]
    pub fn state(&self) -> StatePlace {
        self.inner.state.clone()
    }

    /// The counters now.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let waiting = self
            .inner
            .waiting
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .len();
        self.inner.counters.snapshot(
            self.inner.nursery.budget.held(),
            waiting as u64,
            self.inner.objects.behind(),
        )
    }
}
