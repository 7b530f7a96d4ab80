//! What is agreed on (PS3.8 §7.1, PS3.7 §D.3): decided from the request alone, without I/O.

use std::sync::Arc;

use dicom_ul::pdu::{
    AssociationAC, AssociationRQ, PresentationContextProposed, PresentationContextResult,
    PresentationContextResultReason as Reason, RequestorRoles, UserVariableItem,
};
use filmroom_storage::model::TransferSyntaxUid;

use super::{
    AbortReason, AssociationError, Rejection,
    pdu::{ASYNCHRONOUS_OPERATIONS_WINDOW, COMMON_EXTENDED_NEGOTIATION, PRESENTATION_CONTEXTS_MAX},
    uid::{
        DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN,
        IMPLICIT_VR_LITTLE_ENDIAN, Service, is_known_transfer_syntax, service_of,
    },
};
use crate::{
    dataset::{IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME},
    dimse::config::{CalledAeTitle, DimseConfig},
};

/// DICOM Application Context Name (PS3.7 §A.2.1).
pub(crate) const APPLICATION_CONTEXT: &str = "1.2.840.10008.3.1.1.1";
/// Storage Service Class, as common extended negotiation names it.
const STORAGE_SERVICE_CLASS: &str = "1.2.840.10008.4.2";
/// PDUs shorter than this cannot carry a PDV of two bytes.
const PDU_LENGTH_MIN: u32 = 8;
/// Bytes of a PDV before its data.
const PDV_HEADER_LENGTH: u32 = 6;

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
    pub(super) contexts: Vec<Context>,
    pub(super) extended: Vec<(String, Vec<u8>)>,
}

