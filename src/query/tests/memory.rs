//! An index in memory, kept as plainly as the contract can be read.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use filmroom_storage::{
    index::{Index, IndexError, InstanceCursor, StudyCursor, StudySelector, Totals, WordPart},
    model::{
        Attributes, InstanceRecord, Location, NameWord, SeriesInstanceUid, SeriesRecord, SopInstanceUid,
        StudyInstanceUid, StudyKeys, StudyRecord, name_words,
    },
};
use time::OffsetDateTime;

use crate::{Headers, QueryError};
use filmroom_dataset::{
    Builder, fold,
    levels::{Level as RecordLevel, levels},
};

type Place = (StudyInstanceUid, SeriesInstanceUid, SopInstanceUid);

/// All instances by study, series and SOP Instance UID, and how many records were read.
#[derive(Default)]
pub(crate) struct MemoryIndex {
    instances: Mutex<BTreeMap<Place, (Attributes, InstanceRecord)>>,
    pub(crate) studies_read: AtomicU64,
    pub(crate) keys_read: AtomicU64,
    pub(crate) instances_read: AtomicU64,
}

fn part(attributes: &Attributes, wanted: RecordLevel) -> Attributes {
    let mut builder = Builder::new();
    for element in attributes.iter() {
        if levels(element.tag).contains(&wanted) {
            builder.value(element.tag, element.vr, element.value);
        }
    }
    builder.build()
}

impl MemoryIndex {
    /// Keeps an instance that is described by all its attributes.
    pub(crate) fn add(&self, attributes: &Attributes) {
        let uid = |tag| attributes.text(tag);
        let record = InstanceRecord {
            study_instance_uid: uid(0x0020_000D).parse().unwrap(),
            series_instance_uid: uid(0x0020_000E).parse().unwrap(),
            sop_instance_uid: uid(0x0008_0018).parse().unwrap(),
            sop_class_uid: uid(0x0008_0016).parse().unwrap(),
            transfer_syntax_uid: "1.2.840.10008.1.2.1".parse().unwrap(),
            attributes: part(attributes, RecordLevel::Instance),
            location: Location::Intake {
                segment: 0,
                offset: 0,
                entry: 0,
            },
            length: 1000,
            data_set_offset: 300,
            sha256: None,
            crc32: 0,
            pixel_data: None,
            received_at: OffsetDateTime::UNIX_EPOCH,
        };
        let key = (
            record.study_instance_uid.clone(),
            record.series_instance_uid.clone(),
            record.sop_instance_uid.clone(),
        );
        self.instances.lock().unwrap().insert(key, (attributes.clone(), record));
    }

    fn series(&self) -> Vec<SeriesRecord> {
        let mut found: Vec<SeriesRecord> = Vec::new();
        for (attributes, instance) in self.instances.lock().unwrap().values() {
            match found.iter_mut().find(|record| {
                record.series_instance_uid == instance.series_instance_uid
                    && record.study_instance_uid == instance.study_instance_uid
            }) {
                Some(record) => record.number_of_instances += 1,
                None => found.push(SeriesRecord {
                    study_instance_uid: instance.study_instance_uid.clone(),
                    series_instance_uid: instance.series_instance_uid.clone(),
                    attributes: part(attributes, RecordLevel::Series),
                    number_of_instances: 1,
                    length: 1000,
                    first_received_at: OffsetDateTime::UNIX_EPOCH,
                    last_received_at: OffsetDateTime::UNIX_EPOCH,
                }),
            }
        }
        found.sort_by_key(|record| {
            (
                record.attributes.text(0x0020_0011).parse::<i32>().unwrap_or(i32::MAX),
                record.series_instance_uid.clone(),
            )
        });
        found
    }

