//! The one writer of the index.

use std::{collections::HashMap, sync::Arc};

use time::OffsetDateTime;

use super::{
    IndexError,
    catalog::{Catalog, INSTANCE_NUMBER},
    changes::ChangeRow,
    codec::Encoder,
    engine::Batch,
    instance_row::InstanceRow,
    keys::{self, SeriesId, StudyId},
    rows::{Position, SeriesCounts, SeriesRow, State, StudyCounts, StudyRow, encode_keys, encode_uids, whole_micros},
    words,
};
use crate::model::{Description, InstanceRecord, Location, SeriesInstanceUid, StudyInstanceUid, name_words};

/// Studies and series that the writer keeps at hand; beyond it they are read again.
const AT_HAND: usize = 4096;

const MODALITY: u32 = 0x0008_0060;
const SERIES_NUMBER: u32 = 0x0020_0011;

/// An instance to be indexed.
#[derive(Debug)]
pub struct Addition {
    /// What its data set says.
    pub description: Description,
    /// Where its bytes lie.
    pub location: Location,
    /// Bytes of the Part 10 file.
    pub length: u64,
    /// Bytes before the data set.
    pub data_set_offset: u64,
    /// SHA-256 of the data set, where it is known yet.
    pub sha256: Option<[u8; 32]>,
    /// CRC-32 of the Part 10 file.
    pub crc32: u32,
    /// When the bytes were acknowledged.
    pub received_at: OffsetDateTime,
}

struct StudyAtHand {
    id: StudyId,
    place: Vec<u8>,
    counts: StudyCounts,
}

pub(super) struct SeriesAtHand {
    pub(super) id: SeriesId,
    modality: String,
    pub(super) counts: SeriesCounts,
}

/// The one writer: every call is one atomic batch.
pub struct CatalogWriter {
    pub(super) catalog: Arc<Catalog>,
    pub(super) state: State,
    studies: HashMap<StudyInstanceUid, StudyAtHand>,
    pub(super) series: HashMap<(StudyInstanceUid, SeriesInstanceUid), SeriesAtHand>,
}

impl CatalogWriter {
    /// The writer of an index. There must be one only.
    ///
    /// # Errors
    /// [`IndexError`] when the state cannot be read.
    pub fn new(catalog: Arc<Catalog>) -> Result<Self, IndexError> {
        let state = catalog.state()?;
        let is_new = catalog.engine.get(keys::EPOCH)?.is_none();
        if is_new {
            let mut batch = Batch::default();
            let epoch = OffsetDateTime::now_utc().unix_timestamp_nanos() as u64;
            batch.put(keys::EPOCH.to_vec(), epoch.to_be_bytes().to_vec());
            catalog.engine.apply(batch)?;
        }
        Ok(Self {
            catalog,
            state,
            studies: HashMap::new(),
            series: HashMap::new(),
        })
    }

    /// How far intake has been applied.
    #[must_use]
    pub fn checkpoint(&self) -> Position {
        self.state.checkpoint
    }

