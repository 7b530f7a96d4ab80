//! The index behind a veil: some instances are there and not shown. Whoever asks through it finds counts, series and studies as if
//! those had never come, so that no question has to know of it.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt,
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError},
};

use time::OffsetDateTime;

use super::{
    Index, IndexError, InstanceCursor, StudyCursor, StudySelector, Totals, WordPart, codec::Undecodable, keys,
};
use crate::model::{
    InstanceRecord, NameWord, SeriesInstanceUid, SeriesRecord, SopClassUid, SopInstanceUid, StudyInstanceUid,
    StudyKeys, StudyRecord,
};

/// (0008,0060).
const MODALITY: u32 = 0x0008_0060;
/// Instances read in one go.
const PAGE: usize = 512;
/// Studies whose counts are kept at hand.
const AT_HAND_MAX: usize = 4096;

/// The hidden instances of one study. What has changed is another one of these, never the same one changed.
pub type Hidden = Arc<HashSet<SopInstanceUid>>;

/// Says what is hidden. Asked for every study that is found: it answers from memory.
pub trait Veil: Send + Sync + fmt::Debug {
    /// What of a study is hidden; `None` where all of it is shown.
    fn of(&self, study: &StudyInstanceUid) -> Option<Hidden>;
}

/// The index as it is seen through a veil.
pub(crate) struct Veiled {
    index: Arc<dyn Index>,
    veil: Arc<dyn Veil>,
    at_hand: Mutex<HashMap<StudyInstanceUid, AtHand>>,
}

/// What was counted of a study, and what it was counted from.
struct AtHand {
    hidden: Hidden,
    instances: u64,
    length: u64,
    shown: Arc<Shown>,
}

/// What is seen of a study of which something is hidden. Series without an instance are not in it.
#[derive(Default)]
struct Shown {
    series: HashMap<SeriesInstanceUid, Counts>,
    modalities: BTreeSet<String>,
    sop_classes: BTreeSet<SopClassUid>,
}

struct Counts {
    instances: u64,
    length: u64,
    first_received_at: OffsetDateTime,
    last_received_at: OffsetDateTime,
}

impl Shown {
    fn of_study(&self, record: StudyRecord) -> Option<StudyRecord> {
        let series = || self.series.values();
        Some(StudyRecord {
            modalities_in_study: self.modalities.iter().cloned().collect(),
            sop_classes_in_study: self.sop_classes.iter().cloned().collect(),
            number_of_series: self.series.len() as u64,
            number_of_instances: series().map(|counts| counts.instances).sum(),
            length: series().map(|counts| counts.length).sum(),
            // Where there is no series, nothing is shown.
            first_received_at: series().map(|counts| counts.first_received_at).min()?,
            last_received_at: series().map(|counts| counts.last_received_at).max()?,
            ..record
        })
    }

    fn of_series(&self, record: SeriesRecord) -> Option<SeriesRecord> {
        let counts = self.series.get(&record.series_instance_uid)?;
        Some(SeriesRecord {
            number_of_instances: counts.instances,
            length: counts.length,
            first_received_at: counts.first_received_at,
            last_received_at: counts.last_received_at,
            ..record
        })
    }
}

impl Veiled {
    pub(crate) fn new(index: Arc<dyn Index>, veil: Arc<dyn Veil>) -> Self {
        Self {
            index,
            veil,
            at_hand: Mutex::default(),
        }
    }

    pub(crate) fn hides(&self, study: &StudyInstanceUid, instance: &SopInstanceUid) -> bool {
        self.veil.of(study).is_some_and(|hidden| hidden.contains(instance))
    }

    /// What is seen of a study; `None` where all of it is.
    fn shown(&self, record: &StudyRecord) -> Result<Option<Arc<Shown>>, IndexError> {
        let study = &record.study_instance_uid;
        let Some(hidden) = self.veil.of(study) else {
            return Ok(None);
        };
        let lock = || self.at_hand.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(study)
            && Arc::ptr_eq(&known.hidden, &hidden)
            && (known.instances, known.length) == (record.number_of_instances, record.length)
        {
            return Ok(Some(Arc::clone(&known.shown)));
        }
        let shown = Arc::new(self.count(study, &hidden)?);
        let mut at_hand = lock();
        if at_hand.len() >= AT_HAND_MAX {
            at_hand.clear();
        }
        at_hand.insert(
            study.clone(),
            AtHand {
                hidden,
                instances: record.number_of_instances,
                length: record.length,
                shown: Arc::clone(&shown),
            },
        );
        Ok(Some(shown))
    }

