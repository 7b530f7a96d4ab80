//! What the door counts.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::problem::Outcome;

/// Counters of the door.
#[derive(Debug, Default)]
pub struct Metrics {
    connections: AtomicU64,
    connections_refused: AtomicU64,
    accepted: AtomicU64,
    erroneous: AtomicU64,
    rejected: AtomicU64,
}

/// What was counted so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Connections that are open.
    pub connections: u64,
    /// Connections that were closed at once.
    pub connections_refused: u64,
    /// Messages that were taken (AA).
    pub accepted: u64,
    /// Messages with something wrong in them (AE).
    pub erroneous: u64,
    /// Messages that were not looked at, or could not be taken (AR).
    pub rejected: u64,
}

impl Metrics {
    /// As they are now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            connections: read(&self.connections),
            connections_refused: read(&self.connections_refused),
            accepted: read(&self.accepted),
            erroneous: read(&self.erroneous),
            rejected: read(&self.rejected),
        }
    }

    pub(crate) fn opened(&self, connections_max: usize) -> bool {
        let most = connections_max as u64;
        let add = |open: u64| (open < most).then_some(open + 1);
        let is_open = self
            .connections
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)
            .is_ok();
        if !is_open {
            self.connections_refused.fetch_add(1, Ordering::Relaxed);
        }
        is_open
    }

    pub(crate) fn closed(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn answered(&self, outcome: Option<Outcome>) {
        let counter = match outcome {
            None => &self.accepted,
            Some(Outcome::Error) => &self.erroneous,
            Some(Outcome::Reject) => &self.rejected,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
