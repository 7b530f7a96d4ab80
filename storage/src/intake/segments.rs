//! The segments that can be read.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use super::segment::Segment;
use crate::objects::ObjectName;

/// What is not needed any more once the index is on stable storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Retired {
    /// A staged file that was settled.
    Staged(PathBuf),
    /// An object that others stand for.
    Object(ObjectName),
}

/// All segments of the log that are there, by number.
#[derive(Default)]
pub(crate) struct Segments {
    by_number: RwLock<BTreeMap<u64, Arc<Segment>>>,
    /// Segments below this number are written no more.
    open: AtomicU64,
}

impl Segments {
    pub(crate) fn insert(&self, segment: Segment) -> Arc<Segment> {
        let segment = Arc::new(segment);
        let mut by_number = self.by_number.write().unwrap_or_else(PoisonError::into_inner);
        by_number.insert(segment.number, Arc::clone(&segment));
        segment
    }

    pub(crate) fn get(&self, number: u64) -> Option<Arc<Segment>> {
        self.by_number
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&number)
            .cloned()
    }

    pub(crate) fn remove(&self, number: u64) {
        self.by_number
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&number);
    }

    /// Puts the segments of another walk through the log in place of these.
    pub(crate) fn replace(&self, others: &Self) {
        let others = std::mem::take(&mut *others.by_number.write().unwrap_or_else(PoisonError::into_inner));
        *self.by_number.write().unwrap_or_else(PoisonError::into_inner) = others;
    }

    /// Segments below `number` are written no more.
    pub(crate) fn set_open(&self, number: u64) {
        self.open.store(number, Ordering::Release);
    }

    /// All that there are are written no more: the next entry begins a new one. Nothing may be under way.
    pub(crate) fn close_open(&self) {
        let last = self.numbers().last().copied().unwrap_or_default();
        self.open.fetch_max(last + 1, Ordering::AcqRel);
    }

    pub(crate) fn is_closed(&self, number: u64) -> bool {
        number < self.open.load(Ordering::Acquire)
    }

    /// Numbers of all segments, ascending.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        let by_number = self.by_number.read().unwrap_or_else(PoisonError::into_inner);
        by_number.keys().copied().collect()
    }

    /// Numbers of the segments that are written no more, ascending.
    pub(crate) fn closed(&self) -> Vec<u64> {
        let open = self.open.load(Ordering::Acquire);
        let by_number = self.by_number.read().unwrap_or_else(PoisonError::into_inner);
        by_number.range(..open).map(|(number, _)| *number).collect()
    }
}
