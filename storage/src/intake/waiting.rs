//! What waits in intake to be settled, and which segments are still needed.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use crate::model::{SeriesInstanceUid, StudyInstanceUid};

/// An entry that is not settled yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WaitingEntry {
    pub(crate) segment: u64,
    /// First byte of the entry in its segment.
    pub(crate) position: u64,
}

/// A series in a study.
pub(crate) type SeriesKey = (StudyInstanceUid, SeriesInstanceUid);

/// The entries of all series that wait.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    series: HashMap<SeriesKey, WaitingSeries>,
    /// Places in each segment that are not settled, or not yet known to be. Places, not a count: whoever gives an entry up
    /// twice, as after a settling that failed half way, gives up no other.
    needed: HashMap<u64, HashSet<u64>>,
}

#[derive(Debug)]
struct WaitingSeries {
    entries: Vec<WaitingEntry>,
    bytes: u64,
    last: Instant,
}

impl Waiting {
    /// The segment must not be trimmed as long as this place in it is not settled.
    pub(crate) fn need(&mut self, place: WaitingEntry) {
        self.needed.entry(place.segment).or_default().insert(place.position);
    }

    /// An entry of a segment is settled, or was never indexed.
    pub(crate) fn release(&mut self, place: WaitingEntry) {
        if let Some(needed) = self.needed.get_mut(&place.segment) {
            needed.remove(&place.position);
            if needed.is_empty() {
                self.needed.remove(&place.segment);
            }
        }
    }

    pub(crate) fn is_needed(&self, segment: u64) -> bool {
        self.needed.contains_key(&segment)
    }

    pub(crate) fn add(&mut self, series: SeriesKey, entry: WaitingEntry, bytes: u64) {
        let now = Instant::now();
        let waiting = self.series.entry(series).or_insert_with(|| WaitingSeries {
            entries: Vec::new(),
            bytes: 0,
            last: now,
        });
        waiting.entries.push(entry);
        waiting.bytes += bytes;
        waiting.last = now;
    }

    /// The series that is due: the largest beyond `from_bytes`, else the one that has been quiet the longest, if for
    /// `quiet` at least. It is handed over, and comes back through [`Waiting::put_back`] where settling fails.
    pub(crate) fn take_due(&mut self, quiet: Duration, from_bytes: u64) -> Option<(SeriesKey, Vec<WaitingEntry>)> {
        let large = self.series.iter().filter(|(_, waiting)| waiting.bytes >= from_bytes);
        let due = large.max_by_key(|(_, waiting)| waiting.bytes).or_else(|| {
            let oldest = self.series.iter().min_by_key(|(_, waiting)| waiting.last)?;
            (oldest.1.last.elapsed() >= quiet).then_some(oldest)
        });
        let key = due?.0.clone();
        let waiting = self.series.remove(&key)?;
        Some((key, waiting.entries))
    }

    /// All that waits of a series, now. It comes back through [`Waiting::put_back`] where settling fails.
    pub(crate) fn take(&mut self, series: &SeriesKey) -> Vec<WaitingEntry> {
        self.series
            .remove(series)
            .map(|waiting| waiting.entries)
            .unwrap_or_default()
    }

    /// Takes back a series that could not be settled. It counts as quiet from now on, whatever its size.
    pub(crate) fn put_back(&mut self, series: SeriesKey, entries: Vec<WaitingEntry>) {
        let now = Instant::now();
        let waiting = self.series.entry(series).or_insert_with(|| WaitingSeries {
            entries: Vec::new(),
            bytes: 0,
            last: now,
        });
        waiting.entries.extend(entries);
    }

    /// Entries that wait.
    pub(crate) fn len(&self) -> usize {
        self.series.values().map(|waiting| waiting.entries.len()).sum()
    }
}
