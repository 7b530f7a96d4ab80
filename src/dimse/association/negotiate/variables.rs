//! User information of requests and answers (PS3.7 §D.3.3).

use dicom_ul::pdu::{AssociationRQ, UserIdentityType, UserVariableItem};

use super::{
    super::{
        Negotiated,
        pdu::{ASYNCHRONOUS_OPERATIONS_WINDOW, COMMON_EXTENDED_NEGOTIATION},
        uid::Service,
    },
    contexts::roles,
};
use crate::config::DimseConfig;
use filmroom_access::Claim;
use filmroom_dataset::{IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME};

/// Storage Service Class, as common extended negotiation names it.
pub(super) const STORAGE_SERVICE_CLASS: &str = "1.2.840.10008.4.2";
/// User identity in an acceptance (PS3.7 §D.3.3.7.2); `dicom_ul` has no variant for it.
const USER_IDENTITY_ACCEPT: u8 = 0x59;
/// PDUs shorter than this cannot carry a PDV of two bytes.
const PDU_LENGTH_MIN: u32 = 8;
/// Bytes of a PDV before its data.
const PDV_HEADER_LENGTH: u32 = 6;

/// Bytes of data for one P-DATA-TF: the peer's limit (0 is none) within ours. `None` when the peer's is unusable.
pub(in crate::association) fn fragment_length(peer_max: u32, own_max: u32) -> Option<usize> {
    let limit = if peer_max == 0 { own_max } else { peer_max.min(own_max) };
    (limit >= PDU_LENGTH_MIN).then(|| ((limit - PDV_HEADER_LENGTH) & !1) as usize)
}

/// Maximum Length of the user variables; 0 (no limit) when it is missing.
pub(in crate::association) fn max_length(variables: &[UserVariableItem]) -> u32 {
    variables
        .iter()
        .find_map(|item| {
            if let UserVariableItem::MaxLength(length) = item {
                Some(*length)
            } else {
                None
            }
        })
        .unwrap_or(0)
}

/// Implementation class UID and version name of the user variables.
pub(in crate::association) fn implementation(variables: &[UserVariableItem]) -> (String, String) {
    let (mut class, mut version) = (String::new(), String::new());
    for item in variables {
        match item {
            UserVariableItem::ImplementationClassUID(uid) => class.clone_from(uid),
            UserVariableItem::ImplementationVersionName(name) => version.clone_from(name),
            _ => {}
        }
    }
    (class, version)
}

/// (invoked, performed) of an asynchronous operations window; 0 means no limit.
pub(in crate::association) fn operations_window(variables: &[UserVariableItem]) -> Option<(u16, u16)> {
    variables.iter().find_map(|item| match item {
        UserVariableItem::Unknown(ASYNCHRONOUS_OPERATIONS_WINDOW, data) => match data.as_slice() {
            [i0, i1, p0, p1, ..] => Some((u16::from_be_bytes([*i0, *i1]), u16::from_be_bytes([*p0, *p1]))),
            _ => None,
        },
        _ => None,
    })
}

/// The item for an asynchronous operations window.
pub(in crate::association) fn operations_window_item(invoked: u16, performed: u16) -> UserVariableItem {
    let mut data = invoked.to_be_bytes().to_vec();
    data.extend_from_slice(&performed.to_be_bytes());
    UserVariableItem::Unknown(ASYNCHRONOUS_OPERATIONS_WINDOW, data)
}

