//! What stands before the store for instances that say something of others: rejection notes (IHE RAD TF-2, RAD-66).

use async_trait::async_trait;
use filmroom_storage::model::{Description, SopClassUid};

use super::{Arrived, IngestError};

/// Key Object Selection Document Storage (PS3.4 §B.5): the class of rejection notes.
const KEY_OBJECT_SELECTION: &str = "1.2.840.10008.5.1.4.1.1.88.59";

/// In whose name instances come, as far as it matters for what they say of others. A name alone is no authority.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Authority {
    /// Nobody's: what they say of others is refused.
    #[default]
    None,
    /// Of somebody who may reject: so it stands in the journal.
    Rejecting(String),
}

/// Why a note is refused (with IHE's statuses for them: IOCM, as archives that are in use answer it).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoteFault {
    /// Whoever sends it may not reject, or what is asked for takes a person: 0124H.
    NotAuthorized,
    /// It is of an instance that is not here: A772H.
    NoSuchInstance,
    /// An instance is of another class than it says: A773H.
    ClassConflict,
    /// It was rejected before, or is proposed for disposal already: A774H.
    AlreadyRejected,
    /// Its retention does not allow that it goes: A775H.
    NotAllowed,
    /// It is to be kept for longer: A776H.
    NotExpired,
}

/// Looks at instances that say something of others.
#[async_trait]
pub trait Gate: Send + Sync {
    /// Looks at an instance before it is stored. `None`: it is one like others.
    ///
    /// # Errors
    /// [`IngestError`]: it is not stored.
    async fn enter(
        &self,
        description: &Description,
        authority: &Authority,
    ) -> Result<Option<Box<dyn Entering>>, IngestError>;

    /// An instance was refused, since it was destroyed by a decision. What cannot be noted is refused all the same.
    async fn came_back(&self, arrived: &Arrived);
}

/// A note on its way: nothing that it speaks of changes until it is stored or given up.
#[async_trait]
pub trait Entering: Send {
    /// It is on stable storage: what it says is done. May be told twice of one note.
    ///
    /// # Errors
    /// [`IngestError`]: its sender has to send it again.
    async fn stored(self: Box<Self>) -> Result<(), IngestError>;
}

pub(super) fn is_of_note(class: &SopClassUid) -> bool {
    class.as_str() == KEY_OBJECT_SELECTION
}
