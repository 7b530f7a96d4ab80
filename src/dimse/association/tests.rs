//! Both ends of an association over a pipe in memory.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use dicom_ul::pdu::{AssociationRQ, Pdu, PresentationContextProposed, UserVariableItem};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::{negotiate::APPLICATION_CONTEXT, *};
use crate::{
    config::{AeTitle, Peer},
    message::Operation,
};

fn config() -> Arc<DimseConfig> {
    Arc::new(DimseConfig {
        artim_timeout: Duration::from_millis(300),
        network_timeout: Duration::from_millis(300),
        response_timeout: Duration::from_millis(300),
        ..DimseConfig::default()
    })
}

fn arrival() -> Arrival {
    Arrival {
        address: "memory".into(),
        reach: Reach::Local,
        certificate: None,
    }
}

fn peer() -> Peer {
    Peer::new(AeTitle::new("FILMROOM").unwrap(), "memory", 1)
}

fn admit() -> Admission<()> {
    Admission::Admitted(())
}

fn proposal() -> Proposal {
    let context = |abstract_syntax: &str, transfer_syntax: &str| ProposedContext {
        abstract_syntax: abstract_syntax.into(),
        transfer_syntaxes: vec![transfer_syntax.into()],
    };
    Proposal {
        contexts: vec![
            context(VERIFICATION, IMPLICIT_VR_LITTLE_ENDIAN),
            context("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.4.70"),
            context("1.2.840.10008.5.1.4.1.1.2", "1.2.3"),
        ],
        scp_of: vec!["1.2.840.10008.5.1.4.1.1.2".into()],
        operations_invoked: 4,
    }
}

async fn pair() -> (Association, Association) {
    let (near, far) = tokio::io::duplex(64 << 10);
    let peer = peer();
    let proposal = proposal();
    let (requested, accepted) = tokio::join!(
        request::request(Box::new(near), "memory".into(), &peer, &proposal, config()),
        accept(Box::new(far), arrival(), config(), admit)
    );
    (requested.unwrap(), accepted.unwrap().0)
}

#[tokio::test]
async fn both_ends_agree_on_the_same() {
    let (requestor, acceptor) = pair().await;
    let ids = |association: &Association| {
        association
            .negotiated()
            .contexts()
            .iter()
            .map(|context| context.id)
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&requestor), [1, 3]);
    assert_eq!(ids(&acceptor), [1, 3]);
    assert_eq!(requestor.negotiated().operations_invoked_max, 4);
    assert_eq!(acceptor.negotiated().operations_performed_max, 4);
    assert!(acceptor.negotiated().context(3).unwrap().may_invoke);
    assert!(requestor.negotiated().context(3).unwrap().may_perform);
    assert_eq!(
        acceptor.negotiated().peer_implementation_version_name,
        filmroom_dataset::IMPLEMENTATION_VERSION_NAME
    );
}

