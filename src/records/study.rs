//! What is known of a study: what its header says, and what people said of it and of its patient.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use filmroom_retention::{Decision, Hold, OtherStudy, PartialDate, PatientFacts, Policies, Source, StudyFacts, decide};
use filmroom_storage::{
    index::{Index, StudySelector},
    model::{StudyInstanceUid, StudyRecord, Tag},
};
use time::{Date, OffsetDateTime};

use super::{PatientKey, Records, RecordsError, Subject, book::Book, holds::HoldRecord, known::Known};

/// (0010,0030).
const PATIENT_BIRTH_DATE: Tag = 0x0010_0030;
/// (0008,0080).
const INSTITUTION_NAME: Tag = 0x0008_0080;
/// Studies read in one go.
const PAGE: usize = 200;
/// Patients that are kept at hand while many studies are looked at.
const PATIENTS_MAX: usize = 20_000;

/// What a study is, for decisions.
pub(crate) struct Looked {
    pub(crate) facts: StudyFacts,
    pub(crate) patient: PatientKey,
    pub(crate) bytes: u64,
    pub(crate) holds: Vec<HoldRecord>,
}

impl Looked {
    pub(crate) fn decide(&self, policies: &Policies, as_of: Date) -> Decision {
        let holds: Vec<&Hold> = self.holds.iter().map(|hold| &hold.hold).collect();
        decide(&self.facts, policies, &holds, as_of)
    }
}

/// Looks at studies one after the other; patients are put together once for all of theirs.
pub(crate) struct Looking<'a> {
    book: &'a Book,
    index: Arc<dyn Index>,
    room: &'a Records,
    patients: HashMap<PatientKey, Arc<PatientFacts>>,
    holds: Holds<'a>,
}

/// Holds by what they are on, so that of a thousand holds on single studies only those of a study are looked at.
struct Holds<'a> {
    by_study: HashMap<&'a str, Vec<&'a HoldRecord>>,
    by_patient: HashMap<&'a str, Vec<&'a HoldRecord>>,
    others: Vec<&'a HoldRecord>,
}

impl<'a> Holds<'a> {
    fn new(book: &'a Book) -> Self {
        let mut sorted = Self {
            by_study: HashMap::new(),
            by_patient: HashMap::new(),
            others: Vec::new(),
        };
        for hold in book.holds.values() {
            match (&hold.scope.study, &hold.scope.patient) {
                (Some(study), _) => sorted.by_study.entry(study).or_default().push(hold),
                (None, Some(patient)) => sorted.by_patient.entry(patient).or_default().push(hold),
                (None, None) => sorted.others.push(hold),
            }
        }
        sorted
    }

    /// The holds on a study. `person`: its patient, by each identifier.
    fn on(&self, study: &StudyRecord, person: &[PatientKey], site: &str) -> Vec<HoldRecord> {
        let of_study = self.by_study.get(study.study_instance_uid.as_str());
        let of_patient = person
            .iter()
            .filter_map(|patient| self.by_patient.get(patient.id.as_str()));
        let mut found: Vec<HoldRecord> = of_study
            .into_iter()
            .chain(of_patient)
            .flatten()
            .chain(&self.others)
            .filter(|hold| person.iter().any(|patient| hold.is_on(study, patient, site)))
            .map(|hold| (*hold).clone())
            .collect();
        found.sort_by(|one, other| (one.opened_at, &one.hold.id).cmp(&(other.opened_at, &other.hold.id)));
        found.dedup_by(|one, other| one.hold.id == other.hold.id);
        found
    }
}

impl<'a> Looking<'a> {
    pub(crate) fn new(room: &'a Records, book: &'a Book) -> Self {
        Self {
            book,
            index: room.inner.store.index(),
            room,
            patients: HashMap::new(),
            holds: Holds::new(book),
        }
    }

    /// A study by its UID; `None` where there is none. Blocks.
    pub(crate) fn at_uid(&mut self, study: &str) -> Result<Option<Looked>, RecordsError> {
        let Ok(uid) = StudyInstanceUid::new(study) else {
            return Ok(None);
        };
        match self.index.study(&uid)? {
            Some(record) => self.at(&record).map(Some),
            None => Ok(None),
        }
    }

    /// A study of the index. Blocks.
    pub(crate) fn at(&mut self, record: &StudyRecord) -> Result<Looked, RecordsError> {
        let patient = patient_of(record);
        let known = self.known(record);
        let site = self.site(record, &known);
        let uid = record.study_instance_uid.as_str();
        let person = self.book.links.person(&patient);
        let mut holds = self.holds.on(record, &person, &site);
        if let Some((since, by)) = self.book.rejections.for_safety(uid) {
            holds.push(HoldRecord::for_safety(uid, since, by));
        }
        let facts = StudyFacts {
            study_instance_uid: record.study_instance_uid.as_str().to_owned(),
            programmes: known.programmes,
            source: known.source.unwrap_or(Source::Own),
            modalities: record.modalities_in_study.clone(),
            sop_classes: record
                .sop_classes_in_study
                .iter()
                .map(|class| class.as_str().to_owned())
                .collect(),
            instances: record.number_of_instances,
            received: self.day(record.first_received_at),
            last_received: self.day(record.last_received_at),
            study_date: date_of(record),
            purpose: known.purpose,
            completed: known.completed,
            encounter_end: known.encounter_end,
            flags: known.flags,
            rejected_as: self.book.rejections.of_whole(uid, record.number_of_instances),
            site,
            patient: self.patient(person, record)?,
        };
        Ok(Looked {
            facts,
            patient,
            bytes: record.length,
            holds,
        })
    }

