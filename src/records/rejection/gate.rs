//! Rejection notes at the door: looked at before they are stored, followed once they are.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use filmroom_ingest::{Arrived, Authority, Entering, Gate, IngestError, NoteFault};
use filmroom_storage::model::{Description, SopInstanceUid};
use tokio::sync::OwnedMutexGuard;

use super::{INSTANCES_MAX, Note, NoteAt, RejectionReason, all, note::Title};
use crate::{Actor, PatientKey, Records, RecordsError, event::Event, study::patient_of};

/// Has notes followed, and keeps a list of what comes back after it was destroyed.
pub struct NoteGate(pub Records);

#[async_trait]
impl Gate for NoteGate {
    async fn enter(
        &self,
        description: &Description,
        authority: &Authority,
    ) -> Result<Option<Box<dyn Entering>>, IngestError> {
        let Some(note) = Note::of(description) else {
            return Ok(None);
        };
        let Authority::Rejecting(subject) = authority else {
            return Err(fault(
                NoteFault::NotAuthorized,
                "rejection notes are taken from peers and persons who may reject; this sender is none of them",
            ));
        };
        let by = Actor::new(subject, &["rejecting"]);
        let entering = self.0.enter_note(by, note).await?;
        Ok(Some(Box::new(entering)))
    }

    async fn came_back(&self, arrived: &Arrived) {
        self.0.came_back(arrived).await;
    }
}

/// A note that may be followed. Nothing else is decided as long as it is there.
struct Followed {
    room: Records,
    by: Actor,
    note: Note,
    /// It was followed before.
    is_known: bool,
    _deciding: OwnedMutexGuard<()>,
}

#[async_trait]
impl Entering for Followed {
    async fn stored(self: Box<Self>) -> Result<(), IngestError> {
        if self.is_known {
            return Ok(());
        }
        let Self { room, by, note, .. } = *self;
        let mut studies: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for listed in note.listed {
            studies.entry(listed.study).or_default().push(listed.instance);
        }
        let at = Some(NoteAt {
            study: note.study,
            instance: note.instance,
        });
        let instances = all(&studies);
        let why = "a rejection note".to_owned();
        let followed = match note.title {
            Title::Rejects(RejectionReason::Expired) => {
                let studies = studies.into_keys().collect();
                room.propose_noted(by, studies, at).await.map(|_| ())
            }
            Title::Rejects(reason) => {
                let event = Event::InstancesRejected {
                    by,
                    reason,
                    why,
                    note: at,
                    studies,
                };
                room.reclassify(event, &instances).await
            }
            Title::Restores => {
                let event = Event::InstancesRestored {
                    by,
                    why,
                    note: at,
                    studies,
                };
                room.reclassify(event, &instances).await
            }
        };
        followed.map_err(failed)
    }
}

impl Records {
    async fn enter_note(&self, by: Actor, note: Note) -> Result<Followed, IngestError> {
        let deciding = self.turn().await;
        let looked_at = note.clone();
        let is_known = self.book().rejections.is_followed(&note.instance);
        if !is_known {
            let looked = self.blocking(move |room| Ok(room.look_at(&looked_at))).await;
            looked.map_err(failed)??;
        }
        Ok(Followed {
            room: self.clone(),
            by,
            note,
            is_known,
            _deciding: deciding,
        })
    }

