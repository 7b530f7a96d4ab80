//! Answers: the archive's questions over the rows.

use std::{
    collections::{BTreeSet, HashSet},
    ops::ControlFlow,
};

use super::{
    Index, IndexError, InstanceCursor, StudyCursor, StudySelector, Totals, WordPart,
    catalog::{Catalog, FoundRow},
    codec::{Decoder, Undecodable},
    keys,
    rows::{SeriesRow, decode_keys},
};
use crate::model::{
    InstanceRecord, NameWord, SeriesInstanceUid, SeriesRecord, SopInstanceUid, StudyInstanceUid, StudyKeys, StudyRecord,
};

impl Index for Catalog {
    fn study(&self, study: &StudyInstanceUid) -> Result<Option<StudyRecord>, IndexError> {
        match self.study_row(study)? {
            Some(row) => self.study_record(study.clone(), row).map(Some),
            None => Ok(None),
        }
    }

    fn studies(
        &self,
        selector: &StudySelector,
        after: Option<&StudyCursor>,
        limit: usize,
    ) -> Result<Vec<(StudyCursor, StudyRecord)>, IndexError> {
        let places = self.places_selected(selector, after, limit)?;
        let mut answers = Vec::with_capacity(places.len());
        for place in places {
            let uid = keys::study_uid_of_place(&place).ok_or(Undecodable("the place of a study"))?;
            let uid = StudyInstanceUid::new(&uid)?;
            if let Some(row) = self.study_row(&uid)? {
                answers.push((StudyCursor(place), self.study_record(uid, row)?));
            }
        }
        Ok(answers)
    }

