//! The index against a plain model of it, on every engine, with restarts.

use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc};

use proptest::prelude::*;
use time::OffsetDateTime;

use super::{
    Addition, Catalog, CatalogWriter, Index, PackRow, Position, Settled, SettledMember, StudySelector, WordPart,
    engine::{Engine, EngineKind, GatheringEngine, MemoryEngine, SealedEngine},
};
use crate::{
    encryption::Secret,
    model::{Location, NameWord, SeriesInstanceUid, SopInstanceUid, StudyInstanceUid, name_words},
    testing::Sample,
};

#[derive(Debug, Clone)]
enum Operation {
    Add(Vec<(u32, u32, u32)>),
    Settle(u32, u32),
    Restart,
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let instance = (0..6_u32, 0..3_u32, 0..12_u32);
    let operation = prop_oneof![
        6 => proptest::collection::vec(instance, 1..8).prop_map(Operation::Add),
        2 => (0..6_u32, 0..3_u32).prop_map(|(study, series)| Operation::Settle(study, series)),
        1 => Just(Operation::Restart),
    ];
    proptest::collection::vec(operation, 1..30)
}

/// What should be in the index: instances by study, series and number, with their locations.
type Model = BTreeMap<(u32, u32, u32), Location>;

struct Tested {
    folder: Option<(tempfile::TempDir, EngineKind)>,
    key: Option<Secret>,
    engine: Option<Arc<dyn Engine>>,
    writer: Option<CatalogWriter>,
    catalog: Option<Arc<Catalog>>,
    packs: BTreeMap<(u32, u32), u64>,
    model: Model,
    time: i64,
}

impl Tested {
    fn new(kind: Option<EngineKind>, key: Option<Secret>) -> Self {
        let mut tested = Self {
            folder: kind.map(|kind| (tempfile::tempdir().unwrap(), kind)),
            key,
            engine: None,
            writer: None,
            catalog: None,
            packs: BTreeMap::new(),
            model: Model::new(),
            time: 1_700_000_000,
        };
        tested.restart();
        tested
    }

    fn restart(&mut self) {
        (self.writer, self.catalog) = (None, None);
        if let Some((folder, kind)) = &self.folder {
            self.engine = None;
            let engine = kind.open(folder.path(), 1 << 20).unwrap();
            self.engine = Some(match &self.key {
                // As the store has them.
                Some(key) => {
                    let sealed = SealedEngine::new(engine, key).unwrap();
                    Arc::new(GatheringEngine::new(Arc::new(sealed)).unwrap())
                }
                None => engine,
            });
        } else if self.engine.is_none() {
            self.engine = Some(Arc::new(MemoryEngine::default()));
        }
        let catalog = Arc::new(Catalog::open(Arc::clone(self.engine.as_ref().unwrap())).unwrap());
        self.writer = Some(CatalogWriter::new(Arc::clone(&catalog)).unwrap());
        self.catalog = Some(catalog);
    }

    fn add(&mut self, instances: &[(u32, u32, u32)]) {
        let mut additions = Vec::new();
        for (study, series, instance) in instances {
            if self.model.contains_key(&(*study, *series, *instance)) {
                continue;
            }
            self.time += 1;
            let location = Location::Intake {
                segment: 1,
                entry: self.time.cast_unsigned(),
                offset: self.time.cast_unsigned() + 9,
            };
            self.model.insert((*study, *series, *instance), location.clone());
            additions.push(Addition {
                description: Sample::new(*study, *series, *instance).description(),
                location,
                length: 1000,
                data_set_offset: 132,
                sha256: Some([*instance as u8; 32]),
                crc32: *instance,
                received_at: OffsetDateTime::from_unix_timestamp(self.time).unwrap(),
            });
        }
        let checkpoint = Position {
            segment: 1,
            offset: self.time.cast_unsigned(),
        };
        let records = self.writer.as_mut().unwrap().add(&additions, checkpoint).unwrap();
        for (record, addition) in records.iter().zip(&additions) {
            assert_eq!(record.location, addition.location);
            let read = self.catalog().instance(&record.sop_instance_uid).unwrap();
            assert_eq!(read.as_ref(), Some(record));
        }
        assert_eq!(
            self.writer.as_ref().unwrap().checkpoint().offset,
            self.time.cast_unsigned()
        );
    }

