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
    plan::Plan,
};

/// What one search may read beside its answers, in units of about 50 ns. Met only by questions that no index serves and few
/// records match: 250,000 studies, 5,000,000 sets of study keys, 500,000 instances or 10,000 headers.
const READING_MAX: u64 = 5_000_000;
const STUDY_COST: u64 = 20;
const SERIES_COST: u64 = 20;
const INSTANCE_COST: u64 = 10;
const HEADER_COST: u64 = 500;
/// Records fetched at a time.
const BATCH: std::ops::RangeInclusive<usize> = 8..=256;
/// Study keys fetched at a time.
const KEYS_BATCH: usize = 1024;
/// So many matches beyond a page are counted; more are only told to be there.
const COUNT_AHEAD: u64 = 128;

/// A question on its way through the index. Each page goes on where the one before ended, and costs what it reads.
/// Synchronous; use it on a blocking thread.
pub struct Search {
    index: Arc<dyn Index>,
    headers: Arc<dyn Headers>,
    plan: Plan,
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
    handed_out: u64,
    /// Instances of the current series that were looked at.
    taken_of_series: u64,
    ignored: Vec<Vec<Tag>>,
}

/// The studies ahead.
enum Studies {
    Selected {
        selector: StudySelector,
        after: Option<StudyCursor>,
        buffer: VecDeque<(StudyCursor, StudyRecord)>,
        ended: bool,
    },
    /// All of them, decided by their keys before a record is read.
    Keys {
        after: Option<StudyCursor>,
        buffer: VecDeque<(StudyCursor, StudyInstanceUid, StudyKeys)>,
        ended: bool,
    },
    Known(vec::IntoIter<StudyInstanceUid>),
}

struct CurrentStudy {
    uid: StudyInstanceUid,
    record: Option<StudyRecord>,
    accepted: bool,
}

/// The series ahead.
enum SeriesAhead {
    /// Those of the current study, then of the next.
    OfStudies(vec::IntoIter<SeriesRecord>),
    /// Found by their own UIDs.
    Known(vec::IntoIter<CurrentSeries>),
}

struct CurrentSeries {
    study: StudyInstanceUid,
    uid: SeriesInstanceUid,
    record: Option<SeriesRecord>,
}

