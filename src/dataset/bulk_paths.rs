//! Finding, while a header is walked, which of its empty elements stand for values that were left out.

use std::{collections::HashMap, fmt::Write};

use filmroom_storage::model::{BulkValue, Tag};

/// Follows the walk through a header and knows the path of each element. Left-out values come in nearly the same order as
/// the elements, so that the next one is looked at first.
pub(crate) struct BulkPaths<'a> {
    bulk: &'a [BulkValue],
    next: usize,
    by_path: Option<HashMap<&'a str, usize>>,
    path: String,
}

impl<'a> BulkPaths<'a> {
    pub(crate) fn new(bulk: &'a [BulkValue]) -> Self {
        Self {
            bulk,
            next: 0,
            by_path: None,
            path: String::new(),
        }
    }

    /// Goes into an item. The answer is to be given to [`Self::leave`].
    pub(crate) fn enter(&mut self, tag: Tag, item_index: u32) -> usize {
        let before = self.path.len();
        if !self.bulk.is_empty() {
            // Writing to a String cannot fail.
            let _ = write!(self.path, "{tag:08X}.{item_index}.");
        }
        before
    }

    /// Comes back out of an item.
    pub(crate) fn leave(&mut self, before: usize) {
        self.path.truncate(before);
    }

    /// The left-out value that an element of length zero stands for.
    pub(crate) fn find(&mut self, tag: Tag) -> Option<&'a BulkValue> {
        if self.bulk.is_empty() {
            return None;
        }
        let before = self.path.len();
        let _ = write!(self.path, "{tag:08X}");
        let found = self.look_up();
        self.path.truncate(before);
        found
    }

    fn look_up(&mut self) -> Option<&'a BulkValue> {
        if let Some(value) = self.bulk.get(self.next)
            && value.path == self.path
        {
            self.next += 1;
            return Some(value);
        }
        let bulk = self.bulk;
        let by_path = self.by_path.get_or_insert_with(|| {
            bulk.iter()
                .enumerate()
                .map(|(place, value)| (value.path.as_str(), place))
                .collect()
        });
        let place = *by_path.get(self.path.as_str())?;
        self.next = place + 1;
        bulk.get(place)
    }
}