    fn all_studies(&self) -> Vec<(StudyCursor, StudyRecord)> {
        let series = self.series();
        let mut found: BTreeMap<Vec<u8>, StudyRecord> = BTreeMap::new();
        for (attributes, instance) in self.instances.lock().unwrap().values() {
            let date = attributes.text(0x0008_0020);
            let newest_first: Vec<u8> = format!("{date:8}").bytes().map(|byte| !byte).collect();
            let cursor = [newest_first, instance.study_instance_uid.as_str().as_bytes().to_vec()].concat();
            let own: Vec<_> = series
                .iter()
                .filter(|one| one.study_instance_uid == instance.study_instance_uid)
                .collect();
            let mut modalities: Vec<String> = own
                .iter()
                .map(|one| one.attributes.text(0x0008_0060).to_owned())
                .collect();
            modalities.sort();
            modalities.dedup();
            let record = found.entry(cursor).or_insert_with(|| StudyRecord {
                study_instance_uid: instance.study_instance_uid.clone(),
                attributes: part(attributes, RecordLevel::Study),
                keys: StudyKeys {
                    patient_id: attributes.text(0x0010_0020).to_owned(),
                    issuer_of_patient_id: attributes.text(0x0010_0021).to_owned(),
                    patient_names: attributes
                        .text(0x0010_0010)
                        .split('=')
                        .map(|group| fold(group.trim_end_matches('^')))
                        .filter(|group| !group.is_empty())
                        .collect(),
                    accession_number: attributes.text(0x0008_0050).to_owned(),
                    study_date: date.to_owned(),
                },
                modalities_in_study: modalities,
                sop_classes_in_study: Vec::new(),
                number_of_series: own.len() as u64,
                number_of_instances: own.iter().map(|one| one.number_of_instances).sum(),
                length: 1000,
                first_received_at: OffsetDateTime::UNIX_EPOCH,
                last_received_at: OffsetDateTime::UNIX_EPOCH,
            });
            if !record.sop_classes_in_study.contains(&instance.sop_class_uid) {
                record.sop_classes_in_study.push(instance.sop_class_uid.clone());
            }
        }
        found
            .into_iter()
            .map(|(cursor, record)| (StudyCursor(cursor), record))
            .collect()
    }

    fn selected(
        &self,
        selector: &StudySelector,
        after: Option<&StudyCursor>,
        limit: usize,
    ) -> Vec<(StudyCursor, StudyRecord)> {
        let selects = |record: &StudyRecord| match selector {
            StudySelector::All => true,
            StudySelector::Uids(uids) => uids.contains(&record.study_instance_uid),
            StudySelector::PatientId(id) => record.keys.patient_id == *id,
            StudySelector::NameWords(words) => name_words(&record.keys.patient_names)
                .iter()
                .any(|word| *word == NameWord::Any || words.contains(word)),
            StudySelector::AccessionNumber(number) => record.keys.accession_number == *number,
            StudySelector::StudyDate { from, to } => {
                let date = &record.keys.study_date;
                !date.is_empty()
                    && from.as_ref().is_none_or(|from| from <= date)
                    && to.as_ref().is_none_or(|to| date <= to)
            }
            StudySelector::Modality(modality) => record.modalities_in_study.contains(modality),
        };
        self.all_studies()
            .into_iter()
            .filter(|(cursor, record)| after.is_none_or(|after| cursor > after) && selects(record))
            .take(limit)
            .collect()
    }
}

impl Index for MemoryIndex {
    fn study(&self, study: &StudyInstanceUid) -> Result<Option<StudyRecord>, IndexError> {
        self.studies_read.fetch_add(1, Ordering::Relaxed);
        Ok(self
            .all_studies()
            .into_iter()
            .map(|(_, record)| record)
            .find(|record| record.study_instance_uid == *study))
    }

    fn studies(
        &self,
        selector: &StudySelector,
        after: Option<&StudyCursor>,
        limit: usize,
    ) -> Result<Vec<(StudyCursor, StudyRecord)>, IndexError> {
        let found = self.selected(selector, after, limit);
        self.studies_read.fetch_add(found.len() as u64, Ordering::Relaxed);
        Ok(found)
    }

    fn study_places(
        &self,
        selector: &StudySelector,
        after: Option<&StudyCursor>,
        limit: usize,
    ) -> Result<Vec<StudyCursor>, IndexError> {
        let found = self.selected(selector, after, limit).into_iter();
        Ok(found.map(|(cursor, _)| cursor).collect())
    }

