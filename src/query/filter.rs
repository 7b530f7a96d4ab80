//! Keys on data sets that are no instances of the archive, such as entries of a worklist.

use filmroom_storage::model::{Attributes, Tag};

use super::{
    Key, QueryError, attribute,
    matching::{EmptyValues, Names, Reading, Test},
    temporal::{Kind, Span, combine},
    tree::{DEPTH_MAX, Tests},
};

/// More keys are refused.
pub(super) const KEYS_MAX: usize = 200;

/// How keys are read.
#[derive(Debug, Clone, Copy, Default)]
pub struct FilterOptions<'a> {
    /// Match names by likeness (PS3.4 §C.2.2.2.1).
    pub fuzzy: bool,
    /// `""` matches what is absent or empty.
    pub empty_value_matching: bool,
    /// Paths of a date and of its time, in one data set or item: ranges of both are one range (PS3.4 table K.6-1).
    pub moments: &'a [(&'a [Tag], &'a [Tag])],
}

/// Keys that were read once and are tried on many data sets. All must match.
#[derive(Debug, Clone)]
pub struct Filter {
    tests: Tests,
}

impl Filter {
    /// Reads keys.
    ///
    /// # Errors
    /// [`QueryError::Value`] for a key that makes no sense, [`QueryError::TooBroad`] for too many.
    pub fn new(keys: &[Key], options: FilterOptions<'_>) -> Result<Self, QueryError> {
        if keys.len() > KEYS_MAX {
            return Err(QueryError::TooBroad(format!("more than {KEYS_MAX} keys")));
        }
        let reading = Reading {
            names: if options.fuzzy { Names::Like } else { Names::Literal },
            empty_values: if options.empty_value_matching {
                EmptyValues::Matched
            } else {
                EmptyValues::Literal
            },
        };
        let mut tests = Tests::default();
        let mut together: Vec<&[Tag]> = Vec::new();
        for (date, time) in options.moments {
            let is_range = |path: &[Tag]| keys.iter().any(|key| key.path == path && key.value.contains('-'));
            if !is_range(time) {
                continue;
            }
            let spans = (span_of(keys, date, Kind::Date)?, span_of(keys, time, Kind::Time)?);
            let ((Some(dates), Some(times)), Some((date_tag, outer)), Some(time_tag)) =
                (spans, date.split_last(), time.last())
            else {
                continue;
            };
            tests.add_moment_within(outer, *date_tag, *time_tag, combine(dates, times))?;
            together.extend([*date, *time]);
        }
        for key in keys.iter().filter(|key| !together.contains(&key.path.as_slice())) {
            if key.path.len() > DEPTH_MAX {
                return Err(QueryError::Value {
                    keyword: attribute::path_name(&key.path),
                    reason: format!("sequences within sequences, more than {DEPTH_MAX} deep"),
                });
            }
            if let Some(test) = Test::new(&key.path, &key.value, reading)? {
                tests.add(&key.path, test)?;
            }
        }
        Ok(Self { tests })
    }

    /// True when every key matches.
    #[must_use]
    pub fn accepts(&self, attributes: &Attributes) -> bool {
        self.tests.accept(attributes.iter())
    }
}

/// The span that a key on a date or a time asks for; `None` where there is none, or it is no plain value or range.
pub(super) fn span_of(keys: &[Key], path: &[Tag], kind: Kind) -> Result<Option<Span>, QueryError> {
    let Some(key) = keys.iter().find(|key| key.path == path) else {
        return Ok(None);
    };
    let text = key.value.trim();
    if text.is_empty() || text.contains(['*', '\\', '"']) {
        return Ok(None);
    }
    let refuse = |reason: &str| QueryError::value(path, text, reason);
    kind.of_key(text).map(Some).map_err(refuse)
}