    /// Counts batches.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.state.generation
    }

    /// Counts on from `generation` at least: an index that was made anew stands for all that the one before had reached.
    ///
    /// # Errors
    /// [`IndexError`]: nothing was written.
    pub fn raise_generation(&mut self, generation: u64) -> Result<(), IndexError> {
        self.state.generation = self.state.generation.max(generation);
        self.apply(Batch::default())
    }

    /// Adds instances that are not there yet, each SOP Instance UID once, and moves the checkpoint.
    /// Returns their records in the same order.
    ///
    /// # Errors
    /// [`IndexError`]: nothing was written.
    pub fn add(&mut self, additions: &[Addition], checkpoint: Position) -> Result<Vec<InstanceRecord>, IndexError> {
        let result = self.try_add(additions, checkpoint);
        if result.is_err() {
            self.forget()?;
        }
        result
    }

    fn try_add(&mut self, additions: &[Addition], checkpoint: Position) -> Result<Vec<InstanceRecord>, IndexError> {
        if self.studies.len() > AT_HAND || self.series.len() > AT_HAND {
            self.studies.clear();
            self.series.clear();
        }
        let mut batch = Batch::default();
        let mut records = Vec::with_capacity(additions.len());
        let mut changes = ChangeRow::new(
            additions
                .first()
                .map_or(OffsetDateTime::UNIX_EPOCH, |one| one.received_at),
        );
        let mut touched_studies: Vec<StudyInstanceUid> = Vec::new();
        let mut touched_series: Vec<(StudyInstanceUid, SeriesInstanceUid)> = Vec::new();
        for addition in additions {
            let description = &addition.description;
            let key = (
                description.study_instance_uid.clone(),
                description.series_instance_uid.clone(),
            );
            records.push(self.add_one(&mut batch, addition, &key)?);
            if let Some(series) = self.series.get(&key) {
                changes.stored(series.id, description.sop_instance_uid.as_str());
            }
            if !touched_studies.contains(&key.0) {
                touched_studies.push(key.0.clone());
            }
            if !touched_series.contains(&key) {
                touched_series.push(key);
            }
        }
        for uid in &touched_studies {
            if let Some(study) = self.studies.get(uid) {
                batch.put(keys::by_id(keys::STUDY_COUNTS, study.id), study.counts.encode());
            }
        }
        for key in &touched_series {
            if let Some(series) = self.series.get(key) {
                batch.put(keys::by_id(keys::SERIES_COUNTS, series.id), series.counts.encode());
            }
        }
        self.state.checkpoint = self.state.checkpoint.max(checkpoint);
        changes.put(&mut batch, self.state.generation + 1);
        self.apply(batch)?;
        Ok(records)
    }

    fn add_one(
        &mut self,
        batch: &mut Batch,
        addition: &Addition,
        key: &(StudyInstanceUid, SeriesInstanceUid),
    ) -> Result<InstanceRecord, IndexError> {
        let description = &addition.description;
        let received_at = whole_micros(addition.received_at);
        let sop_class = self.intern(batch, description.sop_class_uid.as_str());
        let transfer_syntax = self.intern(batch, description.transfer_syntax_uid.as_str());
        self.study_at_hand(batch, description, received_at)?;
        self.series_at_hand(batch, description, key, received_at)?;
        let (Some(study), Some(series)) = (self.studies.get_mut(&key.0), self.series.get_mut(key)) else {
            return Err(IndexError::Engine("a series was lost on the way".into()));
        };

        if series.counts.instances == 0 {
            study.counts.series += 1;
            self.state.totals.series += 1;
        }
        series.counts.count(addition.length, received_at);
        study.counts.count(addition.length, received_at);
        self.state.totals.instances += 1;
        self.state.totals.length += addition.length;
        if !study.counts.sop_classes.contains(&sop_class) {
            study.counts.sop_classes.push(sop_class);
        }
        if !series.modality.is_empty()
            && let Err(at) = study.counts.modalities.binary_search(&series.modality)
        {
            study.counts.modalities.insert(at, series.modality.clone());
            batch.put(
                keys::by_text(keys::MODALITY, &series.modality, &study.place),
                Vec::new(),
            );
        }

        let sop = description.sop_instance_uid.as_str();
        let number = keys::ascending(description.instance.text(INSTANCE_NUMBER));
        let row = InstanceRow {
            location: addition.location.clone(),
            sop_class,
            transfer_syntax,
            length: addition.length,
            data_set_offset: addition.data_set_offset,
            crc32: addition.crc32,
            sha256: addition.sha256,
            received_at,
            pixel_data: description.pixel_data.clone(),
            attributes: description.instance.clone(),
        };
        let place = keys::instance_place(number, sop);
        batch.put(
            keys::instance(series.id, &place),
            row.encode(description.sop_class_uid.as_str(), sop),
        );
        let mut reference = Encoder::with_capacity(9);
        reference.number(series.id.into()).raw(&number);
        batch.put(keys::by_uid(keys::SOP_INSTANCE, sop), reference.finish());
        Ok(InstanceRecord {
            study_instance_uid: key.0.clone(),
            series_instance_uid: key.1.clone(),
            sop_instance_uid: description.sop_instance_uid.clone(),
            sop_class_uid: description.sop_class_uid.clone(),
            transfer_syntax_uid: description.transfer_syntax_uid.clone(),
            attributes: row.attributes,
            location: row.location,
            length: row.length,
            data_set_offset: row.data_set_offset,
            sha256: row.sha256,
            crc32: row.crc32,
            pixel_data: row.pixel_data,
            received_at,
        })
    }

    /// The number of a UID that many instances share. A new number is written with the batch; should that fail, it is
    /// forgotten with all else that is at hand.
    fn intern(&self, batch: &mut Batch, uid: &str) -> u32 {
        match self.catalog.interned_id(uid) {
            Ok(id) => id,
            Err(free) => {
                batch.put(keys::by_id(keys::UID, free), uid.as_bytes().to_vec());
                self.catalog.remember_interned(free, uid);
                free
            }
        }
    }

    fn study_at_hand(
        &mut self,
        batch: &mut Batch,
        description: &Description,
        now: OffsetDateTime,
    ) -> Result<(), IndexError> {
        let uid = &description.study_instance_uid;
        if self.studies.contains_key(uid) {
            return Ok(());
        }
        let study = match self.catalog.study_row(uid)? {
            Some(row) => StudyAtHand {
                id: row.id,
                place: keys::study_place(&row.keys.study_date, uid.as_str()),
                counts: self.catalog.study_counts(row.id)?,
            },
            None => self.new_study(batch, description, now)?,
        };
        self.studies.insert(uid.clone(), study);
        Ok(())
    }

    fn new_study(
        &mut self,
        batch: &mut Batch,
        description: &Description,
        now: OffsetDateTime,
    ) -> Result<StudyAtHand, IndexError> {
        let uid = description.study_instance_uid.as_str();
        let study_keys = &description.keys;
        let id = self.state.next_study;
        self.state.next_study += 1;
        self.state.totals.studies += 1;
        let row = StudyRow {
            id,
            keys: study_keys.clone(),
            attributes: description.study.clone(),
        };
        batch.put(keys::by_uid(keys::STUDY, uid), row.encode());
        let place = keys::study_place(&study_keys.study_date, uid);
        let mut order = Encoder::default();
        encode_keys(&mut order, study_keys);
        batch.put(keys::with_place(keys::STUDY_ORDER, &place), order.finish());
        batch.put(
            keys::by_text(keys::PATIENT_ID, &study_keys.patient_id, &place),
            Vec::new(),
        );
        batch.put(
            keys::by_text(keys::ACCESSION, &study_keys.accession_number, &place),
            Vec::new(),
        );
        for word in name_words(&study_keys.patient_names) {
            batch.put(words::posting(&word, &place), Vec::new());
            if !self.catalog.knows_word(&word)? {
                words::put_in_lexicon(batch, &word);
            }
        }
        Ok(StudyAtHand {
            id,
            place,
            counts: StudyCounts::new(now),
        })
    }

    fn series_at_hand(
        &mut self,
        batch: &mut Batch,
        description: &Description,
        key: &(StudyInstanceUid, SeriesInstanceUid),
        now: OffsetDateTime,
    ) -> Result<(), IndexError> {
        if self.series.contains_key(key) {
            return Ok(());
        }
        let study_id = self.studies.get(&key.0).map_or(0, |study| study.id);
        let (id, counts, attributes) = match self.catalog.find_series(&key.0, &key.1)? {
            Some((_, row)) => (row.id, self.catalog.series_counts(row.id)?, row.attributes),
            None => {
                let id = self.state.next_series;
                self.state.next_series += 1;
                let attributes = description.series.clone();
                let number = keys::ascending(attributes.text(SERIES_NUMBER));
                let series_uid = key.1.as_str();
                let row = SeriesRow {
                    id,
                    attributes: attributes.clone(),
                };
                batch.put(keys::series(study_id, number, series_uid), row.encode());
                batch.put(keys::series_by_uid(series_uid, study_id), number.to_vec());
                batch.put(
                    keys::by_id(keys::SERIES_UIDS, id),
                    encode_uids(key.0.as_str(), series_uid),
                );
                (id, SeriesCounts::new(now), attributes)
            }
        };
        let modality = attributes.text(MODALITY).to_owned();
        self.series.insert(key.clone(), SeriesAtHand { id, modality, counts });
        Ok(())
    }

    pub(super) fn apply(&mut self, mut batch: Batch) -> Result<(), IndexError> {
        self.state.generation += 1;
        batch.put(keys::STATE.to_vec(), self.state.encode());
        self.catalog.engine.apply(batch)
    }

    /// Drops what is at hand, after a batch that may not have been written.
    pub(super) fn forget(&mut self) -> Result<(), IndexError> {
        self.studies.clear();
        self.series.clear();
        self.catalog.reload_interned()?;
        self.state = self.catalog.state()?;
        Ok(())
    }
}
