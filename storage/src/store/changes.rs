//! What came and went, for systems that follow the archive.

use super::{Store, StoreError};
use crate::index::{Change, ChangePlace};

impl Store {
    /// The changes after a place in the order in which they were committed; `limit` of them or, where a batch holds more,
    /// somewhat above. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub fn changes(&self, after: Option<ChangePlace>, limit: usize) -> Result<Vec<Change>, StoreError> {
        Ok(self.inner.catalog.changes(after, limit)?)
    }

    /// The place behind all changes so far.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub fn latest_change(&self) -> Result<ChangePlace, StoreError> {
        Ok(self.inner.catalog.latest_change()?)
    }

    /// Differs between an index and one that was made anew in its place: places of the one mean nothing in the other.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub fn change_epoch(&self) -> Result<u64, StoreError> {
        Ok(self.inner.catalog.epoch()?)
    }
}
