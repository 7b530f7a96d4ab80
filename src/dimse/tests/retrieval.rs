//! C-GET and C-MOVE.

use filmroom_storage::model::Attributes;

use super::*;
use filmroom_dataset::Builder;

fn study(instance: &Instance) -> Attributes {
    let mut out = Builder::new();
    out.text(0x0008_0052, "STUDY");
    out.text(0x0020_000D, &instance.study_instance_uid);
    out.build()
}

fn wanted(instances: &[Instance]) -> Vec<(String, Vec<String>)> {
    let mut out: Vec<(String, Vec<String>)> = Vec::new();
    for instance in instances {
        let pair = (
            instance.sop_class_uid.clone(),
            vec![instance.transfer_syntax_uid.clone()],
        );
        if !out.contains(&pair) {
            out.push(pair);
        }
    }
    out
}

#[tokio::test]
async fn a_study_comes_back_over_the_same_association() {
    let (near, far) = (Node::start("NEAR", quick()).await, Node::start("FAR", quick()).await);
    let instances = slices(6);
    far.take_in(&instances).await;
    let mut told = Vec::new();
    let ended = scu::get(
        &far.peer(),
        client(),
        QueryModel::StudyRoot,
        &study(&instances[0]),
        &wanted(&instances),
        &near.rooms.ingest,
        |counts| told.push(counts),
    )
    .await
    .unwrap();
    assert_eq!(ended.status, Status::SUCCESS);
    let counts = ended.counts.unwrap();
    assert_eq!((counts.completed, counts.failed, counts.remaining), (6, 0, None));
    assert_eq!(told.first().unwrap().remaining, Some(5));
    near.holds(&instances).await;
}

#[tokio::test]
async fn classes_that_the_peer_did_not_propose_fail_and_are_listed() {
    let (near, far) = (Node::start("NEAR", quick()).await, Node::start("FAR", quick()).await);
    let instances = slices(2);
    far.take_in(&instances).await;
    let other = vec![("1.2.840.10008.5.1.4.1.1.2".to_owned(), vec![EXPLICIT.to_owned()])];
    let identifier = study(&instances[0]);
    let ended = scu::get(
        &far.peer(),
        client(),
        QueryModel::StudyRoot,
        &identifier,
        &other,
        &near.rooms.ingest,
        |_| {},
    )
    .await
    .unwrap();
    assert_eq!(ended.status, Status::UNABLE_TO_SEND);
    assert_eq!(ended.counts.unwrap().failed, 2);
}

#[tokio::test]
async fn an_unknown_study_is_a_success_of_nothing() {
    let (near, far) = (Node::start("NEAR", quick()).await, Node::start("FAR", quick()).await);
    let instances = slices(1);
    let identifier = study(&instances[0]);
    let wanted = wanted(&instances);
    let ended = scu::get(
        &far.peer(),
        client(),
        QueryModel::StudyRoot,
        &identifier,
        &wanted,
        &near.rooms.ingest,
        |_| {},
    )
    .await
    .unwrap();
    assert_eq!((ended.status, ended.counts.unwrap().completed), (Status::SUCCESS, 0));
}

/// Asks for a study by C-GET (message 3 in context 1); instances come in context 3.
async fn begin_get(far: &Node, instances: &[Instance]) -> Association {
    let class = "1.2.840.10008.5.1.4.1.2.2.3";
    let proposal = Proposal {
        contexts: vec![
            ProposedContext {
                abstract_syntax: class.into(),
                transfer_syntaxes: vec![EXPLICIT.into()],
            },
            ProposedContext {
                abstract_syntax: MR.into(),
                transfer_syntaxes: vec![instances[0].transfer_syntax_uid.clone()],
            },
        ],
        scp_of: vec![MR.into()],
        operations_invoked: 0,
    };
    let mut association = connect(&far.peer(), &proposal, client()).await.unwrap();
    let command = CommandSet {
        has_data_set: true,
        ..request(Operation::Get, 3, class)
    };
    association
        .send(1, &command, Some(study(&instances[0]).as_bytes()))
        .await
        .unwrap();
    association
}

#[tokio::test]
async fn what_the_receiver_refuses_is_told_in_the_end() {
    let far = Node::start("FAR", quick()).await;
    let instances = slices(3);
    far.take_in(&instances).await;
    let mut association = begin_get(&far, &instances).await;
    let mut stored = 0;
    let (ended, list) = loop {
        let (command, data) = receive(&mut association).await;
        if command.command_field != Operation::Store.command_field() {
            match command.status.map(Status) {
                Some(Status::PENDING) => continue,
                _ => break (command, data),
            }
        }
        let status = if stored == 1 {
            Status::OUT_OF_RESOURCES
        } else {
            Status::SUCCESS
        };
        stored += 1;
        association
            .send(3, &CommandSet::response_to(&command, status.0), None)
            .await
            .unwrap();
    };
    assert_eq!(ended.status.map(Status), Some(Status::SUB_OPERATIONS_INCOMPLETE));
    let counts = ended.counts.unwrap();
    assert_eq!((counts.completed, counts.failed), (2, 1));
    let list = filmroom_dataset::parse(&list, &EXPLICIT.parse().unwrap(), 1 << 16).unwrap();
    assert_eq!(list.text(0x0008_0058), instances[1].sop_instance_uid);
}

