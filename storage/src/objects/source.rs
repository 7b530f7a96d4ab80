//! An object for readers that block.

use std::{io, sync::Arc};

use bytes::Bytes;
use tokio::runtime::Handle;

use super::{ObjectError, ObjectName, ObjectStore};
use crate::source::{FileSection, ReadAt};

/// A part of an object. Reading blocks, and must not happen on a thread that drives async tasks.
pub(crate) struct ObjectSource {
    objects: Arc<dyn ObjectStore>,
    name: ObjectName,
    offset: u64,
    length: u64,
    runtime: Handle,
}

impl ObjectSource {
    /// The `length` bytes from `offset`: from a local file where there is one.
    ///
    /// # Errors
    /// `NotFound` when there is no such object.
    pub(crate) fn open(
        objects: &Arc<dyn ObjectStore>,
        name: &ObjectName,
        offset: u64,
        length: u64,
        runtime: &Handle,
    ) -> io::Result<Box<dyn ReadAt>> {
        match objects.local_file(name) {
            Some(file) => Ok(Box::new(FileSection::new(file.map_err(to_io)?, offset, length))),
            None => Ok(Box::new(Self {
                objects: Arc::clone(objects),
                name: name.clone(),
                offset,
                length,
                runtime: runtime.clone(),
            })),
        }
    }
}

impl ReadAt for ObjectSource {
    fn len(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let from = self.offset.saturating_add(offset);
        let to = from
            .saturating_add(length as u64)
            .min(self.offset.saturating_add(self.length));
        self.runtime
            .block_on(self.objects.get_range(&self.name, from..to))
            .map_err(to_io)
    }
}

/// A missing object is `NotFound`.
pub(crate) fn to_io(error: ObjectError) -> io::Error {
    match error {
        ObjectError::Missing(_) => io::Error::new(io::ErrorKind::NotFound, error.to_string()),
        ObjectError::Full(_) => io::Error::new(io::ErrorKind::StorageFull, error.to_string()),
        ObjectError::Io(error) => error,
        ObjectError::Remote(_) => io::Error::other(error.to_string()),
    }
}