    fn settle(&mut self, study: u32, series: u32) {
        let members: Vec<_> = self
            .model
            .range((study, series, 0)..(study, series + 1, 0))
            .map(|(k, v)| (*k, v.clone()))
            .collect();
        if members.is_empty() {
            return;
        }
        let pack = self.packs.entry((study, series)).or_default();
        *pack += 1;
        let sample = Sample::new(study, series, 0);
        let uids = (
            StudyInstanceUid::new(&sample.study_uid()).unwrap(),
            SeriesInstanceUid::new(&sample.series_uid()).unwrap(),
        );
        let pack = *pack;
        assert_eq!(self.catalog().next_pack(&uids.0, &uids.1).unwrap(), pack);
        let moved = members.iter().enumerate().map(|(n, ((.., instance), from))| {
            let sop = SopInstanceUid::new(&Sample::new(study, series, *instance).sop_uid()).unwrap();
            SettledMember {
                sop_instance: sop,
                from: from.clone(),
                offset: n as u64 * 2048,
                sha256: [*instance as u8; 32],
            }
        });
        let settled = Settled {
            study: uids.0,
            series: uids.1,
            pack,
            row: PackRow {
                length: 1,
                crc32: 2,
                instances: members.len() as u64,
            },
            members: moved.collect(),
            replaced: vec![],
        };
        assert!(self.writer.as_mut().unwrap().settle(&settled).unwrap().is_empty());
        // The same again finds nothing where it was.
        assert_eq!(
            self.writer.as_mut().unwrap().settle(&settled).unwrap().len(),
            members.len()
        );
        for (n, (key, _)) in members.into_iter().enumerate() {
            self.model.insert(
                key,
                Location::Pack {
                    pack,
                    offset: n as u64 * 2048,
                },
            );
        }
    }

    fn catalog(&self) -> &Catalog {
        self.catalog.as_ref().unwrap()
    }

    fn check(&self) {
        let catalog = self.catalog();
        let totals = catalog.totals().unwrap();
        let mut studies: Vec<u32> = self.model.keys().map(|(study, ..)| *study).collect();
        studies.dedup();
        let series: std::collections::BTreeSet<_> =
            self.model.keys().map(|(study, series, _)| (*study, *series)).collect();
        assert_eq!(
            (totals.studies, totals.series),
            (studies.len() as u64, series.len() as u64)
        );
        assert_eq!(
            (totals.instances, totals.length),
            (self.model.len() as u64, self.model.len() as u64 * 1000)
        );

        let date = |study: u32| Sample::new(study, 0, 0).description().keys.study_date;
        let mut expected = studies.clone();
        expected.sort_by_key(|study| (std::cmp::Reverse(date(*study)), Sample::new(*study, 0, 0).study_uid()));
        let all = self.uids(&StudySelector::All);
        let uid = |study: &u32| Sample::new(*study, 0, 0).study_uid();
        assert_eq!(all, expected.iter().map(uid).collect::<Vec<_>>());
        for study in &studies {
            let keys = Sample::new(*study, 0, 0).description().keys;
            let with = |matches: &dyn Fn(&crate::model::StudyKeys) -> bool| -> Vec<String> {
                expected
                    .iter()
                    .filter(|study| matches(&Sample::new(**study, 0, 0).description().keys))
                    .map(uid)
                    .collect()
            };
            let found = self.uids(&StudySelector::PatientId(keys.patient_id.clone()));
            assert_eq!(found, with(&|other| other.patient_id == keys.patient_id));
            for word in name_words(&keys.patient_names) {
                let found = self.uids(&StudySelector::NameWords([word.clone()].into()));
                assert_eq!(found, with(&|other| name_words(&other.patient_names).contains(&word)));
            }
            let any = StudySelector::NameWords(name_words(&keys.patient_names).into_iter().collect());
            assert_eq!(self.uids(&any), all);
            let found = self.uids(&StudySelector::AccessionNumber(keys.accession_number.clone()));
            assert_eq!(found, with(&|other| other.accession_number == keys.accession_number));
            let (from, to) = (Some(keys.study_date.clone()), Some(keys.study_date.clone()));
            let found = self.uids(&StudySelector::StudyDate {
                from: from.clone(),
                to: to.clone(),
            });
            assert_eq!(found, with(&|other| other.study_date == keys.study_date));
            let found = self.uids(&StudySelector::StudyDate { from, to: None });
            assert_eq!(found, with(&|other| other.study_date >= keys.study_date));
            let found = self.uids(&StudySelector::StudyDate { from: None, to });
            assert_eq!(found, with(&|other| other.study_date <= keys.study_date));
            let found = self.uids(&StudySelector::Uids(vec![
                StudyInstanceUid::new(&uid(study)).unwrap();
                2
            ]));
            assert_eq!(found, vec![uid(study)]);
        }
        self.check_lexicon(&studies);
        for (study, series) in series {
            self.check_series(study, series);
        }
    }

