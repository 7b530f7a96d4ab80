//! Patients of several identifiers: what a merge says is one person counts as one for retention.
//!
//! A link moves nothing. Studies keep the identifiers that they came with, and queries find them under those; rules see the studies,
//! facts and holds of all identifiers of the person together, so that nothing of theirs goes earlier than the latest of it allows.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use serde::{Serialize, Serializer};
use time::OffsetDateTime;

use super::{Actor, Message, PatientKey, Records, RecordsError, Subject, actor, event::Event};

/// Longest reason, in bytes.
const REASON_BYTES_MAX: usize = 500;
/// Most identifiers that one person may come to have: merges beyond are mistakes.
const IDENTIFIERS_MAX: usize = 100;

/// A merge: from then on its identifiers are one person's.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PatientLink {
    /// Its id.
    pub id: String,
    /// The identifier that stays in use.
    pub survivor: PatientKey,
    /// The one that is not used any more.
    pub subsumed: PatientKey,
    /// Who said so.
    pub linked_by: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub linked_at: OffsetDateTime,
    /// The message that said so.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shared")]
    pub message: Option<Arc<Message>>,
    /// It counts.
    pub active: bool,
    /// Who took it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken_back_by: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Counts its changes.
    pub version: u64,
}

fn shared<S: Serializer>(message: &Option<Arc<Message>>, serializer: S) -> Result<S::Ok, S::Error> {
    message.as_deref().serialize(serializer)
}

/// What stands against a merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MergeRefused {
    /// Both are the same.
    #[error("a patient is not merged into itself")]
    Itself,
    /// The identifiers were given by two.
    #[error("the identifiers were given by two authorities: a merge is of identifiers of one")]
    AcrossIssuers,
    /// It was merged the other way round before, directly or by others.
    #[error("the patient that is to stay was merged into the other one before")]
    Reversed,
    /// The survivor is not in use any more.
    #[error("the patient that is to stay was merged into a third one before: merge into that one")]
    SurvivorIsGone,
    /// The subsumed one went elsewhere.
    #[error("the patient that is to go was merged into a third one before")]
    GoneElsewhere,
    /// Too many.
    #[error("one person cannot have so many identifiers")]
    TooMany,
}

/// All merges, and whose identifiers belong together.
#[derive(Default)]
pub(crate) struct Links {
    all: BTreeMap<u64, PatientLink>,
    /// From each that went to the one that stayed.
    into: HashMap<PatientKey, PatientKey>,
    /// Both ways.
    beside: HashMap<PatientKey, BTreeSet<PatientKey>>,
}

impl Links {
    pub(crate) fn link(
        &mut self,
        number: u64,
        at: OffsetDateTime,
        by: &Actor,
        message: Option<Message>,
        survivor: PatientKey,
        subsumed: PatientKey,
    ) {
        self.into.insert(subsumed.clone(), survivor.clone());
        self.join(&survivor, &subsumed);
        let link = PatientLink {
            id: format!("l{number}"),
            survivor,
            subsumed,
            linked_by: by.subject.clone(),
            linked_at: at,
            message: message.map(Arc::new),
            active: true,
            taken_back_by: None,
            reason: String::new(),
            version: number,
        };
        self.all.insert(number, link);
    }

    pub(crate) fn take_back(&mut self, number: u64, by: &Actor, id: &str, reason: String) {
        let Some(link) = super::book::numbered(id, 'l').and_then(|number| self.all.get_mut(&number)) else {
            return;
        };
        link.active = false;
        link.taken_back_by = Some(by.subject.clone());
        link.reason = reason;
        link.version = number;
        self.into.clear();
        self.beside.clear();
        let active: Vec<(PatientKey, PatientKey)> = self
            .all
            .values()
            .filter(|link| link.active)
            .map(|link| (link.survivor.clone(), link.subsumed.clone()))
            .collect();
        for (survivor, subsumed) in active {
            self.join(&survivor, &subsumed);
            self.into.insert(subsumed, survivor);
        }
    }

    fn join(&mut self, one: &PatientKey, other: &PatientKey) {
        self.beside.entry(one.clone()).or_default().insert(other.clone());
        self.beside.entry(other.clone()).or_default().insert(one.clone());
    }

    /// All identifiers of the person who has this one, itself among them, in order.
    pub(crate) fn person(&self, key: &PatientKey) -> Vec<PatientKey> {
        let mut found = BTreeSet::from([key.clone()]);
        let mut waiting = vec![key];
        while let Some(next) = waiting.pop() {
            for beside in self.beside.get(next).into_iter().flatten() {
                if found.insert(beside.clone()) {
                    waiting.push(beside);
                }
            }
        }
        found.into_iter().collect()
    }

