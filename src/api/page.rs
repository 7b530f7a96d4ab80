//! Which part of a long list is asked for: `?offset=200&limit=100`.

use serde::Deserialize;

/// Given where nothing is asked for.
const LIMIT_DEFAULT: usize = 100;
/// Most at a time.
const LIMIT_MAX: usize = 1000;

/// A part of a list.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Page {
    #[serde(default)]
    offset: usize,
    #[serde(default)]
    limit: Option<usize>,
}

impl Page {
    pub(super) fn offset(self) -> usize {
        self.offset
    }

    pub(super) fn limit(self) -> usize {
        self.limit.unwrap_or(LIMIT_DEFAULT).min(LIMIT_MAX)
    }

    /// The part of a whole list.
    pub(super) fn of<T>(self, all: &[T]) -> &[T] {
        let rest = all.get(self.offset..).unwrap_or_default();
        rest.get(..self.limit()).unwrap_or(rest)
    }
}
