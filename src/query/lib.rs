//! The room that finds: C-FIND and QIDO-RS ask the same questions of it (PS3.4 §C.2.2, PS3.18 §10.6).
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

use std::sync::Arc;

use filmroom_storage::{
    index::{Index, IndexError},
    model::{Attributes, InstanceRecord, SeriesInstanceUid, StudyInstanceUid, Tag},
    store::Store,
};

use filmroom_privacy::Sight;

mod attribute;
mod columns;
mod filter;
mod levels;
mod likeness;
mod matching;
mod names;
mod order;
mod pages;
mod person_name;
mod plan;
mod search;
mod temporal;
mod tree;
mod wildcard;

pub use filter::{Filter, FilterOptions};
pub use search::Search;

/// What an answer describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// One answer a patient.
    Patient,
    /// One answer a study.
    Study,
    /// One answer a series.
    Series,
    /// One answer an instance.
    Instance,
}

/// A key that must match: attribute path (one tag, or sequence tags before it) and the text of the key as the peer sent
/// it, in UTF-8. The kind of matching (PS3.4 §C.2.2.2) follows from the attribute's VR and the text; an empty text matches
/// all. UID and other lists are separated by `\`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// From the outermost sequence to the attribute.
    pub path: Vec<Tag>,
    /// The key's text.
    pub value: String,
}

/// Which attributes an answer holds beside the level's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Include {
    /// What the level always returns, the attributes of the keys, and these: as QIDO-RS has it.
    Listed(Vec<Tag>),
    /// The attributes of the keys and these, nothing else: as C-FIND has it.
    Exactly(Vec<Tag>),
    /// Every optional attribute of the level.
    All,
}

/// A question.
#[derive(Debug, Clone)]
pub struct Query {
    /// What an answer describes.
    pub level: Level,
    /// What must match; keys of a level above the answers' are allowed (relational).
    pub keys: Vec<Key>,
    /// What to return.
    pub include: Include,
    /// Attributes beside those of [`Query::include`]: of the levels above, where all of the level are returned.
    pub also: Vec<Tag>,
    /// Match names by likeness (PS3.4 §C.2.2.2.1).
    pub fuzzy: bool,
    /// Match a date key and its time key as one range (PS3.4 §C.2.2.2.5), as negotiated or as QIDO-RS does.
    pub combined_datetime: bool,
    /// A key of value `""` (two quotation marks) matches what is absent or empty (PS3.4 §C.2.2.2.7, PS3.18 §8.3.4.5).
    pub empty_value_matching: bool,
    /// Order of the answers, most significant first; the index's own order decides between equals and when empty.
    pub order: Vec<OrderBy>,
    /// Root of Retrieve URLs (0008,1190), without a slash at its end; `None` leaves them out.
    pub retrieve_url_base: Option<String>,
    /// Leave out so many answers.
    pub offset: u64,
    /// Give at most so many answers.
    pub limit: u64,
    /// What whoever asks sees: what they do not is not there.
    pub sight: Sight,
}

impl Query {
    /// All answers of a level: literal matching, no keys, nothing beyond what the level always returns.
    #[must_use]
    pub fn new(level: Level, sight: Sight) -> Self {
        Self {
            level,
            keys: Vec::new(),
            include: Include::Listed(Vec::new()),
            also: Vec::new(),
            fuzzy: false,
            combined_datetime: false,
            empty_value_matching: false,
            order: Vec::new(),
            retrieve_url_base: None,
            offset: 0,
            limit: u64::MAX,
            sight,
        }
    }
}

impl Query {
    /// Adds attributes to what is returned; nothing where everything of the level is, but for levels above.
    pub fn include_also(&mut self, tags: &[Tag]) {
        match &mut self.include {
            Include::Listed(listed) | Include::Exactly(listed) => listed.extend_from_slice(tags),
            Include::All => self.also.extend_from_slice(tags),
        }
    }
}

/// One criterion of order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OrderBy {
    /// The attribute whose value is compared.
    pub tag: Tag,
    /// Which end comes first.
    pub direction: Direction,
}

/// Which end of an order comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Smallest first; absent values last.
    Ascending,
    /// Largest first; absent values last.
    Descending,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// A key's value cannot be understood: A900H, 400.
    #[error("{keyword} has no usable value: {reason}")]
    Value {
        /// The attribute.
        keyword: String,
        /// What is wrong.
        reason: String,
    },
    /// The question would read too much: 413.
    #[error("too broad: {0}")]
    TooBroad(String),
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A header could not be read.
    #[error("a header could not be read: {0}")]
    Header(String),
}

