//! The room that takes instances in: the only writer of instances, and the only maker of a [`Receipt`].
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod collision;
mod gate;
mod receive;

use std::sync::Arc;

use async_trait::async_trait;
use filmroom_storage::{
    model::{Origin, SeriesInstanceUid, SopClassUid, SopInstanceUid, StudyInstanceUid, TransferSyntaxUid},
    store::{Store, StoreError},
};
use time::OffsetDateTime;

use filmroom_dataset::DataSetError;

pub use gate::{Authority, Entering, Gate, NoteFault};
pub use receive::Receiving;

/// What the sender said of an instance before its data set.
#[derive(Debug, Clone)]
pub struct Announced {
    /// As the command, part or file meta information says.
    pub transfer_syntax_uid: TransferSyntaxUid,
    /// Affected SOP Class UID, where there is a command.
    pub sop_class_uid: Option<String>,
    /// Affected SOP Instance UID, where there is a command.
    pub sop_instance_uid: Option<String>,
    /// The study that the instance must belong to, where the sender named one (STOW-RS to a study).
    pub study_instance_uid: Option<StudyInstanceUid>,
    /// Bytes of the data set where known, else a guess, else 0.
    pub expected_length: u64,
}

/// Why an instance was not taken in. Doors map each to their protocol's status.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The bytes are no data set: C000H.
    #[error("the data set cannot be understood: {0}")]
    CannotUnderstand(DataSetError),
    /// Command and data set disagree, or an identifier is missing or unusable: A900H.
    #[error("the data set does not match: {0}")]
    Mismatch(String),
    /// A UID of the announcement is no UID: 0117H.
    #[error("invalid SOP Instance UID: {0}")]
    InvalidUid(String),
    /// The SOP class is none that this archive takes: 0122H.
    #[error("SOP class {0} is not supported")]
    SopClass(String),
    /// Busy or stopping: A700H, 503.
    #[error("out of resources: {0}")]
    OutOfResources(String),
    /// The instance was destroyed by a decision and does not come back: 0124H.
    #[error("{0}")]
    Destroyed(String),
    /// It says something of other instances that is not taken from its sender, or not now: the status says what.
    #[error("{1}")]
    Note(NoteFault, String),
    /// The disk is full or cannot be written: A700H, 507.
    #[error("the archive cannot store at the moment: {0}")]
    OutOfStorage(String),
    /// Anything else that is not the sender's fault: 0110H.
    #[error("processing failure: {0}")]
    Failed(String),
}

/// What became of an instance that is safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// New in the archive.
    Stored,
    /// The same instance was there already.
    AlreadyStored,
    /// Another instance has the same UID: kept apart, durably, for HIM to decide. The reason.
    Quarantined(String),
}

/// Proof that an instance is on stable storage. Only this room can make one, and only after the store said so.
#[derive(Debug, Clone)]
pub struct Receipt {
    outcome: Outcome,
    study_instance_uid: StudyInstanceUid,
    series_instance_uid: SeriesInstanceUid,
    sop_class_uid: SopClassUid,
    sop_instance_uid: SopInstanceUid,
    quirks: Vec<String>,
}

impl Receipt {
    /// What became of the instance.
    #[must_use]
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }
    /// (0020,000D).
    #[must_use]
    pub fn study_instance_uid(&self) -> &StudyInstanceUid {
        &self.study_instance_uid
    }
    /// (0020,000E).
    #[must_use]
    pub fn series_instance_uid(&self) -> &SeriesInstanceUid {
        &self.series_instance_uid
    }
    /// (0008,0016).
    #[must_use]
    pub fn sop_class_uid(&self) -> &SopClassUid {
        &self.sop_class_uid
    }
    /// (0008,0018).
    #[must_use]
    pub fn sop_instance_uid(&self) -> &SopInstanceUid {
        &self.sop_instance_uid
    }
    /// What was odd and let pass.
    #[must_use]
    pub fn quirks(&self) -> &[String] {
        &self.quirks
    }
}

