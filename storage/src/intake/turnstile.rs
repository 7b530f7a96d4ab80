//! Lets batches into the log one at a time, and stops them where the index is to be taken up again.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// How often it is looked whether all batches have come through.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// The way from the committer to the applier.
#[derive(Debug, Default)]
pub(crate) struct Turnstile {
    turn: Mutex<()>,
    /// Batches in the log that the applier has not done with.
    between: AtomicU64,
}

/// One batch's turn; the next waits until it is dropped.
pub(crate) struct Turn<'a> {
    between: &'a AtomicU64,
    _turn: MutexGuard<'a, ()>,
}

impl Turn<'_> {
    /// The batch goes to the applier now.
    pub(crate) fn hand_on(&self) {
        self.between.fetch_add(1, Ordering::AcqRel);
    }
}

impl Turnstile {
    pub(crate) fn enter(&self) -> Turn<'_> {
        Turn {
            between: &self.between,
            _turn: self.turn.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// The applier is done with so many batches.
    pub(crate) fn done(&self, batches: u64) {
        self.between.fetch_sub(batches, Ordering::AcqRel);
    }

    /// Waits until no batch is under way and lets none in as long as the turn is held. Blocks.
    pub(crate) fn close(&self) -> Turn<'_> {
        let turn = self.enter();
        while self.between.load(Ordering::Acquire) > 0 {
            thread::sleep(LOOK_EVERY);
        }
        turn
    }
}
