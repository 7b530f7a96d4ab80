//! Who reads on and on.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Mutex, PoisonError},
};

/// So many objects are watched.
const OBJECTS_MAX: usize = 256;
/// Between two members of a pack lie headers and padding: a gap no longer than this is no jump.
const GAP_MAX_BYTES: u64 = 64 << 10;
/// The first look ahead; each next one is twice as far.
const AHEAD_FIRST_BYTES: u64 = 1 << 20;
/// As far as one fetch goes.
const AHEAD_MAX_BYTES: u64 = 8 << 20;

#[derive(Default)]
pub(super) struct Sequences {
    objects: Mutex<HashMap<u128, Sequence>>,
}

#[derive(Clone, Copy, Default)]
struct Sequence {
    /// Behind the last read.
    next: u64,
    /// How far to look ahead; 0 before the second read in a row.
    window: u64,
    /// Up to here it was looked ahead already.
    ahead_to: u64,
    /// Where the object is known to end.
    end: Option<u64>,
}

impl Sequences {
    /// Takes note of a read; returns what to fetch ahead.
    pub(super) fn read(&self, object: u128, range: &Range<u64>) -> Option<Range<u64>> {
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        if objects.len() >= OBJECTS_MAX && !objects.contains_key(&object) {
            // Begins anew: readers that are still at it are noticed again with their next read.
            objects.clear();
        }
        let sequence = objects.entry(object).or_default();
        let goes_on = sequence.next > 0 && (sequence.next..=sequence.next + GAP_MAX_BYTES).contains(&range.start);
        sequence.next = range.end;
        if !goes_on {
            sequence.window = 0;
            sequence.ahead_to = 0;
            return None;
        }
        sequence.window = (sequence.window * 2).clamp(AHEAD_FIRST_BYTES, AHEAD_MAX_BYTES);
        let from = sequence.ahead_to.max(range.end);
        let to = (range.end + sequence.window).min(sequence.end.unwrap_or(u64::MAX));
        // Half a window is left: not worth a request yet.
        if to <= from || (to - from < sequence.window / 2 && sequence.end.is_none_or(|end| to < end)) {
            return None;
        }
        sequence.ahead_to = to;
        Some(from..to)
    }

    pub(super) fn ends_at(&self, object: u128, end: u64) {
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sequence) = objects.get_mut(&object) {
            sequence.end = Some(end);
        }
    }

    pub(super) fn forget(&self, object: u128) {
        self.objects
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&object);
    }
}
