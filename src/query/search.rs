//! Walking through the index: studies, their series, their instances, as far down as the answers lie.

use std::{
    collections::{HashSet, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    vec,
};

use filmroom_storage::{
    index::{Index, InstanceCursor, StudyCursor, StudySelector},
    model::{
        Attributes, InstanceRecord, SeriesInstanceUid, SeriesRecord, StudyInstanceUid, StudyKeys, StudyRecord, Tag,
    },
};

use super::{
    Answer, Headers, Level, QueryError,
    columns::{PatientTotals, Sources},
    names,
    plan::Plan,
};

mod answer;
mod short_cuts;
mod walk;
mod ways;

/// What one page may read beside its answers, in units of about 50 ns. Met only by questions that no index serves and few
/// records match: 250,000 studies, 5,000,000 sets of study keys or 500,000 instances.
const READING_MAX: u64 = 5_000_000;
const STUDY_COST: u64 = 20;
const SERIES_COST: u64 = 20;
const INSTANCE_COST: u64 = 10;
/// Of a header that is returned.
const HEADER_COST: u64 = 100;
/// Headers that one page may read in vain: some 20 us each, and more where they come from far away.
const HEADERS_IN_VAIN_MAX: u64 = 1_000;
/// Records fetched at a time.
const BATCH: std::ops::RangeInclusive<usize> = 8..=256;
/// Study keys fetched at a time.
const KEYS_BATCH: usize = 1024;
/// So many matches beyond a page are counted; more are only told to be there.
const COUNT_AHEAD: u64 = 128;

/// A question on its way through the index. Each page goes on where the one before ended, and costs what it reads.
/// Synchronous; use it on a blocking thread.
#[derive(Clone)]
pub struct Search {
    index: Arc<dyn Index>,
    headers: Arc<dyn Headers>,
    plan: Arc<Plan>,
    studies: Studies,
    series: SeriesAhead,
    instances: InstancesAhead,
    /// What was found last, from the study down to the answers' level.
    study: Option<CurrentStudy>,
    current_series: Option<CurrentSeries>,
    instance: Option<InstanceRecord>,
    header: Option<Attributes>,
    patients_seen: HashSet<u64>,
    patient: Option<PatientTotals>,
    /// The match found last was looked at, not handed out.
    looked_ahead: bool,
    batch: usize,
    reading_left: u64,
    headers_left: u64,
    handed_out: u64,
    /// Instances of the current series that were looked at.
    taken_of_series: u64,
    ignored: Vec<Vec<Tag>>,
}

/// The studies ahead.
#[derive(Clone)]
enum Studies {
    Selected {
        selector: StudySelector,
        after: Option<StudyCursor>,
        buffer: VecDeque<(StudyCursor, StudyRecord)>,
        ended: bool,
    },
    /// Decided by their keys before a record is read.
    Keys {
        selector: StudySelector,
        after: Option<StudyCursor>,
        buffer: VecDeque<(StudyCursor, StudyInstanceUid, StudyKeys)>,
        ended: bool,
    },
    Known(vec::IntoIter<StudyInstanceUid>),
}

#[derive(Clone)]
struct CurrentStudy {
    uid: StudyInstanceUid,
    record: Option<StudyRecord>,
    accepted: bool,
}

/// The series ahead.
#[derive(Clone)]
enum SeriesAhead {
    /// Those of the current study, then of the next.
    OfStudies(vec::IntoIter<SeriesRecord>),
    /// Found by their own UIDs.
    Known(vec::IntoIter<CurrentSeries>),
}

#[derive(Clone)]
struct CurrentSeries {
    study: StudyInstanceUid,
    uid: SeriesInstanceUid,
    record: Option<SeriesRecord>,
}

/// The instances ahead.
#[derive(Clone)]
enum InstancesAhead {
    /// Those of the current series, then of the next.
    OfSeries {
        after: Option<InstanceCursor>,
        buffer: VecDeque<(InstanceCursor, InstanceRecord)>,
        ended: bool,
    },
    /// Found by their own UIDs.
    Known(vec::IntoIter<InstanceRecord>),
}

impl InstancesAhead {
    fn none() -> Self {
        Self::OfSeries {
            after: None,
            buffer: VecDeque::new(),
            ended: true,
        }
    }
}

impl Search {
    pub(super) fn new(index: Arc<dyn Index>, headers: Arc<dyn Headers>, plan: Plan) -> Result<Self, QueryError> {
        let mut ignored = plan.ignored.clone();
        ignored.extend(plan.columns.unknown().iter().map(|tag| vec![*tag]));
        ignored.sort();
        ignored.dedup();
        let mut search = Self {
            index,
            headers,
            plan: Arc::new(plan),
            studies: Studies::Known(Vec::new().into_iter()),
            series: SeriesAhead::OfStudies(Vec::new().into_iter()),
            instances: InstancesAhead::none(),
            study: None,
            current_series: None,
            instance: None,
            header: None,
            patients_seen: HashSet::new(),
            patient: None,
            looked_ahead: false,
            batch: *BATCH.end(),
            reading_left: READING_MAX,
            headers_left: HEADERS_IN_VAIN_MAX,
            handed_out: 0,
            taken_of_series: 0,
            ignored,
        };
        search.find_ways()?;
        Ok(search)
    }

    /// Paths of optional keys that were not matched on, and of attributes that were asked for in vain.
    #[must_use]
    pub fn ignored(&self) -> &[Vec<Tag>] {
        &self.ignored
    }

    /// The next answers, at most `limit`; fewer only at the end.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn page(&mut self, limit: usize) -> Result<Vec<Answer>, QueryError> {
        self.batch = limit.saturating_add(1).clamp(*BATCH.start(), *BATCH.end());
        self.begin_page();
        let mut answers = Vec::with_capacity(limit.min(self.batch));
        while answers.len() < limit && self.advance()? {
            answers.push(self.answer()?);
            if !self.plan.header.is_empty() {
                // That header was not read in vain.
                self.headers_left += 1;
            }
        }
        self.handed_out += answers.len() as u64;
        Ok(answers)
    }

    /// Leaves out the next `count` answers.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn skip(&mut self, count: u64) -> Result<(), QueryError> {
        self.begin_page();
        let mut left = count;
        if self.plan.is_universal() {
            if self.plan.level != Level::Patient && self.total()?.is_some_and(|total| total <= count) {
                self.studies = Studies::Known(Vec::new().into_iter());
                self.handed_out = count;
                return Ok(());
            }
            if self.plan.level == Level::Study {
                left = self.skip_studies(left)?;
            }
        }
        while left > 0 && self.advance()? {
            self.spend(1)?;
            left -= 1;
        }
        self.handed_out += count - left;
        Ok(())
    }

    /// Finds the answer that the next page begins with. False at the end.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn look_ahead(&mut self) -> Result<bool, QueryError> {
        self.looked_ahead = self.advance()?;
        Ok(self.looked_ahead)
    }

    /// How many more answers follow: `None` when there are more than are worth counting. Ends the search.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn remaining(mut self) -> Result<Option<u64>, QueryError> {
        let before = self.handed_out;
        if !self.look_ahead()? {
            return Ok(Some(0));
        }
        if self.plan.is_universal()
            && let Some(total) = self.total()?
        {
            return Ok(Some(total.saturating_sub(before).max(1)));
        }
        if let Some(count) = self.instances_left()? {
            return Ok(Some(count));
        }
        if !self.plan.header.is_empty() {
            return Ok(None);
        }
        let mut count = 0;
        while count < COUNT_AHEAD && self.advance()? {
            count += 1;
        }
        let ended = count < COUNT_AHEAD;
        Ok(ended.then_some(count))
    }

    /// About how many bytes it holds.
    pub(super) fn weight(&self) -> usize {
        let studies = match &self.studies {
            Studies::Selected { buffer, .. } => buffer.len(),
            Studies::Keys { buffer, .. } => buffer.len() / 4,
            Studies::Known(uids) => uids.len() / 8,
        };
        let series = match &self.series {
            SeriesAhead::OfStudies(series) => series.len(),
            SeriesAhead::Known(series) => series.len(),
        };
        let instances = match &self.instances {
            InstancesAhead::OfSeries { buffer, .. } => buffer.len(),
            InstancesAhead::Known(records) => records.len(),
        };
        let header = self.header.as_ref().map_or(0, |header| header.as_bytes().len());
        4096 + header + 1024 * (studies + series + instances) + 16 * self.patients_seen.len()
    }

    fn begin_page(&mut self) {
        self.reading_left = READING_MAX;
        self.headers_left = HEADERS_IN_VAIN_MAX;
    }

    fn total(&self) -> Result<Option<u64>, QueryError> {
        let totals = self.index.totals()?;
        Ok(match self.plan.level {
            Level::Patient => None,
            Level::Study => Some(totals.studies),
            Level::Series => Some(totals.series),
            Level::Instance => Some(totals.instances),
        })
    }

    fn spend(&mut self, cost: u64) -> Result<(), QueryError> {
        self.reading_left = self.reading_left.checked_sub(cost).ok_or_else(|| {
            QueryError::TooBroad(
                "the search would have to read too much of the archive: add a patient ID, an accession number, a study date or \
                 the beginning of a name"
                    .to_owned(),
            )
        })?;
        Ok(())
    }

    fn spend_header(&mut self) -> Result<(), QueryError> {
        self.headers_left = self.headers_left.checked_sub(1).ok_or_else(|| {
            QueryError::TooBroad(format!(
                "{HEADERS_IN_VAIN_MAX} instances were read for keys that are in no index, and too few of them matched: name the \
                 study and the series, or add keys of these"
            ))
        })?;
        Ok(())
    }
}
