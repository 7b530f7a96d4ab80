//! What the index needs of an embedded engine: an ordered map of bytes that takes batches.

mod memory;
mod sled;

pub use self::{memory::MemoryEngine, sled::SledEngine};

use std::ops::ControlFlow;

use super::IndexError;

/// Rows to write: a value, or `None` to remove the key. A later entry for a key wins.
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) rows: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Batch {
    /// Sets a row.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.rows.push((key, Some(value)));
    }

    /// Removes a row.
    pub fn remove(&mut self, key: Vec<u8>) {
        self.rows.push((key, None));
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True when there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// Called with key and value of each row; says whether to go on.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// An ordered map of bytes.
///
/// Contract: [`Engine::apply`] is atomic, also across a crash: after it either all rows of a batch are there or none, and a
/// batch is there only if all batches before it are. What was applied is seen by the next read. What was applied before
/// [`Engine::flush`] returned is on stable storage.
pub trait Engine: Send + Sync {
    /// One row.
    ///
    /// # Errors
    /// [`IndexError::Engine`].
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError>;

    /// Visits the rows from `from` (included) to `to` (left out; `None` is the end) in ascending order of key.
    ///
    /// # Errors
    /// [`IndexError::Engine`].
    fn scan(&self, from: &[u8], to: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<(), IndexError>;

    /// Writes a batch.
    ///
    /// # Errors
    /// [`IndexError::Engine`]: none of it was written.
    fn apply(&self, batch: Batch) -> Result<(), IndexError>;

    /// Brings all that was applied to stable storage.
    ///
    /// # Errors
    /// [`IndexError::Engine`].
    fn flush(&self) -> Result<(), IndexError>;

    /// Takes the engine up again after a write or a flush failed, from what is on stable storage: what was applied since
    /// the last flush may be there or not, and nothing may be assumed of it. Reads wait meanwhile.
    ///
    /// # Errors
    /// [`IndexError::Engine`]: it is to be tried again.
    fn recover(&self) -> Result<(), IndexError>;

    /// Writes all rows to a place of their own and goes on there: no trace is left of rows that are gone. Nobody applies
    /// anything meanwhile.
    ///
    /// # Errors
    /// [`IndexError::Engine`]: all is as it was.
    fn rewrite(&self) -> Result<(), IndexError>;
}
