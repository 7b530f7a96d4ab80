//! What was decided of all studies, kept at hand: counts, and the studies that have expired or are kept too long.
//!
//! It is made anew when the site's day changes, a policy is published or a hold on a query opens or ends, patient by patient, without
//! holding anything up; what is learnt of a patient or a study in between has that patient's studies decided on at once. It is never
//! more than a way to find studies: whatever is listed or proposed is decided on again.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use filmroom_retention::{Decision, PartialDate, Policies, Status};
use filmroom_storage::{
    index::{ChangePlace, StudyCursor, StudySelector},
    model::{StudyInstanceUid, StudyRecord},
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use time::{Date, OffsetDateTime};

use super::{
    PatientKey, Records, RecordsError, Scope, Subject,
    event::Stirs,
    study::{Looked, Looking, patient_of},
};

/// Patients looked up in one go; between two others may decide.
const PATIENTS: usize = 200;
/// Keys of studies read in one go.
const PAGE: usize = 1000;
/// Changes of the archive read in one go.
const CHANGES: usize = 5000;

/// Studies, and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Studies.
    pub studies: u64,
    /// Bytes of their Part 10 files.
    pub bytes: u64,
}

impl Count {
    fn add(&mut self, bytes: u64) {
        self.studies += 1;
        self.bytes += bytes;
    }

    fn subtract(&mut self, bytes: u64) {
        self.studies = self.studies.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// How long the studies of the archive are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Survey {
    /// The day for which it holds.
    pub as_of: PartialDate,
    /// When all studies were decided on last.
    #[serde(with = "time::serde::rfc3339")]
    pub made_at: OffsetDateTime,
    /// Something changed that it does not know yet.
    pub is_behind: bool,
    /// All studies.
    pub all: Count,
    /// By status.
    pub by_status: BTreeMap<&'static str, Count>,
    /// Studies that are kept up to a day, by the year in which they may go first.
    pub by_year: BTreeMap<i32, Count>,
    /// Those that a person has to look at, since they are kept longer than allowed.
    pub overdue: Count,
    /// Those of which rules or sources do not agree.
    pub in_conflict: Count,
}

/// What is remembered of one study: 32 bytes beside its key.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Entry {
    bytes: u64,
    /// Year in which it may go first.
    year: Option<i32>,
    status: Status,
    is_overdue: bool,
    in_conflict: bool,
}

/// The studies of one kind, in the order of lists.
type Listed = BTreeMap<StudyCursor, String>;

/// What is known of all studies.
pub(crate) struct Standing {
    as_of: Date,
    entries: HashMap<[u8; 16], Entry>,
    expired: Listed,
    overdue: Listed,
    /// Where those that are listed stand.
    places: HashMap<[u8; 16], StudyCursor>,
    survey: Survey,
}

/// What changed since it was looked at.
#[derive(Default)]
pub(crate) struct Pending {
    pub(crate) everything: bool,
    subjects: HashSet<Subject>,
    /// Patients of these IDs, whoever gave them.
    patients: HashSet<String>,
    /// What was taken out of here is being looked at.
    in_hand: bool,
}

impl Pending {
    fn is_empty(&self) -> bool {
        !self.everything && self.subjects.is_empty() && self.patients.is_empty() && !self.in_hand
    }
}

fn key_of(study: &str) -> [u8; 16] {
    let sum = Sha256::digest(study);
    let mut key = [0; 16];
    key.copy_from_slice(sum.split_at(16).0);
    key
}

impl Standing {
    fn new(as_of: Date, made_at: OffsetDateTime) -> Self {
        Self {
            as_of,
            entries: HashMap::new(),
            expired: Listed::new(),
            overdue: Listed::new(),
            places: HashMap::new(),
            survey: Survey {
                as_of: as_of.into(),
                made_at,
                is_behind: false,
                all: Count::default(),
                by_status: BTreeMap::new(),
                by_year: BTreeMap::new(),
                overdue: Count::default(),
                in_conflict: Count::default(),
            },
        }
    }