    fn day(&self, at: OffsetDateTime) -> Date {
        self.room.inner.options.zone.day(at)
    }

    fn known(&self, record: &StudyRecord) -> Known {
        let subject = Subject::Study(record.study_instance_uid.as_str().to_owned());
        Known::of(self.book.rows_of(&subject))
    }

    /// As somebody said; else the institution, where policies know a site of its name; else the archive's own.
    fn site(&self, record: &StudyRecord, known: &Known) -> String {
        if let Some(site) = &known.site {
            return site.clone();
        }
        let institution = record.attributes.text(INSTITUTION_NAME).trim();
        let is_bound = |site: &str| {
            let mut bindings = self.book.policies.bindings.iter();
            bindings.any(|binding| binding.site.as_deref() == Some(site))
        };
        match institution {
            "" => self.room.inner.options.site.clone(),
            site if is_bound(site) => site.to_owned(),
            _ => self.room.inner.options.site.clone(),
        }
    }

    /// What is known of a patient, by each identifier, in order.
    fn patient(&mut self, person: Vec<PatientKey>, record: &StudyRecord) -> Result<Arc<PatientFacts>, RecordsError> {
        // Studies without a patient's ID belong together in nothing.
        let Some(first) = person.first().filter(|key| !key.id.is_empty()) else {
            return Ok(Arc::new(self.put_together(&[], std::slice::from_ref(record))));
        };
        if let Some(known) = self.patients.get(first) {
            return Ok(Arc::clone(known));
        }
        let mut studies = Vec::new();
        for key in &person {
            let selector = StudySelector::PatientId(key.id.clone());
            let mut after = None;
            loop {
                let page = self.index.studies(&selector, after.as_ref(), PAGE)?;
                let Some((last, _)) = page.last() else { break };
                after = Some(last.clone());
                studies.extend(
                    page.into_iter()
                        .map(|(_, record)| record)
                        .filter(|record| patient_of(record) == *key),
                );
            }
        }
        let facts = Arc::new(self.put_together(&person, &studies));
        if self.patients.len() >= PATIENTS_MAX {
            self.patients.clear();
        }
        self.patients.insert(first.clone(), Arc::clone(&facts));
        Ok(facts)
    }

    fn put_together(&self, person: &[PatientKey], studies: &[StudyRecord]) -> PatientFacts {
        let subjects: Vec<Subject> = person.iter().cloned().map(Subject::Patient).collect();
        let known = Known::of(subjects.iter().flat_map(|subject| self.book.rows_of(subject)));
        let mut conflicts = known.conflicts;
        // What headers say counts where nobody said otherwise.
        let births: BTreeSet<PartialDate> = studies
            .iter()
            .filter_map(|record| record.attributes.text(PATIENT_BIRTH_DATE).parse().ok())
            .collect();
        if known.birth.is_none() && births.len() > 1 {
            let all: Vec<String> = births.iter().map(PartialDate::to_string).collect();
            conflicts.push(format!(
                "studies do not agree on the patient's birth date: {}; the latest counts until somebody says which it is",
                all.join(", ")
            ));
        }
        let mut others: Vec<OtherStudy> = studies
            .iter()
            .map(|record| {
                let known = self.known(record);
                OtherStudy {
                    study_instance_uid: record.study_instance_uid.as_str().to_owned(),
                    date: date_of(record),
                    modalities: record.modalities_in_study.clone(),
                    site: self.site(record, &known),
                    source: known.source.unwrap_or(Source::Own),
                }
            })
            .collect();
        for key in person {
            let hashed = self.room.inner.keys.hashed(key);
            let gone = self.book.gone.get(&hashed).into_iter().flatten();
            let is_there = |uid: &str| others.iter().any(|other| other.study_instance_uid == uid);
            let gone: Vec<OtherStudy> = gone
                .filter(|gone| !is_there(&gone.study_instance_uid))
                .cloned()
                .collect();
            others.extend(gone);
        }
        PatientFacts {
            birth: known
                .birth
                .or_else(|| births.into_iter().max_by_key(|date| date.latest())),
            death: known.death,
            last_encounter: known.last_encounter,
            encounters: known.encounters,
            flags: known.flags,
            trial_end: known.trial_end,
            employment_end: known.employment_end,
            studies: others,
            conflicts,
        }
    }
}

/// Whose a study is.
pub(crate) fn patient_of(record: &StudyRecord) -> PatientKey {
    PatientKey {
        id: record.keys.patient_id.clone(),
        issuer: record.keys.issuer_of_patient_id.clone(),
    }
}

fn date_of(record: &StudyRecord) -> Option<PartialDate> {
    record.keys.study_date.parse().ok()
}
