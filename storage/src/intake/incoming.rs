//! Instances on their way in.

use std::{io, sync::Arc};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{
    budget::{self, Budget, Buffer},
    space::Space,
    staged::{StagedFile, StagedFolder, StagedWriter},
};
use crate::{
    encryption::{ChunkKey, Secret},
    source::ReadAt,
    store::StoreError,
};

/// Where instances on their way in are kept.
#[derive(Debug, Clone)]
pub(crate) struct Nursery {
    pub(crate) budget: Arc<Budget>,
    pub(crate) staged: Arc<StagedFolder>,
    pub(crate) space: Arc<Space>,
    pub(crate) staged_from_bytes: u64,
}

/// An instance on its way in: bytes are summed (CRC-32) as they come, held in memory up to
/// [`crate::store::StoreOptions::staged_from_bytes`] and in a staged file beyond, which says its SHA-256. That of the others is made
/// when they settle. Dropping it forgets it.
#[derive(Debug)]
pub struct Incoming {
    nursery: Nursery,
    file_head: Bytes,
    expected_length: u64,
    length: u64,
    crc32: crc32fast::Hasher,
    held: Held,
}

#[derive(Debug)]
enum Held {
    Nothing,
    Memory(Buffer),
    Staged(StagedWriter, Box<Sha256>),
    /// A write failed: the instance is lost.
    Lost,
}

/// A complete data set, not yet durable.
#[derive(Debug)]
pub struct Sealed {
    pub(crate) file_head: Bytes,
    pub(crate) body: Body,
    /// Of head and data set.
    pub(crate) crc32: u32,
    /// The Part 10 file as an encrypted log takes it.
    pub(crate) encrypted: Option<Encrypted>,
}

/// A Part 10 file under a key that was drawn for it.
#[derive(Debug)]
pub(crate) struct Encrypted {
    pub(crate) key: Secret,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Debug)]
pub(crate) enum Body {
    Memory(budget::Held),
    /// With the SHA-256 of the data set.
    Staged(Arc<StagedFile>, [u8; 32]),
}

impl Incoming {
    pub(crate) fn new(nursery: Nursery, file_head: Bytes, expected_length: u64) -> Self {
        let mut crc32 = crc32fast::Hasher::new();
        crc32.update(&file_head);
        Self {
            nursery,
            file_head,
            expected_length,
            length: 0,
            crc32,
            held: Held::Nothing,
        }
    }

