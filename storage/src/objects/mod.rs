//! Object stores: where packs lie for good, behind one small trait with one suite of tests for all engines.

mod cached;
pub mod encrypted;
mod faulty;
mod late;
mod local;
mod memory;
mod name;
mod replicated;
pub(crate) mod s3;
mod source;
#[cfg(test)]
mod suite;

pub use self::{
    cached::CachedObjects,
    encrypted::EncryptedObjects,
    faulty::{Fault, FaultyObjects},
    local::LocalObjects,
    memory::MemoryObjects,
    name::ObjectName,
    replicated::ReplicatedObjects,
    s3::{
        Addressing, CredentialSource, CustomerKey, LegalHold, LockMode, ObjectLocks, PutRetention, Retention,
        S3Objects, S3Options, Secret, ServerEncryption,
    },
};
pub(crate) use late::LateObjects;
pub(crate) use name::{DAMAGED, QUARANTINE, series_prefix};
#[cfg(test)]
pub(crate) use s3::tests::server;
pub(crate) use source::{ObjectSource, Windowed, to_io};

use std::{fs::File, io, ops::Range, path::Path, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use time::OffsetDateTime;

use crate::source::{FileSection, ReadAt};

/// Why an object store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// There is no such object.
    #[error("there is no object {0}")]
    Missing(ObjectName),
    /// No room.
    #[error("the object store is full: {0}")]
    Full(String),
    /// The local disk failed.
    #[error(transparent)]
    Io(io::Error),
    /// The remote store failed, also after trying again.
    #[error("the object store failed: {0}")]
    Remote(String),
    /// The bytes are not what was put, or do not open.
    #[error("object {0} cannot be read: {1}")]
    Damaged(ObjectName, String),
}

impl From<io::Error> for ObjectError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(error.to_string()),
            _ => Self::Io(error),
        }
    }
}

/// Bytes that a store refuses to let go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Which, in the words of the store.
    pub place: String,
    /// Why, in one sentence.
    pub reason: String,
    /// Until when, where that is known.
    pub until: Option<OffsetDateTime>,
}

/// What an object is put together from, in order.
#[derive(Clone, Default)]
pub struct Body {
    pieces: Vec<Arc<dyn ReadAt>>,
    length: u64,
}

impl Body {
    /// Appends a piece.
    pub fn push(&mut self, piece: impl ReadAt + 'static) {
        self.length += piece.len();
        self.pieces.push(Arc::new(piece));
    }

    /// Appends a piece of whatever kind.
    pub fn push_boxed(&mut self, piece: Box<dyn ReadAt>) {
        self.length += piece.len();
        self.pieces.push(Arc::from(piece));
    }

    /// Bytes in all.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// True when there is no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The pieces in order.
    #[must_use]
    pub fn pieces(&self) -> &[Arc<dyn ReadAt>] {
        &self.pieces
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        let mut body = Self::default();
        body.push(bytes);
        body
    }
}

