//! The segments that can be read.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use super::segment::Segment;

/// All segments of the log that are there, by number.
#[derive(Default)]
pub(crate) struct Segments {
    by_number: RwLock<BTreeMap<u64, Arc<Segment>>>,
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

    /// Numbers of all segments, ascending.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.by_number
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .keys()
            .copied()
            .collect()
    }
}
