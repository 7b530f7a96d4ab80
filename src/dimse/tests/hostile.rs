//! Peers that send anything: the node answers or closes, and serves the next.

use proptest::{prelude::*, test_runner::TestRunner};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::*;
use crate::association::pdu;

/// An association request, then C-ECHO, C-STORE and C-FIND with data, then release: what mutations start from.
fn conversation(instance: &Instance) -> Vec<u8> {
    use dicom_ul::pdu::{AssociationRQ, Pdu, PresentationContextProposed, UserVariableItem};
    let context = |id: u8, abstract_syntax: &str| PresentationContextProposed {
        id,
        abstract_syntax: abstract_syntax.into(),
        transfer_syntaxes: vec![EXPLICIT.into(), IMPLICIT.into()],
    };
    let mut out = pdu::write(&Pdu::AssociationRQ(AssociationRQ {
        protocol_version: 1,
        calling_ae_title: "FUZZ".into(),
        called_ae_title: "ROOM".into(),
        application_context_name: "1.2.840.10008.3.1.1.1".into(),
        presentation_contexts: vec![
            context(1, VERIFICATION),
            context(3, MR),
            context(5, "1.2.840.10008.5.1.4.1.2.2.1"),
            context(7, "1.2.840.10008.1.20.1"),
        ],
        user_variables: vec![UserVariableItem::MaxLength(16384)],
    }));
    let mut message = |context_id: u8, command: &CommandSet, data_set: &[u8]| {
        let mut encoded = Vec::new();
        command.encode(&mut encoded);
        for (control, bytes) in [(3u8, encoded.as_slice()), (2, data_set)] {
            if bytes.is_empty() {
                continue;
            }
            let length = bytes.len() as u32;
            out.extend_from_slice(&[4, 0]);
            out.extend_from_slice(&(length + 6).to_be_bytes());
            out.extend_from_slice(&(length + 2).to_be_bytes());
            out.extend_from_slice(&[context_id, control]);
            out.extend_from_slice(bytes);
        }
    };
    message(1, &request(Operation::Echo, 1, VERIFICATION), &[]);
    message(3, &store_request(2, instance), &instance.data_set()[..600]);
    let find = CommandSet {
        has_data_set: true,
        ..request(Operation::Find, 3, "1.2.840.10008.5.1.4.1.2.2.1")
    };
    message(5, &find, b"\x08\0\x52\0CS\x06\0STUDY \x20\0\x0d\0UI\0\0");
    let action = CommandSet {
        has_data_set: true,
        ..request(Operation::Action, 4, "1.2.840.10008.1.20.1")
    };
    message(7, &action, b"\x08\0\x95\x11UI\x04\x001.2\0");
    out.extend_from_slice(&pdu::release_request());
    out
}

/// Sends bytes, closes the sending side, and waits for the node to close.
async fn throw(node: &Node, bytes: &[u8]) {
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    let ended = timeout(Duration::from_secs(20), async {
        // A node that has had enough may close before all is sent.
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
        let mut sink = Vec::new();
        let _ = stream.read_to_end(&mut sink).await;
    });
    ended.await.expect("the node neither answers nor closes");
}

#[test]
fn mutated_conversations_end_and_harm_nobody() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let node = runtime.block_on(Node::start("ROOM", quick()));
    let whole = conversation(&slices(1)[0]);
    let change = (any::<prop::sample::Index>(), any::<u8>());
    let strategy = (
        proptest::collection::vec(change, 0..10),
        any::<prop::sample::Index>(),
        any::<bool>(),
    );
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 150,
        ..ProptestConfig::default()
    });
    let ran = runner.run(&strategy, |(changes, cut, is_cut)| {
        let mut bytes = whole.clone();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        runtime.block_on(throw(&node, &bytes));
        Ok(())
    });
    ran.unwrap();
    assert_eq!(
        runtime.block_on(scu::echo(&node.peer(), client())).unwrap(),
        Status::SUCCESS
    );
}

#[tokio::test]
async fn random_bytes_are_answered_or_closed() {
    let node = Node::start("ROOM", quick()).await;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for kind in 0..=9u8 {
        let mut bytes = vec![kind, 0, 0, 0, 1, 0];
        bytes.extend(
            std::iter::repeat_with(|| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) as u8
            })
            .take(400),
        );
        throw(&node, &bytes).await;
    }
    assert_eq!(scu::echo(&node.peer(), client()).await.unwrap(), Status::SUCCESS);
}

#[tokio::test]
async fn connections_that_stay_silent_keep_nobody_out() {
    let node = Node::start(
        "ROOM",
        DimseConfig {
            associations_max: 2,
            ..quick()
        },
    )
    .await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        let mut stream = TcpStream::connect(node.address).await.unwrap();
        stream.write_all(&[1, 0, 0]).await.unwrap();
        silent.push(stream);
    }
    assert_eq!(scu::echo(&node.peer(), client()).await.unwrap(), Status::SUCCESS);
}
