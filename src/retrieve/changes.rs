//! The change feed: what came and went, in the order in which it was committed, from any place on.

use std::{fmt, str::FromStr};

use filmroom_privacy::Sight;
use filmroom_storage::{
    index::ChangePlace,
    store::{Store, StoreError},
};

pub use filmroom_storage::index::{Change, ChangeKind};

use super::{Retrieve, RetrieveError};

/// Where a follower of the feed stands. Its text is opaque to followers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeCursor {
    epoch: u64,
    place: Option<ChangePlace>,
}

/// Why there is no page of the feed.
#[derive(Debug, thiserror::Error)]
pub enum ChangesError {
    /// The index was made anew since: its changes are in another order, and the follower has to begin again.
    #[error("the index was made anew since this cursor was given")]
    Superseded,
    /// The store failed.
    #[error(transparent)]
    Retrieve(#[from] RetrieveError),
}

/// From where on changes are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// From the first on.
    Beginning,
    /// None that there are: only those to come.
    Now,
    /// Behind this place.
    Cursor(ChangeCursor),
}

/// A page of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangesPage {
    /// Oldest first.
    pub changes: Vec<Change>,
    /// Where the next page begins.
    pub next: ChangeCursor,
    /// There are more at once.
    pub has_more: bool,
}

impl fmt::Display for ChangeCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self
            .place
            .map_or((0, u32::MAX), |place| (place.generation, place.entry));
        write!(f, "{:x}-{:x}-{:x}", self.epoch, place.0, place.1)
    }
}

/// A text that is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor that this archive gave")]
pub struct NotACursor;

impl FromStr for ChangeCursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        let mut parts = text.split('-');
        let (Some(epoch), Some(generation), Some(entry), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NotACursor);
        };
        Ok(Self {
            epoch: u64::from_str_radix(epoch, 16).map_err(|_| NotACursor)?,
            place: Some(ChangePlace {
                generation: u64::from_str_radix(generation, 16).map_err(|_| NotACursor)?,
                entry: u32::from_str_radix(entry, 16).map_err(|_| NotACursor)?,
            }),
        })
    }
}

impl Retrieve {
    /// A page of the change feed: at most `limit` changes, all of studies that are seen. What is not seen is passed over within a bound:
    /// a page may then be empty and have more behind it.
    ///
    /// # Errors
    /// [`ChangesError`].
    pub async fn changes(&self, sight: &Sight, since: Since, limit: usize) -> Result<ChangesPage, ChangesError> {
        let (store, sight) = (self.store.clone(), sight.clone());
        let page = tokio::task::spawn_blocking(move || -> Result<_, StoreError> {
            let epoch = store.change_epoch()?;
            let place = match since {
                Since::Beginning => None,
                Since::Cursor(cursor) if cursor.epoch != epoch => return Ok(None),
                Since::Cursor(cursor) => cursor.place,
                Since::Now => {
                    let place = Some(store.latest_change()?);
                    let next = ChangeCursor { epoch, place };
                    return Ok(Some(ChangesPage {
                        changes: Vec::new(),
                        next,
                        has_more: false,
                    }));
                }
            };
            seen(&store, &sight, place, limit).map(|(place, changes, has_more)| {
                let next = ChangeCursor { epoch, place };
                Some(ChangesPage {
                    changes,
                    next,
                    has_more,
                })
            })
        });
        let page = page.await.map_err(RetrieveError::from)?.map_err(RetrieveError::from)?;
        page.ok_or(ChangesError::Superseded)
    }
}

/// Pages that are passed over in one go where nothing of them is seen.
const UNSEEN_PAGES_MAX: usize = 16;

type Seen = (Option<ChangePlace>, Vec<Change>, bool);

/// The next changes that are seen, where they end, and whether there are more.
fn seen(store: &Store, sight: &Sight, mut place: Option<ChangePlace>, limit: usize) -> Result<Seen, StoreError> {
    let mut changes: Vec<Change> = Vec::new();
    for _ in 0..UNSEEN_PAGES_MAX {
        let mut page = store.changes(place, limit.saturating_add(1))?;
        let has_more = page.len() > limit;
        page.truncate(limit);
        for change in page {
            if changes.len() == limit {
                return Ok((place, changes, true));
            }
            place = Some(change.place);
            if sight.sees(&change.study_instance_uid)? {
                changes.push(change);
            }
        }
        if !has_more || changes.len() == limit {
            return Ok((place, changes, has_more));
        }
    }
    Ok((place, changes, true))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn cursors_come_back(epoch: u64, generation: u64, entry: u32) {
            let cursor = ChangeCursor { epoch, place: Some(ChangePlace { generation, entry }) };
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }

        #[test]
        fn other_texts_are_none(text in ".{0,40}") {
            if let Ok(cursor) = text.parse::<ChangeCursor>() {
                prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
            }
        }
    }
}
