//! An object for readers that block.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use tokio::runtime::Handle;

use super::{ObjectError, ObjectName, ObjectStore};
use crate::{
    packs::compose::SharedPart,
    source::{FileSection, ReadAt},
};

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
        if let Some(file) = objects.local_file(name) {
            return Ok(Box::new(FileSection::new(file.map_err(to_io)?, offset, length)));
        }
        Ok(match objects.local_source(name) {
            Some(whole) => Box::new(SharedPart {
                whole: whole.map_err(to_io)?,
                offset,
                length,
            }),
            None => Box::new(Self {
                objects: Arc::clone(objects),
                name: name.clone(),
                offset,
                length,
                runtime: runtime.clone(),
            }),
        })
    }

    /// The same as one type.
    pub(crate) fn of(
        objects: &Arc<dyn ObjectStore>,
        name: &ObjectName,
        offset: u64,
        length: u64,
        runtime: &Handle,
    ) -> Result<SharedPart, ObjectError> {
        let whole: Arc<dyn ReadAt> = match objects.local_source(name) {
            Some(whole) => whole?,
            None => Arc::new(Self {
                objects: Arc::clone(objects),
                name: name.clone(),
                offset: 0,
                length: offset.saturating_add(length),
                runtime: runtime.clone(),
            }),
        };
        Ok(SharedPart { whole, offset, length })
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

/// Short reads from a distant object come out of a window that is fetched at once: who walks through a pack reads a few
/// hundred bytes here and there, and would wait for the store each time.
pub(crate) struct Windowed {
    whole: Box<dyn ReadAt>,
    window: Mutex<(u64, Bytes)>,
}

/// Heads of a tar member, file meta information and most headers fit.
const WINDOW_BYTES: usize = 128 << 10;

impl Windowed {
    pub(crate) fn new(whole: Box<dyn ReadAt>) -> Self {
        Self {
            whole,
            window: Mutex::new((0, Bytes::new())),
        }
    }
}

impl ReadAt for Windowed {
    fn len(&self) -> u64 {
        self.whole.len()
    }

    fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        if length >= WINDOW_BYTES {
            return self.whole.read_at(offset, length);
        }
        let (start, window) = self.window.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let is_within = offset >= start && offset.saturating_add(length as u64) <= start + window.len() as u64;
        if is_within && !window.is_empty() {
            return window.read_at(offset - start, length);
        }
        let window = self.whole.read_at(offset, WINDOW_BYTES)?;
        *self.window.lock().unwrap_or_else(PoisonError::into_inner) = (offset, window.clone());
        window.read_at(0, length)
    }
}

/// A missing object is `NotFound`.
pub(crate) fn to_io(error: ObjectError) -> io::Error {
    match error {
        ObjectError::Missing(_) => io::Error::new(io::ErrorKind::NotFound, error.to_string()),
        ObjectError::Full(_) => io::Error::new(io::ErrorKind::StorageFull, error.to_string()),
        ObjectError::Io(error) => error,
        ObjectError::Remote(_) => io::Error::other(error.to_string()),
        ObjectError::Damaged(..) => io::Error::new(io::ErrorKind::InvalidData, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_window_shows_what_is_behind_it(
            length in 0..400_000_usize,
            reads in proptest::collection::vec((0..450_000_u64, 0..200_000_usize), 1..20),
        ) {
            let bytes = Bytes::from((0..length).map(|n| (n / 3 + n / 70_001) as u8).collect::<Vec<_>>());
            let windowed = Windowed::new(Box::new(bytes.clone()));
            for (offset, length) in reads {
                prop_assert!(windowed.read_at(offset, length).unwrap() == bytes.read_at(offset, length).unwrap());
            }
        }
    }
}
