//! Lets batches into the log and the index one at a time, and stops them where the index is to be taken up again.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The way through the log into the index.
#[derive(Debug, Default)]
pub(crate) struct Turnstile {
    turn: Mutex<()>,
}

/// One batch's turn; the next waits until it is dropped.
pub(crate) struct Turn<'a> {
    _turn: MutexGuard<'a, ()>,
}

impl Turnstile {
    /// Waits until no batch is under way; none is as long as the turn is held. Blocks.
    pub(crate) fn enter(&self) -> Turn<'_> {
        Turn {
            _turn: self.turn.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}