/// Where the answer to C-STORE is due, nothing else is performed.
#[tokio::test]
async fn a_request_in_the_middle_of_a_get_is_refused_and_the_get_goes_on() {
    let far = Node::start("FAR", quick()).await;
    let instances = slices(1);
    far.take_in(&instances).await;
    let mut association = begin_get(&far, &instances).await;
    let (store, _) = receive(&mut association).await;
    let echo = request(Operation::Echo, 9, VERIFICATION);
    assert_eq!(ask(&mut association, 1, &echo, None).await, Status::RESOURCE_LIMITATION);
    let answer = CommandSet::response_to(&store, Status::SUCCESS.0);
    assert_eq!(ask(&mut association, 3, &answer, None).await, Status::SUCCESS);
    association.release().await.unwrap();
}

#[tokio::test]
async fn a_get_is_cancelled_between_instances() {
    let far = Node::start("FAR", quick()).await;
    let instances = slices(4);
    far.take_in(&instances).await;
    let mut association = begin_get(&far, &instances).await;
    let (store, data) = receive(&mut association).await;
    assert_eq!(data, instances[0].data_set());
    let cancel = CommandSet {
        command_field: 0x0fff,
        message_id_being_responded_to: Some(3),
        ..CommandSet::default()
    };
    association.queue(1, &cancel, None);
    association
        .send(3, &CommandSet::response_to(&store, 0), None)
        .await
        .unwrap();
    let ended = loop {
        let (response, _) = receive(&mut association).await;
        if response.status != Some(0xff00) {
            break response;
        }
    };
    assert_eq!(ended.status, Some(Status::CANCEL.0));
    let counts = ended.counts.unwrap();
    assert_eq!((counts.completed, counts.remaining), (1, Some(3)));
    association.release().await.unwrap();
}

#[tokio::test]
async fn a_study_is_moved_to_a_peer() {
    let destination = Node::start("DEST", quick()).await;
    let source = Node::start(
        "SOURCE",
        DimseConfig {
            peers: known([destination.peer()]),
            ..quick()
        },
    )
    .await;
    let instances = slices(4);
    source.take_in(&instances).await;
    let mut told = 0;
    let ended = scu::move_to(
        &source.peer(),
        client(),
        QueryModel::StudyRoot,
        &study(&instances[0]),
        "DEST",
        |_| told += 1,
    )
    .await
    .unwrap();
    assert_eq!((ended.status, ended.counts.unwrap().completed), (Status::SUCCESS, 4));
    assert_eq!(told, 4);
    destination.holds(&instances).await;
}

#[tokio::test]
async fn a_study_is_moved_over_several_associations() {
    let only = DimseConfig {
        associations_max: 3,
        ..quick()
    };
    let destination = Node::start("DEST", only).await;
    let source = Node::start(
        "SOURCE",
        DimseConfig {
            peers: known([destination.peer()]),
            move_associations: 8,
            ..quick()
        },
    )
    .await;
    let instances = slices(40);
    source.take_in(&instances).await;
    let mut told = Vec::new();
    let ended = scu::move_to(
        &source.peer(),
        client(),
        QueryModel::StudyRoot,
        &study(&instances[0]),
        "DEST",
        |counts| told.push(counts.completed),
    )
    .await
    .unwrap();
    assert_eq!((ended.status, ended.counts.unwrap().completed), (Status::SUCCESS, 40));
    assert!(told.is_sorted() && told.len() == 40);
    destination.holds(&instances).await;
}

#[tokio::test]
async fn destinations_that_are_unknown_or_gone_are_told_apart() {
    let gone = Peer::new(title("GONE"), "127.0.0.1", 1);
    let source = Node::start(
        "SOURCE",
        DimseConfig {
            peers: known([gone]),
            ..quick()
        },
    )
    .await;
    let instances = slices(2);
    source.take_in(&instances).await;
    let identifier = study(&instances[0]);
    let peer = source.peer();
    let move_to = |destination: &'static str| {
        scu::move_to(&peer, client(), QueryModel::StudyRoot, &identifier, destination, |_| {})
    };
    let unknown = move_to("NOBODY");
    assert_eq!(unknown.await.unwrap().status, Status::MOVE_DESTINATION_UNKNOWN);
    let ended = move_to("GONE").await.unwrap();
    assert_eq!(
        (ended.status, ended.counts.unwrap().failed),
        (Status::UNABLE_TO_SEND, 2)
    );
}

#[tokio::test]
async fn a_retrieval_without_its_unique_key_is_refused() {
    let node = Node::start("ROOM", quick()).await;
    let mut out = Builder::new();
    out.text(0x0008_0052, "SERIES");
    let class = "1.2.840.10008.5.1.4.1.2.2.3";
    let mut association = associate(&node, &[(class, EXPLICIT)]).await;
    let command = CommandSet {
        has_data_set: true,
        ..request(Operation::Get, 1, class)
    };
    assert_eq!(
        ask(&mut association, 1, &command, Some(out.build().as_bytes())).await,
        Status::DOES_NOT_MATCH
    );
    out.text(0x0020_000E, "not a uid");
    assert_eq!(
        ask(&mut association, 1, &command, Some(out.build().as_bytes())).await,
        Status::DOES_NOT_MATCH
    );
}