    /// Appends received bytes of the data set.
    ///
    /// # Errors
    /// [`StoreError::OutOfSpace`], [`StoreError::Io`]: the instance is lost and the sender must be told.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.crc32.update(bytes);
        self.length += bytes.len() as u64;
        if self.append_in_memory(bytes) {
            return Ok(());
        }
        match self.append_staged(bytes).await {
            Ok(()) => Ok(()),
            Err(error) => {
                self.held = Held::Lost;
                Err(error)
            }
        }
    }

    /// Bytes so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// True when nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Ends the data set.
    ///
    /// # Errors
    /// [`StoreError::Io`] when a staged file cannot be completed.
    pub async fn seal(self) -> Result<Sealed, StoreError> {
        let body = match self.held {
            Held::Nothing => Body::Memory(budget::Held::default()),
            Held::Memory(buffer) => Body::Memory(buffer.seal()),
            Held::Staged(writer, sha256) => {
                let file = writer.end().await.map_err(from_io)?;
                Body::Staged(Arc::new(file), sha256.finalize().into())
            }
            Held::Lost => return Err(lost()),
        };
        Ok(Sealed {
            file_head: self.file_head,
            body,
            crc32: self.crc32.finalize(),
            encrypted: None,
        })
    }

    /// False when the bytes must go to a staged file.
    fn append_in_memory(&mut self, bytes: &[u8]) -> bool {
        let limit = self.nursery.staged_from_bytes;
        if self.length > limit {
            return false;
        }
        if matches!(self.held, Held::Nothing) {
            // A sender's guess is believed as far as one buffer goes.
            let expected = self.expected_length.min(limit).max(bytes.len() as u64);
            let expected = usize::try_from(expected).unwrap_or(usize::MAX);
            match self
                .nursery
                .budget
                .buffer(expected)
                .or_else(|| self.nursery.budget.buffer(bytes.len()))
            {
                Some(buffer) => self.held = Held::Memory(buffer),
                None => return false,
            }
        }
        match &mut self.held {
            Held::Memory(buffer) => buffer.append(bytes),
            _ => false,
        }
    }

    async fn append_staged(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        match std::mem::replace(&mut self.held, Held::Lost) {
            Held::Lost => return Err(lost()),
            Held::Staged(writer, sha256) => self.held = Held::Staged(writer, sha256),
            Held::Nothing => self.held = Held::Staged(self.stage(Bytes::new()).await?, Box::default()),
            Held::Memory(buffer) => {
                let sha256 = Box::new(Sha256::new_with_prefix(buffer.as_ref()));
                self.held = Held::Staged(self.stage(buffer).await?, sha256);
            }
        }
        // Asked again for every part of a large instance, which may take minutes to arrive.
        self.nursery.space.check(bytes.len() as u64)?;
        match &mut self.held {
            Held::Staged(writer, sha256) => {
                sha256.update(bytes);
                writer.write(bytes).await.map_err(from_io)
            }
            _ => Err(lost()),
        }
    }

    async fn stage(&self, so_far: impl AsRef<[u8]> + Send + 'static) -> Result<StagedWriter, StoreError> {
        self.nursery.space.check(self.expected_length.max(self.length))?;
        StagedWriter::begin(Arc::clone(&self.nursery.staged), self.file_head.clone(), so_far)
            .await
            .map_err(from_io)
    }
}

impl Sealed {
    /// The data set for reading: free of copies in memory, by `pread` from a staged file (call it on a blocking thread
    /// when [`Sealed::is_staged`]).
    #[must_use]
    pub fn data_set(&self) -> &dyn ReadAt {
        match &self.body {
            Body::Memory(held) => &held.content,
            Body::Staged(file, _) => file.as_ref(),
        }
    }

    /// True when the bytes lie in a file.
    #[must_use]
    pub fn is_staged(&self) -> bool {
        matches!(self.body, Body::Staged(..))
    }

    /// SHA-256 of the data set. Takes the processor for almost a millisecond a megabyte where it is not known.
    pub(crate) fn sha256(&self) -> [u8; 32] {
        match &self.body {
            Body::Memory(held) => Sha256::digest(&held.content).into(),
            Body::Staged(_, sha256) => *sha256,
        }
    }

    /// SHA-256 of the data set, where it was made as the bytes came.
    pub(crate) fn known_sha256(&self) -> Option<[u8; 32]> {
        match &self.body {
            Body::Memory(_) => None,
            Body::Staged(_, sha256) => Some(*sha256),
        }
    }

    /// Encrypts what lies in memory, for an encrypted log. Takes the processor for a third of a millisecond a megabyte.
    pub(crate) fn encrypt(&mut self) -> io::Result<()> {
        if let (Body::Memory(held), None) = (&self.body, &self.encrypted) {
            let key = Secret::random()?;
            let bytes = ChunkKey::new(&key, self.length())?.seal_all(&[&self.file_head, &held.content])?;
            self.encrypted = Some(Encrypted { key, bytes });
        }
        Ok(())
    }

    /// Bytes of the Part 10 file.
    pub(crate) fn length(&self) -> u64 {
        self.file_head.len() as u64 + self.data_set().len()
    }
}

fn lost() -> StoreError {
    StoreError::Io(io::Error::other(
        "an earlier part of this instance could not be written",
    ))
}

/// A full disk is told apart from a broken one.
pub(crate) fn from_io(error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            StoreError::OutOfSpace(error.to_string())
        }
        _ => StoreError::Io(error),
    }
}
