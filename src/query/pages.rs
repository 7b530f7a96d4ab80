//! Places of pages: a search for studies by growing offsets goes on where the page before ended, instead of walking there
//! again; studies that arrive meanwhile push nothing from one page to the next.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use filmroom_storage::index::StudyCursor;

use super::{Level, Query};

/// A page asked for later is looked up anew.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// The least recently used are forgotten beyond this.
const PLACES_MAX: u64 = 1024;

/// The places where pages begin. Cheap to clone.
#[derive(Clone)]
pub(super) struct Pages {
    places: moka::sync::Cache<u128, StudyCursor>,
}

impl Pages {
    pub(super) fn new() -> Self {
        Self {
            places: moka::sync::Cache::builder()
                .max_capacity(PLACES_MAX)
                .time_to_live(KEPT_FOR)
                .build(),
        }
    }

    /// The place after which the page begins, where it is known.
    pub(super) fn place(&self, query: &Query) -> Option<StudyCursor> {
        if query.offset == 0 || query.level != Level::Study {
            return None;
        }
        self.places.get(&fingerprint(query, query.offset))
    }

    /// Keeps the place at which the page after this one begins.
    pub(super) fn remember(&self, query: &Query, given: usize, place: Option<StudyCursor>) {
        if let (Level::Study, Some(place)) = (query.level, place) {
            let next = query.offset.saturating_add(given as u64);
            self.places.insert(fingerprint(query, next), place);
        }
    }
}

/// 128 bits of the question but for its page.
fn fingerprint(query: &Query, offset: u64) -> u128 {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        (offset, query.fuzzy, query.combined_datetime, query.empty_value_matching).hash(&mut hasher);
        query.keys.hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}