    /// Every text of up to three letters, against all words of the studies that there are.
    fn check_lexicon(&self, studies: &[u32]) {
        let names = studies
            .iter()
            .flat_map(|study| Sample::new(*study, 0, 0).description().keys.patient_names);
        let words = name_words(&names.collect::<Vec<_>>());
        let letters = "doejan1 ";
        let mut texts: Vec<String> = letters.chars().map(String::from).collect();
        texts.extend(["do", "oe", "jan", "ne1", "doejan", "doe1"].map(str::to_owned));
        for text in &texts {
            let all = |wanted: WordPart<'_>| {
                let mut found = Vec::new();
                self.catalog()
                    .name_words(wanted, &mut |word| {
                        found.push(word);
                        ControlFlow::Continue(())
                    })
                    .unwrap();
                found.sort();
                found.dedup();
                found
            };
            let expected = |matches: &dyn Fn(&str) -> bool| -> Vec<NameWord> {
                let is_met = |word: &&NameWord| matches!(word, NameWord::Word(word) if matches(word));
                words.iter().filter(is_met).cloned().collect()
            };
            let beginning = expected(&|word| word.starts_with(text));
            assert_eq!(all(WordPart::Beginning(text)), beginning);
            assert_eq!(all(WordPart::End(text)), expected(&|word| word.ends_with(text)));
            assert_eq!(all(WordPart::Inside(text)), expected(&|word| word.contains(text)));
            let whole = |word: &&NameWord| matches!(word, NameWord::Whole(whole) if whole.starts_with(text));
            let wholes: Vec<_> = words.iter().filter(whole).cloned().collect();
            assert_eq!(all(WordPart::WholeBeginning(text)), wholes);
        }
    }

    /// All answers to a selector, in pages of two.
    fn uids(&self, selector: &StudySelector) -> Vec<String> {
        let mut uids = Vec::new();
        let mut after = None;
        loop {
            let page = self.catalog().studies(selector, after.as_ref(), 2).unwrap();
            let Some((cursor, _)) = page.last() else { return uids };
            after = Some(cursor.clone());
            uids.extend(
                page.iter()
                    .map(|(_, study)| study.study_instance_uid.as_str().to_owned()),
            );
        }
    }

    fn check_series(&self, study: u32, series: u32) {
        let sample = Sample::new(study, series, 0);
        let study_uid = StudyInstanceUid::new(&sample.study_uid()).unwrap();
        let series_uid = SeriesInstanceUid::new(&sample.series_uid()).unwrap();
        let expected: Vec<_> = self.model.range((study, series, 0)..(study, series + 1, 0)).collect();
        let record = self.catalog().series_of(&study_uid).unwrap();
        let record = record
            .into_iter()
            .find(|record| record.series_instance_uid == series_uid)
            .unwrap();
        assert_eq!(record.number_of_instances, expected.len() as u64);
        assert_eq!(self.catalog().series_by_uid(&series_uid).unwrap(), vec![record]);
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = self
                .catalog()
                .instances_of(&study_uid, &series_uid, after.as_ref(), 5)
                .unwrap();
            let Some((cursor, _)) = page.last() else { break };
            after = Some(cursor.clone());
            found.extend(
                page.into_iter()
                    .map(|(_, record)| (record.sop_instance_uid.as_str().to_owned(), record.location)),
            );
        }
        let expected = expected
            .into_iter()
            .map(|((.., instance), location)| (Sample::new(study, series, *instance).sop_uid(), location.clone()));
        assert_eq!(found, expected.collect::<Vec<_>>());
        let study_record = self.catalog().study(&study_uid).unwrap().unwrap();
        assert_eq!(
            study_record.modalities_in_study.contains(&"CT".to_owned()),
            self.has_series(study, 0)
        );
        assert_eq!(
            study_record.modalities_in_study.contains(&"MR".to_owned()),
            self.has_series(study, 1)
        );
    }

    fn has_series(&self, study: u32, remainder: u32) -> bool {
        self.model
            .keys()
            .any(|(of, series, _)| *of == study && series % 2 == remainder)
    }

    fn run(mut self, operations: Vec<Operation>) {
        for operation in operations {
            match operation {
                Operation::Add(instances) => self.add(&instances),
                Operation::Settle(study, series) => self.settle(study, series),
                Operation::Restart => self.restart(),
            }
        }
        self.check();
        self.restart();
        self.check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn memory_agrees_with_the_model(operations in operations()) {
        Tested::new(None, None).run(operations);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn sled_agrees_with_the_model(operations in operations()) {
        Tested::new(Some(EngineKind::Sled), None).run(operations);
    }

    #[test]
    fn fjall_agrees_with_the_model(operations in operations()) {
        Tested::new(Some(EngineKind::Fjall), None).run(operations);
    }

    #[test]
    fn encrypted_rows_agree_with_the_model(operations in operations(), kind in prop::sample::select(&EngineKind::ALL[..])) {
        Tested::new(Some(kind), Some(Secret::random().unwrap())).run(operations);
    }
}