    /// Whether a note may be followed. Blocks.
    fn look_at(&self, note: &Note) -> Result<(), IngestError> {
        if note.listed.is_empty() {
            return Err(IngestError::Mismatch("the note lists no instance".to_owned()));
        }
        if note.listed.len() > INSTANCES_MAX {
            return Err(IngestError::Mismatch(format!(
                "the note lists more than {INSTANCES_MAX} instances"
            )));
        }
        let index = self.inner.store.index();
        let book = self.book();
        let mut whose: Option<PatientKey> = None;
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        for listed in &note.listed {
            let uid =
                SopInstanceUid::new(&listed.instance).map_err(|error| IngestError::Mismatch(error.to_string()))?;
            let record = index.instance(&uid).map_err(|error| failed(error.into()))?;
            let record = record.filter(|record| record.study_instance_uid.as_str() == listed.study);
            let Some(record) = record else {
                return Err(fault(
                    NoteFault::NoSuchInstance,
                    &format!("instance {uid} of study {} is not here", listed.study),
                ));
            };
            if record.sop_class_uid.as_str() != listed.sop_class {
                return Err(fault(
                    NoteFault::ClassConflict,
                    &format!("instance {uid} is of class {}", record.sop_class_uid),
                ));
            }
            match (note.title, book.rejections.reason(&listed.study, &listed.instance)) {
                // What is rejected may have expired all the same.
                (Title::Rejects(reason), Some(_)) if reason != RejectionReason::Expired => {
                    return Err(fault(
                        NoteFault::AlreadyRejected,
                        &format!("instance {uid} is rejected already"),
                    ));
                }
                (Title::Restores, None) => {
                    return Err(fault(
                        NoteFault::NoSuchInstance,
                        &format!("instance {uid} is not rejected"),
                    ));
                }
                (Title::Restores, Some(RejectionReason::Safety)) => {
                    return Err(fault(
                        NoteFault::NotAuthorized,
                        "what was rejected for the safety of a patient is restored by a manager of records",
                    ));
                }
                _ => {}
            }
            if !seen.insert(&listed.study) {
                continue;
            }
            let study = index
                .study(&record.study_instance_uid)
                .map_err(|error| failed(error.into()))?;
            let patient = study.as_ref().map(patient_of).unwrap_or_default();
            if whose.get_or_insert_with(|| patient.clone()) != &patient {
                return Err(IngestError::Mismatch(
                    "the note lists studies of several patients".to_owned(),
                ));
            }
        }
        // An issuer that one of the two leaves out tells nothing.
        let is_same = |patient: &PatientKey| {
            patient.id == note.patient.id
                && (patient.issuer == note.patient.issuer
                    || patient.issuer.is_empty()
                    || note.patient.issuer.is_empty())
        };
        if !whose.as_ref().is_some_and(is_same) {
            return Err(IngestError::Mismatch(
                "the note is of another patient than what it lists".to_owned(),
            ));
        }
        drop(book);
        match note.title {
            Title::Rejects(RejectionReason::Expired) => self.look_at_expiry(note),
            _ => Ok(()),
        }
    }

    /// Whether the studies of a note may be proposed for disposal: whole, expired, and on nobody's hold.
    fn look_at_expiry(&self, note: &Note) -> Result<(), IngestError> {
        let studies: BTreeSet<&str> = note.listed.iter().map(|listed| listed.study.as_str()).collect();
        let named: BTreeSet<&str> = note.listed.iter().map(|listed| listed.instance.as_str()).collect();
        for study in &studies {
            let which = super::Which {
                study: (*study).to_owned(),
                ..super::Which::default()
            };
            let is_whole = self.instances_of(&which).map_err(failed)?.iter().all(|uid| {
                named.contains(uid.as_str()) || self.book().rejections.is_note(study, uid) || *uid == note.instance
            });
            if !is_whole {
                return Err(fault(
                    NoteFault::NotAllowed,
                    &format!("studies are disposed of whole, and the note lists a part of {study} alone"),
                ));
            }
        }
        let studies: Vec<String> = studies.into_iter().map(str::to_owned).collect();
        let (_, refused, _) = self.look_through(&studies).map_err(failed)?;
        match refused.first() {
            None => Ok(()),
            Some(refused) => Err(fault(
                match refused.code {
                    "proposed" => NoteFault::AlreadyRejected,
                    "retained" => NoteFault::NotExpired,
                    _ => NoteFault::NotAllowed,
                },
                &format!("{}: {}", refused.study, refused.reason),
            )),
        }
    }
}

fn fault(fault: NoteFault, why: &str) -> IngestError {
    IngestError::Note(fault, why.to_owned())
}

fn failed(error: RecordsError) -> IngestError {
    match error {
        RecordsError::Store(error) => error.into(),
        other => IngestError::Failed(other.to_string()),
    }
}
