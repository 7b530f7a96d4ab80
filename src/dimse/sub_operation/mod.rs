//! C-STORE sub-operations of C-GET and C-MOVE, and `send` (PS3.4 §C.4.2, §C.4.3): which instances in which presentation
//! contexts, the transfer, and the count.

mod parallel;
mod plan;
mod progress;
mod propose;
mod send;
mod supply;

pub(super) use parallel::perform_together;
pub(super) use plan::Plan;
pub(super) use progress::Progress;
pub(super) use send::{Asker, Occasion, Originator, Performed, Sent, perform};
