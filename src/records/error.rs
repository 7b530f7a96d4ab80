//! Why something was not decided.

use filmroom_storage::{index::IndexError, journal::JournalError, state::StateError, store::StoreError};
use serde::Serialize;

use super::MergeRefused;

/// Something wrong in what was given, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Line, field or item.
    pub at: String,
    /// What is wrong.
    pub what: String,
}

/// Why something was not decided. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// The acting person may not: 403.
    #[error("{0}")]
    NotLet(String),
    /// What was given makes no sense: 400.
    #[error("{}", shown(.0))]
    Invalid(Vec<Problem>),
    /// Patients that cannot be merged, and which of them: 409.
    #[error("{1}")]
    Merge(usize, MergeRefused),
    /// There is none: 404.
    #[error("{0}")]
    Unknown(String),
    /// Something stands against it: 409.
    #[error("{what}")]
    Conflict {
        /// For programs.
        code: &'static str,
        /// For people.
        what: String,
    },
    /// It was changed by somebody else since the caller looked: 412.
    #[error("it was changed by somebody else since: look again")]
    Stale,
    /// The store failed: 507.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Anything else: 500.
    #[error("{0}")]
    Failed(String),
}

impl RecordsError {
    pub(crate) fn conflict(code: &'static str, what: impl Into<String>) -> Self {
        Self::Conflict {
            code,
            what: what.into(),
        }
    }

    pub(crate) fn invalid(at: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Invalid(vec![Problem {
            at: at.into(),
            what: what.into(),
        }])
    }
}

fn shown(problems: &[Problem]) -> String {
    let shown: Vec<String> = problems
        .iter()
        .map(|problem| match problem.at.as_str() {
            "" => problem.what.clone(),
            at => format!("{at}: {}", problem.what),
        })
        .collect();
    shown.join("; ")
}

impl From<JournalError> for RecordsError {
    fn from(error: JournalError) -> Self {
        Self::Store(error.into())
    }
}

impl From<IndexError> for RecordsError {
    fn from(error: IndexError) -> Self {
        Self::Store(error.into())
    }
}

impl From<StateError> for RecordsError {
    fn from(error: StateError) -> Self {
        Self::Failed(error.to_string())
    }
}
