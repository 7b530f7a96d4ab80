//! The index over an engine: what is shared between reading and writing.

use std::{
    collections::HashMap,
    ops::ControlFlow,
    sync::{Arc, PoisonError, RwLock},
};

use super::{
    IndexError,
    codec::Undecodable,
    engine::Engine,
    instance_row::InstanceRow,
    keys::{self, SeriesId},
    rows::{self, PackRow, SeriesCounts, SeriesRow, State, StudyCounts, StudyRow},
};
use crate::model::{
    InstanceRecord, SeriesInstanceUid, SeriesRecord, SopClassUid, SopInstanceUid, StudyInstanceUid, StudyRecord,
    TransferSyntaxUid, UidError,
};

pub(super) const INSTANCE_NUMBER: u32 = 0x0020_0013;
/// The series whose UIDs are kept at hand for reading.
const SERIES_AT_HAND: usize = 4096;

/// The index over an engine. Reads may run beside the one writer ([`super::CatalogWriter`]).
pub struct Catalog {
    pub(super) engine: Arc<dyn Engine>,
    interned: RwLock<Interned>,
    series_uids: RwLock<HashMap<SeriesId, (StudyInstanceUid, SeriesInstanceUid)>>,
    pub(super) marks: super::marks::Marks,
}

/// A row of an instance.
pub(super) struct FoundRow {
    pub(super) series: SeriesId,
    pub(super) key: Vec<u8>,
    pub(super) row: Vec<u8>,
}

/// The place of an instance in its series: instance number, then SOP Instance UID.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct InstancePlace(Vec<u8>);

impl InstancePlace {
    /// The place of an instance.
    #[must_use]
    pub fn of(instance: &InstanceRecord) -> Self {
        let number = keys::ascending(instance.attributes.text(INSTANCE_NUMBER));
        Self(keys::instance_place(number, instance.sop_instance_uid.as_str()))
    }
}

#[derive(Default)]
struct Interned {
    by_id: HashMap<u32, Arc<str>>,
    by_uid: HashMap<Arc<str>, u32>,
}

