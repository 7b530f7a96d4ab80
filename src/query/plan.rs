//! A question made ready: keys read once and sorted to where they are decided, the narrowest way in, and what to return.

use filmroom_privacy::Sight;
use filmroom_storage::{
    index::StudySelector,
    model::{SeriesInstanceUid, SopInstanceUid, StudyInstanceUid, StudyKeys, Tag},
};

use super::{
    Include, Key, Level, Query, QueryError,
    columns::Columns,
    filter::{KEYS_MAX, span_of},
    levels,
    matching::{EmptyValues, Names, Reading, Test},
    names::Wanted,
    temporal::{Kind, Span, combine},
    tree::{DEPTH_MAX, Tests},
};

const SPECIFIC_CHARACTER_SET: Tag = 0x0008_0005;
const SOP_CLASS_UID: Tag = 0x0008_0016;
const SOP_INSTANCE_UID: Tag = 0x0008_0018;
const STUDY_DATE: Tag = 0x0008_0020;
const ACCESSION_NUMBER: Tag = 0x0008_0050;
const QUERY_RETRIEVE_LEVEL: Tag = 0x0008_0052;
const RETRIEVE_AE_TITLE: Tag = 0x0008_0054;
const INSTANCE_AVAILABILITY: Tag = 0x0008_0056;
const MODALITY: Tag = 0x0008_0060;
const MODALITIES_IN_STUDY: Tag = 0x0008_0061;
const SOP_CLASSES_IN_STUDY: Tag = 0x0008_0062;
const RETRIEVE_URL: Tag = 0x0008_1190;
const AVAILABLE_TRANSFER_SYNTAX_UID: Tag = 0x0008_3002;
const PATIENT_NAME: Tag = 0x0010_0010;
const PATIENT_ID: Tag = 0x0010_0020;
const ISSUER_OF_PATIENT_ID: Tag = 0x0010_0021;
const STUDY_INSTANCE_UID: Tag = 0x0020_000D;
const SERIES_INSTANCE_UID: Tag = 0x0020_000E;
const NUMBER_OF_STUDY_RELATED_SERIES: Tag = 0x0020_1206;
const NUMBER_OF_STUDY_RELATED_INSTANCES: Tag = 0x0020_1208;
const NUMBER_OF_SERIES_RELATED_INSTANCES: Tag = 0x0020_1209;

/// Dates and the times that belong to them.
const MOMENTS: [(Tag, Tag); 7] = [
    (STUDY_DATE, 0x0008_0030),
    (0x0008_0021, 0x0008_0031),
    (0x0008_0022, 0x0008_0032),
    (0x0008_0023, 0x0008_0033),
    (0x0008_0012, 0x0008_0013),
    (0x0040_0244, 0x0040_0245),
    (0x0040_0250, 0x0040_0251),
];

/// A key that the keys of a study decide, so that its record need not be read.
#[derive(Debug)]
pub(super) enum KeyTest {
    PatientId(Test),
    Issuer(Test),
    Names(Test),
    AccessionNumber(Test),
}

impl KeyTest {
    pub(super) fn accepts(&self, keys: &StudyKeys) -> bool {
        match self {
            Self::PatientId(test) => test.accepts_text(&keys.patient_id),
            Self::Issuer(test) => test.accepts_text(&keys.issuer_of_patient_id),
            Self::Names(test) => test.accepts_names(&keys.patient_names),
            Self::AccessionNumber(test) => test.accepts_text(&keys.accession_number),
        }
    }
}

/// What the archive counts and gathers of a study, as keys.
#[derive(Debug, Default)]
pub(super) struct StudyFacts {
    pub(super) modalities: Vec<Test>,
    pub(super) sop_classes: Vec<Test>,
    pub(super) number_of_series: Option<Test>,
    pub(super) number_of_instances: Option<Test>,
}

impl StudyFacts {
    fn is_empty(&self) -> bool {
        self.modalities.is_empty()
            && self.sop_classes.is_empty()
            && self.number_of_series.is_none()
            && self.number_of_instances.is_none()
    }
}

