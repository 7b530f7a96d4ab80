//! Limits of associations, and stopping.

use super::*;

fn refused(error: scu::ScuError) -> String {
    match error {
        scu::ScuError::Association(AssociationError::Rejected(rejection)) => rejection.to_string(),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn one_association_too_many_is_rejected_as_transient() {
    let node = Node::start(
        "ROOM",
        DimseConfig {
            associations_max: 3,
            ..quick()
        },
    )
    .await;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(associate(&node, &[(VERIFICATION, IMPLICIT)]).await);
    }
    let told = refused(scu::echo(&node.peer(), client()).await.unwrap_err());
    assert_eq!(told, "local limit exceeded (transient, source 3, reason 2)");
    open.pop().unwrap().release().await.unwrap();
    // The place is free when the node has seen the connection close, which is a moment later.
    let mut status = scu::echo(&node.peer(), client()).await;
    for _ in 0..100 {
        if status.is_ok() {
            break;
        }
        tokio::task::yield_now().await;
        status = scu::echo(&node.peer(), client()).await;
    }
    assert_eq!(status.unwrap(), Status::SUCCESS);
}

#[tokio::test]
async fn sixty_four_associations_work_at_once_and_the_next_is_rejected() {
    let node = Node::start("ROOM", quick()).await;
    let instances = slices(64);
    let contexts = [(VERIFICATION, IMPLICIT), (MR, EXPLICIT)];
    let mut open = Vec::new();
    for _ in 0..64 {
        open.push(associate(&node, &contexts).await);
    }
    let told = refused(scu::echo(&node.peer(), client()).await.unwrap_err());
    assert_eq!(told, "local limit exceeded (transient, source 3, reason 2)");
    let working = open
        .into_iter()
        .zip(&instances)
        .map(|(mut association, instance)| async move {
            let echo = request(Operation::Echo, 1, VERIFICATION);
            assert_eq!(ask(&mut association, 1, &echo, None).await, Status::SUCCESS);
            let stored = ask(
                &mut association,
                3,
                &store_request(2, instance),
                Some(instance.data_set()),
            )
            .await;
            assert_eq!(stored, Status::SUCCESS);
            association.release().await.unwrap();
        });
    futures_util::future::join_all(working).await;
    node.holds(&instances).await;
}

#[tokio::test]
async fn a_single_peer_has_a_limit_of_its_own() {
    let node = Node::start(
        "ROOM",
        DimseConfig {
            associations_per_peer_max: 1,
            ..quick()
        },
    )
    .await;
    let _open = associate(&node, &[(VERIFICATION, IMPLICIT)]).await;
    let told = refused(scu::echo(&node.peer(), client()).await.unwrap_err());
    assert_eq!(told, "temporary congestion (transient, source 3, reason 1)");
}

#[tokio::test]
async fn titles_are_checked_as_configured() {
    let config = DimseConfig {
        unknown_callers: UnknownCallers::Rejected,
        peers: known([Peer::new(title("CT1"), "127.0.0.1", 104)]),
        ..quick()
    };
    let node = Node::start("ROOM", config).await;
    let told = refused(scu::echo(&node.peer(), client()).await.unwrap_err());
    assert_eq!(told, "calling AE title not recognized (permanent, source 1, reason 3)");
    let other = Peer {
        ae_title: title("OTHER"),
        ..node.peer()
    };
    let told = refused(scu::echo(&other, client()).await.unwrap_err());
    assert_eq!(told, "called AE title not recognized (permanent, source 1, reason 7)");
}

#[tokio::test]
async fn stopping_lets_an_operation_end_and_takes_no_new_association() {
    let node = Node::start("ROOM", quick()).await;
    let instance = &slices(1)[0];
    let mut association = associate(&node, &[(MR, &instance.transfer_syntax_uid)]).await;
    association.queue(1, &store_request(1, instance), None);
    let data_set = Bytes::copy_from_slice(instance.data_set());
    association.send_data(1, &data_set.slice(..1000), false).await.unwrap();
    let peer = node.peer();
    node.shutdown.cancel();
    let rest = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        association.send_data(1, &data_set.slice(1000..), true).await.unwrap();
        assert_eq!(receive(&mut association).await.0.status, Some(0));
        assert!(scu::echo(&peer, client()).await.is_err());
        // Nothing more is asked for: the node ends the association by itself.
        assert!(matches!(
            association.next(Wait::Idle).await,
            Err(AssociationError::Aborted(2, 0))
        ));
        drop(association);
    };
    tokio::join!(rest, node.serving.closed());
}

#[tokio::test]
async fn stopping_aborts_what_does_not_end() {
    let node = Node::start(
        "ROOM",
        DimseConfig {
            drain_timeout: Duration::from_millis(200),
            ..quick()
        },
    )
    .await;
    let instance = &slices(1)[0];
    let mut association = associate(&node, &[(MR, &instance.transfer_syntax_uid)]).await;
    association.queue(1, &store_request(1, instance), None);
    association
        .send_data(1, &Bytes::from_static(&[0; 100]), false)
        .await
        .unwrap();
    node.shutdown.cancel();
    let aborted = async {
        let ended = association.next(Wait::Idle).await;
        drop(association);
        ended
    };
    let (ended, ()) = tokio::join!(aborted, node.serving.closed());
    assert!(matches!(ended, Err(AssociationError::Aborted(2, 0))), "{ended:?}");
}
