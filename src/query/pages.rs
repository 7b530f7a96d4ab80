//! Where pages begin: a search by growing offsets goes on where the page before ended, at every level, instead of walking
//! there again; what arrives meanwhile pushes nothing from one page to the next.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use super::{Query, Search};

/// A page asked for later is looked up anew.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// The least recently used are forgotten beyond this.
const KEPT_MAX_BYTES: u64 = 16 << 20;
/// One that holds more is not kept.
const SEARCH_MAX_BYTES: usize = 2 << 20;

/// Searches that wait for their next page. Cheap to clone.
#[derive(Clone)]
pub(super) struct Pages {
    waiting: moka::sync::Cache<u128, Search>,
}

impl Pages {
    pub(super) fn new() -> Self {
        Self {
            waiting: moka::sync::Cache::builder()
                .weigher(|_, search: &Search| u32::try_from(search.weight()).unwrap_or(u32::MAX))
                .max_capacity(KEPT_MAX_BYTES)
                .time_to_live(KEPT_FOR)
                .build(),
        }
    }

    /// The search at the beginning of this page, where it is known. It stays for whoever asks for the page again.
    pub(super) fn resume(&self, query: &Query) -> Option<Search> {
        if query.offset == 0 {
            return None;
        }
        self.waiting.get(&fingerprint(query, query.offset))
    }

    /// Keeps a search behind a page of so many answers.
    pub(super) fn park(&self, query: &Query, given: usize, search: &Search) {
        if given > 0 && search.weight() <= SEARCH_MAX_BYTES {
            let next = query.offset.saturating_add(given as u64);
            self.waiting.insert(fingerprint(query, next), search.clone());
        }
    }
}

/// 128 bits of the question but for its page.
fn fingerprint(query: &Query, offset: u64) -> u128 {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        (offset, query.fuzzy, query.combined_datetime, query.empty_value_matching).hash(&mut hasher);
        (query.level, &query.keys, &query.include, &query.also).hash(&mut hasher);
        query.retrieve_url_base.hash(&mut hasher);
        // Nobody goes on with what somebody found who sees more.
        query.sight.key().hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}
