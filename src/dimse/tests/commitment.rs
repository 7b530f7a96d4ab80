//! Storage commitment.

use filmroom_storage::model::Attributes;
use tokio::net::TcpStream;

use super::*;
use crate::association::{Admission, accept};
use filmroom_dataset::Builder;

const CLASS: &str = "1.2.840.10008.1.20.1";
const INSTANCE: &str = "1.2.840.10008.1.20.1.1";

fn action(references: &[(&str, &str)]) -> (CommandSet, Attributes) {
    let items: Vec<Attributes> = references
        .iter()
        .map(|(class, instance)| {
            Builder::new()
                .text(0x0008_1150, class)
                .text(0x0008_1155, instance)
                .build()
        })
        .collect();
    let information = Builder::new()
        .text(0x0008_1195, "1.2.99")
        .sequence(0x0008_1199, &items)
        .build();
    let command = CommandSet {
        has_data_set: true,
        sop_instance_uid: INSTANCE.into(),
        action_type_id: Some(1),
        ..request(Operation::Action, 1, CLASS)
    };
    (command, information)
}

fn count(information: &Attributes, tag: u32) -> usize {
    let value = information
        .get(tag)
        .map(|element| element.value.to_vec())
        .unwrap_or_default();
    value
        .windows(4)
        .filter(|bytes| *bytes == [0xfe, 0xff, 0x00, 0xe0])
        .count()
}

fn check(command: &CommandSet, information: &Attributes) {
    assert_eq!(command.command_field, Operation::EventReport.command_field());
    assert_eq!(
        (command.event_type_id, command.sop_instance_uid.as_str()),
        (Some(2), INSTANCE)
    );
    assert_eq!(information.text(0x0008_1195), "1.2.99");
    assert_eq!(
        (count(information, 0x0008_1199), count(information, 0x0008_1198)),
        (2, 2)
    );
}

#[tokio::test]
async fn a_peer_that_is_not_configured_is_told_over_its_own_association() {
    let node = Node::start("ROOM", quick()).await;
    let instances = slices(3);
    node.take_in(&instances).await;
    let uid = |index: usize| instances[index].sop_instance_uid.as_str();
    let mut association = associate(&node, &[(CLASS, EXPLICIT)]).await;
    let (command, information) = action(&[(MR, uid(0)), (MR, uid(1)), (VERIFICATION, uid(2)), (MR, "1.2.3")]);
    assert_eq!(
        ask(&mut association, 1, &command, Some(information.as_bytes())).await,
        Status::SUCCESS
    );
    let (report, data_set) = receive(&mut association).await;
    let information = filmroom_dataset::parse(&data_set, &EXPLICIT.parse().unwrap(), 1 << 20).unwrap();
    check(&report, &information);
    association
        .send(1, &CommandSet::response_to(&report, 0), None)
        .await
        .unwrap();
    association.release().await.unwrap();
}

#[tokio::test]
async fn a_configured_peer_is_called_until_it_takes_the_report() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let peer = Peer::new(title("CLIENT"), "127.0.0.1", port);
    let node = Node::start(
        "ROOM",
        DimseConfig {
            peers: known([peer]),
            ..quick()
        },
    )
    .await;
    let instances = slices(2);
    node.take_in(&instances).await;
    let mut association = associate(&node, &[(CLASS, EXPLICIT)]).await;
    let uid = |index: usize| instances[index].sop_instance_uid.as_str();
    let (command, information) = action(&[(MR, uid(0)), (MR, uid(1)), (MR, "1.2.3"), (MR, "not a uid")]);
    assert_eq!(
        ask(&mut association, 1, &command, Some(information.as_bytes())).await,
        Status::SUCCESS
    );
    association.release().await.unwrap();
    // The first call finds nobody who answers.
    let (refused, _): (TcpStream, _) = listener.accept().await.unwrap();
    drop(refused);
    let (stream, _) = listener.accept().await.unwrap();
    let config = Arc::new(DimseConfig {
        ae_title: title("CLIENT"),
        ..quick()
    });
    let (mut called, ()) = accept(Box::new(stream), arrival(), config, || Admission::Admitted(()))
        .await
        .unwrap();
    let (report, data_set) = receive(&mut called).await;
    let information = filmroom_dataset::parse(&data_set, &EXPLICIT.parse().unwrap(), 1 << 20).unwrap();
    check(&report, &information);
    called
        .send(1, &CommandSet::response_to(&report, 0), None)
        .await
        .unwrap();
    assert_eq!(called.next(Wait::Idle).await.unwrap(), Event::ReleaseRequest);
    called.release_response().await;
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused() {
    let node = Node::start("ROOM", quick()).await;
    let mut association = associate(&node, &[(CLASS, EXPLICIT)]).await;
    let (command, information) = action(&[(MR, "1.2.3")]);
    let other = CommandSet {
        sop_instance_uid: "1.2.3".into(),
        ..command.clone()
    };
    assert_eq!(
        ask(&mut association, 1, &other, Some(information.as_bytes())).await,
        Status::NO_SUCH_SOP_INSTANCE
    );
    let other = CommandSet {
        action_type_id: Some(2),
        ..command.clone()
    };
    assert_eq!(
        ask(&mut association, 1, &other, Some(information.as_bytes())).await,
        Status::NO_SUCH_ACTION
    );
    let (_, empty) = action(&[]);
    assert_eq!(
        ask(&mut association, 1, &command, Some(empty.as_bytes())).await,
        Status::MISSING_ATTRIBUTE
    );
    assert_eq!(
        ask(&mut association, 1, &command, Some(&[0xff; 32])).await,
        Status::INVALID_ARGUMENT
    );
    let bare = CommandSet {
        has_data_set: false,
        ..command.clone()
    };
    assert_eq!(ask(&mut association, 1, &bare, None).await, Status::INVALID_ARGUMENT);
}

