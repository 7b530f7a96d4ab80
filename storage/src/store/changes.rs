//! What came and went, for systems that follow the archive.

use std::sync::PoisonError;

use super::{Store, StoreError};
use crate::{
    index::{Change, ChangeKind, ChangePlace, Veiled},
    model::SopInstanceUid,
};

/// A follower that goes by the latest that it is told has what is shown, and nothing else.
fn is_told(veiled: &Veiled, change: &Change) -> bool {
    let is_hidden = veiled.hides(&change.study_instance_uid, &change.sop_instance_uid);
    match change.kind {
        ChangeKind::Stored | ChangeKind::Restored => !is_hidden,
        ChangeKind::Rejected => is_hidden,
        ChangeKind::Destroyed => true,
    }
}

impl Store {
    /// The changes after a place in the order in which they were committed; `limit` of them or, where a batch holds more,
    /// somewhat above. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub fn changes(&self, after: Option<ChangePlace>, limit: usize) -> Result<Vec<Change>, StoreError> {
        let Some(veiled) = &self.veiled else {
            return Ok(self.inner.catalog.changes(after, limit)?);
        };
        let (mut shown, mut after): (Vec<Change>, _) = (Vec::new(), after);
        loop {
            let found = self.inner.catalog.changes(after, limit)?;
            let is_end = found.len() < limit;
            after = found.last().map(|change| change.place).or(after);
            shown.extend(found.into_iter().filter(|change| is_told(veiled, change)));
            if is_end || shown.len() >= limit {
                return Ok(shown);
            }
        }
    }

    /// Has followers of the changes know that instances were rejected, or restored. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub fn tell_shown(&self, is_shown: bool, instances: &[SopInstanceUid]) -> Result<(), StoreError> {
        let mut writer = self.inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(writer.tell_shown(is_shown, instances)?)
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