    fn count(&self, study: &StudyInstanceUid, hidden: &HashSet<SopInstanceUid>) -> Result<Shown, IndexError> {
        let mut shown = Shown::default();
        for series in self.index.series_of(study)? {
            let (uid, mut after) = (&series.series_instance_uid, None);
            loop {
                let page = self.index.instances_of(study, uid, after.as_ref(), PAGE)?;
                let Some((last, _)) = page.last() else { break };
                after = Some(last.clone());
                for (_, record) in page {
                    if hidden.contains(&record.sop_instance_uid) {
                        continue;
                    }
                    let counts = shown.series.entry(uid.clone()).or_insert(Counts {
                        instances: 0,
                        length: 0,
                        first_received_at: record.received_at,
                        last_received_at: record.received_at,
                    });
                    counts.instances += 1;
                    counts.length += record.length;
                    counts.first_received_at = counts.first_received_at.min(record.received_at);
                    counts.last_received_at = counts.last_received_at.max(record.received_at);
                    shown.sop_classes.insert(record.sop_class_uid);
                }
            }
            let modality = series.attributes.text(MODALITY).trim();
            if shown.series.contains_key(uid) && !modality.is_empty() {
                shown.modalities.insert(modality.to_owned());
            }
        }
        Ok(shown)
    }

    fn study_as_shown(&self, record: StudyRecord) -> Result<Option<StudyRecord>, IndexError> {
        Ok(match self.shown(&record)? {
            None => Some(record),
            Some(shown) => shown.of_study(record),
        })
    }

    /// True when nothing of a study is shown.
    fn is_wholly_hidden(&self, study: &StudyInstanceUid) -> Result<bool, IndexError> {
        if self.veil.of(study).is_none() {
            return Ok(false);
        }
        match self.index.study(study)? {
            Some(record) => Ok(self.study_as_shown(record)?.is_none()),
            None => Ok(true),
        }
    }

    fn series_as_shown(&self, records: Vec<SeriesRecord>) -> Result<Vec<SeriesRecord>, IndexError> {
        let mut answers = Vec::with_capacity(records.len());
        let mut latest: Option<(StudyInstanceUid, Option<Arc<Shown>>)> = None;
        for record in records {
            let study = &record.study_instance_uid;
            if latest.as_ref().is_none_or(|(known, _)| known != study) {
                let shown = match self.veil.of(study) {
                    None => None,
                    Some(_) => match self.index.study(study)? {
                        Some(study) => self.shown(&study)?,
                        None => None,
                    },
                };
                latest = Some((study.clone(), shown));
            }
            match latest.as_ref().and_then(|(_, shown)| shown.as_ref()) {
                None => answers.push(record),
                Some(shown) => answers.extend(shown.of_series(record)),
            }
        }
        Ok(answers)
    }
}

/// Takes pages until `limit` answers are found or there are no more: what is left out must not make a page look like the last.
fn filled<C: Clone, T>(
    after: Option<&C>,
    limit: usize,
    mut page: impl FnMut(Option<&C>, usize) -> Result<Vec<(C, T)>, IndexError>,
    mut show: impl FnMut(T) -> Result<Option<T>, IndexError>,
) -> Result<Vec<(C, T)>, IndexError> {
    let mut answers: Vec<(C, T)> = Vec::new();
    let mut after = after.cloned();
    while answers.len() < limit {
        let wanted = limit - answers.len();
        let found = page(after.as_ref(), wanted)?;
        let is_end = found.len() < wanted;
        after = found.last().map(|(cursor, _)| cursor.clone()).or(after);
        for (cursor, record) in found {
            answers.extend(show(record)?.map(|record| (cursor, record)));
        }
        if is_end {
            break;
        }
    }
    Ok(answers)
}

