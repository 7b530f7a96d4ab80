//! What was agreed on for an association.

use std::sync::Arc;

use filmroom_storage::model::TransferSyntaxUid;

use super::uid::Service;
use filmroom_access::Principal;
use filmroom_audit::Caller;
use filmroom_peers::Peer;

/// A presentation context that was agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// Odd, 1 to 255.
    pub id: u8,
    /// The SOP class.
    pub abstract_syntax: Arc<str>,
    /// The one transfer syntax.
    pub transfer_syntax: TransferSyntaxUid,
    /// What the SOP class is for.
    pub service: Service,
    /// This node may invoke operations: as requestor by default, as acceptor by role selection (PS3.7 §D.3.3.4).
    pub may_invoke: bool,
    /// This node performs operations.
    pub may_perform: bool,
}

/// What was agreed on for an association.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Negotiated {
    /// Of the requestor.
    pub calling_ae_title: String,
    /// Of the acceptor.
    pub called_ae_title: String,
    /// Network address of the peer.
    pub peer_address: String,
    /// (0002,0012) of the peer.
    pub peer_implementation_class_uid: String,
    /// (0002,0013) of the peer.
    pub peer_implementation_version_name: String,
    /// Bytes of data that go into one P-DATA-TF to the peer; even.
    pub fragment_length_max: usize,
    /// Operations that the peer may have outstanding here: 1 unless negotiated.
    pub operations_performed_max: u16,
    /// Operations that this node may have outstanding at the peer: 1 unless negotiated.
    pub operations_invoked_max: u16,
    /// The calling peer as it is known, where it is.
    pub peer: Option<Peer>,
    /// Who uses the calling entity, where it was asked and is known (PS3.7 §D.3.3.7).
    pub user: Option<Principal>,
    pub(super) contexts: Vec<Context>,
    pub(super) extended: Vec<(String, Vec<u8>)>,
}

impl Negotiated {
    /// Who calls, as it stands in the audit trail.
    #[must_use]
    pub fn caller(&self) -> Caller<'_> {
        Caller {
            ae_title: &self.calling_ae_title,
            user: self.user.as_ref().map(|user| user.name.as_str()).unwrap_or_default(),
            place: &self.peer_address,
        }
    }

    /// The context of this identifier.
    #[must_use]
    pub fn context(&self, id: u8) -> Option<&Context> {
        self.contexts.iter().find(|context| context.id == id)
    }

    /// All contexts that were agreed on.
    #[must_use]
    pub fn contexts(&self) -> &[Context] {
        &self.contexts
    }

    /// The application information that was agreed on for a SOP class (PS3.7 §D.3.3.5); empty when none was.
    #[must_use]
    pub fn extended(&self, sop_class_uid: &str) -> &[u8] {
        self.extended
            .iter()
            .find(|(uid, _)| uid == sop_class_uid)
            .map(|(_, information)| information.as_slice())
            .unwrap_or_default()
    }
}
