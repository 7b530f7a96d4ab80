//! C-FIND.

use std::collections::BTreeSet;

use filmroom_storage::model::Attributes;

use super::*;
use filmroom_dataset::Builder;

fn identifier(level: &str, keys: &[(u32, &str)]) -> Attributes {
    let mut out = Builder::new();
    out.text(0x0008_0052, level);
    for (tag, value) in keys {
        out.text(*tag, value);
    }
    out.build()
}

async fn find(node: &Node, model: QueryModel, identifier: &Attributes) -> (Vec<Attributes>, Status) {
    let mut answers = Vec::new();
    let ended = scu::find(&node.peer(), client(), model, identifier, |answer| {
        answers.push(answer);
        true
    })
    .await
    .unwrap();
    (answers, ended.status)
}

#[tokio::test]
async fn every_level_is_answered_with_what_was_asked_for() {
    let node = Node::start("ROOM", quick()).await;
    let instances = slices(3);
    node.take_in(&instances).await;
    let study = instances[0].study_instance_uid.as_str();
    let (answers, status) = find(
        &node,
        QueryModel::StudyRoot,
        &identifier("STUDY", &[(0x0020_000D, ""), (0x0020_1208, "")]),
    )
    .await;
    assert_eq!((answers.len(), status), (1, Status::SUCCESS));
    assert_eq!(answers[0].text(0x0020_000D), study);
    assert_eq!(answers[0].text(0x0020_1208), "3");
    assert_eq!(answers[0].text(0x0008_0052), "STUDY");
    assert_eq!(answers[0].text(0x0008_0054), "ROOM");
    assert_eq!(answers[0].text(0x0008_0056), "ONLINE");
    let tags: Vec<u32> = answers[0]
        .iter()
        .map(|element| element.tag)
        .filter(|tag| *tag != 0x0008_0005)
        .collect();
    assert_eq!(tags, [0x0008_0052, 0x0008_0054, 0x0008_0056, 0x0020_000D, 0x0020_1208]);
    let series: BTreeSet<_> = instances.iter().map(|instance| &instance.series_instance_uid).collect();
    let keys = [(0x0020_000D, study), (0x0020_000E, ""), (0x0008_0018, "")];
    for (model, level, expected) in [
        (QueryModel::PatientRoot, "PATIENT", 1),
        (QueryModel::PatientStudyOnly, "STUDY", 1),
        (QueryModel::StudyRoot, "SERIES", series.len()),
        (QueryModel::PatientRoot, "IMAGE", 3),
    ] {
        let keys = if level == "PATIENT" {
            &[(0x0010_0020, "")][..]
        } else {
            &keys
        };
        let (answers, status) = find(&node, model, &identifier(level, keys)).await;
        assert_eq!((answers.len(), status), (expected, Status::SUCCESS), "{level}");
    }
}

#[tokio::test]
async fn levels_that_a_model_does_not_have_are_refused() {
    let node = Node::start("ROOM", quick()).await;
    for (model, level) in [
        (QueryModel::StudyRoot, "PATIENT"),
        (QueryModel::PatientStudyOnly, "SERIES"),
        (QueryModel::StudyRoot, "NONSENSE"),
        (QueryModel::StudyRoot, ""),
    ] {
        let (answers, status) = find(&node, model, &identifier(level, &[(0x0020_000D, "")])).await;
        assert_eq!((answers.len(), status), (0, Status::DOES_NOT_MATCH), "{level}");
    }
}

#[tokio::test]
async fn an_identifier_that_is_none_is_refused() {
    let node = Node::start("ROOM", quick()).await;
    let class = "1.2.840.10008.5.1.4.1.2.2.1";
    let mut association = associate(&node, &[(class, IMPLICIT)]).await;
    let command = CommandSet {
        has_data_set: true,
        ..request(Operation::Find, 1, class)
    };
    assert_eq!(
        ask(&mut association, 1, &command, Some(&[0xff; 64])).await,
        Status::CANNOT_UNDERSTAND
    );
    let bare = request(Operation::Find, 2, class);
    assert_eq!(ask(&mut association, 1, &bare, None).await, Status::DOES_NOT_MATCH);
    association.release().await.unwrap();
}

#[tokio::test]
async fn keys_that_nothing_is_known_of_are_said_to_be_ignored() {
    let node = Node::start("ROOM", quick()).await;
    node.take_in(&slices(1)).await;
    let class = "1.2.840.10008.5.1.4.1.2.2.1";
    let mut association = associate(&node, &[(class, EXPLICIT)]).await;
    let asked = identifier("STUDY", &[(0x0020_000D, ""), (0x0040_A491, "COMPLETE")]);
    let command = CommandSet {
        has_data_set: true,
        ..request(Operation::Find, 1, class)
    };
    let status = ask(&mut association, 1, &command, Some(asked.as_bytes())).await;
    assert!(status.is_pending(), "{status}");
    assert_eq!(status, Status::PENDING_WITHOUT_OPTIONAL_KEYS);
}

#[tokio::test]
async fn a_query_is_cancelled_at_once() {
    let node = Node::start("ROOM", quick()).await;
    node.take_in(&filmroom_fixtures::scale(3, 400).collect::<Vec<_>>())
        .await;
    let class = "1.2.840.10008.5.1.4.1.2.2.1";
    let mut association = associate(&node, &[(class, EXPLICIT)]).await;
    let asked = identifier("IMAGE", &[(0x0008_0018, "")]);
    let command = CommandSet {
        has_data_set: true,
        ..request(Operation::Find, 5, class)
    };
    let cancel = CommandSet {
        command_field: 0x0fff,
        message_id_being_responded_to: Some(5),
        ..CommandSet::default()
    };
    association.queue(1, &command, Some(asked.as_bytes()));
    association.send(1, &cancel, None).await.unwrap();
    let mut answers = 0;
    let status = loop {
        let (response, _) = receive(&mut association).await;
        let status = Status(response.status.unwrap());
        if !status.is_pending() {
            break status;
        }
        answers += 1;
    };
    assert_eq!(status, Status::CANCEL);
    assert!(answers < 400, "{answers}");
    // The association is as good as before.
    let late = CommandSet {
        message_id: Some(6),
        ..command
    };
    association
        .send(1, &late, Some(identifier("IMAGE", &[(0x0008_0018, "1.2")]).as_bytes()))
        .await
        .unwrap();
    assert_eq!(receive(&mut association).await.0.status, Some(0));
    association.release().await.unwrap();
}

#[tokio::test]
async fn more_matches_than_are_given_end_with_a_failure() {
    let node = Node::start(
        "ROOM",
        DimseConfig {
            find_answers_max: 150,
            ..quick()
        },
    )
    .await;
    node.take_in(&filmroom_fixtures::scale(3, 200).collect::<Vec<_>>())
        .await;
    let (answers, status) = find(&node, QueryModel::StudyRoot, &identifier("IMAGE", &[(0x0008_0018, "")])).await;
    assert_eq!((answers.len(), status), (150, Status::OUT_OF_RESOURCES));
}