impl Index for Veiled {
    fn study(&self, study: &StudyInstanceUid) -> Result<Option<StudyRecord>, IndexError> {
        match self.index.study(study)? {
            Some(record) => self.study_as_shown(record),
            None => Ok(None),
        }
    }

    fn studies(
        &self,
        selector: &StudySelector,
        after: Option<&StudyCursor>,
        limit: usize,
    ) -> Result<Vec<(StudyCursor, StudyRecord)>, IndexError> {
        let page = |after: Option<&StudyCursor>, wanted| self.index.studies(selector, after, wanted);
        filled(after, limit, page, |record| self.study_as_shown(record))
    }

    fn study_keys(
        &self,
        selector: &StudySelector,
        after: Option<&StudyCursor>,
        limit: usize,
    ) -> Result<Vec<(StudyCursor, StudyInstanceUid, StudyKeys)>, IndexError> {
        let page = |after: Option<&StudyCursor>, wanted| {
            let found = self.index.study_keys(selector, after, wanted)?;
            Ok(found
                .into_iter()
                .map(|(cursor, study, keys)| (cursor, (study, keys)))
                .collect())
        };
        let found = filled(after, limit, page, |(study, keys)| {
            Ok((!self.is_wholly_hidden(&study)?).then_some((study, keys)))
        })?;
        Ok(found
            .into_iter()
            .map(|(cursor, (study, keys))| (cursor, study, keys))
            .collect())
    }

    fn study_places(
        &self,
        selector: &StudySelector,
        after: Option<&StudyCursor>,
        limit: usize,
    ) -> Result<Vec<StudyCursor>, IndexError> {
        let page = |after: Option<&StudyCursor>, wanted| {
            let found = self.index.study_places(selector, after, wanted)?;
            Ok(found.into_iter().map(|cursor| (cursor.clone(), cursor)).collect())
        };
        let found = filled(after, limit, page, |cursor| {
            let uid = keys::study_uid_of_place(&cursor.0).ok_or(Undecodable("the place of a study"))?;
            let study = StudyInstanceUid::new(&uid)?;
            Ok((!self.is_wholly_hidden(&study)?).then_some(cursor))
        })?;
        Ok(found.into_iter().map(|(cursor, _)| cursor).collect())
    }

    /// Words lead to studies, which are looked at.
    fn name_words(
        &self,
        part: WordPart<'_>,
        visit: &mut dyn FnMut(NameWord) -> ControlFlow<()>,
    ) -> Result<(), IndexError> {
        self.index.name_words(part, visit)
    }

    /// Of all that is held, shown or not.
    fn totals(&self) -> Result<Totals, IndexError> {
        self.index.totals()
    }

    fn series_of(&self, study: &StudyInstanceUid) -> Result<Vec<SeriesRecord>, IndexError> {
        self.series_as_shown(self.index.series_of(study)?)
    }

    fn series_by_uid(&self, series: &SeriesInstanceUid) -> Result<Vec<SeriesRecord>, IndexError> {
        self.series_as_shown(self.index.series_by_uid(series)?)
    }

    fn instances_of(
        &self,
        study: &StudyInstanceUid,
        series: &SeriesInstanceUid,
        after: Option<&InstanceCursor>,
        limit: usize,
    ) -> Result<Vec<(InstanceCursor, InstanceRecord)>, IndexError> {
        let Some(hidden) = self.veil.of(study) else {
            return self.index.instances_of(study, series, after, limit);
        };
        let page = |after: Option<&InstanceCursor>, wanted: usize| {
            self.index.instances_of(study, series, after, wanted.max(64))
        };
        let mut found = filled(after, limit, page, |record| {
            Ok((!hidden.contains(&record.sop_instance_uid)).then_some(record))
        })?;
        found.truncate(limit);
        Ok(found)
    }

    fn instance(&self, sop_instance: &SopInstanceUid) -> Result<Option<InstanceRecord>, IndexError> {
        let found = self.index.instance(sop_instance)?;
        Ok(found.filter(|record| !self.hides(&record.study_instance_uid, sop_instance)))
    }
}
