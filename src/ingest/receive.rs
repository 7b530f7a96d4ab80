//! Taking an instance in: from the announcement to the receipt.

use std::sync::Arc;

use bytes::Bytes;
use filmroom_storage::{
    model::{Description, Door, InstanceRecord, Origin, Tag, check_uid},
    store::{Committed, Incoming, Sealed, StoreError},
};

use time::OffsetDateTime;

use super::{Announced, Arrived, Ingest, IngestError, Outcome, Receipt, Subject, Watcher, collision, gate};
use filmroom_dataset::{DataSetError, Identity, identify, write_file_head};

/// So much of a data set is held back at most until SOP Class and SOP Instance UID were met, which the file meta information
/// before it needs. They stand among the first elements.
const BEGINNING_MAX_BYTES: usize = 256 << 10;
/// A data set longer than this is described on a blocking thread: there may be many fragments to walk through.
const DESCRIBE_HERE_MAX_BYTES: u64 = 4 << 20;

/// (0008,0060).
const MODALITY: Tag = 0x0008_0060;
const ACCESSION_NUMBER: Tag = 0x0008_0050;
const PATIENT_NAME: Tag = 0x0010_0010;
const PATIENT_ID: Tag = 0x0010_0020;
const ISSUER_OF_PATIENT_ID: Tag = 0x0010_0021;

/// One instance on its way in. Dropping it forgets it.
pub struct Receiving {
    room: Ingest,
    announced: Announced,
    origin: Origin,
    stage: Stage,
}

enum Stage {
    /// Who the instance is has not been told yet.
    Beginning { held: Vec<u8>, look_at: usize },
    /// Its bytes go to the store.
    Storing(Box<Incoming>),
}

impl Ingest {
    /// Begins an instance.
    ///
    /// # Errors
    /// [`IngestError::InvalidUid`], [`IngestError::SopClass`]: the sender's bytes are to be skipped, not kept.
    pub fn receive(&self, announced: Announced, origin: Origin) -> Result<Receiving, IngestError> {
        if let Some(uid) = &announced.sop_instance_uid {
            check_uid(uid).map_err(|error| IngestError::InvalidUid(error.to_string()))?;
        }
        if let Some(uid) = &announced.sop_class_uid {
            check_uid(uid).map_err(|error| IngestError::SopClass(error.to_string()))?;
        }
        let mut receiving = Receiving {
            room: self.clone(),
            announced,
            origin,
            stage: Stage::Beginning {
                held: Vec::new(),
                look_at: 1024,
            },
        };
        let told = Identity {
            sop_class_uid: plain(receiving.announced.sop_class_uid.as_deref()),
            sop_instance_uid: plain(receiving.announced.sop_instance_uid.as_deref()),
        };
        if !told.sop_class_uid.is_empty() && !told.sop_instance_uid.is_empty() {
            receiving.stage = Stage::Storing(Box::new(receiving.open(&told)));
        }
        Ok(receiving)
    }
}

impl Receiving {
    /// Takes the next bytes of the data set.
    ///
    /// # Errors
    /// [`IngestError::OutOfResources`]: the rest of the sender's bytes are to be skipped.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), IngestError> {
        match &mut self.stage {
            Stage::Storing(incoming) => Ok(incoming.write(bytes).await?),
            Stage::Beginning { held, look_at } => {
                held.extend_from_slice(bytes);
                if held.len() < *look_at {
                    return Ok(());
                }
                *look_at = held.len().saturating_mul(2);
                self.tell_apart(AtEnd::No).await
            }
        }
    }

    /// Ends the data set: described, checked, made durable, indexed.
    ///
    /// # Errors
    /// [`IngestError`]: nothing was kept.
    pub async fn finish(mut self) -> Result<Receipt, IngestError> {
        self.tell_apart(AtEnd::Yes).await?;
        let Self {
            room,
            announced,
            origin,
            stage,
        } = self;
        let Stage::Storing(incoming) = stage else {
            return Err(IngestError::Failed("the instance was not opened".into()));
        };
        let sealed = incoming.seal().await?;
        let (sealed, description) = describe(sealed, &announced).await?;
        check(&description, &announced)?;
        let receipt = Receipt {
            outcome: Outcome::Stored,
            study_instance_uid: description.study_instance_uid.clone(),
            series_instance_uid: description.series_instance_uid.clone(),
            sop_class_uid: description.sop_class_uid.clone(),
            sop_instance_uid: description.sop_instance_uid.clone(),
            quirks: description.quirks.clone(),
        };
        let Ingest {
            store,
            watcher,
            gate,
            authority,
        } = room;
        let is_told = watcher.is_some() || gate.is_some();
        let told = is_told.then(|| Told {
            arrived: arrived(&receipt, &description, origin.clone()),
            watcher,
        });
        let entering = match &gate {
            Some(gate) if gate::is_of_note(&description.sop_class_uid) => gate.enter(&description, &authority).await?,
            _ => None,
        };
        let committed = match (store.commit(sealed, description, &origin).await, &gate, &told) {
            (Err(error @ StoreError::Destroyed(_)), Some(gate), Some(told)) => {
                gate.came_back(&told.arrived).await;
                return Err(error.into());
            }
            (committed, _, _) => committed?,
        };
        let outcome = match committed {
            Committed::Stored(record) => {
                tell(told, record).await?;
                Outcome::Stored
            }
            Committed::AlreadyStored(record) => {
                tell(told, record).await?;
                Outcome::AlreadyStored
            }
            Committed::Collision(collision) => {
                let outcome = collision::resolve(&store, *collision, &origin).await?;
                if let Some(Told {
                    watcher: Some(watcher),
                    arrived,
                }) = told
                {
                    let kept = watcher.not_stored_anew(&arrived).await;
                    kept.map_err(IngestError::OutOfResources)?;
                }
                outcome
            }
        };
        // What is kept apart says nothing of others.
        if let Some(entering) = entering
            && !matches!(outcome, Outcome::Quarantined(_))
        {
            entering.stored().await?;
        }
        Ok(Receipt { outcome, ..receipt })
    }

    /// Opens the instance at the store as soon as its first bytes say who it is, or can no longer be expected to.
    async fn tell_apart(&mut self, at_end: AtEnd) -> Result<(), IngestError> {
        let Stage::Beginning { held, .. } = &mut self.stage else {
            return Ok(());
        };
        let beginning = Bytes::from(std::mem::take(held));
        let found = identify(&beginning, &self.announced.transfer_syntax_uid);
        if found.is_none() && at_end == AtEnd::No && beginning.len() < BEGINNING_MAX_BYTES {
            *held = beginning.into();
            return Ok(());
        }
        let mut incoming = self.open(&found.unwrap_or_default());
        incoming.write(&beginning).await?;
        self.stage = Stage::Storing(Box::new(incoming));
        Ok(())
    }

    fn open(&self, identity: &Identity) -> Incoming {
        let source = if self.origin.door == Door::Dimse {
            self.origin.sender.as_str()
        } else {
            ""
        };
        let head = write_file_head(
            &identity.sop_class_uid,
            &identity.sop_instance_uid,
            self.announced.transfer_syntax_uid.as_str(),
            source,
        );
        self.room.store.receive(head, self.announced.expected_length)
    }
}