/// The room. Cheap to clone.
#[derive(Clone)]
pub struct Ingest {
    store: Store,
    watcher: Option<Arc<dyn Watcher>>,
    gate: Option<Arc<dyn Gate>>,
    authority: Authority,
}

/// An instance that is on stable storage and not acknowledged yet.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// (0020,000D).
    pub study_instance_uid: StudyInstanceUid,
    /// (0020,000E).
    pub series_instance_uid: SeriesInstanceUid,
    /// (0008,0016).
    pub sop_class_uid: SopClassUid,
    /// (0008,0018).
    pub sop_instance_uid: SopInstanceUid,
    /// (0008,0060); empty when there is none.
    pub modality: String,
    /// Who sent it, to whom, from where, through which door.
    pub origin: Origin,
    /// Whose it is, as the instance itself says.
    pub subject: Subject,
    /// When the stored instance was received: earlier when it came again.
    pub received_at: OffsetDateTime,
}

/// Whose instance it is. It never prints itself.
#[derive(Clone, Default)]
pub struct Subject {
    /// (0010,0020).
    pub patient_id: String,
    /// (0010,0021).
    pub issuer_of_patient_id: String,
    /// (0010,0010).
    pub patient_name: String,
    /// (0008,0050).
    pub accession_number: String,
}

impl std::fmt::Debug for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Subject(…)")
    }
}

/// Told of every instance after it is on stable storage and before its sender hears so, also of one that came again: its
/// sender may not have heard the first time.
#[async_trait]
pub trait Watcher: Send + Sync {
    /// Takes note, durably where it has to.
    ///
    /// # Errors
    /// One sentence; the sender is told that it has to send again.
    async fn arrived(&self, arrived: &Arrived) -> Result<(), String>;

    /// Takes note of an instance that its sender is told is safe, though it is not stored as it came: it is kept apart, since
    /// another has its UID, or is there in another encoding.
    ///
    /// # Errors
    /// As [`Watcher::arrived`].
    async fn not_stored_anew(&self, _arrived: &Arrived) -> Result<(), String> {
        Ok(())
    }
}

/// Several that are told, one after the other; the first that fails ends it.
pub struct Watchers(pub Vec<Arc<dyn Watcher>>);

#[async_trait]
impl Watcher for Watchers {
    async fn arrived(&self, arrived: &Arrived) -> Result<(), String> {
        for watcher in &self.0 {
            watcher.arrived(arrived).await?;
        }
        Ok(())
    }

    async fn not_stored_anew(&self, arrived: &Arrived) -> Result<(), String> {
        for watcher in &self.0 {
            watcher.not_stored_anew(arrived).await?;
        }
        Ok(())
    }
}

impl Ingest {
    /// Opens the room over a store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self {
            store,
            watcher: None,
            gate: None,
            authority: Authority::None,
        }
    }

    /// Opens the room over a store; somebody is told of every instance.
    #[must_use]
    pub fn watched(store: Store, watcher: Arc<dyn Watcher>) -> Self {
        Self {
            watcher: Some(watcher),
            ..Self::new(store)
        }
    }

    /// The same with somebody who looks at instances that say something of others.
    #[must_use]
    pub fn gated(self, gate: Arc<dyn Gate>) -> Self {
        Self {
            gate: Some(gate),
            ..self
        }
    }

    /// The same for what comes in the name of somebody.
    #[must_use]
    pub fn in_the_name_of(&self, authority: Authority) -> Self {
        Self {
            authority,
            ..self.clone()
        }
    }
}

impl From<StoreError> for IngestError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Destroyed(_) => Self::Destroyed(error.to_string()),
            StoreError::Unavailable(_) => Self::OutOfResources(error.to_string()),
            StoreError::OutOfSpace(_) | StoreError::Io(_) | StoreError::Index(_) | StoreError::Objects(_) => {
                Self::OutOfStorage(error.to_string())
            }
            other => Self::Failed(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