impl QueryError {
    /// A key whose value cannot be understood; the value as far as it is shown.
    fn value(path: &[Tag], value: &str, reason: &str) -> Self {
        let shown: String = value.chars().take(VALUE_SHOWN_MAX).collect();
        let more = if shown.len() < value.len() { "…" } else { "" };
        Self::Value {
            keyword: attribute::path_name(path),
            reason: format!("{shown:?}{more} is none: {reason}"),
        }
    }
}

/// Letters of a value that is wrong that an error shows.
const VALUE_SHOWN_MAX: usize = 40;

/// A page of answers in a stable order.
#[derive(Debug, Clone)]
pub struct Answers {
    /// In normal form; every requested key present, of length zero where unknown.
    pub answers: Vec<Answer>,
    /// How many more would follow; `None` when not counted, yet there are some.
    pub remaining: Option<u64>,
    /// Paths of optional keys that were not matched on, since nothing is known of these attributes at their level. Doors
    /// tell: FF01H, `Warning: 299`.
    pub ignored: Vec<Vec<Tag>>,
}

/// One answer, and whom it is about.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The attributes.
    pub attributes: Attributes,
    /// The study, below patient level.
    pub study_instance_uid: Option<StudyInstanceUid>,
    /// The series, at series and instance level.
    pub series_instance_uid: Option<SeriesInstanceUid>,
}

/// Where whole headers are read, for attributes that no record of the index holds.
pub trait Headers: Send + Sync {
    /// All elements of an instance but bulk data. Blocks.
    ///
    /// # Errors
    /// [`QueryError::Header`].
    fn header(&self, instance: &InstanceRecord) -> Result<Attributes, QueryError>;
}

impl Headers for Store {
    fn header(&self, instance: &InstanceRecord) -> Result<Attributes, QueryError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|error| QueryError::Header(error.to_string()))?;
        let header = runtime
            .block_on(Store::header(self, instance))
            .map_err(|error| QueryError::Header(error.to_string()))?;
        Ok(header.attributes)
    }
}

/// The room. Cheap to clone.
#[derive(Clone)]
pub struct QueryRoom {
    index: Arc<dyn Index>,
    headers: Arc<dyn Headers>,
    pages: pages::Pages,
}

impl QueryRoom {
    /// Opens the room over a store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self::over(store.index(), Arc::new(store))
    }

    /// Opens the room over an index and a source of headers.
    #[must_use]
    pub fn over(index: Arc<dyn Index>, headers: Arc<dyn Headers>) -> Self {
        Self {
            index,
            headers,
            pages: pages::Pages::new(),
        }
    }

    /// Answers one page. Synchronous and bounded; call it on a blocking thread of a runtime.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn find(&self, query: &Query) -> Result<Answers, QueryError> {
        if !order::is_natural(query) {
            return order::find_sorted(self, query);
        }
        let mut search = match self.pages.resume(query) {
            Some(search) => search,
            None => {
                let mut search = self.search(query)?;
                search.skip(query.offset)?;
                search
            }
        };
        let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
        let answers = search.page(limit)?;
        let ignored = search.ignored().to_vec();
        let remaining = if answers.len() < limit {
            Some(0)
        } else {
            match self.remaining(query, answers.len(), search) {
                // What was found is told; how much more there is would have to be read for.
                Err(QueryError::TooBroad(_)) => None,
                remaining => remaining?,
            }
        };
        Ok(Answers {
            answers,
            remaining,
            ignored,
        })
    }

    /// What follows a page; the search is kept for whoever asks for it.
    fn remaining(&self, query: &Query, given: usize, mut search: Search) -> Result<Option<u64>, QueryError> {
        if !search.look_ahead()? {
            return Ok(Some(0));
        }
        self.pages.park(query, given, &search);
        search.remaining()
    }

    /// Begins a search that is taken page by page, however many answers there are: `offset`, `limit` and `order` of the
    /// query are left to the caller. Synchronous; use it on a blocking thread of a runtime.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn search(&self, query: &Query) -> Result<Search, QueryError> {
        Search::new(
            Arc::clone(&self.index),
            Arc::clone(&self.headers),
            plan::Plan::new(query)?,
        )
    }
}

#[cfg(test)]
mod tests;
