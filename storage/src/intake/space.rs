//! Room on the disk: asked before bytes are written, so that a full disk is refused and not met.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::medium::free_bytes;
use crate::store::StoreError;

/// An answer of the file system is believed for this long, less what is written meanwhile.
const BELIEVED_FOR: Duration = Duration::from_millis(200);

/// The free space of the data folder.
#[derive(Debug)]
pub(crate) struct Space {
    folder: PathBuf,
    min_bytes: u64,
    known: Mutex<Option<(Instant, u64)>>,
}

impl Space {
    pub(crate) fn new(folder: PathBuf, min_bytes: u64) -> Self {
        Self {
            folder,
            min_bytes,
            known: Mutex::new(None),
        }
    }

    /// Asks for room for `bytes` more.
    ///
    /// # Errors
    /// [`StoreError::OutOfSpace`] when less than the minimum would be left.
    pub(crate) fn check(&self, bytes: u64) -> Result<(), StoreError> {
        self.check_above(self.min_bytes, bytes)
    }

    /// Asks for room for `bytes` of what is already acknowledged: it may go deep into what is kept free, yet must leave the
    /// index some.
    ///
    /// # Errors
    /// [`StoreError::OutOfSpace`].
    pub(crate) fn check_settling(&self, bytes: u64) -> Result<(), StoreError> {
        self.check_above(self.min_bytes / 4, bytes)
    }

    fn check_above(&self, min_bytes: u64, bytes: u64) -> Result<(), StoreError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let enough = min_bytes.saturating_add(bytes);
        let (asked, free) = match *known {
            Some((asked, free)) if asked.elapsed() < BELIEVED_FOR && free >= enough => (asked, free),
            _ => (Instant::now(), free_bytes(&self.folder)?),
        };
        let left = free.saturating_sub(bytes);
        *known = Some((asked, left));
        if left < min_bytes {
            let message = format!(
                "{} MiB are free where the data folder lies and {} MiB are kept free; make room or add a disk",
                free >> 20,
                min_bytes >> 20
            );
            return Err(StoreError::OutOfSpace(message));
        }
        Ok(())
    }
}