    fn put(&mut self, place: &StudyCursor, looked: &Looked, decision: &Decision) {
        let study = decision.study.as_str();
        self.forget(study);
        let key = key_of(study);
        let entry = Entry {
            bytes: looked.bytes,
            year: decision.retain_until.and_then(Date::next_day).map(Date::year),
            status: decision.status,
            is_overdue: decision.review.is_some(),
            in_conflict: !decision.conflicts.is_empty(),
        };
        let is_expired = entry.status == Status::Expired;
        if is_expired {
            self.expired.insert(place.clone(), study.to_owned());
        }
        if entry.is_overdue {
            self.overdue.insert(place.clone(), study.to_owned());
        }
        if is_expired || entry.is_overdue {
            self.places.insert(key, place.clone());
        }
        self.count(&entry, Count::add);
        self.entries.insert(key, entry);
    }

    fn forget(&mut self, study: &str) {
        let key = key_of(study);
        if let Some(entry) = self.entries.remove(&key) {
            self.count(&entry, Count::subtract);
        }
        if let Some(place) = self.places.remove(&key) {
            self.expired.remove(&place);
            self.overdue.remove(&place);
        }
    }

    fn count(&mut self, entry: &Entry, change: fn(&mut Count, u64)) {
        let survey = &mut self.survey;
        change(&mut survey.all, entry.bytes);
        change(survey.by_status.entry(entry.status.word()).or_default(), entry.bytes);
        if let Some(year) = entry.year {
            change(survey.by_year.entry(year).or_default(), entry.bytes);
        }
        if entry.is_overdue {
            change(&mut survey.overdue, entry.bytes);
        }
        if entry.in_conflict {
            change(&mut survey.in_conflict, entry.bytes);
        }
    }

    /// The listed studies behind a place.
    fn behind(&self, is_overdue: bool, after: Option<&StudyCursor>, limit: usize) -> Vec<(StudyCursor, String)> {
        let listed = if is_overdue { &self.overdue } else { &self.expired };
        let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let rest = listed.range::<StudyCursor, _>((from, std::ops::Bound::Unbounded));
        rest.take(limit)
            .map(|(place, study)| (place.clone(), study.clone()))
            .collect()
    }
}

impl Records {
    /// How long the studies of the archive are kept; `None` until all were decided on once.
    #[must_use]
    pub fn survey(&self) -> Option<Survey> {
        let is_behind = !self.pending().is_empty();
        let standing = self.standing();
        let standing = standing.as_ref()?;
        let mut survey = standing.survey.clone();
        survey.by_status.retain(|_, count| count.studies > 0);
        survey.by_year.retain(|_, count| count.studies > 0);
        survey.is_behind = is_behind || standing.as_of != self.today();
        Some(survey)
    }

    /// Notes whose studies an event touches that is in the book.
    pub(crate) fn stirred_by(&self, stirs: &Stirs) {
        let scope = match stirs {
            Stirs::Nothing => return,
            Stirs::Everything => return self.pending().everything = true,
            Stirs::These(subjects) => return self.pending().subjects.extend(subjects.iter().cloned()),
            Stirs::Link(id) => {
                let link = self.book().links.get(id).cloned();
                let both = link.map(|link| [link.survivor, link.subsumed].map(Subject::Patient));
                return self.pending().subjects.extend(both.into_iter().flatten());
            }
            Stirs::Hold(id) => self.book().holds.get(id).map(|hold| hold.scope.clone()),
            Stirs::Scope(scope) => Some(Scope::clone(scope)),
        };
        let mut pending = self.pending();
        match scope {
            Some(Scope { study: Some(study), .. }) => drop(pending.subjects.insert(Subject::Study(study))),
            Some(Scope {
                patient: Some(patient), ..
            }) => drop(pending.patients.insert(patient)),
            // Of a query only all studies tell.
            _ => pending.everything = true,
        }
    }

    /// Studies that had expired, or were kept too long, when they were last decided on; `None` where that is not known of all.
    pub(crate) fn listed(
        &self,
        is_overdue: bool,
        after: Option<&StudyCursor>,
        limit: usize,
    ) -> Option<Vec<(StudyCursor, String)>> {
        if !self.pending().is_empty() {
            return None;
        }
        let standing = self.standing();
        let standing = standing.as_ref().filter(|standing| standing.as_of == self.today())?;
        Some(standing.behind(is_overdue, after, limit))
    }

