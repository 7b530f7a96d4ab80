//! Takes instances out of the index: afterwards it is as if they had never come, but for their tombstones.

use std::collections::{BTreeSet, HashMap, HashSet};

use time::OffsetDateTime;

use super::{
    Catalog, CatalogWriter, Index, IndexError,
    changes::ChangeRow,
    codec::Encoder,
    engine::Batch,
    keys,
    rows::{SeriesCounts, SeriesRow, StudyCounts, StudyRow, encode_keys},
    words,
};
use crate::model::{Description, InstanceRecord, SeriesInstanceUid, SopInstanceUid, StudyInstanceUid, name_words};

const MODALITY: u32 = 0x0008_0060;
const SERIES_NUMBER: u32 = 0x0020_0011;
/// Records read in one go.
const PAGE: usize = 1000;

/// Instances of one study that are to go.
#[derive(Debug)]
pub struct Destruction {
    /// The study.
    pub study: StudyInstanceUid,
    /// Those of its instances that go; others are passed over.
    pub instances: HashSet<SopInstanceUid>,
    /// Number of the decision.
    pub decision: u64,
    /// What describes the study and each of its series from now on, by series: the instance that was received first of
    /// those that stay. A series without one is gone.
    pub heirs: HashMap<SeriesInstanceUid, Heir>,
}

/// The instance that describes its series from now on.
#[derive(Debug)]
pub struct Heir {
    /// What its data set says.
    pub description: Description,
    /// When it was received.
    pub received_at: OffsetDateTime,
}

impl Catalog {
    /// The instance of each series of a study that was received first of all but `instances`.
    ///
    /// # Errors
    /// [`IndexError`] when the engine fails.
    pub fn heirs(
        &self,
        study: &StudyInstanceUid,
        instances: &HashSet<SopInstanceUid>,
    ) -> Result<Vec<InstanceRecord>, IndexError> {
        let mut heirs = Vec::new();
        for series in self.series_of(study)? {
            let mut first: Option<InstanceRecord> = None;
            self.each_instance(study, &series.series_instance_uid, &mut |record| {
                let is_earlier = first
                    .as_ref()
                    .is_none_or(|first| record.received_at < first.received_at);
                if is_earlier && !instances.contains(&record.sop_instance_uid) {
                    first = Some(record);
                }
            })?;
            heirs.extend(first);
        }
        Ok(heirs)
    }

    fn each_instance(
        &self,
        study: &StudyInstanceUid,
        series: &SeriesInstanceUid,
        visit: &mut dyn FnMut(InstanceRecord),
    ) -> Result<(), IndexError> {
        let mut after = None;
        loop {
            let page = self.instances_of(study, series, after.as_ref(), PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            page.into_iter().for_each(|(_, record)| visit(record));
        }
    }
}

impl CatalogWriter {
    /// Takes instances out and sets their tombstones, in one batch. What is out already stays out.
    ///
    /// # Errors
    /// [`IndexError`]: nothing was written.
    pub fn destroy(&mut self, destruction: &Destruction) -> Result<(), IndexError> {
        let result = self.try_destroy(destruction);
        // What is kept at hand of the study is not what it was.
        self.forget()?;
        result
    }

    fn try_destroy(&mut self, destruction: &Destruction) -> Result<(), IndexError> {
        let mut batch = Batch::default();
        self.put_tombstones(&mut batch, destruction.instances.iter(), destruction.decision);
        let uid = &destruction.study;
        let Some(study) = self.catalog.study_row(uid)? else {
            return self.apply(batch);
        };
        let mut changes = ChangeRow::new(OffsetDateTime::now_utc());
        let (mut counts, mut modalities, mut classes) = (None::<StudyCounts>, BTreeSet::new(), BTreeSet::new());
        let mut first_heir: Option<&Heir> = None;
        for series in self.catalog.series_of(uid)? {
            let heir = destruction.heirs.get(&series.series_instance_uid);
            let Some(left) = self.destroy_in_series(
                &mut batch,
                &mut changes,
                destruction,
                &study,
                &series.series_instance_uid,
                heir,
            )?
            else {
                continue;
            };
            if let Some(heir) = heir {
                let modality = heir.description.series.text(MODALITY);
                if !modality.is_empty() {
                    modalities.insert(modality.to_owned());
                }
                if first_heir.is_none_or(|first| heir.received_at < first.received_at) {
                    first_heir = Some(heir);
                }
            }
            classes.extend(left.sop_classes);
            let counts = counts.get_or_insert_with(|| StudyCounts::new(left.counts.first_received_at));
            counts.first_received_at = counts.first_received_at.min(left.counts.first_received_at);
            counts.last_received_at = counts.last_received_at.max(left.counts.last_received_at);
            counts.series += 1;
            counts.instances += left.counts.instances;
            counts.length += left.counts.length;
        }
        let before = self.catalog.study_counts(study.id)?;
        self.remove_study_keys(&mut batch, uid, &study, &before)?;
        match (counts, first_heir) {
            (Some(mut counts), Some(heir)) => {
                counts.modalities = modalities.into_iter().collect();
                for class in classes {
                    // They were there before, and keep their numbers.
                    if let Ok(id) = self.catalog.interned_id(&class) {
                        counts.sop_classes.push(id);
                    }
                }
                put_study(&mut batch, uid, study.id, &heir.description, &counts);
            }
            _ => {
                batch.remove(keys::by_uid(keys::STUDY, uid.as_str()));
                batch.remove(keys::by_id(keys::STUDY_COUNTS, study.id));
                self.state.totals.studies = self.state.totals.studies.saturating_sub(1);
            }
        }
        changes.put(&mut batch, self.state.generation + 1);
        self.apply(batch)
    }