    fn study_keys(
        &self,
        selector: &StudySelector,
        after: Option<&StudyCursor>,
        limit: usize,
    ) -> Result<Vec<(StudyCursor, StudyInstanceUid, StudyKeys)>, IndexError> {
        let mut answers = Vec::new();
        if *selector != StudySelector::All {
            for place in self.places_selected(selector, after, limit)? {
                if let Some(row) = self.engine.get(&keys::with_place(keys::STUDY_ORDER, &place))? {
                    let (uid, keys) = study_of_order_row(&place, &row)?;
                    answers.push((StudyCursor(place), uid, keys));
                }
            }
            return Ok(answers);
        }
        let after = after.map_or(&[][..], |cursor| &cursor.0);
        let mut damaged = None;
        self.scan_prefix(&[keys::STUDY_ORDER], after, &mut |key, value| {
            if answers.len() >= limit {
                return ControlFlow::Break(());
            }
            let place = key.get(1..).unwrap_or_default();
            match study_of_order_row(place, value) {
                Ok((uid, keys)) => answers.push((StudyCursor(place.to_vec()), uid, keys)),
                Err(error) => {
                    damaged = Some(error);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        damaged.map_or(Ok(answers), Err)
    }

    fn study_places(
        &self,
        selector: &StudySelector,
        after: Option<&StudyCursor>,
        limit: usize,
    ) -> Result<Vec<StudyCursor>, IndexError> {
        let places = self.places_selected(selector, after, limit)?;
        Ok(places.into_iter().map(StudyCursor).collect())
    }

    fn name_words(
        &self,
        part: WordPart<'_>,
        visit: &mut dyn FnMut(NameWord) -> ControlFlow<()>,
    ) -> Result<(), IndexError> {
        self.visit_words(part, visit)
    }

    fn totals(&self) -> Result<Totals, IndexError> {
        Ok(self.state()?.totals)
    }

    fn series_of(&self, study: &StudyInstanceUid) -> Result<Vec<SeriesRecord>, IndexError> {
        let Some(study_row) = self.study_row(study)? else {
            return Ok(Vec::new());
        };
        let mut rows = Vec::new();
        self.scan_prefix(&keys::by_id(keys::SERIES, study_row.id), &[], &mut |key, value| {
            // Kind, study number and series number stand before the UID.
            rows.push((keys::unpack_uid(key.get(9..).unwrap_or_default()), value.to_vec()));
            ControlFlow::Continue(())
        })?;
        rows.into_iter()
            .map(|(uid, row)| self.series_record(study, SeriesInstanceUid::new(&uid)?, SeriesRow::decode(&row)?))
            .collect()
    }

    fn series_by_uid(&self, series: &SeriesInstanceUid) -> Result<Vec<SeriesRecord>, IndexError> {
        let prefix = keys::by_uid(keys::SERIES_BY_UID, series.as_str());
        let mut found = Vec::new();
        self.scan_prefix(&prefix, &[], &mut |key, value| {
            // A longer key belongs to a UID that begins with this one.
            if let Some(study) = key
                .get(prefix.len()..)
                .and_then(|study| <[u8; 4]>::try_from(study).ok())
                && let Ok(number) = <[u8; 4]>::try_from(value)
            {
                found.push((u32::from_be_bytes(study), number));
            }
            ControlFlow::Continue(())
        })?;
        let mut records = Vec::with_capacity(found.len());
        for (study, number) in found {
            let Some(row) = self.engine.get(&keys::series(study, number, series.as_str()))? else {
                continue;
            };
            let row = SeriesRow::decode(&row)?;
            let (study_uid, series_uid) = self.uids_of_series(row.id)?;
            records.push(self.series_record(&study_uid, series_uid, row)?);
        }
        Ok(records)
    }

    fn instances_of(
        &self,
        study: &StudyInstanceUid,
        series: &SeriesInstanceUid,
        after: Option<&InstanceCursor>,
        limit: usize,
    ) -> Result<Vec<(InstanceCursor, InstanceRecord)>, IndexError> {
        let Some((_, series_row)) = self.find_series(study, series)? else {
            return Ok(Vec::new());
        };
        let after = after.map_or(&[][..], |cursor| &cursor.0);
        let mut rows = Vec::new();
        self.scan_prefix(&keys::by_id(keys::INSTANCE, series_row.id), after, &mut |key, value| {
            if rows.len() >= limit {
                return ControlFlow::Break(());
            }
            rows.push((key.get(5..).unwrap_or_default().to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        })?;
        let mut answers = Vec::with_capacity(rows.len());
        for (place, row) in rows {
            let sop = SopInstanceUid::new(&keys::unpack_uid(place.get(4..).unwrap_or_default()))?;
            let record = self.instance_record(study.clone(), series.clone(), sop, &row)?;
            answers.push((InstanceCursor(place), record));
        }
        Ok(answers)
    }

    fn instance(&self, sop_instance: &SopInstanceUid) -> Result<Option<InstanceRecord>, IndexError> {
        let Some(FoundRow { series: id, row, .. }) = self.instance_row(sop_instance)? else {
            return Ok(None);
        };
        let (study, series) = self.uids_of_series(id)?;
        self.instance_record(study, series, sop_instance.clone(), &row)
            .map(Some)
    }
}

fn study_of_order_row(place: &[u8], value: &[u8]) -> Result<(StudyInstanceUid, StudyKeys), IndexError> {
    let uid = keys::study_uid_of_place(place).ok_or(Undecodable("the place of a study"))?;
    let keys = decode_keys(&mut Decoder::new(value, "the keys of a study"))?;
    Ok((StudyInstanceUid::new(&uid)?, keys))
}

impl Catalog {
    fn places_selected(
        &self,
        selector: &StudySelector,
        after: Option<&StudyCursor>,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, IndexError> {
        let after = after.map_or(&[][..], |cursor| &cursor.0);
        match selector {
            StudySelector::All | StudySelector::StudyDate { from: None, to: None } => {
                self.places(&[keys::STUDY_ORDER], after, limit)
            }
            StudySelector::StudyDate { from, to } => self.dated_places(from.as_deref(), to.as_deref(), after, limit),
            StudySelector::PatientId(id) => self.places(&keys::text_prefix(keys::PATIENT_ID, id), after, limit),
            StudySelector::AccessionNumber(number) => {
                self.places(&keys::text_prefix(keys::ACCESSION, number), after, limit)
            }
            StudySelector::Modality(modality) => {
                self.places(&keys::text_prefix(keys::MODALITY, modality), after, limit)
            }
            StudySelector::NameWords(words) => self.places_of_words(words, after, limit),
            StudySelector::Uids(uids) => self.places_of_uids(uids, after, limit),
        }
    }

    /// The places under one prefix, which are in the order of answers already.
    fn places(&self, prefix: &[u8], after: &[u8], limit: usize) -> Result<Vec<Vec<u8>>, IndexError> {
        let mut places = Vec::new();
        self.scan_prefix(prefix, after, &mut |key, _| {
            if places.len() >= limit {
                return ControlFlow::Break(());
            }
            places.push(key.get(prefix.len()..).unwrap_or_default().to_vec());
            ControlFlow::Continue(())
        })?;
        Ok(places)
    }

    fn dated_places(
        &self,
        from: Option<&str>,
        to: Option<&str>,
        after: &[u8],
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, IndexError> {
        // The newest date sorts first. A bound that is no date bounds nothing.
        let start = to
            .map(keys::newest_first)
            .filter(|date| *date != keys::UNDATED)
            .unwrap_or_default();
        let last = from.map(keys::newest_first).unwrap_or(keys::UNDATED);
        let mut begin = keys::with_place(keys::STUDY_ORDER, &start);
        if !after.is_empty() && after >= start.as_slice() {
            begin = keys::with_place(keys::STUDY_ORDER, after);
            begin.push(0);
        }
        let mut places = Vec::new();
        self.engine.scan(
            &begin,
            keys::after_prefix(&[keys::STUDY_ORDER]).as_deref(),
            &mut |key, _| {
                let place = key.get(1..).unwrap_or_default();
                let date = place.get(..8).unwrap_or_default();
                if places.len() >= limit || date > last.as_slice() || date == keys::UNDATED {
                    return ControlFlow::Break(());
                }
                places.push(place.to_vec());
                ControlFlow::Continue(())
            },
        )?;
        Ok(places)
    }

    fn places_of_uids(
        &self,
        uids: &[StudyInstanceUid],
        after: &[u8],
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, IndexError> {
        let mut places = BTreeSet::new();
        for uid in uids.iter().collect::<HashSet<_>>() {
            if let Some(row) = self.study_row(uid)? {
                let place = keys::study_place(&row.keys.study_date, uid.as_str());
                if place.as_slice() > after {
                    places.insert(place);
                }
            }
        }
        Ok(places.into_iter().take(limit).collect())
    }
}