    /// Brings what is known of all studies up to date. Blocks, with a full pass for as long as it takes to read all studies once.
    ///
    /// # Errors
    /// [`RecordsError`]: it is tried again.
    pub(crate) fn keep_up(&self) -> Result<(), RecordsError> {
        let today = self.today();
        let is_due = {
            let standing = self.standing();
            self.pending().everything || standing.as_ref().is_none_or(|standing| standing.as_of != today)
        };
        if is_due {
            self.decide_on_all(today)?;
        }
        self.follow()?;
        let (subjects, patients) = {
            let mut pending = self.pending();
            pending.in_hand = true;
            (
                std::mem::take(&mut pending.subjects),
                std::mem::take(&mut pending.patients),
            )
        };
        let done = self.look_again(&subjects, &patients);
        let mut pending = self.pending();
        pending.in_hand = false;
        if done.is_err() {
            pending.subjects.extend(subjects);
            pending.patients.extend(patients);
        }
        done
    }

    fn look_again(&self, subjects: &HashSet<Subject>, patients: &HashSet<String>) -> Result<(), RecordsError> {
        let mut all: Vec<Subject> = subjects.iter().cloned().collect();
        let index = self.inner.store.index();
        for id in patients {
            let mut keys: BTreeSet<PatientKey> = BTreeSet::new();
            let mut after = None;
            loop {
                let page = index.study_keys(&StudySelector::PatientId(id.clone()), after.as_ref(), PAGE)?;
                let Some((last, ..)) = page.last() else { break };
                after = Some(last.clone());
                keys.extend(page.into_iter().map(|(_, _, keys)| PatientKey {
                    id: keys.patient_id,
                    issuer: keys.issuer_of_patient_id,
                }));
            }
            // One without a study may be linked to one that has some.
            keys.extend(self.book().links.of_id(id));
            all.extend(keys.into_iter().map(Subject::Patient));
        }
        for subjects in all.chunks(PATIENTS) {
            self.decide_again(subjects)?;
        }
        Ok(())
    }

    fn decide_on_all(&self, as_of: Date) -> Result<(), RecordsError> {
        let began = std::time::Instant::now();
        // What changes from here on is looked at behind the pass.
        let place = self.inner.store.latest_change()?;
        {
            let mut pending = self.pending();
            pending.everything = false;
            pending.subjects.clear();
            pending.patients.clear();
            pending.in_hand = true;
        }
        let mut standing = Standing::new(as_of, (self.inner.options.clock)());
        let done = self.each_study(|place, looked, policies| {
            standing.put(place, looked, &looked.decide(policies, as_of));
        });
        if let Err(error) = done {
            let mut pending = self.pending();
            (pending.in_hand, pending.everything) = (false, true);
            return Err(error);
        }
        tracing::info!(
            studies = standing.survey.all.studies,
            expired = standing.expired.len(),
            seconds = began.elapsed().as_secs_f32(),
            "all studies were decided on"
        );
        *self.followed() = Some(place);
        *self.standing() = Some(standing);
        self.pending().in_hand = false;
        Ok(())
    }

