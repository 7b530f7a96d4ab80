//! DIMSE messages (PS3.7): command sets, and what they mean.

mod command;
mod meaning;

pub use command::{CommandSet, Counts};
pub use meaning::{Message, Operation};