/// The peer's quirk: it is told over the association that asked, which is still open.
#[tokio::test]
async fn a_peer_that_needs_it_is_told_over_its_own_association() {
    let peer = Peer {
        quirks: [filmroom_peers::Quirk::ReportOnSameAssociation].into(),
        ..Peer::new(title("CLIENT"), "127.0.0.1", 1)
    };
    let config = DimseConfig {
        peers: known([peer]),
        ..quick()
    };
    let node = Node::start("ROOM", config).await;
    let instances = slices(1);
    node.take_in(&instances).await;
    let mut association = associate(&node, &[(CLASS, EXPLICIT)]).await;
    let (command, information) = action(&[(MR, &instances[0].sop_instance_uid)]);
    assert_eq!(
        ask(&mut association, 1, &command, Some(information.as_bytes())).await,
        Status::SUCCESS
    );
    let (report, _) = receive(&mut association).await;
    assert_eq!(report.event_type_id, Some(1));
    association
        .send(1, &CommandSet::response_to(&report, 0), None)
        .await
        .unwrap();
    association.release().await.unwrap();
    while !node.rooms.commitment.list().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Restarts and attempts: the request outlives the node, and a peer that was unknown can be told once it is registered.
#[tokio::test]
async fn a_report_waits_until_the_peer_can_be_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let peers = known([]);
    let config = DimseConfig {
        peers: peers.clone(),
        ..quick()
    };
    let node = Node::start("ROOM", config).await;
    let mut association = associate(&node, &[(CLASS, EXPLICIT)]).await;
    let (command, information) = action(&[(MR, "1.2.3")]);
    let told = ask(&mut association, 1, &command, Some(information.as_bytes())).await;
    assert_eq!(told, Status::SUCCESS);
    drop(association);
    let peer = Peer::new(title("CLIENT"), "127.0.0.1", port);
    peers.put(peer, &filmroom_peers::Expected::Any).unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let (mut called, ()) = accept(Box::new(stream), arrival(), client(), || Admission::Admitted(()))
        .await
        .unwrap();
    let (report, _) = receive(&mut called).await;
    assert_eq!(report.event_type_id, Some(2));
    called
        .send(1, &CommandSet::response_to(&report, 0), None)
        .await
        .unwrap();
    assert_eq!(called.next(Wait::Idle).await.unwrap(), Event::ReleaseRequest);
    called.release_response().await;
}

/// As SCP of reports (role selection) this node takes only what it waits for.
#[tokio::test]
async fn reports_that_nobody_waits_for_are_refused() {
    let node = Node::start("ROOM", quick()).await;
    let proposal = Proposal {
        contexts: vec![ProposedContext {
            abstract_syntax: CLASS.to_owned(),
            transfer_syntaxes: vec![EXPLICIT.to_owned()],
        }],
        scp_of: vec![CLASS.to_owned()],
        operations_invoked: 0,
    };
    let mut association = connect(&node.peer(), &proposal, client()).await.unwrap();
    let report = CommandSet {
        has_data_set: true,
        sop_instance_uid: INSTANCE.into(),
        event_type_id: Some(1),
        ..request(Operation::EventReport, 5, CLASS)
    };
    let (_, information) = action(&[(MR, "1.2.3")]);
    assert_eq!(
        ask(&mut association, 1, &report, Some(information.as_bytes())).await,
        Status::PROCESSING_FAILURE
    );
    assert_eq!(
        ask(&mut association, 1, &report, Some(&[0xff; 32])).await,
        Status::INVALID_ARGUMENT
    );
    association.release().await.unwrap();
}

/// Over the association that asks, where the peer cannot call back.
#[tokio::test]
async fn a_report_is_taken_over_the_association_that_asked() {
    let node = Node::start("ROOM", quick()).await;
    let instances = slices(2);
    node.take_in(&instances).await;
    let mut references: Vec<filmroom_commitment::Reference> = instances
        .iter()
        .map(|instance| filmroom_commitment::Reference {
            sop_class_uid: instance.sop_class_uid.clone(),
            sop_instance_uid: instance.sop_instance_uid.clone(),
        })
        .collect();
    references.push(filmroom_commitment::Reference {
        sop_class_uid: MR.into(),
        sop_instance_uid: "1.2.3".into(),
    });
    let reports = scu::AwaitedReports::default();
    let report = scu::commit(&node.peer(), client(), &references, &reports, Duration::from_secs(20)).await;
    let report = report.unwrap();
    assert_eq!(report.safe.len(), 2);
    assert_eq!(report.not_safe, [("1.2.3".to_owned(), Status::NO_SUCH_SOP_INSTANCE)]);
}
