use dicom_ul::pdu::{
    PresentationContextProposed, PresentationContextResultReason as Reason, RequestorRoles, UserVariableItem,
};

use super::{
    super::{pdu::COMMON_EXTENDED_NEGOTIATION, uid::Service},
    variables::STORAGE_SERVICE_CLASS,
    *,
};
use filmroom_peers::{Certificate, Peers, Permission};

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

fn local() -> Arrival {
    Arrival {
        address: String::new(),
        reach: Reach::Local,
        certificate: None,
    }
}

#[track_caller]
fn rejected(request: &AssociationRQ, config: &DimseConfig, expected: Rejection) {
    match negotiate(request, config, &local()) {
        Err(AssociationError::Rejected(rejection)) => assert_eq!(rejection, expected),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn chosen(proposed: &[&str], expected: Option<&str>) {
    let (negotiated, answer) = negotiate(
        &request(&[(1, CT, proposed)], vec![]),
        &DimseConfig::default(),
        &local(),
    )
    .unwrap();
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
    let (negotiated, answer) = negotiate(&request, &DimseConfig::default(), &local()).unwrap();
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
        unknown_callers: UnknownCallers::Rejected,
        ..DimseConfig::default()
    };
    rejected(&good(), &config, Rejection::UnknownCaller);
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
            &any,
            &local()
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
            negotiate(&request, &DimseConfig::default(), &local()),
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
    let (negotiated, answer) = negotiate(&request, &DimseConfig::default(), &local()).unwrap();
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
        &local(),
    )
    .unwrap();
    assert_eq!(
        negotiated.context(1).map(|context| context.service),
        Some(Service::Storage)
    );
}

#[test]
fn callers_are_known_peers_or_local_and_hold_the_certificate_they_are_bound_to() {
    let good = || request(&[(1, CT, &["1.2.840.10008.1.2"])], vec![]);
    let check = |config: &DimseConfig, arrival: &Arrival, expected: Option<Rejection>| match (
        negotiate(&good(), config, arrival),
        expected,
    ) {
        (Ok(_), None) => {}
        (Err(AssociationError::Rejected(rejection)), Some(expected)) => assert_eq!(rejection, expected),
        (other, expected) => panic!("{other:?} instead of {expected:?}"),
    };
    let remote = |common_name: &str| Arrival {
        reach: Reach::Remote,
        certificate: Some(Certificate {
            common_names: vec![common_name.into()],
            ..Certificate::default()
        }),
        ..local()
    };
    let nobody = DimseConfig::default();
    check(&nobody, &local(), None);
    check(&nobody, &remote("CT1"), Some(Rejection::UnknownCaller));
    let answered = DimseConfig {
        unknown_callers: UnknownCallers::Answered,
        ..DimseConfig::default()
    };
    check(&answered, &remote("CT1"), None);
    let with = |peer: Peer| DimseConfig {
        peers: std::sync::Arc::new(Peers::of_settings([peer])),
        ..DimseConfig::default()
    };
    let known = Peer::parse("CT1=10.0.0.5:104").unwrap();
    check(&with(known.clone()), &remote("X"), None);
    let bound = with(Peer {
        certificate: Some("cn:CT1".parse().unwrap()),
        ..known.clone()
    });
    check(&bound, &remote("CT1"), None);
    check(&bound, &remote("MR1"), Some(Rejection::Certificate));
    check(&bound, &local(), Some(Rejection::Certificate));
    let rejected = with(Peer {
        may: std::collections::BTreeSet::new(),
        ..known
    });
    check(&rejected, &local(), Some(Rejection::RejectedPeer));
}

#[test]
fn a_peer_has_the_services_that_it_may() {
    let peer = Peer {
        may: [Permission::Find].into(),
        ..Peer::parse("CT1=10.0.0.5:104").unwrap()
    };
    let config = DimseConfig {
        peers: std::sync::Arc::new(Peers::of_settings([peer])),
        ..DimseConfig::default()
    };
    let syntaxes: &[&str] = &["1.2.840.10008.1.2"];
    let classes = [
        "1.2.840.10008.1.1",
        FIND,
        CT,
        "1.2.840.10008.5.1.4.1.2.2.2",
        "1.2.840.10008.1.20.1",
    ];
    let contexts: Vec<_> = classes
        .iter()
        .zip((1..).step_by(2))
        .map(|(class, id)| (id, *class, syntaxes))
        .collect();
    let (_, answer) = negotiate(&request(&contexts, vec![]), &config, &local()).unwrap();
    let reasons: Vec<_> = answer
        .presentation_contexts
        .iter()
        .map(|result| result.reason.clone())
        .collect();
    let refused = Reason::UserRejection;
    assert_eq!(
        reasons,
        [
            Reason::Acceptance,
            Reason::Acceptance,
            refused.clone(),
            refused.clone(),
            refused
        ]
    );
}

/// A client that would rather have instances compressed still gets those that are not.
#[test]
fn what_is_got_can_be_sent() {
    const GET: &str = "1.2.840.10008.5.1.4.1.2.2.3";
    let roles = UserVariableItem::ScuScpRoleSelectionSubItem(CT.into(), RequestorRoles { scu: false, scp: true });
    let chosen = |contexts: &[(u8, &str, &[&str])]| {
        let (negotiated, _) = negotiate(
            &request(contexts, vec![roles.clone()]),
            &DimseConfig::default(),
            &local(),
        )
        .unwrap();
        negotiated.context(3).unwrap().transfer_syntax.to_string()
    };
    let (jpeg, explicit) = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.1");
    let get = (1, GET, &[explicit] as &[&str]);
    assert_eq!(
        chosen(&[get, (3, CT, &[jpeg, "1.2.840.10008.1.2", explicit])]),
        explicit
    );
    assert_eq!(chosen(&[get, (3, CT, &[jpeg])]), jpeg);
    // Whoever gets nothing sends, and sends as it likes best.
    assert_eq!(chosen(&[(3, CT, &[jpeg, explicit])]), jpeg);
}
