//! Marks on SOP Instance UIDs: those whose bytes are damaged, and those that were destroyed.

use std::{
    ops::ControlFlow,
    sync::atomic::{AtomicBool, Ordering},
};

use super::{
    Catalog, CatalogWriter, IndexError,
    codec::{Decoder, Encoder},
    engine::Batch,
    keys,
};
use crate::model::SopInstanceUid;

/// Whether there are any marks at all: mostly there are none, and nobody looks.
#[derive(Debug, Default)]
pub(super) struct Marks {
    any_damaged: AtomicBool,
    any_destroyed: AtomicBool,
}

impl Catalog {
    pub(super) fn reload_marks(&self) -> Result<(), IndexError> {
        for (kind, any) in [
            (keys::DAMAGED, &self.marks.any_damaged),
            (keys::TOMBSTONE, &self.marks.any_destroyed),
        ] {
            let mut found = false;
            self.scan_prefix(&[kind], &[], &mut |_, _| {
                found = true;
                ControlFlow::Break(())
            })?;
            any.store(found, Ordering::Release);
        }
        Ok(())
    }

    /// Why the bytes of an instance are not to be served; `None` when nothing is known against them.
    ///
    /// # Errors
    /// [`IndexError`] when the engine fails.
    pub fn damage(&self, sop: &SopInstanceUid) -> Result<Option<String>, IndexError> {
        if !self.marks.any_damaged.load(Ordering::Acquire) {
            return Ok(None);
        }
        let row = self.engine.get(&keys::by_uid(keys::DAMAGED, sop.as_str()))?;
        Ok(row.map(|row| String::from_utf8_lossy(&row).into_owned()))
    }

    /// Number of the decision that destroyed an instance; `None` when none did.
    ///
    /// # Errors
    /// [`IndexError`] when the engine fails.
    pub fn tombstone(&self, sop: &SopInstanceUid) -> Result<Option<u64>, IndexError> {
        if !self.marks.any_destroyed.load(Ordering::Acquire) {
            return Ok(None);
        }
        let row = self.engine.get(&keys::by_uid(keys::TOMBSTONE, sop.as_str()))?;
        row.map(|row| Ok(Decoder::new(&row, "a tombstone").number()?))
            .transpose()
    }
}

impl CatalogWriter {
    /// Marks the bytes of an instance as damaged, or takes the mark away.
    ///
    /// # Errors
    /// [`IndexError`]: nothing was written.
    pub fn mark_damaged(&mut self, sop: &SopInstanceUid, damage: Option<&str>) -> Result<(), IndexError> {
        let mut batch = Batch::default();
        let key = keys::by_uid(keys::DAMAGED, sop.as_str());
        match damage {
            Some(damage) => batch.put(key, damage.as_bytes().to_vec()),
            None => batch.remove(key),
        }
        self.apply(batch)?;
        if damage.is_some() {
            self.catalog.marks.any_damaged.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Sets tombstones of a decision, and nothing else.
    ///
    /// # Errors
    /// [`IndexError`]: nothing was written.
    pub fn bury(&mut self, sops: &[SopInstanceUid], decision: u64) -> Result<(), IndexError> {
        let mut batch = Batch::default();
        self.put_tombstones(&mut batch, sops.iter(), decision);
        self.apply(batch)
    }

    /// Takes tombstones away that decisions before this one set.
    ///
    /// # Errors
    /// [`IndexError`]: nothing was written.
    pub fn unbury(&mut self, sops: &[SopInstanceUid], before: u64) -> Result<(), IndexError> {
        let mut batch = Batch::default();
        let mut is_any = false;
        for sop in sops {
            if self.catalog.tombstone(sop)?.is_some_and(|decision| decision < before) {
                batch.remove(keys::by_uid(keys::TOMBSTONE, sop.as_str()));
                is_any = true;
            }
        }
        if is_any { self.apply(batch) } else { Ok(()) }
    }

    pub(super) fn put_tombstones<'a>(
        &self,
        batch: &mut Batch,
        sops: impl Iterator<Item = &'a SopInstanceUid>,
        decision: u64,
    ) {
        for sop in sops {
            let mut row = Encoder::with_capacity(9);
            row.number(decision);
            batch.put(keys::by_uid(keys::TOMBSTONE, sop.as_str()), row.finish());
            batch.remove(keys::by_uid(keys::DAMAGED, sop.as_str()));
        }
        // Set before the rows are there: looking once in vain does no harm.
        self.catalog.marks.any_destroyed.store(true, Ordering::Release);
    }
}