impl From<Undecodable> for IndexError {
    fn from(error: Undecodable) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<UidError> for IndexError {
    fn from(error: UidError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl Catalog {
    /// Opens the index in an engine that holds one, or nothing.
    ///
    /// # Errors
    /// [`IndexError::Damaged`] when it holds an index of another schema.
    pub fn open(engine: Arc<dyn Engine>) -> Result<Self, IndexError> {
        let catalog = Self {
            engine,
            interned: RwLock::default(),
            series_uids: RwLock::default(),
            marks: super::marks::Marks::default(),
        };
        catalog.state()?;
        catalog.reload_marks()?;
        catalog.reload_interned()?;
        Ok(catalog)
    }

    /// Forgets what is kept at hand, after the engine was taken up again.
    ///
    /// # Errors
    /// [`IndexError`] when the engine does not read.
    pub fn reload(&self) -> Result<(), IndexError> {
        self.series_uids.write().unwrap_or_else(PoisonError::into_inner).clear();
        self.state()?;
        self.reload_marks()?;
        self.reload_interned()
    }

    pub(super) fn reload_interned(&self) -> Result<(), IndexError> {
        let mut found = Vec::new();
        self.scan_prefix(&[keys::UID], &[], &mut |key, value| {
            if let Some(id) = key.get(1..).and_then(|id| <[u8; 4]>::try_from(id).ok()) {
                found.push((u32::from_be_bytes(id), String::from_utf8_lossy(value).into_owned()));
            }
            ControlFlow::Continue(())
        })?;
        *self.interned.write().unwrap_or_else(PoisonError::into_inner) = Interned::default();
        for (id, uid) in found {
            self.remember_interned(id, &uid);
        }
        Ok(())
    }

    pub(super) fn state(&self) -> Result<State, IndexError> {
        Ok(self
            .engine
            .get(keys::STATE)?
            .map(|row| State::decode(&row))
            .transpose()?
            .unwrap_or_default())
    }

    /// Visits the rows whose key begins with `prefix`, after the row `prefix` + `after` where that is not empty.
    pub(super) fn scan_prefix(
        &self,
        prefix: &[u8],
        after: &[u8],
        visit: &mut super::engine::Visit<'_>,
    ) -> Result<(), IndexError> {
        let mut from = prefix.to_vec();
        if !after.is_empty() {
            from.extend_from_slice(after);
            from.push(0);
        }
        self.engine.scan(&from, keys::after_prefix(prefix).as_deref(), visit)
    }

    pub(super) fn remember_interned(&self, id: u32, uid: &str) {
        let uid: Arc<str> = uid.into();
        let mut interned = self.interned.write().unwrap_or_else(PoisonError::into_inner);
        interned.by_id.insert(id, Arc::clone(&uid));
        interned.by_uid.insert(uid, id);
    }

    pub(super) fn interned_id(&self, uid: &str) -> Result<u32, u32> {
        let interned = self.interned.read().unwrap_or_else(PoisonError::into_inner);
        interned.by_uid.get(uid).copied().ok_or(interned.by_id.len() as u32)
    }

    pub(super) fn interned_uid(&self, id: u32) -> Result<String, IndexError> {
        let interned = self.interned.read().unwrap_or_else(PoisonError::into_inner);
        let uid = interned
            .by_id
            .get(&id)
            .ok_or_else(|| IndexError::Damaged(format!("no UID has the number {id}")))?;
        Ok(uid.as_ref().to_owned())
    }

    pub(super) fn study_row(&self, study: &StudyInstanceUid) -> Result<Option<StudyRow>, IndexError> {
        let row = self.engine.get(&keys::by_uid(keys::STUDY, study.as_str()))?;
        Ok(row.map(|row| StudyRow::decode(&row)).transpose()?)
    }

    pub(super) fn study_counts(&self, id: u32) -> Result<StudyCounts, IndexError> {
        let row = self.engine.get(&keys::by_id(keys::STUDY_COUNTS, id))?;
        let row = row.ok_or_else(|| IndexError::Damaged(format!("study {id} has no counts")))?;
        Ok(StudyCounts::decode(&row)?)
    }

    pub(super) fn series_counts(&self, id: SeriesId) -> Result<SeriesCounts, IndexError> {
        let row = self.engine.get(&keys::by_id(keys::SERIES_COUNTS, id))?;
        let row = row.ok_or_else(|| IndexError::Damaged(format!("series {id} has no counts")))?;
        Ok(SeriesCounts::decode(&row)?)
    }

    pub(super) fn study_record(&self, uid: StudyInstanceUid, row: StudyRow) -> Result<StudyRecord, IndexError> {
        let counts = self.study_counts(row.id)?;
        let mut sop_classes_in_study = Vec::with_capacity(counts.sop_classes.len());
        for id in counts.sop_classes {
            sop_classes_in_study.push(SopClassUid::new(&self.interned_uid(id)?)?);
        }
        sop_classes_in_study.sort();
        Ok(StudyRecord {
            study_instance_uid: uid,
            attributes: row.attributes,
            keys: row.keys,
            modalities_in_study: counts.modalities,
            sop_classes_in_study,
            number_of_series: counts.series,
            number_of_instances: counts.instances,
            length: counts.length,
            first_received_at: counts.first_received_at,
            last_received_at: counts.last_received_at,
        })
    }

    pub(super) fn series_record(
        &self,
        study: &StudyInstanceUid,
        series: SeriesInstanceUid,
        row: SeriesRow,
    ) -> Result<SeriesRecord, IndexError> {
        let counts = self.series_counts(row.id)?;
        Ok(SeriesRecord {
            study_instance_uid: study.clone(),
            series_instance_uid: series,
            attributes: row.attributes,
            number_of_instances: counts.instances,
            length: counts.length,
            first_received_at: counts.first_received_at,
            last_received_at: counts.last_received_at,
        })
    }

    pub(super) fn uids_of_series(&self, id: SeriesId) -> Result<(StudyInstanceUid, SeriesInstanceUid), IndexError> {
        if let Some(uids) = self.series_uids.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(uids.clone());
        }
        let row = self.engine.get(&keys::by_id(keys::SERIES_UIDS, id))?;
        let row = row.ok_or_else(|| IndexError::Damaged(format!("no series has the number {id}")))?;
        let (study, series) = rows::decode_uids(&row)?;
        let uids = (StudyInstanceUid::new(&study)?, SeriesInstanceUid::new(&series)?);
        let mut at_hand = self.series_uids.write().unwrap_or_else(PoisonError::into_inner);
        if at_hand.len() >= SERIES_AT_HAND {
            at_hand.clear();
        }
        at_hand.insert(id, uids.clone());
        Ok(uids)
    }

    /// As [`Self::uids_of_series`] for a series that may be gone.
    pub(super) fn known_uids_of_series(
        &self,
        id: SeriesId,
    ) -> Result<Option<(StudyInstanceUid, SeriesInstanceUid)>, IndexError> {
        if self.engine.get(&keys::by_id(keys::SERIES_UIDS, id))?.is_none() {
            return Ok(None);
        }
        self.uids_of_series(id).map(Some)
    }

    /// Brings all that was written to stable storage.
    ///
    /// # Errors
    /// [`IndexError::Engine`].
    pub fn flush(&self) -> Result<(), IndexError> {
        self.engine.flush()
    }

    /// The number of the next pack of a series.
    ///
    /// # Errors
    /// [`IndexError::Damaged`] when the series is not there.
    pub fn next_pack(&self, study: &StudyInstanceUid, series: &SeriesInstanceUid) -> Result<u64, IndexError> {
        let (_, row) = self
            .find_series(study, series)?
            .ok_or_else(|| IndexError::Damaged(format!("series {series} is not in the index")))?;
        Ok(self.series_counts(row.id)?.next_pack)
    }

    /// The packs of a series, by number.
    ///
    /// # Errors
    /// [`IndexError`] when the engine fails. A series that is not there has none.
    pub fn packs_of(
        &self,
        study: &StudyInstanceUid,
        series: &SeriesInstanceUid,
    ) -> Result<Vec<(u64, PackRow)>, IndexError> {
        let Some((_, row)) = self.find_series(study, series)? else {
            return Ok(Vec::new());
        };
        let mut rows = Vec::new();
        self.scan_prefix(&keys::by_id(keys::PACK, row.id), &[], &mut |key, value| {
            if let Some(number) = key.get(5..).and_then(|number| <[u8; 8]>::try_from(number).ok()) {
                rows.push((u64::from_be_bytes(number), PackRow::decode(value)));
            }
            ControlFlow::Continue(())
        })?;
        rows.into_iter().map(|(number, row)| Ok((number, row?))).collect()
    }

    /// Number of a series, its row, and the number of (0020,0011) in its key.
    pub(super) fn find_series(
        &self,
        study: &StudyInstanceUid,
        series: &SeriesInstanceUid,
    ) -> Result<Option<(u32, SeriesRow)>, IndexError> {
        let Some(study_row) = self.study_row(study)? else {
            return Ok(None);
        };
        let Some(number) = self.engine.get(&keys::series_by_uid(series.as_str(), study_row.id))? else {
            return Ok(None);
        };
        let number = <[u8; 4]>::try_from(number.as_slice()).map_err(|_| Undecodable("a series number"))?;
        let row = self.engine.get(&keys::series(study_row.id, number, series.as_str()))?;
        let row = row.ok_or_else(|| IndexError::Damaged(format!("series {series} has no row")))?;
        Ok(Some((study_row.id, SeriesRow::decode(&row)?)))
    }

    /// Key and row of an instance.
    pub(super) fn instance_row(&self, sop: &SopInstanceUid) -> Result<Option<FoundRow>, IndexError> {
        let Some(place) = self.engine.get(&keys::by_uid(keys::SOP_INSTANCE, sop.as_str()))? else {
            return Ok(None);
        };
        let mut decoder = super::codec::Decoder::new(&place, "the place of an instance");
        let series = decoder.number_u32()?;
        let number = decoder.array::<4>()?;
        let key = keys::instance(series, &keys::instance_place(number, sop.as_str()));
        let row = self.engine.get(&key)?;
        let row = row.ok_or_else(|| IndexError::Damaged(format!("instance {sop} has no row")))?;
        Ok(Some(FoundRow { series, key, row }))
    }

    pub(super) fn instance_record(
        &self,
        study: StudyInstanceUid,
        series: SeriesInstanceUid,
        sop: SopInstanceUid,
        row: &[u8],
    ) -> Result<InstanceRecord, IndexError> {
        let row = InstanceRow::decode::<IndexError>(row, sop.as_str(), |id| self.interned_uid(id))?;
        Ok(InstanceRecord {
            study_instance_uid: study,
            series_instance_uid: series,
            sop_instance_uid: sop,
            sop_class_uid: SopClassUid::new(&self.interned_uid(row.sop_class)?)?,
            transfer_syntax_uid: TransferSyntaxUid::new(&self.interned_uid(row.transfer_syntax)?)?,
            attributes: row.attributes,
            location: row.location,
            length: row.length,
            data_set_offset: row.data_set_offset,
            sha256: row.sha256,
            crc32: row.crc32,
            pixel_data: row.pixel_data,
            received_at: row.received_at,
        })
    }
}