/// A store of immutable objects.
///
/// Contract: [`ObjectStore::put`] is atomic and durable: a reader sees the whole object or what was there before, and once
/// it returned the object survives a loss of power. Putting the same again changes nothing. What was put is seen by the next
/// call of any method. Names are listed in the order of their bytes, or in another that does not change where names are
/// encrypted. All calls may be made at the same time.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// Puts an object, in place of one that has the name.
    ///
    /// # Errors
    /// [`ObjectError::Full`], [`ObjectError::Io`], [`ObjectError::Remote`]: the object is as before, or, where the answer
    /// was lost on the way, as wanted.
    async fn put(&self, name: &ObjectName, body: Body) -> Result<(), ObjectError>;

    /// Puts a local file, which is durable already and is not changed any more; it stays where it is. A store on the same
    /// file system links to it.
    ///
    /// # Errors
    /// As [`ObjectStore::put`].
    async fn put_file(&self, name: &ObjectName, path: &Path) -> Result<(), ObjectError> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut body = Body::default();
        body.push(FileSection::new(file, 0, length));
        self.put(name, body).await
    }

    /// Reads a range; fewer bytes only where the object ends first.
    ///
    /// # Errors
    /// [`ObjectError::Missing`], [`ObjectError::Io`], [`ObjectError::Remote`].
    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, ObjectError>;

    /// Bytes of an object; `None` when there is none.
    ///
    /// # Errors
    /// [`ObjectError::Io`], [`ObjectError::Remote`].
    async fn head(&self, name: &ObjectName) -> Result<Option<u64>, ObjectError>;

    /// Up to `limit` objects whose names begin with `prefix`, after the name `after`, with their lengths.
    ///
    /// # Errors
    /// [`ObjectError::Io`], [`ObjectError::Remote`].
    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Vec<(ObjectName, u64)>, ObjectError>;

    /// Deletes an object; one that is not there is no error.
    ///
    /// # Errors
    /// [`ObjectError::Io`], [`ObjectError::Remote`].
    async fn delete(&self, name: &ObjectName) -> Result<(), ObjectError>;

    /// Removes for good what the store keeps of objects whose names begin with `prefix` beside those that are seen: earlier
    /// versions, those of objects that were deleted, uploads that were cut short. Returns what it refuses to let go. Nothing
    /// of that prefix is put meanwhile.
    ///
    /// # Errors
    /// [`ObjectError::Io`], [`ObjectError::Remote`]: some may be left; call it again.
    async fn purge(&self, prefix: &str) -> Result<Vec<Kept>, ObjectError> {
        let _ = prefix;
        Ok(Vec::new())
    }

    /// CRC-32 of an object as it is read back.
    ///
    /// # Errors
    /// As [`ObjectStore::get_range`].
    async fn crc32(&self, name: &ObjectName) -> Result<u32, ObjectError> {
        const PIECE: u64 = 4 << 20;
        let mut hasher = crc32fast::Hasher::new();
        let mut offset = 0;
        loop {
            let piece = self.get_range(name, offset..offset + PIECE).await?;
            hasher.update(&piece);
            offset += piece.len() as u64;
            if (piece.len() as u64) < PIECE {
                return Ok(hasher.finalize());
            }
        }
    }

    /// A whole range without any waiting, where the store has it in memory; else `None`, and [`ObjectStore::get_range`]
    /// tells. May be called on threads that drive async tasks, for ranges of up to a megabyte.
    fn get_range_at_once(&self, name: &ObjectName, range: Range<u64>) -> Option<Bytes> {
        let _ = (name, range);
        None
    }

    /// Brings a second store to what the first has, where there are two, as far as names begin with `prefix`. Returns how many
    /// objects it had missed.
    ///
    /// # Errors
    /// As [`ObjectStore::put`]: the rest is tried again with the next call.
    async fn catch_up(&self, prefix: &str) -> Result<u64, ObjectError> {
        let _ = prefix;
        Ok(0)
    }

    /// Copies an object to a second store, where there is one and it has none of that name.
    ///
    /// # Errors
    /// As [`ObjectStore::get_range`]; what the second store does not take is caught up with.
    async fn share(&self, name: &ObjectName) -> Result<(), ObjectError> {
        let _ = name;
        Ok(())
    }

    /// Objects that a second store has missed so far.
    fn behind(&self) -> u64 {
        0
    }

    /// The object for readers that block, where it can be read without waiting for others.
    ///
    /// # Errors
    /// [`ObjectError::Missing`], [`ObjectError::Io`], [`ObjectError::Damaged`].
    fn local_source(&self, name: &ObjectName) -> Option<Result<Arc<dyn ReadAt>, ObjectError>> {
        let open = |file: File| {
            let length = file.metadata()?.len();
            Ok(Arc::new(FileSection::new(file, 0, length)) as Arc<dyn ReadAt>)
        };
        Some(self.local_file(name)?.and_then(open))
    }

    /// The object as a local file, where the store has it as one: reads then need no detour.
    ///
    /// # Errors
    /// [`ObjectError::Missing`], [`ObjectError::Io`].
    fn local_file(&self, name: &ObjectName) -> Option<Result<File, ObjectError>> {
        let _ = name;
        None
    }

    /// The object was changed past this store, in one that lies beneath it: what is kept of it here is dropped.
    ///
    /// # Errors
    /// [`ObjectError::Io`].
    async fn changed(&self, name: &ObjectName) -> Result<(), ObjectError> {
        let _ = name;
        Ok(())
    }

    /// The store's own locks on single objects, where it has such.
    fn locks(&self) -> Option<&dyn ObjectLocks> {
        None
    }
}