#[tokio::test]
async fn messages_longer_than_a_pdu_arrive_whole() {
    let (mut requestor, mut acceptor) = pair().await;
    let command = CommandSet {
        command_field: Operation::Store.command_field(),
        message_id: Some(5),
        has_data_set: true,
        ..CommandSet::default()
    };
    let pieces = [Bytes::from(vec![1; 700_000]), Bytes::from(vec![2; 3])];
    let sent = async {
        requestor.queue(3, &command, None);
        requestor.send_data(3, &pieces[0], false).await.unwrap();
        requestor.send_data(3, &pieces[1], true).await.unwrap();
        requestor.release().await.unwrap();
    };
    let received = async {
        assert_eq!(
            acceptor.next(Wait::Idle).await.unwrap(),
            Event::Command { context_id: 3 }
        );
        assert_eq!(acceptor.command().unwrap(), command);
        let mut data = Vec::new();
        loop {
            match acceptor.next(Wait::Message).await.unwrap() {
                Event::Data {
                    context_id: 3,
                    span,
                    last,
                } => {
                    data.extend_from_slice(acceptor.bytes(span));
                    if last {
                        break;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(data.len(), 700_004);
        assert_eq!(data[699_999..], [1, 2, 2, 2, 0]);
        assert_eq!(acceptor.next(Wait::Idle).await.unwrap(), Event::ReleaseRequest);
        acceptor.release_response().await;
    };
    tokio::join!(sent, received);
}

#[tokio::test]
async fn a_release_collision_ends_both() {
    let (requestor, acceptor) = pair().await;
    let (one, other) = tokio::join!(requestor.release(), acceptor.release());
    one.unwrap();
    other.unwrap();
}

#[tokio::test]
async fn an_abort_is_told_with_its_reason() {
    let (mut requestor, acceptor) = pair().await;
    let ((), ended) = tokio::join!(acceptor.abort(AbortReason::UnexpectedPdu), async {
        let ended = requestor.next(Wait::Idle).await;
        drop(requestor);
        ended
    });
    assert!(matches!(ended, Err(AssociationError::Aborted(2, 2))), "{ended:?}");
}

#[tokio::test]
async fn a_silent_peer_is_given_up() {
    let (mut requestor, _acceptor) = pair().await;
    assert!(matches!(
        requestor.next(Wait::Response).await,
        Err(AssociationError::Timeout(_))
    ));
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_given_up() {
    let (mut requestor, _acceptor) = pair().await;
    let piece = Bytes::from(vec![0; 1 << 20]);
    assert!(matches!(
        requestor.send_data(3, &piece, true).await,
        Err(AssociationError::Timeout(_))
    ));
}

/// Sends bytes to an acceptor and tells what comes back until it closes.
async fn answer_to(bytes: &[u8], admit: fn() -> Admission<()>) -> (Vec<u8>, AssociationError) {
    let (mut near, far): (DuplexStream, DuplexStream) = tokio::io::duplex(1 << 20);
    let client = async {
        near.write_all(bytes).await.unwrap();
        let mut out = vec![0; 4096];
        let length = near.read(&mut out).await.unwrap();
        out.truncate(length);
        drop(near);
        out
    };
    let (out, ended) = tokio::join!(client, accept(Box::new(far), arrival(), config(), admit));
    (out, ended.err().unwrap())
}

fn association_request(change: impl FnOnce(&mut AssociationRQ)) -> Vec<u8> {
    let mut request = AssociationRQ {
        protocol_version: 1,
        calling_ae_title: "CT1".into(),
        called_ae_title: "FILMROOM".into(),
        application_context_name: APPLICATION_CONTEXT.into(),
        presentation_contexts: vec![PresentationContextProposed {
            id: 1,
            abstract_syntax: VERIFICATION.into(),
            transfer_syntaxes: vec![IMPLICIT_VR_LITTLE_ENDIAN.into()],
        }],
        user_variables: vec![UserVariableItem::MaxLength(16384)],
    };
    change(&mut request);
    pdu::write(&Pdu::AssociationRQ(request))
}

#[track_caller]
fn aborted(out: &[u8], reason: u8) {
    assert_eq!(out, [7, 0, 0, 0, 0, 4, 0, 0, 2, reason]);
}

#[track_caller]
fn rejected(out: &[u8], result: u8, source: u8, reason: u8) {
    assert_eq!(out, [3, 0, 0, 0, 0, 4, 0, result, source, reason]);
}

#[tokio::test]
async fn hostile_peers_are_answered_at_once() {
    for (bytes, reason) in [
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), 1),
        ([b"\x16\x03\x01\0\x2f".to_vec(), vec![0; 40]].concat(), 1),
        (b"\x0b\0\0\0\0\x04aaaa".to_vec(), 1),
        (b"\x01\0\xff\xff\xff\xff".to_vec(), 6),
        (b"\x04\0\0\0\0\x0c\0\0\0\x08\x01\x03\0\0\0\0\0\0".to_vec(), 2),
        (b"\x05\0\0\0\0\x04\0\0\0\0".to_vec(), 2),
        (b"\x01\0\0\0\0\x04\0\0\0\0".to_vec(), 6),
        (b"\x01\0\0\0\0\0".to_vec(), 6),
    ] {
        let (out, error) = answer_to(&bytes, admit).await;
        aborted(&out, reason);
        assert!(matches!(error, AssociationError::Protocol { .. }));
    }
}

#[tokio::test]
async fn rejections_have_their_codes() {
    let (out, _) = answer_to(&association_request(|request| request.protocol_version = 0), admit).await;
    rejected(&out, 1, 2, 2);
    let (out, _) = answer_to(
        &association_request(|request| request.application_context_name = "1.2".into()),
        admit,
    )
    .await;
    rejected(&out, 1, 1, 2);
    let (out, _) = answer_to(
        &association_request(|request| request.called_ae_title = "X".into()),
        admit,
    )
    .await;
    rejected(&out, 1, 1, 7);
    let (out, _) = answer_to(
        &association_request(|request| request.presentation_contexts.clear()),
        admit,
    )
    .await;
    rejected(&out, 1, 1, 1);
    let (out, _) = answer_to(&association_request(|_| {}), || {
        Admission::Refused(Rejection::LocalLimit)
    })
    .await;
    rejected(&out, 2, 3, 2);
    let (out, _) = answer_to(&association_request(|_| {}), || {
        Admission::Refused(Rejection::Congestion)
    })
    .await;
    rejected(&out, 2, 3, 1);
}

#[tokio::test]
async fn half_an_association_request_times_out() {
    let (out, error) = answer_to(&association_request(|_| {})[..20], admit).await;
    aborted(&out, 0);
    assert!(matches!(error, AssociationError::Timeout(_)));
}