/// The instances ahead.
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
            plan,
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
        self.reading_left = READING_MAX;
        let mut answers = Vec::with_capacity(limit.min(self.batch));
        while answers.len() < limit && self.advance()? {
            answers.push(self.answer()?);
        }
        self.handed_out += answers.len() as u64;
        Ok(answers)
    }

    /// Leaves out the next `count` answers.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn skip(&mut self, count: u64) -> Result<(), QueryError> {
        self.reading_left = READING_MAX;
        let mut left = count;
        if self.plan.is_universal() {
            if self.plan.level != Level::Patient && self.total()?.is_some_and(|total| total <= count) {
                self.studies = Studies::Known(Vec::new().into_iter());
                self.handed_out = count;
                return Ok(());
            }
            if self.plan.level == Level::Study {
                left = self.skip_studies_by_keys(left)?;
            }
        }
        while left > 0 && self.advance()? {
            self.spend(1)?;
            left -= 1;
        }
        self.handed_out += count - left;
        Ok(())
    }

    /// How many more answers follow: `None` when there are more than are worth counting.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn remaining(&mut self) -> Result<Option<u64>, QueryError> {
        let before = self.handed_out;
        if !self.advance()? {
            return Ok(Some(0));
        }
        self.looked_ahead = true;
        if self.plan.is_universal()
            && let Some(total) = self.total()?
        {
            return Ok(Some(total.saturating_sub(before).max(1)));
        }
        if let Some(count) = self.instances_left()? {
            return Ok(Some(count));
        }
        // From here on the search only counts: what is passed is not given any more.
        let mut count = 0;
        while count < COUNT_AHEAD && self.advance()? {
            count += 1;
        }
        let ended = count < COUNT_AHEAD;
        Ok(ended.then_some(count))
    }

    /// The place of the study that was handed out last, to begin another search behind it.
    pub(super) fn place(&self) -> Option<StudyCursor> {
        match &self.studies {
            Studies::Selected { after, .. } | Studies::Keys { after, .. } => after.clone(),
            Studies::Known(_) => None,
        }
    }

    /// Begins behind a study, `skipped` answers of which are done with.
    pub(super) fn begin_after(&mut self, place: StudyCursor, skipped: u64) {
        match &mut self.studies {
            Studies::Selected { after, .. } | Studies::Keys { after, .. } => {
                *after = Some(place);
                self.handed_out = skipped;
            }
            Studies::Known(_) => {}
        }
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

    // ---- ways in

    /// Turns UIDs below the studies into the studies, series or instances that they name.
    fn find_ways(&mut self) -> Result<(), QueryError> {
        if let Some(uids) = self.plan.sop_uids.take() {
            return self.begin_at_instances(&uids);
        }
        if let Some(uids) = self.plan.series_uids.take() {
            return self.begin_at_series(&uids);
        }
        self.studies = match (&self.plan.selector, self.plan.level) {
            (StudySelector::Uids(uids), level) if uids.len() == 1 || level > Level::Study => {
                Studies::Known(uids.clone().into_iter())
            }
            (StudySelector::All, _) if !self.plan.study_keys.is_empty() => Studies::Keys {
                after: None,
                buffer: VecDeque::new(),
                ended: false,
            },
            (selector, _) => Studies::Selected {
                selector: selector.clone(),
                after: None,
                buffer: VecDeque::new(),
                ended: false,
            },
        };
        Ok(())
    }

    fn begin_at_instances(&mut self, uids: &[filmroom_storage::model::SopInstanceUid]) -> Result<(), QueryError> {
        let mut records = Vec::new();
        for uid in uids {
            self.spend(INSTANCE_COST)?;
            if let Some(record) = self.index.instance(uid)?
                && self
                    .plan
                    .study_uids
                    .as_ref()
                    .is_none_or(|studies| studies.contains(&record.study_instance_uid))
                && self
                    .plan
                    .series_uids
                    .as_ref()
                    .is_none_or(|series| series.contains(&record.series_instance_uid))
            {
                records.push(record);
            }
        }
        match self.plan.level {
            Level::Instance => self.instances = InstancesAhead::Known(records.into_iter()),
            Level::Series => {
                let mut found: Vec<_> = records
                    .into_iter()
                    .map(|record| (record.study_instance_uid, record.series_instance_uid))
                    .collect();
                found.sort();
                found.dedup();
                self.begin_at_known_series(found)?;
            }
            Level::Patient | Level::Study => {
                self.begin_at_studies(records.into_iter().map(|record| record.study_instance_uid).collect());
            }
        }
        Ok(())
    }

    fn begin_at_series(&mut self, uids: &[SeriesInstanceUid]) -> Result<(), QueryError> {
        let series_read =
            self.plan.level == Level::Series || self.plan.has_series_tests() || self.plan.columns.of_series();
        if let (Level::Instance, false, Some([study])) = (self.plan.level, series_read, self.plan.study_uids.as_deref())
        {
            // The usual way of viewers: study and series are named, nothing of them is asked.
            let series = uids.iter().map(|uid| CurrentSeries {
                study: study.clone(),
                uid: uid.clone(),
                record: None,
            });
            self.series = SeriesAhead::Known(series.collect::<Vec<_>>().into_iter());
            return Ok(());
        }
        let mut found = Vec::new();
        for uid in uids {
            self.spend(SERIES_COST)?;
            let records = self.index.series_by_uid(uid)?.into_iter();
            let studies = self.plan.study_uids.as_ref();
            found.extend(
                records.filter(|record| studies.is_none_or(|studies| studies.contains(&record.study_instance_uid))),
            );
        }
        if self.plan.level <= Level::Study {
            found.retain(|record| self.accepts_series(record));
            self.begin_at_studies(found.into_iter().map(|record| record.study_instance_uid).collect());
        } else {
            let series = found.into_iter().map(|record| CurrentSeries {
                study: record.study_instance_uid.clone(),
                uid: record.series_instance_uid.clone(),
                record: Some(record),
            });
            self.series = SeriesAhead::Known(series.collect::<Vec<_>>().into_iter());
        }
        Ok(())
    }

    fn begin_at_known_series(&mut self, uids: Vec<(StudyInstanceUid, SeriesInstanceUid)>) -> Result<(), QueryError> {
        let mut series = Vec::new();
        for (study, uid) in uids {
            self.spend(SERIES_COST)?;
            let record = self
                .index
                .series_by_uid(&uid)?
                .into_iter()
                .find(|record| record.study_instance_uid == study);
            series.extend(record.map(|record| CurrentSeries {
                study,
                uid,
                record: Some(record),
            }));
        }
        self.series = SeriesAhead::Known(series.into_iter());
        Ok(())
    }

    fn begin_at_studies(&mut self, mut uids: Vec<StudyInstanceUid>) {
        uids.sort();
        uids.dedup();
        self.studies = if uids.len() == 1 {
            Studies::Known(uids.into_iter())
        } else {
            let ended = uids.is_empty();
            Studies::Selected {
                selector: StudySelector::Uids(uids),
                after: None,
                buffer: VecDeque::new(),
                ended,
            }
        };
    }

    // ---- the walk

    /// Finds the next match.
    fn advance(&mut self) -> Result<bool, QueryError> {
        if std::mem::take(&mut self.looked_ahead) {
            return Ok(true);
        }
        match self.plan.level {
            Level::Patient => self.next_patient(),
            Level::Study => self.next_study(),
            Level::Series => self.next_series(),
            Level::Instance => self.next_instance(),
        }
    }

    fn next_patient(&mut self) -> Result<bool, QueryError> {
        while self.next_study()? {
            let Some(record) = self.study.as_ref().and_then(|study| study.record.as_ref()) else {
                continue;
            };
            let keys = &record.keys;
            let mut hasher = DefaultHasher::new();
            (&keys.patient_id, &keys.issuer_of_patient_id).hash(&mut hasher);
            if keys.patient_id.is_empty() {
                keys.patient_names.hash(&mut hasher);
            }
            if self.patients_seen.insert(hasher.finish()) {
                return Ok(true);
            }
            self.spend(STUDY_COST)?;
        }
        Ok(false)
    }

    fn next_study(&mut self) -> Result<bool, QueryError> {
        let needs_record = self.plan.level <= Level::Study || self.plan.needs_study();
        loop {
            let (uid, record, keys_decided) = match self.next_study_candidate()? {
                None => return Ok(false),
                Some(candidate) => candidate,
            };
            let record = match record {
                None if needs_record => match self.index.study(&uid)? {
                    None => continue,
                    record => record,
                },
                record => record,
            };
            if let Some(record) = &record
                && !self.accepts_study(record, keys_decided)?
            {
                self.spend(STUDY_COST)?;
                continue;
            }
            self.study = Some(CurrentStudy {
                uid,
                record,
                accepted: true,
            });
            return Ok(true);
        }
    }

    fn next_study_candidate(&mut self) -> Result<Option<(StudyInstanceUid, Option<StudyRecord>, bool)>, QueryError> {
        loop {
            match &mut self.studies {
                Studies::Known(uids) => return Ok(uids.next().map(|uid| (uid, None, false))),
                Studies::Selected {
                    selector,
                    after,
                    buffer,
                    ended,
                } => {
                    if let Some((cursor, record)) = buffer.pop_front() {
                        *after = Some(cursor);
                        return Ok(Some((record.study_instance_uid.clone(), Some(record), false)));
                    }
                    if *ended {
                        return Ok(None);
                    }
                    let batch = self.index.studies(selector, after.as_ref(), self.batch)?;
                    *ended = batch.len() < self.batch;
                    buffer.extend(batch);
                    if buffer.is_empty() {
                        return Ok(None);
                    }
                    // A walk that goes on takes larger steps.
                    self.batch = (self.batch * 2).min(*BATCH.end());
                }
                Studies::Keys { after, buffer, ended } => {
                    while let Some((cursor, uid, keys)) = buffer.pop_front() {
                        *after = Some(cursor);
                        if self.plan.study_keys.iter().all(|test| test.accepts(&keys)) {
                            return Ok(Some((uid, None, true)));
                        }
                    }
                    if *ended {
                        return Ok(None);
                    }
                    let batch = self.index.study_keys(after.as_ref(), KEYS_BATCH)?;
                    *ended = batch.len() < KEYS_BATCH;
                    let read = batch.len() as u64;
                    buffer.extend(batch);
                    self.spend(read)?;
                }
            }
        }
    }

    fn accepts_study(&mut self, record: &StudyRecord, keys_decided: bool) -> Result<bool, QueryError> {
        let plan = &self.plan;
        let facts = &plan.study_facts;
        let alone = (keys_decided || plan.study_keys.iter().all(|test| test.accepts(&record.keys)))
            && plan
                .study_uids
                .as_ref()
                .is_none_or(|uids| uids.contains(&record.study_instance_uid))
            && plan.study.accept(record.attributes.iter())
            && facts
                .modalities
                .iter()
                .all(|test| test.accepts_text(&record.modalities_in_study.join("\\")))
            && facts.sop_classes.iter().all(|test| {
                record
                    .sop_classes_in_study
                    .iter()
                    .any(|class| test.accepts_text(class.as_str()))
            })
            && facts
                .number_of_series
                .as_ref()
                .is_none_or(|test| test.accepts_count(record.number_of_series))
            && facts
                .number_of_instances
                .as_ref()
                .is_none_or(|test| test.accepts_count(record.number_of_instances));
        if !alone || plan.level > Level::Study || !plan.has_series_tests() {
            return Ok(alone);
        }
        // Keys on series ask for studies with such a series.
        let series = self.index.series_of(&record.study_instance_uid)?;
        self.spend(SERIES_COST * series.len() as u64)?;
        Ok(series.iter().any(|record| self.accepts_series(record)))
    }

    fn accepts_series(&self, record: &SeriesRecord) -> bool {
        let count = self.plan.number_of_series_instances.as_ref();
        count.is_none_or(|test| test.accepts_count(record.number_of_instances))
            && self.plan.series.accept(record.attributes.iter())
    }

    fn next_series(&mut self) -> Result<bool, QueryError> {
        loop {
            let next = match &mut self.series {
                SeriesAhead::Known(series) => match series.next() {
                    None => return Ok(false),
                    Some(next) => {
                        if !self.enter_study(&next.study)? {
                            continue;
                        }
                        next
                    }
                },
                SeriesAhead::OfStudies(series) => match series.next() {
                    Some(record) => CurrentSeries {
                        study: record.study_instance_uid.clone(),
                        uid: record.series_instance_uid.clone(),
                        record: Some(record),
                    },
                    None => {
                        if !self.next_study()? {
                            return Ok(false);
                        }
                        if let Some(study) = &self.study {
                            self.series = SeriesAhead::OfStudies(self.index.series_of(&study.uid)?.into_iter());
                        }
                        continue;
                    }
                },
            };
            if next.record.as_ref().is_none_or(|record| self.accepts_series(record)) {
                self.current_series = Some(next);
                return Ok(true);
            }
            self.spend(SERIES_COST)?;
        }
    }

    /// Makes a study the current one on the way up from a series or instance; tells whether it matches.
    fn enter_study(&mut self, uid: &StudyInstanceUid) -> Result<bool, QueryError> {
        if let Some(study) = self.study.as_ref().filter(|study| study.uid == *uid) {
            return Ok(study.accepted);
        }
        let mut study = CurrentStudy {
            uid: uid.clone(),
            record: None,
            accepted: true,
        };
        if self.plan.needs_study() {
            self.spend(STUDY_COST)?;
            study.record = self.index.study(uid)?;
            study.accepted = match &study.record {
                Some(record) => self.accepts_study(record, false)?,
                None => false,
            };
        }
        let accepted = study.accepted;
        self.study = Some(study);
        Ok(accepted)
    }

    fn next_instance(&mut self) -> Result<bool, QueryError> {
        loop {
            let record = match &mut self.instances {
                InstancesAhead::Known(records) => match records.next() {
                    None => return Ok(false),
                    Some(record) => {
                        if !self.enter_series_of(&record)? {
                            continue;
                        }
                        record
                    }
                },
                InstancesAhead::OfSeries { after, buffer, ended } => match buffer.pop_front() {
                    Some((cursor, record)) => {
                        *after = Some(cursor);
                        self.taken_of_series += 1;
                        record
                    }
                    None if *ended => {
                        if !self.next_series()? {
                            return Ok(false);
                        }
                        self.instances = InstancesAhead::OfSeries {
                            after: None,
                            buffer: VecDeque::new(),
                            ended: false,
                        };
                        self.taken_of_series = 0;
                        continue;
                    }
                    None => {
                        let Some(series) = &self.current_series else {
                            return Ok(false);
                        };
                        let batch = self
                            .index
                            .instances_of(&series.study, &series.uid, after.as_ref(), self.batch)?;
                        *ended = batch.len() < self.batch;
                        buffer.extend(batch);
                        self.batch = (self.batch * 2).min(*BATCH.end());
                        continue;
                    }
                },
            };
            self.header = None;
            if self.accepts_instance(&record)? {
                self.instance = Some(record);
                return Ok(true);
            }
            self.spend(INSTANCE_COST)?;
        }
    }

    fn accepts_instance(&mut self, record: &InstanceRecord) -> Result<bool, QueryError> {
        let plan = &self.plan;
        let alone = plan
            .sop_class
            .as_ref()
            .is_none_or(|test| test.accepts_text(record.sop_class_uid.as_str()))
            && plan
                .transfer_syntax
                .as_ref()
                .is_none_or(|test| test.accepts_text(record.transfer_syntax_uid.as_str()))
            && plan.instance.accept(record.attributes.iter());
        if !alone || plan.header.is_empty() {
            return Ok(alone);
        }
        self.spend(HEADER_COST)?;
        let header = self.headers.header(record)?;
        let accepted = self.plan.header.accept(header.iter());
        self.header = Some(header);
        Ok(accepted)
    }

    /// Makes the series of an instance the current one; tells whether it and its study match.
    fn enter_series_of(&mut self, record: &InstanceRecord) -> Result<bool, QueryError> {
        if !self.enter_study(&record.study_instance_uid)? {
            return Ok(false);
        }
        let is_current = self.current_series.as_ref().is_some_and(|series| {
            series.uid == record.series_instance_uid && series.study == record.study_instance_uid
        });
        if !is_current {
            let mut series = CurrentSeries {
                study: record.study_instance_uid.clone(),
                uid: record.series_instance_uid.clone(),
                record: None,
            };
            if self.plan.has_series_tests() || self.plan.columns.of_series() {
                self.spend(SERIES_COST)?;
                let found = self.index.series_by_uid(&series.uid)?;
                series.record = found.into_iter().find(|found| found.study_instance_uid == series.study);
            }
            self.current_series = Some(series);
        }
        let series = self.current_series.as_ref().and_then(|series| series.record.as_ref());
        Ok(match series {
            Some(record) => self.accepts_series(record),
            None => !self.plan.has_series_tests(),
        })
    }

    // ---- short cuts

    /// Passes studies without reading their records; returns how many are still to be left out.
    fn skip_studies_by_keys(&mut self, count: u64) -> Result<u64, QueryError> {
        let index = Arc::clone(&self.index);
        let Studies::Selected { after, buffer, .. } = &mut self.studies else {
            return Ok(count);
        };
        if !buffer.is_empty() {
            return Ok(count);
        }
        let mut left = count;
        let mut read = 0;
        while left > 0 {
            let step = usize::try_from(left).unwrap_or(KEYS_BATCH).min(KEYS_BATCH);
            let batch = index.study_keys(after.as_ref(), step)?;
            let found = batch.len();
            if let Some((cursor, _, _)) = batch.into_iter().next_back() {
                *after = Some(cursor);
            }
            left -= found as u64;
            read += found as u64;
            if found < step {
                break;
            }
        }
        self.spend(read)?;
        Ok(left)
    }

    /// What is left of the last series of an instance search by the counts that the index keeps, the match that was found
    /// last among them. `None` when that does not say all.
    fn instances_left(&mut self) -> Result<Option<u64>, QueryError> {
        if self.plan.level != Level::Instance || self.plan.has_instance_tests() {
            return Ok(None);
        }
        let (InstancesAhead::OfSeries { buffer, ended, .. }, SeriesAhead::Known(series)) =
            (&self.instances, &self.series)
        else {
            return Ok(None);
        };
        if series.len() > 0 {
            return Ok(None);
        }
        let buffered = buffer.len() as u64 + 1;
        if *ended {
            return Ok(Some(buffered));
        }
        let Some(series) = &self.current_series else {
            return Ok(None);
        };
        let found = self.index.series_by_uid(&series.uid)?;
        let record = found
            .into_iter()
            .find(|record| record.study_instance_uid == series.study);
        Ok(record.map(|record| {
            (record.number_of_instances + 1)
                .saturating_sub(self.taken_of_series)
                .max(buffered)
        }))
    }

    // ---- answers

    fn answer(&mut self) -> Result<Answer, QueryError> {
        if self.plan.columns.of_header()
            && self.header.is_none()
            && let Some(record) = &self.instance
        {
            let header = self.headers.header(record)?;
            self.header = Some(header);
            self.spend(HEADER_COST)?;
        }
        if self.plan.columns.of_patient() {
            self.patient = self.patient_totals()?;
        }
        let below_study = self.plan.level > Level::Study;
        let study = self.study.as_ref();
        let series = self.current_series.as_ref().filter(|_| below_study);
        let study_uid = series.map(|series| &series.study).or(study.map(|study| &study.uid));
        let attributes = self.plan.columns.answer(Sources {
            study_instance_uid: study_uid.map(StudyInstanceUid::as_str).unwrap_or_default(),
            series_instance_uid: series.map(|series| series.uid.as_str()).unwrap_or_default(),
            study: study.and_then(|study| study.record.as_ref()),
            series: series.and_then(|series| series.record.as_ref()),
            instance: self.instance.as_ref(),
            header: self.header.as_ref(),
            patient: self.patient,
        });
        Ok(Answer {
            attributes,
            study_instance_uid: study_uid.filter(|_| self.plan.level > Level::Patient).cloned(),
            series_instance_uid: series.map(|series| series.uid.clone()),
        })
    }

    /// Sums over the studies of the current patient; `None` where no patient ID tells which they are.
    fn patient_totals(&mut self) -> Result<Option<PatientTotals>, QueryError> {
        let Some(keys) = self
            .study
            .as_ref()
            .and_then(|study| study.record.as_ref())
            .map(|record| record.keys.clone())
        else {
            return Ok(None);
        };
        if keys.patient_id.is_empty() {
            return Ok(None);
        }
        let selector = StudySelector::PatientId(keys.patient_id.clone());
        let mut totals = PatientTotals::default();
        let mut after = None;
        loop {
            let batch = self.index.studies(&selector, after.as_ref(), *BATCH.end())?;
            self.spend(STUDY_COST * batch.len() as u64)?;
            let ended = batch.len() < *BATCH.end();
            for (cursor, record) in batch {
                after = Some(cursor);
                if record.keys.patient_id == keys.patient_id
                    && record.keys.issuer_of_patient_id == keys.issuer_of_patient_id
                {
                    totals.studies += 1;
                    totals.series += record.number_of_series;
                    totals.instances += record.number_of_instances;
                }
            }
            if ended {
                return Ok(Some(totals));
            }
        }
    }
}