    /// Whether a merge is new; what stands against it where something does.
    pub(crate) fn check(&self, survivor: &PatientKey, subsumed: &PatientKey) -> Result<bool, MergeRefused> {
        if survivor == subsumed {
            return Err(MergeRefused::Itself);
        }
        if survivor.issuer != subsumed.issuer {
            return Err(MergeRefused::AcrossIssuers);
        }
        if self.into.get(subsumed) == Some(survivor) {
            return Ok(false);
        }
        let mut next = self.into.get(survivor);
        if next.is_some() {
            while let Some(stayed) = next {
                if stayed == subsumed {
                    return Err(MergeRefused::Reversed);
                }
                next = self.into.get(stayed);
            }
            return Err(MergeRefused::SurvivorIsGone);
        }
        if self.into.contains_key(subsumed) {
            return Err(MergeRefused::GoneElsewhere);
        }
        if self.person(survivor).len() + self.person(subsumed).len() > IDENTIFIERS_MAX {
            return Err(MergeRefused::TooMany);
        }
        Ok(true)
    }

    /// Identifiers of merges that have this ID, whoever gave it.
    pub(crate) fn of_id(&self, id: &str) -> Vec<PatientKey> {
        self.beside.keys().filter(|key| key.id == id).cloned().collect()
    }

    pub(crate) fn get(&self, id: &str) -> Option<&PatientLink> {
        self.all.get(&super::book::numbered(id, 'l')?)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &PatientLink> {
        self.all.values()
    }
}

impl Records {
    /// Takes merges that a message tells of, all or none: each a survivor and one that goes. What is merged so already stays as it
    /// is. Returns how many are new.
    ///
    /// # Errors
    /// [`RecordsError::Merge`] with the place of the one that cannot be, from 1.
    pub async fn merge_patients(
        &self,
        by: &Actor,
        message: &Message,
        merges: &[(PatientKey, PatientKey)],
    ) -> Result<usize, RecordsError> {
        by.needs(actor::ASSERT, "merge patients")?;
        let _deciding = self.turn().await;
        let mut new = Vec::new();
        for (place, (survivor, subsumed)) in merges.iter().enumerate() {
            let check = self.book().links.check(survivor, subsumed);
            let is_new = check.map_err(|refused| RecordsError::Merge(place + 1, refused))?;
            if is_new {
                new.push((survivor, subsumed));
            }
        }
        let count = new.len();
        for (survivor, subsumed) in new {
            // One may be against another of the same message.
            let again = self.book().links.check(survivor, subsumed);
            let place = merges
                .iter()
                .position(|merge| (&merge.0, &merge.1) == (survivor, subsumed));
            let place = place.map_or(0, |place| place + 1);
            if !again.map_err(|refused| RecordsError::Merge(place, refused))? {
                continue;
            }
            self.decide(Event::PatientsLinked {
                by: by.clone(),
                message: Some(message.clone()),
                survivor: survivor.clone(),
                subsumed: subsumed.clone(),
            })
            .await?;
            self.refresh_batches_about(&[Subject::Patient(survivor.clone())])
                .await?;
        }
        Ok(count)
    }

    /// All merges, oldest first, those that were taken back among them; of one patient where one is named.
    #[must_use]
    pub fn patient_links(&self, of: Option<&PatientKey>) -> Vec<PatientLink> {
        let book = self.book();
        let is_of = |link: &&PatientLink| of.is_none_or(|key| link.survivor == *key || link.subsumed == *key);
        book.links.all().filter(is_of).cloned().collect()
    }

    /// Takes a merge back: the identifiers are two persons' again.
    ///
    /// # Errors
    /// [`RecordsError::Unknown`], [`RecordsError::Conflict`] for one that was taken back before.
    pub async fn take_link_back(
        &self,
        by: &Actor,
        id: &str,
        reason: &str,
        expected: Option<u64>,
    ) -> Result<PatientLink, RecordsError> {
        by.needs(actor::PART, "take a merge back")?;
        if reason.trim().is_empty() || reason.len() > REASON_BYTES_MAX {
            return Err(RecordsError::invalid("reason", "say why, in up to 500 bytes"));
        }
        let _deciding = self.turn().await;
        let link = self.known_link(id)?;
        if expected.is_some_and(|expected| expected != link.version) {
            return Err(RecordsError::Stale);
        }
        if !link.active {
            return Err(RecordsError::conflict("taken-back", "it was taken back before"));
        }
        self.decide(Event::PatientsParted {
            by: by.clone(),
            link: id.to_owned(),
            reason: reason.to_owned(),
        })
        .await?;
        let both = [link.survivor, link.subsumed].map(Subject::Patient);
        self.refresh_batches_about(&both).await?;
        self.known_link(id)
    }

    fn known_link(&self, id: &str) -> Result<PatientLink, RecordsError> {
        let found = self.book().links.get(id).cloned();
        found.ok_or_else(|| RecordsError::Unknown("there is no such merge".to_owned()))
    }
}
