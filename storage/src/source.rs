//! Bytes that can be read at any place, wherever they lie.

use std::{fs::File, io, os::unix::fs::FileExt};

use bytes::Bytes;

use crate::buffers::Buffer;

/// A run of bytes of known length: in memory, or in a local file. Reading never changes a position.
pub trait ReadAt: Send + Sync {
    /// Bytes in all.
    fn len(&self) -> u64;

    /// True when there is no byte.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Up to `length` bytes from `offset`; fewer only where the end comes first. In memory this is free of copies.
    ///
    /// # Errors
    /// What the file system says.
    fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes>;

    /// The local file that holds these bytes and where they begin in it, for copies that the system makes by itself.
    fn as_file(&self) -> Option<(&File, u64)> {
        None
    }

    /// The same file opened past the system's cache, for bytes that are read once.
    fn as_direct_file(&self) -> Option<(&File, u64)> {
        None
    }
}

impl ReadAt for Bytes {
    fn len(&self) -> u64 {
        Bytes::len(self) as u64
    }

    fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let total = Bytes::len(self);
        let from = usize::try_from(offset).unwrap_or(total).min(total);
        let to = from.saturating_add(length).min(total);
        Ok(self.slice(from..to))
    }
}

/// A part of a local file.
#[derive(Debug)]
pub struct FileSection {
    file: File,
    offset: u64,
    length: u64,
}

impl FileSection {
    /// The `length` bytes of `file` from `offset`.
    #[must_use]
    pub fn new(file: File, offset: u64, length: u64) -> Self {
        Self { file, offset, length }
    }
}

impl ReadAt for FileSection {
    fn len(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let wanted = usize::try_from(self.length.saturating_sub(offset))
            .unwrap_or(usize::MAX)
            .min(length);
        let mut buffer = Buffer::new(wanted);
        self.file
            .read_exact_at(buffer.bytes_mut(), self.offset.saturating_add(offset))?;
        Ok(buffer.freeze(wanted))
    }

    fn as_file(&self) -> Option<(&File, u64)> {
        Some((&self.file, self.offset))
    }
}
