//! What waits and is being settled: handed over, and back again where settling ends before it is done.

use std::sync::{Mutex, PoisonError};

use crate::intake::{SeriesKey, Waiting, WaitingEntry};

/// Entries of a series that somebody settles. Whatever ends that early (an error, a panic, a task that is dropped) puts them
/// back, so that they are settled later.
pub(super) struct Taken<'a> {
    waiting: &'a Mutex<Waiting>,
    series: SeriesKey,
    entries: Vec<WaitingEntry>,
}

impl<'a> Taken<'a> {
    /// All that waits of a series, now.
    pub(super) fn of(waiting: &'a Mutex<Waiting>, series: &SeriesKey) -> Self {
        let entries = waiting.lock().unwrap_or_else(PoisonError::into_inner).take(series);
        Self {
            waiting,
            series: series.clone(),
            entries,
        }
    }

    /// What was taken already.
    pub(super) fn new(waiting: &'a Mutex<Waiting>, series: SeriesKey, entries: Vec<WaitingEntry>) -> Self {
        Self {
            waiting,
            series,
            entries,
        }
    }

    pub(super) fn series(&self) -> &SeriesKey {
        &self.series
    }

    pub(super) fn entries(&self) -> &[WaitingEntry] {
        &self.entries
    }

    /// They are settled, or let go.
    pub(super) fn done(mut self) {
        self.entries.clear();
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if !self.entries.is_empty() {
            let entries = std::mem::take(&mut self.entries);
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.put_back(self.series.clone(), entries);
        }
    }
}