/// A question made ready.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) level: Level,
    /// The way in, and whether none by words of names can be much narrower.
    pub(super) selector: StudySelector,
    pub(super) is_narrow: bool,
    pub(super) sight: Sight,
    /// Words that the patient's name must have.
    pub(super) wanted: Vec<Wanted>,
    pub(super) study_uids: Option<Vec<StudyInstanceUid>>,
    pub(super) series_uids: Option<Vec<SeriesInstanceUid>>,
    pub(super) sop_uids: Option<Vec<SopInstanceUid>>,
    pub(super) study_keys: Vec<KeyTest>,
    pub(super) study_facts: StudyFacts,
    pub(super) study: Tests,
    pub(super) number_of_series_instances: Option<Test>,
    pub(super) series: Tests,
    pub(super) sop_class: Option<Test>,
    pub(super) transfer_syntax: Option<Test>,
    pub(super) instance: Tests,
    /// Keys on attributes that only headers hold, at instance level.
    pub(super) header: Tests,
    pub(super) columns: Columns,
    pub(super) ignored: Vec<Vec<Tag>>,
}

impl Plan {
    pub(super) fn new(query: &Query) -> Result<Self, QueryError> {
        if query.keys.len() > KEYS_MAX {
            return Err(QueryError::TooBroad(format!(
                "{} keys, at most {KEYS_MAX} are matched at once",
                query.keys.len()
            )));
        }
        if query
            .keys
            .iter()
            .any(|key| key.path.is_empty() || key.path.len() > DEPTH_MAX)
        {
            let reason = format!("it is empty or deeper than {DEPTH_MAX}");
            return Err(QueryError::Value {
                keyword: "an attribute path".to_owned(),
                reason,
            });
        }
        let mut plan = Self {
            level: query.level,
            selector: StudySelector::All,
            is_narrow: false,
            sight: query.sight.clone(),
            wanted: Vec::new(),
            study_uids: None,
            series_uids: None,
            sop_uids: None,
            study_keys: Vec::new(),
            study_facts: StudyFacts::default(),
            study: Tests::default(),
            number_of_series_instances: None,
            series: Tests::default(),
            sop_class: None,
            transfer_syntax: None,
            instance: Tests::default(),
            header: Tests::default(),
            columns: Columns::new(query),
            ignored: Vec::new(),
        };
        let reading = Reading {
            names: if query.fuzzy { Names::Like } else { Names::Literal },
            empty_values: if query.empty_value_matching {
                EmptyValues::Matched
            } else {
                EmptyValues::Literal
            },
        };
        let mut ways = Ways::default();
        let moments = if query.combined_datetime {
            plan.add_moments(&query.keys, &mut ways)?
        } else {
            Vec::new()
        };
        for key in query.keys.iter().filter(|key| !is_of_a_moment(&key.path, &moments)) {
            if let Some(test) = Test::new(&key.path, &key.value, reading)? {
                ways.consider(&key.path, &test, &key.value);
                plan.add(&key.path, test)?;
            }
        }
        plan.wanted = std::mem::take(&mut ways.wanted);
        (plan.selector, plan.is_narrow) = ways.narrowest(plan.study_uids.as_deref());
        Ok(plan)
    }

    /// Dates with their times that are both asked for become one range each; tells which.
    fn add_moments(&mut self, keys: &[Key], ways: &mut Ways) -> Result<Vec<(Tag, Tag)>, QueryError> {
        let mut found = Vec::new();
        for (date_tag, time_tag) in MOMENTS {
            let (Some(date), Some(time)) = (
                span_of(keys, &[date_tag], Kind::Date)?,
                span_of(keys, &[time_tag], Kind::Time)?,
            ) else {
                continue;
            };
            let span = combine(date, time);
            match self.home_of(&[date_tag]) {
                Some(Level::Patient | Level::Study) => {
                    self.study.add_moment(date_tag, time_tag, span);
                    if let Some(key) = keys.iter().find(|key| key.path == [date_tag]) {
                        ways.consider(&key.path, &Test::Temporal(Kind::Date, vec![date]), &key.value);
                    }
                }
                Some(Level::Series) => self.series.add_moment(date_tag, time_tag, span),
                Some(Level::Instance) => self.instance.add_moment(date_tag, time_tag, span),
                None if self.level == Level::Instance => self.header.add_moment(date_tag, time_tag, span),
                None => self.ignored.extend([vec![date_tag], vec![time_tag]]),
            }
            found.push((date_tag, time_tag));
        }
        Ok(found)
    }