    /// Visits all studies, those of one patient together; each with the policies that are in force. Others decide in between.
    pub(crate) fn each_study(
        &self,
        mut visit: impl FnMut(&StudyCursor, &Looked, &Policies),
    ) -> Result<(), RecordsError> {
        let index = self.inner.store.index();
        let (mut after, mut seen): (Option<StudyCursor>, HashSet<[u8; 16]>) = (None, HashSet::new());
        let mut lonely: Vec<StudyInstanceUid> = Vec::new();
        loop {
            let page = index.study_keys(&StudySelector::All, after.as_ref(), PAGE)?;
            let Some((last, ..)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            let mut people: Vec<Vec<PatientKey>> = Vec::new();
            {
                let book = self.book();
                for (_, uid, keys) in page {
                    if keys.patient_id.is_empty() {
                        lonely.push(uid);
                        continue;
                    }
                    let key = PatientKey {
                        id: keys.patient_id,
                        issuer: keys.issuer_of_patient_id,
                    };
                    let person = book.links.person(&key);
                    let first = person.first().unwrap_or(&key);
                    if seen.insert(key_of(&format!("{}:{}{}", first.issuer.len(), first.issuer, first.id))) {
                        people.push(person);
                    }
                }
            }
            for people in people.chunks(PATIENTS) {
                let book = self.book();
                let mut looking = Looking::new(self, &book);
                for person in people {
                    for (place, record) in self.studies_of(person)? {
                        visit(&place, &looking.at(&record)?, &book.policies);
                    }
                }
            }
            for uids in std::mem::take(&mut lonely).chunks(PATIENTS) {
                let selector = StudySelector::Uids(uids.to_vec());
                let book = self.book();
                let mut looking = Looking::new(self, &book);
                for (place, record) in index.studies(&selector, None, uids.len())? {
                    visit(&place, &looking.at(&record)?, &book.policies);
                }
            }
        }
    }

    fn studies_of(&self, person: &[PatientKey]) -> Result<Vec<(StudyCursor, StudyRecord)>, RecordsError> {
        let index = self.inner.store.index();
        let mut studies = Vec::new();
        for key in person {
            let selector = StudySelector::PatientId(key.id.clone());
            let mut after = None;
            loop {
                let page = index.studies(&selector, after.as_ref(), PATIENTS)?;
                let Some((last, _)) = page.last() else { break };
                after = Some(last.clone());
                let is_short = page.len() < PATIENTS;
                studies.extend(page.into_iter().filter(|(_, record)| patient_of(record) == *key));
                if is_short {
                    break;
                }
            }
        }
        Ok(studies)
    }

    /// Notes the studies that came or changed since it was looked last.
    fn follow(&self) -> Result<(), RecordsError> {
        loop {
            let from: Option<ChangePlace> = *self.followed();
            if from.is_none() {
                return Ok(());
            }
            let changes = self.inner.store.changes(from, CHANGES)?;
            let Some(last) = changes.last() else { return Ok(()) };
            let studies: BTreeSet<&str> = changes
                .iter()
                .map(|change| change.study_instance_uid.as_str())
                .collect();
            let studies = studies.into_iter().map(|study| Subject::Study(study.to_owned()));
            self.pending().subjects.extend(studies);
            *self.followed() = Some(last.place);
        }
    }

    /// Decides on all studies of these, and of those whose they are.
    fn decide_again(&self, subjects: &[Subject]) -> Result<(), RecordsError> {
        let index = self.inner.store.index();
        let (mut people, mut lonely, mut gone) = (BTreeSet::new(), Vec::new(), Vec::new());
        {
            let book = self.book();
            for subject in subjects {
                let key = match subject {
                    Subject::Patient(key) => key.clone(),
                    Subject::Study(study) => {
                        let uid = StudyInstanceUid::new(study).ok();
                        let record = uid.map(|uid| index.study(&uid)).transpose()?.flatten();
                        let Some(record) = record else {
                            // Its patient's other studies may have depended on it.
                            gone.push(study);
                            continue;
                        };
                        let key = patient_of(&record);
                        if key.id.is_empty() {
                            lonely.push(record.study_instance_uid.clone());
                            continue;
                        }
                        key
                    }
                };
                people.insert(book.links.person(&key));
            }
        }
        let book = self.book();
        let mut looking = Looking::new(self, &book);
        let mut decided = Vec::new();
        for person in &people {
            for (place, record) in self.studies_of(person)? {
                decided.push((place, looking.at(&record)?));
            }
        }
        for uid in lonely {
            for (place, record) in index.studies(&StudySelector::Uids(vec![uid]), None, 1)? {
                decided.push((place, looking.at(&record)?));
            }
        }
        let mut standing = self.standing();
        let Some(standing) = standing.as_mut() else {
            return Ok(());
        };
        for study in gone {
            standing.forget(study);
        }
        for (place, looked) in decided {
            let decision = looked.decide(&book.policies, standing.as_of);
            standing.put(&place, &looked, &decision);
        }
        Ok(())
    }
}
