//! Why the log did not do what it was asked.

use std::io;

/// Why nothing was recorded, or nothing found.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The disk failed or is full: the event is not in the log.
    #[error("the audit log cannot be written: {0}")]
    Disk(String),
    /// The log was closed.
    #[error("the audit log is closed")]
    Closed,
    /// The event is longer than the log takes.
    #[error("the event has {0} bytes, and one may have {max}", max = crate::frame::PART_BYTES_MAX)]
    TooLong(usize),
    /// What stands on the disk is not what was written.
    #[error("the audit log is damaged at entry {index}: {reason}")]
    Damaged {
        /// The first entry that is wrong, from 0.
        index: u64,
        /// What is wrong.
        reason: String,
    },
    /// Damage was found, and nobody has said that he knows of it: nothing is destroyed until then.
    #[error(
        "the audit log is damaged from entry {index} on, which nobody has acknowledged (`filmroom audit acknowledge`)"
    )]
    Unacknowledged {
        /// The first entry that is wrong, from 0.
        index: u64,
    },
    /// A key does not open the log, or there is none.
    #[error("the audit log does not open: {0}")]
    Key(String),
    /// Reading failed.
    #[error("the audit log cannot be read: {0}")]
    Io(#[from] io::Error),
}

impl AuditError {
    /// The same for another of those that waited together.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Closed => Self::Closed,
            Self::TooLong(bytes) => Self::TooLong(*bytes),
            other => Self::Disk(other.to_string()),
        }
    }
}