/// SOP classes that the requestor says belong to the storage service (PS3.7 §D.3.3.6): classes newer than this archive.
pub(super) fn common_extended(variables: &[UserVariableItem]) -> Vec<String> {
    let mut out = Vec::new();
    for item in variables {
        let UserVariableItem::Unknown(COMMON_EXTENDED_NEGOTIATION, data) = item else {
            continue;
        };
        let mut uids = data.as_slice();
        let mut next = || {
            let (length, rest) = uids.split_first_chunk::<2>()?;
            let (uid, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            uids = rest;
            Some(String::from_utf8_lossy(uid).trim_matches(['\0', ' ']).to_owned())
        };
        if let (Some(sop_class), Some(service_class)) = (next(), next())
            && service_class == STORAGE_SERVICE_CLASS
        {
            out.push(sop_class);
        }
    }
    out
}

pub(super) fn answer_variables(
    request: &AssociationRQ,
    config: &DimseConfig,
    negotiated: &mut Negotiated,
) -> Vec<UserVariableItem> {
    let mut out = vec![
        UserVariableItem::MaxLength(config.max_pdu_length_bytes),
        UserVariableItem::ImplementationClassUID(IMPLEMENTATION_CLASS_UID.to_owned()),
    ];
    if let Some((invoked, performed)) = operations_window(&request.user_variables) {
        let within = |theirs: u16| {
            if theirs == 0 {
                config.operations_max
            } else {
                theirs.min(config.operations_max)
            }
            .max(1)
        };
        negotiated.operations_performed_max = within(invoked);
        negotiated.operations_invoked_max = within(performed);
        out.push(operations_window_item(within(invoked), within(performed)));
    }
    for item in &request.user_variables {
        let UserVariableItem::ScuScpRoleSelectionSubItem(uid, proposed) = item else {
            continue;
        };
        if let Some(context) = negotiated
            .contexts
            .iter()
            .find(|context| *context.abstract_syntax == **uid)
        {
            let roles = roles(context.service, Some(*proposed));
            out.push(UserVariableItem::ScuScpRoleSelectionSubItem(uid.clone(), roles));
        }
    }
    out.push(UserVariableItem::ImplementationVersionName(
        IMPLEMENTATION_VERSION_NAME.to_owned(),
    ));
    for item in &request.user_variables {
        let UserVariableItem::SopClassExtendedNegotiationSubItem(uid, proposed) = item else {
            continue;
        };
        let Some(context) = negotiated
            .contexts
            .iter()
            .find(|context| *context.abstract_syntax == **uid)
        else {
            continue;
        };
        if let Some(information) = extended(context.service, proposed) {
            out.push(UserVariableItem::SopClassExtendedNegotiationSubItem(
                uid.clone(),
                information.clone(),
            ));
            negotiated.extended.push((uid.clone(), information));
        }
    }
    out
}

/// The answer to SOP class extended negotiation; as long as what was proposed.
fn extended(service: Service, proposed: &[u8]) -> Option<Vec<u8>> {
    let supported: &[u8] = match service {
        // PS3.4 §C.5.1.1: relational queries, combined date and time, fuzzy names; no time zone adjustment, no conversion of
        // enhanced instances; empty value matching.
        Service::Find(_) => &[1, 1, 1, 0, 0, 1],
        // PS3.4 §C.5.2.1, §C.5.3.1: relational retrieval.
        Service::Move(_) | Service::Get(_) => &[1],
        // PS3.4 §B.3.1: all attributes are kept (level 2), signatures too as bytes are kept as they came (level 3), nothing is
        // coerced. Not an echo: it says what this node does, whatever the requestor does.
        Service::Storage => return Some([2, 0, 3, 0, 0, 0].into_iter().take(proposed.len()).collect()),
        // PS3.4 §K.5.1: the first two are reserved; fuzzy names, no time zone adjustment.
        Service::Worklist => &[1, 1, 1, 0],
        Service::Verification
        | Service::StorageCommitment
        | Service::InstanceAvailability
        | Service::ProcedureStep
        | Service::ProcedureStepRetrieve => return None,
    };
    let supported = supported.iter().copied().chain(std::iter::repeat(0));
    Some(
        proposed
            .iter()
            .zip(supported)
            .map(|(theirs, ours)| theirs & ours)
            .collect(),
    )
}

/// What the requestor says of who uses it, and whether it wants to hear that it was believed (PS3.7 §D.3.3.7). `None` for a
/// kind of claim that PS3.7 does not know, too.
pub(in crate::association) fn claim(variables: &[UserVariableItem]) -> Option<(Claim, bool)> {
    variables.iter().find_map(|item| {
        let UserVariableItem::UserIdentityItem(identity) = item else {
            return None;
        };
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap_or_default();
        let claim = match identity.identity_type() {
            UserIdentityType::Username => Claim::Username(text(identity.primary_field())),
            UserIdentityType::UsernamePassword => Claim::Passcode {
                username: text(identity.primary_field()),
                passcode: identity.secondary_field().into(),
            },
            UserIdentityType::KerberosServiceTicket => Claim::Kerberos,
            UserIdentityType::SamlAssertion => Claim::Saml,
            UserIdentityType::Jwt => Claim::Jwt(text(identity.primary_field())),
            _ => return None,
        };
        Some((claim, identity.positive_response_requested()))
    })
}

/// The item that says that a claim was believed. None of the kinds that are has a response of its own.
pub(in crate::association) fn believed_item() -> UserVariableItem {
    UserVariableItem::Unknown(USER_IDENTITY_ACCEPT, vec![0, 0])
}