    /// What is left of a series; `None` when nothing is.
    fn destroy_in_series(
        &mut self,
        batch: &mut Batch,
        changes: &mut ChangeRow,
        destruction: &Destruction,
        study: &StudyRow,
        uid: &SeriesInstanceUid,
        heir: Option<&Heir>,
    ) -> Result<Option<Left>, IndexError> {
        let Some((_, row)) = self.catalog.find_series(&destruction.study, uid)? else {
            return Ok(None);
        };
        let before = self.catalog.series_counts(row.id)?;
        let (mut staying, mut going) = (Vec::new(), Vec::new());
        self.catalog.each_instance(&destruction.study, uid, &mut |record| {
            let is_going = destruction.instances.contains(&record.sop_instance_uid);
            if is_going { &mut going } else { &mut staying }.push(record);
        })?;
        for record in &going {
            if let Some(found) = self.catalog.instance_row(&record.sop_instance_uid)? {
                batch.remove(found.key);
                batch.remove(keys::by_uid(keys::SOP_INSTANCE, record.sop_instance_uid.as_str()));
                changes.destroyed(
                    destruction.study.as_str(),
                    uid.as_str(),
                    record.sop_instance_uid.as_str(),
                );
            }
            let totals = &mut self.state.totals;
            totals.instances = totals.instances.saturating_sub(1);
            totals.length = totals.length.saturating_sub(record.length);
        }
        let number = keys::ascending(row.attributes.text(SERIES_NUMBER));
        let (Some(heir), Some(first)) = (heir, staying.first()) else {
            batch.remove(keys::series(study.id, number, uid.as_str()));
            batch.remove(keys::series_by_uid(uid.as_str(), study.id));
            batch.remove(keys::by_id(keys::SERIES_COUNTS, row.id));
            batch.remove(keys::by_id(keys::SERIES_UIDS, row.id));
            for (pack, _) in self.catalog.packs_of(&destruction.study, uid)? {
                batch.remove(keys::pack(row.id, pack));
            }
            self.state.totals.series = self.state.totals.series.saturating_sub(1);
            return Ok(None);
        };
        let mut counts = SeriesCounts {
            next_pack: before.next_pack,
            ..SeriesCounts::new(first.received_at)
        };
        let mut sop_classes = BTreeSet::new();
        for record in &staying {
            counts.count(record.length, record.received_at);
            sop_classes.insert(record.sop_class_uid.as_str().to_owned());
        }
        let attributes = heir.description.series.clone();
        batch.remove(keys::series(study.id, number, uid.as_str()));
        let number = keys::ascending(attributes.text(SERIES_NUMBER));
        let described = SeriesRow { id: row.id, attributes };
        batch.put(keys::series(study.id, number, uid.as_str()), described.encode());
        batch.put(keys::series_by_uid(uid.as_str(), study.id), number.to_vec());
        batch.put(keys::by_id(keys::SERIES_COUNTS, row.id), counts.encode());
        Ok(Some(Left { counts, sop_classes }))
    }

    fn remove_study_keys(
        &self,
        batch: &mut Batch,
        uid: &StudyInstanceUid,
        study: &StudyRow,
        counts: &StudyCounts,
    ) -> Result<(), IndexError> {
        let place = keys::study_place(&study.keys.study_date, uid.as_str());
        batch.remove(keys::with_place(keys::STUDY_ORDER, &place));
        for (kind, text) in texts(&study.keys, &counts.modalities) {
            batch.remove(keys::by_text(kind, text, &place));
        }
        for word in name_words(&study.keys.patient_names) {
            batch.remove(words::posting(&word, &place));
            // Nothing is to tell of a patient whose last study is gone.
            if self.catalog.is_only_place_of(&word, &place)? {
                words::remove_from_lexicon(batch, &word);
            }
        }
        Ok(())
    }
}

/// What stays of a series.
struct Left {
    counts: SeriesCounts,
    sop_classes: BTreeSet<String>,
}

/// The texts that a study is found by.
fn texts<'a>(keys: &'a crate::model::StudyKeys, modalities: &'a [String]) -> impl Iterator<Item = (u8, &'a str)> {
    let single = [
        (keys::PATIENT_ID, keys.patient_id.as_str()),
        (keys::ACCESSION, keys.accession_number.as_str()),
    ];
    let modalities = modalities.iter().map(|modality| (keys::MODALITY, modality.as_str()));
    single.into_iter().chain(modalities)
}

fn put_study(batch: &mut Batch, uid: &StudyInstanceUid, id: u32, heir: &Description, counts: &StudyCounts) {
    let row = StudyRow {
        id,
        keys: heir.keys.clone(),
        attributes: heir.study.clone(),
    };
    batch.put(keys::by_uid(keys::STUDY, uid.as_str()), row.encode());
    batch.put(keys::by_id(keys::STUDY_COUNTS, id), counts.encode());
    let place = keys::study_place(&row.keys.study_date, uid.as_str());
    let mut order = Encoder::default();
    encode_keys(&mut order, &row.keys);
    batch.put(keys::with_place(keys::STUDY_ORDER, &place), order.finish());
    for (kind, text) in texts(&row.keys, &counts.modalities) {
        batch.put(keys::by_text(kind, text, &place), Vec::new());
    }
    for word in name_words(&row.keys.patient_names) {
        batch.put(words::posting(&word, &place), Vec::new());
        // Also those that are known: the batch may have taken them out.
        words::put_in_lexicon(batch, &word);
    }
}