fn arrived(receipt: &Receipt, description: &Description, origin: Origin) -> Arrived {
    let text = |tag| description.study.text(tag).trim().to_owned();
    Arrived {
        study_instance_uid: receipt.study_instance_uid.clone(),
        series_instance_uid: receipt.series_instance_uid.clone(),
        sop_class_uid: receipt.sop_class_uid.clone(),
        sop_instance_uid: receipt.sop_instance_uid.clone(),
        modality: description.series.text(MODALITY).trim().to_owned(),
        origin,
        subject: Subject {
            patient_id: text(PATIENT_ID),
            issuer_of_patient_id: text(ISSUER_OF_PATIENT_ID),
            patient_name: text(PATIENT_NAME),
            accession_number: text(ACCESSION_NUMBER),
        },
        received_at: OffsetDateTime::now_utc(),
    }
}

/// Who is told, and of what.
struct Told {
    watcher: Option<Arc<dyn Watcher>>,
    arrived: Arrived,
}

/// Tells the watcher, if there is one, of what is stored now.
async fn tell(told: Option<Told>, record: InstanceRecord) -> Result<(), IngestError> {
    let Some(Told {
        watcher: Some(watcher),
        mut arrived,
    }) = told
    else {
        return Ok(());
    };
    // As precise as the index keeps it.
    arrived.received_at = record
        .received_at
        .replace_nanosecond(record.received_at.nanosecond() / 1000 * 1000)
        .unwrap_or(record.received_at);
    watcher.arrived(&arrived).await.map_err(IngestError::OutOfResources)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AtEnd {
    Yes,
    No,
}

fn plain(uid: Option<&str>) -> String {
    uid.and_then(|uid| check_uid(uid).ok()).unwrap_or_default().to_owned()
}

async fn describe(sealed: Sealed, announced: &Announced) -> Result<(Sealed, Description), IngestError> {
    let syntax = announced.transfer_syntax_uid.clone();
    let long = sealed.data_set().len() > DESCRIBE_HERE_MAX_BYTES;
    if !sealed.is_staged() && !long && !filmroom_dataset::is_deflated(&syntax) {
        let description = filmroom_dataset::describe(sealed.data_set(), &syntax)?;
        return Ok((sealed, description));
    }
    tokio::task::spawn_blocking(move || {
        let description = filmroom_dataset::describe(sealed.data_set(), &syntax)?;
        Ok((sealed, description))
    })
    .await
    .map_err(|error| IngestError::Failed(error.to_string()))?
}

/// What the sender announced must be what came.
fn check(description: &Description, announced: &Announced) -> Result<(), IngestError> {
    let said = plain(announced.sop_instance_uid.as_deref());
    if !said.is_empty() && said != description.sop_instance_uid.as_str() {
        return Err(IngestError::Mismatch(format!(
            "SOP Instance UID {} of the data set is not {said} of the command",
            description.sop_instance_uid
        )));
    }
    let said = plain(announced.sop_class_uid.as_deref());
    if !said.is_empty() && said != description.sop_class_uid.as_str() {
        return Err(IngestError::Mismatch(format!(
            "SOP Class UID {} of the data set is not {said} of the command",
            description.sop_class_uid
        )));
    }
    if let Some(study) = &announced.study_instance_uid
        && *study != description.study_instance_uid
    {
        return Err(IngestError::Mismatch(format!(
            "the instance belongs to study {}, not to {study}",
            description.study_instance_uid
        )));
    }
    Ok(())
}

impl From<DataSetError> for IngestError {
    fn from(error: DataSetError) -> Self {
        match error {
            DataSetError::Identity(reason) => Self::Mismatch(reason),
            DataSetError::Unreadable(reason) => Self::Failed(reason),
            other => Self::CannotUnderstand(other),
        }
    }
}