    /// The level that decides a key; keys below the answers' level that cannot be decided there are told as `None`.
    fn home_of(&self, path: &[Tag]) -> Option<Level> {
        let home = path.first().and_then(|tag| levels::home(*tag, self.level))?;
        let below = home == Level::Instance && self.level < Level::Instance;
        (!below).then_some(home)
    }

    fn add(&mut self, path: &[Tag], test: Test) -> Result<(), QueryError> {
        let at_study = self.level <= Level::Study;
        match path {
            [SPECIFIC_CHARACTER_SET | QUERY_RETRIEVE_LEVEL | RETRIEVE_AE_TITLE | RETRIEVE_URL] => {}
            [INSTANCE_AVAILABILITY] if test.accepts_text("ONLINE") => {}
            [STUDY_INSTANCE_UID] => narrow(&mut self.study_uids, uids(test, StudyInstanceUid::new)),
            [SERIES_INSTANCE_UID] => narrow(&mut self.series_uids, uids(test, SeriesInstanceUid::new)),
            [SOP_INSTANCE_UID] => narrow(&mut self.sop_uids, uids(test, SopInstanceUid::new)),
            [MODALITIES_IN_STUDY] => self.study_facts.modalities.push(test),
            [MODALITY] if at_study => self.study_facts.modalities.push(test),
            [SOP_CLASSES_IN_STUDY] => self.study_facts.sop_classes.push(test),
            [SOP_CLASS_UID] => {
                // Also above instance level: a study without the class holds no such series or instance.
                self.study_facts.sop_classes.push(test.clone());
                match self.level {
                    Level::Instance => self.sop_class = Some(test),
                    Level::Series => self.ignored.push(path.to_vec()),
                    Level::Patient | Level::Study => {}
                }
            }
            [NUMBER_OF_STUDY_RELATED_SERIES] => self.study_facts.number_of_series = Some(test),
            [NUMBER_OF_STUDY_RELATED_INSTANCES] => self.study_facts.number_of_instances = Some(test),
            [NUMBER_OF_SERIES_RELATED_INSTANCES] if !at_study => self.number_of_series_instances = Some(test),
            [AVAILABLE_TRANSFER_SYNTAX_UID] if self.level == Level::Instance => self.transfer_syntax = Some(test),
            [PATIENT_ID] => self.study_keys.push(KeyTest::PatientId(test)),
            [ISSUER_OF_PATIENT_ID] => self.study_keys.push(KeyTest::Issuer(test)),
            [PATIENT_NAME] => self.study_keys.push(KeyTest::Names(test)),
            [ACCESSION_NUMBER] => self.study_keys.push(KeyTest::AccessionNumber(test)),
            _ => match self.home_of(path) {
                Some(Level::Patient | Level::Study) => self.study.add(path, test)?,
                Some(Level::Series) => self.series.add(path, test)?,
                Some(Level::Instance) => self.instance.add(path, test)?,
                None if self.level == Level::Instance => self.header.add(path, test)?,
                None => self.ignored.push(path.to_vec()),
            },
        }
        Ok(())
    }

    /// True when records of studies must be read to decide or to answer.
    pub(super) fn needs_study(&self) -> bool {
        self.has_study_tests() || self.columns.of_study()
    }

    /// True when something about a study is asked beside its UID.
    pub(super) fn has_study_tests(&self) -> bool {
        !self.study_keys.is_empty() || !self.study_facts.is_empty() || !self.study.is_empty()
    }

    /// True when something about a series is asked beside its UID.
    pub(super) fn has_series_tests(&self) -> bool {
        !self.series.is_empty() || self.number_of_series_instances.is_some()
    }

    /// True when something about an instance is asked beside its UID.
    pub(super) fn has_instance_tests(&self) -> bool {
        self.sop_class.is_some()
            || self.transfer_syntax.is_some()
            || !self.instance.is_empty()
            || !self.header.is_empty()
    }

    /// True when nothing at all is asked, by who sees all: every answer of the level matches.
    pub(super) fn is_universal(&self) -> bool {
        self.sight.is_all()
            && self.study_uids.is_none()
            && self.series_uids.is_none()
            && self.sop_uids.is_none()
            && !self.has_study_tests()
            && !self.has_series_tests()
            && !self.has_instance_tests()
    }
}

