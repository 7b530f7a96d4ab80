//! C-ECHO and C-STORE.

use super::*;

#[tokio::test]
async fn an_echo_is_answered() {
    let node = Node::start("ROOM", quick()).await;
    assert_eq!(scu::echo(&node.peer(), client()).await.unwrap(), Status::SUCCESS);
}

#[tokio::test]
async fn instances_arrive_byte_for_byte() {
    let (near, far) = (Node::start("NEAR", quick()).await, Node::start("FAR", quick()).await);
    let instances = slices(5);
    near.take_in(&instances).await;
    let mut seen = 0;
    let report = scu::send(
        &far.peer(),
        client(),
        &near.rooms.retrieve,
        study_of(&instances[0]),
        |_, status| {
            assert_eq!(status, Status::SUCCESS);
            seen += 1;
        },
    )
    .await
    .unwrap();
    assert_eq!((report.sent, report.failed.len(), seen), (5, 0, 5));
    far.holds(&instances).await;
}

#[tokio::test]
async fn the_same_instance_again_is_a_success() {
    let node = Node::start("ROOM", quick()).await;
    let instance = &slices(1)[0];
    let mut association = associate(&node, &[(MR, &instance.transfer_syntax_uid)]).await;
    for message_id in [1, 2] {
        let command = store_request(message_id, instance);
        assert_eq!(
            ask(&mut association, 1, &command, Some(instance.data_set())).await,
            Status::SUCCESS
        );
    }
    association.release().await.unwrap();
    node.holds(std::slice::from_ref(instance)).await;
}

#[tokio::test]
async fn what_cannot_be_stored_is_refused_by_its_reason_and_the_association_goes_on() {
    let node = Node::start("ROOM", quick()).await;
    let instance = &slices(1)[0];
    let syntax = instance.transfer_syntax_uid.as_str();
    let mut association = associate(&node, &[(MR, syntax), (VERIFICATION, IMPLICIT)]).await;
    let good = store_request(1, instance);
    let data_set = instance.data_set();
    let other = CommandSet {
        sop_instance_uid: "1.2.3.4".into(),
        ..good.clone()
    };
    assert_eq!(
        ask(&mut association, 1, &other, Some(data_set)).await,
        Status::DOES_NOT_MATCH
    );
    let path = CommandSet {
        sop_instance_uid: "../../etc/passwd".into(),
        ..good.clone()
    };
    assert_eq!(
        ask(&mut association, 1, &path, Some(data_set)).await,
        Status::INVALID_SOP_INSTANCE_UID
    );
    assert_eq!(
        ask(&mut association, 1, &good, Some(&[0xff; 5000])).await,
        Status::CANNOT_UNDERSTAND
    );
    assert_eq!(
        ask(&mut association, 1, &good, Some(&data_set[..data_set.len() / 2])).await,
        Status::CANNOT_UNDERSTAND
    );
    let bare = CommandSet {
        has_data_set: false,
        ..good.clone()
    };
    assert_eq!(ask(&mut association, 1, &bare, None).await, Status::DOES_NOT_MATCH);
    let find = CommandSet {
        sop_class_uid: "1.2.840.10008.5.1.4.1.2.2.1".into(),
        ..good.clone()
    };
    assert_eq!(
        ask(&mut association, 1, &find, Some(data_set)).await,
        Status::SOP_CLASS_NOT_SUPPORTED
    );
    assert_eq!(
        ask(&mut association, 3, &good, Some(data_set)).await,
        Status::SOP_CLASS_NOT_SUPPORTED
    );
    assert!(node.data_set(&instance.sop_instance_uid).await.is_none());
    assert_eq!(ask(&mut association, 1, &good, Some(data_set)).await, Status::SUCCESS);
    association.release().await.unwrap();
    node.holds(std::slice::from_ref(instance)).await;
}

#[tokio::test]
async fn operations_that_are_not_offered_are_refused() {
    let node = Node::start("ROOM", quick()).await;
    let mut association = associate(&node, &[(VERIFICATION, IMPLICIT)]).await;
    let get = request(Operation::NGet, 9, VERIFICATION);
    assert_eq!(
        ask(&mut association, 1, &get, None).await,
        Status::UNRECOGNIZED_OPERATION
    );
    let unknown = CommandSet {
        command_field: 0x0777,
        ..get.clone()
    };
    assert_eq!(
        ask(&mut association, 1, &unknown, None).await,
        Status::UNRECOGNIZED_OPERATION
    );
    let with_data = CommandSet {
        has_data_set: true,
        ..request(Operation::Create, 9, VERIFICATION)
    };
    assert_eq!(
        ask(&mut association, 1, &with_data, Some(&[0; 100])).await,
        Status::UNRECOGNIZED_OPERATION
    );
    let echo = request(Operation::Echo, 10, VERIFICATION);
    assert_eq!(ask(&mut association, 1, &echo, None).await, Status::SUCCESS);
    association.release().await.unwrap();
}

#[tokio::test]
async fn a_peer_that_negotiated_a_window_need_not_wait() {
    let node = Node::start("ROOM", quick()).await;
    let instances = slices(8);
    let proposal = Proposal {
        contexts: vec![ProposedContext {
            abstract_syntax: MR.into(),
            transfer_syntaxes: vec![instances[0].transfer_syntax_uid.clone()],
        }],
        scp_of: Vec::new(),
        operations_invoked: 8,
    };
    let mut association = connect(&node.peer(), &proposal, client()).await.unwrap();
    assert_eq!(association.negotiated().operations_invoked_max, 8);
    for (message_id, instance) in (1..).zip(&instances) {
        association
            .send(1, &store_request(message_id, instance), Some(instance.data_set()))
            .await
            .unwrap();
    }
    let mut answered = Vec::new();
    for _ in &instances {
        let (response, _) = receive(&mut association).await;
        assert_eq!(response.status, Some(0));
        answered.push(response.message_id_being_responded_to.unwrap());
    }
    answered.sort_unstable();
    assert_eq!(answered, (1..=8).collect::<Vec<u16>>());
    association.release().await.unwrap();
    node.holds(&instances).await;
}

#[tokio::test]
async fn an_instance_that_breaks_off_leaves_nothing() {
    let node = Node::start("ROOM", quick()).await;
    let instance = &slices(1)[0];
    let mut association = associate(&node, &[(MR, &instance.transfer_syntax_uid)]).await;
    association.queue(1, &store_request(1, instance), None);
    let half = Bytes::copy_from_slice(&instance.data_set()[..1000]);
    association.send_data(1, &half, false).await.unwrap();
    drop(association);
    assert_eq!(scu::echo(&node.peer(), client()).await.unwrap(), Status::SUCCESS);
    assert!(node.data_set(&instance.sop_instance_uid).await.is_none());
}
