//! Which presentation contexts are accepted, in which transfer syntax and roles (PS3.8 §7.1.1.13, PS3.7 §D.3.3.4).

use dicom_ul::pdu::{
    AssociationRQ, PresentationContextProposed, PresentationContextResult, PresentationContextResultReason as Reason,
    RequestorRoles, UserVariableItem,
};
use filmroom_storage::model::TransferSyntaxUid;

use super::{
    super::{
        Context,
        uid::{
            DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN,
            IMPLICIT_VR_LITTLE_ENDIAN, Service, is_known_transfer_syntax, service_of,
        },
    },
    variables::common_extended,
};
use crate::config::DimseConfig;
use filmroom_access::Action;
use filmroom_peers::{Peer, Permission};

/// What decides on the contexts of one request.
pub(super) struct Deciding<'a> {
    config: &'a DimseConfig,
    peer: Option<&'a Peer>,
    variables: &'a [UserVariableItem],
    storage_by_service_class: Vec<String>,
    /// The requestor is about to receive instances by C-GET.
    gets: bool,
}

impl<'a> Deciding<'a> {
    pub(super) fn new(request: &'a AssociationRQ, config: &'a DimseConfig, peer: Option<&'a Peer>) -> Self {
        let gets = request.presentation_contexts.iter().any(|context| {
            let service = service_of(&context.abstract_syntax, &config.other_sop_classes);
            matches!(service, Some(Service::Get(_)))
        });
        Self {
            config,
            peer,
            variables: &request.user_variables,
            storage_by_service_class: common_extended(&request.user_variables),
            gets,
        }
    }

    /// Decides on one context.
    pub(super) fn decide(
        &self,
        proposed: &PresentationContextProposed,
    ) -> (PresentationContextResult, Option<Context>) {
        match self.accept(proposed) {
            Ok(context) => {
                let result = PresentationContextResult {
                    id: proposed.id,
                    reason: Reason::Acceptance,
                    transfer_syntax: context.transfer_syntax.as_str().to_owned(),
                };
                (result, Some(context))
            }
            Err(reason) => {
                let result = PresentationContextResult {
                    id: proposed.id,
                    reason,
                    // PS3.8 §9.3.3.2: not significant when refused, but it has to be there.
                    transfer_syntax: IMPLICIT_VR_LITTLE_ENDIAN.to_owned(),
                };
                (result, None)
            }
        }
    }

    fn accept(&self, proposed: &PresentationContextProposed) -> Result<Context, Reason> {
        let class = &proposed.abstract_syntax;
        let service = service_of(class, &self.config.other_sop_classes)
            .or_else(|| {
                self.storage_by_service_class
                    .contains(class)
                    .then_some(Service::Storage)
            })
            .filter(|service| *service != Service::InstanceAvailability)
            .ok_or(Reason::AbstractSyntaxNotSupported)?;
        let roles = roles(service, proposed_roles(class, self.variables));
        if !self.is_permitted(service, roles) {
            return Err(Reason::UserRejection);
        }
        let proposed_syntaxes = &proposed.transfer_syntaxes;
        let chosen = if service == Service::Storage && roles.scp && self.gets {
            choose_to_send(proposed_syntaxes)
        } else {
            choose(service, proposed_syntaxes)
        };
        let transfer_syntax = chosen
            .and_then(|uid| TransferSyntaxUid::new(uid).ok())
            .ok_or(Reason::TransferSyntaxesNotSupported)?;
        Ok(Context {
            id: proposed.id,
            abstract_syntax: class.as_str().into(),
            transfer_syntax,
            service,
            may_invoke: roles.scp,
            may_perform: roles.scu,
        })
    }

    /// Whether the peer may have the service. Who is no peer but was let in may have all.
    fn is_permitted(&self, service: Service, roles: RequestorRoles) -> bool {
        let Some(peer) = self.peer else { return true };
        let needed = match service {
            Service::Verification | Service::InstanceAvailability => return true,
            // Receiving by C-GET is permitted with it; reports of commitment come from those we send to.
            Service::Storage if roles.scp && !roles.scu => Permission::Get,
            Service::StorageCommitment if roles.scp && !roles.scu => return true,
            Service::Storage => Permission::Store,
            Service::Find(_) => Permission::Find,
            Service::Move(_) => Permission::Move,
            Service::Get(_) => Permission::Get,
            Service::StorageCommitment => Permission::Commit,
            Service::Worklist | Service::ProcedureStep | Service::ProcedureStepRetrieve => Permission::Worklist,
        };
        peer.may.contains(&needed)
    }
}

/// What a user has to be let do for a context; `None` where anybody may.
pub(super) fn action_of(context: &Context) -> Option<Action> {
    // The caller is the one that receives: by C-GET, or reports.
    let is_receiving = context.may_invoke && !context.may_perform;
    match context.service {
        Service::Verification | Service::InstanceAvailability => None,
        Service::StorageCommitment if is_receiving => None,
        Service::Storage if is_receiving => Some(Action::Retrieve),
        Service::Storage | Service::StorageCommitment => Some(Action::Store),
        Service::Find(_) => Some(Action::Query),
        Service::Move(_) | Service::Get(_) => Some(Action::Retrieve),
        Service::Worklist | Service::ProcedureStep | Service::ProcedureStepRetrieve => Some(Action::Worklist),
    }
}

/// The transfer syntax to send in by C-GET: an uncompressed one where it is offered, since every instance can be given so;
/// what is stored compressed goes as it is where the requestor offers that in a context of its own, as it should.
fn choose_to_send(proposed: &[String]) -> Option<&str> {
    [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN]
        .into_iter()
        .find(|uid| proposed.iter().any(|proposed| proposed == uid))
        .or_else(|| choose(Service::Storage, proposed))
}

/// The first proposed that is known: the order is the requestor's preference, and what is compressed comes as it is. Only
/// Implicit VR gives way to Explicit VR Little Endian, since it loses the value representations of private elements.
fn choose(service: Service, proposed: &[String]) -> Option<&str> {
    let has = |uid: &str| proposed.iter().any(|proposed| proposed == uid);
    let plain = [
        EXPLICIT_VR_LITTLE_ENDIAN,
        IMPLICIT_VR_LITTLE_ENDIAN,
        DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
        EXPLICIT_VR_BIG_ENDIAN,
    ];
    if service != Service::Storage {
        return plain.into_iter().find(|uid| has(uid));
    }
    let first = proposed.iter().find(|uid| is_known_transfer_syntax(uid))?;
    let loses = first == IMPLICIT_VR_LITTLE_ENDIAN;
    Some(if loses && has(EXPLICIT_VR_LITTLE_ENDIAN) {
        EXPLICIT_VR_LITTLE_ENDIAN
    } else {
        first
    })
}

fn proposed_roles(sop_class_uid: &str, variables: &[UserVariableItem]) -> Option<RequestorRoles> {
    variables.iter().find_map(|item| match item {
        UserVariableItem::ScuScpRoleSelectionSubItem(uid, roles) if uid == sop_class_uid => Some(*roles),
        _ => None,
    })
}

/// The roles of the requestor. Two services go both ways: storage, when a peer is to receive by C-GET, and storage commitment,
/// when a peer reports on what it was sent.
pub(super) fn roles(service: Service, proposed: Option<RequestorRoles>) -> RequestorRoles {
    let Some(proposed) = proposed else {
        return RequestorRoles { scu: true, scp: false };
    };
    RequestorRoles {
        scu: proposed.scu,
        scp: proposed.scp && matches!(service, Service::Storage | Service::StorageCommitment),
    }
}