fn is_of_a_moment(path: &[Tag], moments: &[(Tag, Tag)]) -> bool {
    moments.iter().any(|(date, time)| path == [*date] || path == [*time])
}

/// Two keys on one attribute must both match: the path's and the query's.
fn narrow<T: PartialEq>(uids: &mut Option<Vec<T>>, asked: Vec<T>) {
    match uids {
        Some(uids) => uids.retain(|uid| asked.contains(uid)),
        None => *uids = Some(asked),
    }
}

/// The UIDs of a key; they were checked when it was read.
fn uids<T>(test: Test, new: impl Fn(&str) -> Result<T, filmroom_storage::model::UidError>) -> Vec<T> {
    match test {
        Test::OneOf(values) => values.iter().filter_map(|value| new(value).ok()).collect(),
        _ => Vec::new(),
    }
}

/// The ways in that the keys offer.
#[derive(Debug, Default)]
struct Ways {
    accession_number: Option<String>,
    patient_id: Option<String>,
    wanted: Vec<Wanted>,
    study_date: Option<Span>,
    study_date_texts: Option<(Option<String>, Option<String>)>,
    modality: Option<String>,
}

impl Ways {
    fn consider(&mut self, path: &[Tag], test: &Test, text: &str) {
        match (path, test) {
            ([ACCESSION_NUMBER], Test::Text(tests)) => self.accession_number = only_exact(tests),
            ([PATIENT_ID], Test::Text(tests)) => self.patient_id = only_exact(tests),
            ([MODALITIES_IN_STUDY | MODALITY], Test::Text(tests)) => self.modality = only_exact(tests),
            ([PATIENT_NAME], Test::Name(tests)) => {
                if let [test] = tests.as_slice() {
                    self.wanted.extend(test.wanted());
                }
            }
            ([PATIENT_NAME], Test::Like(tests)) => {
                if let [test] = tests.as_slice() {
                    self.wanted.extend(test.wanted());
                }
            }
            ([STUDY_DATE], Test::Temporal(Kind::Date, spans)) => {
                if let [span] = spans.as_slice() {
                    self.study_date = Some(*span);
                    self.study_date_texts = Some(date_texts(text));
                }
            }
            _ => {}
        }
    }

    /// The narrowest way, and whether it leads to few studies.
    fn narrowest(self, study_uids: Option<&[StudyInstanceUid]>) -> (StudySelector, bool) {
        if let Some(uids) = study_uids {
            return (StudySelector::Uids(uids.to_vec()), true);
        }
        let by_id = self
            .accession_number
            .map(StudySelector::AccessionNumber)
            .or(self.patient_id.map(StudySelector::PatientId));
        if let Some(selector) = by_id {
            return (selector, true);
        }
        let one_day = self
            .study_date
            .is_some_and(|span| span.from.is_some() && span.from == span.to);
        if let Some((from, to)) = self.study_date_texts {
            return (StudySelector::StudyDate { from, to }, one_day);
        }
        let by_modality = self.modality.map(StudySelector::Modality);
        (by_modality.unwrap_or(StudySelector::All), false)
    }
}

fn only_exact(tests: &[super::matching::TextTest]) -> Option<String> {
    match tests {
        [super::matching::TextTest::Exact(text)] => Some(text.to_string()),
        _ => None,
    }
}

/// The bounds of a date key as the index keeps dates: `YYYYMMDD`.
fn date_texts(text: &str) -> (Option<String>, Option<String>) {
    let plain = |text: &str| {
        let text = text.trim().trim_matches('\0').replace('.', "");
        (!text.is_empty()).then_some(text)
    };
    match text.split_once('-') {
        Some((from, to)) => (plain(from), plain(to)),
        None => (plain(text), plain(text)),
    }
}

/// What is returned beside what a level always returns.
pub(super) fn asked_tags(query: &Query) -> impl Iterator<Item = Tag> {
    let listed: &[Tag] = match &query.include {
        Include::Listed(tags) | Include::Exactly(tags) => tags,
        Include::All => &[],
    };
    let of_keys = query.keys.iter().filter_map(|key| key.path.first());
    of_keys.chain(listed).chain(&query.also).copied()
}