impl Negotiated {
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

/// Bytes of data for one P-DATA-TF: the peer's limit (0 is none) within ours. `None` when the peer's is unusable.
pub(crate) fn fragment_length(peer_max: u32, own_max: u32) -> Option<usize> {
    let limit = if peer_max == 0 { own_max } else { peer_max.min(own_max) };
    (limit >= PDU_LENGTH_MIN).then(|| ((limit - PDV_HEADER_LENGTH) & !1) as usize)
}

/// Maximum Length of the user variables; 0 (no limit) when it is missing.
pub(crate) fn max_length(variables: &[UserVariableItem]) -> u32 {
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
pub(crate) fn implementation(variables: &[UserVariableItem]) -> (String, String) {
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
pub(crate) fn operations_window(variables: &[UserVariableItem]) -> Option<(u16, u16)> {
    variables.iter().find_map(|item| match item {
        UserVariableItem::Unknown(ASYNCHRONOUS_OPERATIONS_WINDOW, data) => match data.as_slice() {
            [i0, i1, p0, p1, ..] => Some((u16::from_be_bytes([*i0, *i1]), u16::from_be_bytes([*p0, *p1]))),
            _ => None,
        },
        _ => None,
    })
}

/// The item for an asynchronous operations window.
pub(crate) fn operations_window_item(invoked: u16, performed: u16) -> UserVariableItem {
    let mut data = invoked.to_be_bytes().to_vec();
    data.extend_from_slice(&performed.to_be_bytes());
    UserVariableItem::Unknown(ASYNCHRONOUS_OPERATIONS_WINDOW, data)
}

/// Decides on a request: checks of PS3.8 §9.3.4 in the order of its table, then the presentation contexts.
///
/// # Errors
/// [`AssociationError::Rejected`], or [`AssociationError::Protocol`] for identifiers that are even or used twice.
pub(crate) fn negotiate(
    request: &AssociationRQ,
    config: &DimseConfig,
) -> Result<(Negotiated, AssociationAC), AssociationError> {
    check_titles(request, config)?;
    if request.presentation_contexts.is_empty() {
        return Err(AssociationError::Rejected(Rejection::NoPresentationContext));
    }
    if request.presentation_contexts.len() > PRESENTATION_CONTEXTS_MAX {
        return Err(AssociationError::Rejected(Rejection::TooManyPresentationContexts));
    }
    let fragment_length_max = fragment_length(max_length(&request.user_variables), config.max_sent_pdu_length_bytes)
        .ok_or(AssociationError::Rejected(Rejection::MaximumLength))?;
    let storage_by_service_class = common_extended(&request.user_variables);
    let mut results = Vec::with_capacity(request.presentation_contexts.len());
    let mut contexts = Vec::with_capacity(request.presentation_contexts.len());
    let mut used = [false; 256];
    for proposed in &request.presentation_contexts {
        if proposed.id % 2 == 0 || used.get(usize::from(proposed.id)).copied().unwrap_or(true) {
            return Err(AssociationError::Protocol {
                reason: AbortReason::InvalidParameter,
                what: "a presentation context identifier that is even or used twice",
            });
        }
        if let Some(seen) = used.get_mut(usize::from(proposed.id)) {
            *seen = true;
        }
        let (result, context) = decide(proposed, config, &storage_by_service_class, &request.user_variables);
        results.push(result);
        contexts.extend(context);
    }
    let (implementation_class, implementation_version) = implementation(&request.user_variables);
    let mut negotiated = Negotiated {
        calling_ae_title: request.calling_ae_title.clone(),
        called_ae_title: request.called_ae_title.clone(),
        peer_address: String::new(),
        peer_implementation_class_uid: implementation_class,
        peer_implementation_version_name: implementation_version,
        fragment_length_max,
        operations_performed_max: 1,
        operations_invoked_max: 1,
        contexts,
        extended: Vec::new(),
    };
    let user_variables = answer_variables(request, config, &mut negotiated);
    let answer = AssociationAC {
        protocol_version: 1,
        application_context_name: APPLICATION_CONTEXT.to_owned(),
        called_ae_title: printable(&request.called_ae_title),
        calling_ae_title: printable(&request.calling_ae_title),
        presentation_contexts: results,
        user_variables,
    };
    Ok((negotiated, answer))
}

/// The titles in the answer are overwritten by the bytes that came; here they only have to be encodable.
fn printable(title: &str) -> String {
    title
        .chars()
        .filter(|character| matches!(character, ' '..='~'))
        .take(16)
        .collect()
}

fn check_titles(request: &AssociationRQ, config: &DimseConfig) -> Result<(), AssociationError> {
    let rejection = if request.protocol_version & 1 == 0 {
        Rejection::ProtocolVersion
    } else if request.application_context_name != APPLICATION_CONTEXT {
        Rejection::ApplicationContext
    } else if config.called_ae_title == CalledAeTitle::Own && request.called_ae_title != config.ae_title.as_str() {
        Rejection::CalledAeTitle
    } else if !config.calling_ae_titles.is_empty()
        && !config
            .calling_ae_titles
            .iter()
            .any(|title| title.as_str() == request.calling_ae_title)
    {
        Rejection::CallingAeTitle
    } else {
        return Ok(());
    };
    Err(AssociationError::Rejected(rejection))
}

/// SOP classes that the requestor says belong to the storage service (PS3.7 §D.3.3.6): classes newer than this archive.
fn common_extended(variables: &[UserVariableItem]) -> Vec<String> {
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

fn decide(
    proposed: &PresentationContextProposed,
    config: &DimseConfig,
    storage_by_service_class: &[String],
    variables: &[UserVariableItem],
) -> (PresentationContextResult, Option<Context>) {
    let refuse = |reason| {
        // PS3.8 §9.3.3.2: not significant when refused, but it has to be there.
        let transfer_syntax = IMPLICIT_VR_LITTLE_ENDIAN.to_owned();
        (
            PresentationContextResult {
                id: proposed.id,
                reason,
                transfer_syntax,
            },
            None,
        )
    };
    let service = service_of(&proposed.abstract_syntax, &config.other_sop_classes).or_else(|| {
        storage_by_service_class
            .contains(&proposed.abstract_syntax)
            .then_some(Service::Storage)
    });
    let Some(service) = service else {
        return refuse(Reason::AbstractSyntaxNotSupported);
    };
    let Some(transfer_syntax) = choose(service, &proposed.transfer_syntaxes) else {
        return refuse(Reason::TransferSyntaxesNotSupported);
    };
    let Ok(transfer_syntax) = TransferSyntaxUid::new(transfer_syntax) else {
        return refuse(Reason::TransferSyntaxesNotSupported);
    };
    let roles = roles(service, proposed_roles(&proposed.abstract_syntax, variables));
    let context = Context {
        id: proposed.id,
        abstract_syntax: proposed.abstract_syntax.as_str().into(),
        transfer_syntax,
        service,
        may_invoke: roles.scp,
        may_perform: roles.scu,
    };
    let result = PresentationContextResult {
        id: proposed.id,
        reason: Reason::Acceptance,
        transfer_syntax: context.transfer_syntax.as_str().to_owned(),
    };
    (result, Some(context))
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

/// The roles of the requestor. Only storage goes both ways: a peer that is to receive by C-GET.
fn roles(service: Service, proposed: Option<RequestorRoles>) -> RequestorRoles {
    let Some(proposed) = proposed else {
        return RequestorRoles { scu: true, scp: false };
    };
    RequestorRoles {
        scu: proposed.scu,
        scp: proposed.scp && service == Service::Storage,
    }
}

fn answer_variables(
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
        Service::Verification | Service::StorageCommitment => return None,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dimse::config::AeTitle;

    const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
    const FIND: &str = "1.2.840.10008.5.1.4.1.2.2.1";

    fn request(contexts: &[(u8, &str, &[&str])], user_variables: Vec<UserVariableItem>) -> AssociationRQ {
        AssociationRQ {
            protocol_version: 1,
            calling_ae_title: "CT1".into(),
            called_ae_title: "FILMROOM".into(),
            application_context_name: APPLICATION_CONTEXT.into(),
            presentation_contexts: contexts
                .iter()
                .map(|(id, abstract_syntax, transfer_syntaxes)| PresentationContextProposed {
                    id: *id,
                    abstract_syntax: (*abstract_syntax).into(),
                    transfer_syntaxes: transfer_syntaxes.iter().map(|uid| (*uid).into()).collect(),
                })
                .collect(),
            user_variables,
        }
    }

    #[track_caller]
    fn rejected(request: &AssociationRQ, config: &DimseConfig, expected: Rejection) {
        match negotiate(request, config) {
            Err(AssociationError::Rejected(rejection)) => assert_eq!(rejection, expected),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn chosen(proposed: &[&str], expected: Option<&str>) {
        let (negotiated, answer) = negotiate(&request(&[(1, CT, proposed)], vec![]), &DimseConfig::default()).unwrap();
        assert_eq!(
            negotiated.context(1).map(|context| context.transfer_syntax.as_str()),
            expected
        );
        assert_eq!(
            answer.presentation_contexts[0].reason == Reason::Acceptance,
            expected.is_some()
        );
    }

    #[test]
    fn instances_come_as_they_are() {
        chosen(
            &["1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.1"],
            Some("1.2.840.10008.1.2.4.70"),
        );
        chosen(
            &["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"],
            Some("1.2.840.10008.1.2.1"),
        );
        chosen(&["1.2.840.10008.1.2"], Some("1.2.840.10008.1.2"));
        chosen(&["1.2.3.4.5.6", "1.2.840.10008.1.2.5"], Some("1.2.840.10008.1.2.5"));
        chosen(&["1.2.3.4.5.6"], None);
        chosen(&[], None);
    }

    #[test]
    fn refused_contexts_say_why_and_the_others_stay() {
        let request = request(
            &[
                (1, "1.2.840.10008.5.1.1.9", &["1.2.840.10008.1.2"]),
                (3, FIND, &["1.2.840.10008.1.2.4.70"]),
                (5, FIND, &["1.2.840.10008.1.2"]),
            ],
            vec![],
        );
        let (negotiated, answer) = negotiate(&request, &DimseConfig::default()).unwrap();
        let reasons: Vec<_> = answer
            .presentation_contexts
            .iter()
            .map(|result| result.reason.clone())
            .collect();
        assert_eq!(
            reasons,
            [
                Reason::AbstractSyntaxNotSupported,
                Reason::TransferSyntaxesNotSupported,
                Reason::Acceptance
            ]
        );
        assert!(negotiated.context(1).is_none() && negotiated.context(3).is_none() && negotiated.context(5).is_some());
    }

    #[test]
    fn rejections_name_what_is_wrong() {
        let good = || request(&[(1, CT, &["1.2.840.10008.1.2"])], vec![]);
        let config = DimseConfig {
            calling_ae_titles: vec![AeTitle::new("MR1").unwrap()],
            ..DimseConfig::default()
        };
        rejected(&good(), &config, Rejection::CallingAeTitle);
        let config = DimseConfig::default();
        rejected(
            &AssociationRQ {
                called_ae_title: "OTHER".into(),
                ..good()
            },
            &config,
            Rejection::CalledAeTitle,
        );
        rejected(
            &AssociationRQ {
                protocol_version: 2,
                ..good()
            },
            &config,
            Rejection::ProtocolVersion,
        );
        rejected(
            &AssociationRQ {
                application_context_name: "1.2.3".into(),
                ..good()
            },
            &config,
            Rejection::ApplicationContext,
        );
        rejected(&request(&[], vec![]), &config, Rejection::NoPresentationContext);
        rejected(
            &request(&[(1, CT, &[] as &[&str]); 129], vec![]),
            &config,
            Rejection::TooManyPresentationContexts,
        );
        rejected(
            &request(&[(1, CT, &[])], vec![UserVariableItem::MaxLength(7)]),
            &config,
            Rejection::MaximumLength,
        );
        let any = DimseConfig {
            called_ae_title: CalledAeTitle::Any,
            ..DimseConfig::default()
        };
        assert!(
            negotiate(
                &AssociationRQ {
                    called_ae_title: "OTHER".into(),
                    protocol_version: 3,
                    ..good()
                },
                &any
            )
            .is_ok()
        );
    }

    #[test]
    fn identifiers_are_odd_and_used_once() {
        for ids in [[2, 3], [5, 5]] {
            let request = request(
                &[
                    (ids[0], CT, &["1.2.840.10008.1.2"]),
                    (ids[1], CT, &["1.2.840.10008.1.2"]),
                ],
                vec![],
            );
            assert!(matches!(
                negotiate(&request, &DimseConfig::default()),
                Err(AssociationError::Protocol { .. })
            ));
        }
    }

    #[test]
    fn pdus_to_the_peer_keep_its_limit_and_ours() {
        assert_eq!(fragment_length(0, 100_000), Some(99_994));
        assert_eq!(fragment_length(16384, 100_000), Some(16378));
        assert_eq!(fragment_length(16383, 100_000), Some(16376));
        assert_eq!(fragment_length(8, 100_000), Some(2));
        assert_eq!(fragment_length(7, 100_000), None);
    }

    #[test]
    fn roles_windows_and_extensions_are_answered() {
        let roles = |scu, scp| RequestorRoles { scu, scp };
        let variables = vec![
            UserVariableItem::MaxLength(0),
            UserVariableItem::ScuScpRoleSelectionSubItem(CT.into(), roles(false, true)),
            UserVariableItem::ScuScpRoleSelectionSubItem(FIND.into(), roles(true, true)),
            UserVariableItem::SopClassExtendedNegotiationSubItem(FIND.into(), vec![1, 1, 0, 1, 1]),
            UserVariableItem::SopClassExtendedNegotiationSubItem(CT.into(), vec![0, 0, 0, 0]),
            operations_window_item(0, 3),
        ];
        let request = request(
            &[(1, CT, &["1.2.840.10008.1.2"]), (3, FIND, &["1.2.840.10008.1.2"])],
            variables,
        );
        let (negotiated, answer) = negotiate(&request, &DimseConfig::default()).unwrap();
        let context = negotiated.context(1).unwrap();
        assert!(context.may_invoke && !context.may_perform);
        assert!(!negotiated.context(3).unwrap().may_invoke);
        assert_eq!(
            (negotiated.operations_performed_max, negotiated.operations_invoked_max),
            (8, 3)
        );
        assert_eq!(negotiated.extended(FIND), [1, 1, 0, 0, 0]);
        for expected in [
            UserVariableItem::ScuScpRoleSelectionSubItem(CT.into(), roles(false, true)),
            UserVariableItem::ScuScpRoleSelectionSubItem(FIND.into(), roles(true, false)),
            UserVariableItem::SopClassExtendedNegotiationSubItem(CT.into(), vec![2, 0, 3, 0]),
            operations_window_item(8, 3),
        ] {
            assert!(answer.user_variables.contains(&expected), "{expected:?}");
        }
    }

    #[test]
    fn a_storage_class_newer_than_this_archive_is_taken_by_its_service_class() {
        let new = "1.2.840.10008.9.9.9";
        let mut data = Vec::new();
        for uid in [new, STORAGE_SERVICE_CLASS] {
            data.extend_from_slice(&(uid.len() as u16).to_be_bytes());
            data.extend_from_slice(uid.as_bytes());
        }
        let variables = vec![UserVariableItem::Unknown(COMMON_EXTENDED_NEGOTIATION, data)];
        let (negotiated, _) = negotiate(
            &request(&[(1, new, &["1.2.840.10008.1.2"])], variables),
            &DimseConfig::default(),
        )
        .unwrap();
        assert_eq!(
            negotiated.context(1).map(|context| context.service),
            Some(Service::Storage)
        );
    }
}