    fn name_words(
        &self,
        part: WordPart<'_>,
        visit: &mut dyn FnMut(NameWord) -> ControlFlow<()>,
    ) -> Result<(), IndexError> {
        let words: BTreeSet<NameWord> = self
            .all_studies()
            .iter()
            .flat_map(|(_, record)| name_words(&record.keys.patient_names))
            .collect();
        for word in words {
            let is_met = match (part, &word) {
                (WordPart::Beginning(text), NameWord::Word(word)) => word.starts_with(text),
                (WordPart::End(text), NameWord::Word(word)) => word.ends_with(text),
                (WordPart::Inside(text), NameWord::Word(word)) => word.contains(text),
                (WordPart::WholeBeginning(text), NameWord::Whole(whole)) => whole.starts_with(text),
                _ => false,
            };
            if is_met && visit(word).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn study_keys(
        &self,
        selector: &StudySelector,
        after: Option<&StudyCursor>,
        limit: usize,
    ) -> Result<Vec<(StudyCursor, StudyInstanceUid, StudyKeys)>, IndexError> {
        let found = self.selected(selector, after, limit);
        self.keys_read.fetch_add(found.len() as u64, Ordering::Relaxed);
        let keys = found
            .into_iter()
            .map(|(cursor, record)| (cursor, record.study_instance_uid, record.keys));
        Ok(keys.collect())
    }

    fn totals(&self) -> Result<Totals, IndexError> {
        Ok(Totals {
            studies: self.all_studies().len() as u64,
            series: self.series().len() as u64,
            instances: self.instances.lock().unwrap().len() as u64,
            length: 0,
        })
    }

    fn series_of(&self, study: &StudyInstanceUid) -> Result<Vec<SeriesRecord>, IndexError> {
        Ok(self
            .series()
            .into_iter()
            .filter(|record| record.study_instance_uid == *study)
            .collect())
    }

    fn series_by_uid(&self, series: &SeriesInstanceUid) -> Result<Vec<SeriesRecord>, IndexError> {
        Ok(self
            .series()
            .into_iter()
            .filter(|record| record.series_instance_uid == *series)
            .collect())
    }

    fn instances_of(
        &self,
        study: &StudyInstanceUid,
        series: &SeriesInstanceUid,
        after: Option<&InstanceCursor>,
        limit: usize,
    ) -> Result<Vec<(InstanceCursor, InstanceRecord)>, IndexError> {
        let mut found: Vec<_> = self
            .instances
            .lock()
            .unwrap()
            .values()
            .filter(|(_, record)| record.study_instance_uid == *study && record.series_instance_uid == *series)
            .map(|(_, record)| {
                let number = record.attributes.text(0x0020_0013).parse::<u32>().unwrap_or(u32::MAX);
                (
                    InstanceCursor(format!("{number:010} {}", record.sop_instance_uid).into_bytes()),
                    record.clone(),
                )
            })
            .filter(|(cursor, _)| after.is_none_or(|after| cursor > after))
            .collect();
        found.sort_by(|one, two| one.0.cmp(&two.0));
        found.truncate(limit);
        self.instances_read.fetch_add(found.len() as u64, Ordering::Relaxed);
        Ok(found)
    }

    fn instance(&self, sop_instance: &SopInstanceUid) -> Result<Option<InstanceRecord>, IndexError> {
        let instances = self.instances.lock().unwrap();
        Ok(instances
            .values()
            .map(|(_, record)| record)
            .find(|record| record.sop_instance_uid == *sop_instance)
            .cloned())
    }
}

impl Headers for MemoryIndex {
    fn header(&self, instance: &InstanceRecord) -> Result<Attributes, QueryError> {
        let instances = self.instances.lock().unwrap();
        let found = instances
            .values()
            .find(|(_, record)| record.sop_instance_uid == instance.sop_instance_uid);
        found
            .map(|(attributes, _)| attributes.clone())
            .ok_or_else(|| QueryError::Header("absent".to_owned()))
    }
}
