//! The modality worklist.

use filmroom_storage::model::Attributes;

use super::*;
use filmroom_dataset::{Builder, CharacterSet, encode};

const WORKLIST: &str = "1.2.840.10008.5.1.4.31";
const STEP: u32 = 0x0040_0100;

fn entry(id: &str, name: &str, modality: &str, date: &str) -> serde_json::Value {
    serde_json::json!({
        "00100010": { "vr": "PN", "Value": [{ "Alphabetic": name }] },
        "00100020": { "vr": "LO", "Value": [format!("P{id}")] },
        "0020000D": { "vr": "UI", "Value": ["1.2.3"] },
        "00400100": { "vr": "SQ", "Value": [{
            "00080060": { "vr": "CS", "Value": [modality] },
            "00400001": { "vr": "AE", "Value": ["CT01"] },
            "00400002": { "vr": "DA", "Value": [date] },
            "00400003": { "vr": "TM", "Value": ["0930"] },
            "00400009": { "vr": "SH", "Value": [id] },
        }] },
    })
}

fn identifier(name: &str, modality: &str, date: &str) -> Attributes {
    let item = Builder::new()
        .text(0x0008_0060, modality)
        .text(0x0040_0002, date)
        .empty(0x0040_0009)
        .empty(0x0040_0020)
        .empty(0x0040_0010)
        .build();
    Builder::new()
        .text(0x0010_0010, name)
        .empty(0x0020_000D)
        .empty(0x0008_0050)
        .empty(0x0008_1110)
        .sequence(STEP, &[item])
        .build()
}

/// All answers, and the final status.
async fn find(association: &mut Association, bytes: &[u8], syntax: &str) -> (Vec<Attributes>, Status) {
    let command = CommandSet {
        has_data_set: true,
        priority: Some(0),
        ..request(Operation::Find, 7, WORKLIST)
    };
    association.send(1, &command, Some(bytes)).await.unwrap();
    let mut answers = Vec::new();
    loop {
        let (response, data) = receive(association).await;
        let status = Status(response.status.unwrap());
        if !status.is_pending() {
            return (answers, status);
        }
        answers.push(filmroom_dataset::parse(&data, &syntax.parse().unwrap(), 1 << 20).unwrap());
    }
}

#[tokio::test]
async fn the_worklist_answers_with_what_was_asked_for() {
    let node = Node::start("ROOM", quick()).await;
    for (id, name, modality, date) in [
        ("1", "Müller^Jörg", "CT", "20300105"),
        ("2", "Doe^Jane", "CT", "20300106"),
        ("3", "Doe^John", "MR", "20300106"),
    ] {
        node.rooms.worklist.put(id, &entry(id, name, modality, date)).unwrap();
    }
    let mut association = associate(&node, &[(WORKLIST, IMPLICIT)]).await;
    let asked = |identifier: &Attributes| {
        let latin = CharacterSet::Terms("ISO_IR 100".into());
        encode(identifier, &IMPLICIT.parse().unwrap(), &latin).unwrap()
    };
    let (answers, status) = find(
        &mut association,
        &asked(&identifier("MÜLLER*", "CT", "20300101-")),
        IMPLICIT,
    )
    .await;
    assert_eq!((answers.len(), status), (1, Status::SUCCESS));
    let answer = &answers[0];
    assert_eq!(answer.text(0x0010_0010), "Müller^Jörg");
    assert_eq!(answer.text(0x0020_000D), "1.2.3");
    assert_eq!(answer.get(0x0008_0050).unwrap().value.len(), 0);
    assert_eq!(answer.get(0x0008_1110).unwrap().value.len(), 0);
    assert!(answer.get(0x0010_0020).is_none());
    let sequence = answer.get(STEP).unwrap().value;
    let step: Vec<_> = filmroom_storage::model::Elements::new(filmroom_dataset::items(sequence).next().unwrap())
        .map(|element| (element.tag, element.text()))
        .collect();
    assert_eq!(
        step,
        [
            (0x0008_0060, "CT"),
            (0x0040_0002, "20300105"),
            (0x0040_0009, "1"),
            (0x0040_0010, ""),
            (0x0040_0020, "SCHEDULED"),
        ]
    );
    let count = async |association: &mut Association, name: &str, modality: &str, date: &str| {
        let found = find(association, &asked(&identifier(name, modality, date)), IMPLICIT).await;
        (found.0.len(), found.1)
    };
    assert_eq!(count(&mut association, "", "", "").await, (3, Status::SUCCESS));
    assert_eq!(
        count(&mut association, "doe*", "", "20300106").await,
        (2, Status::SUCCESS)
    );
    assert_eq!(count(&mut association, "doe*", "US", "").await, (0, Status::SUCCESS));
    assert_eq!(
        count(&mut association, "", "", "someday").await,
        (0, Status::DOES_NOT_MATCH)
    );
    let (_, status) = find(&mut association, &[0xff; 40], IMPLICIT).await;
    assert_eq!(status, Status::CANNOT_UNDERSTAND);
    let bare = CommandSet {
        has_data_set: false,
        ..request(Operation::Find, 8, WORKLIST)
    };
    assert_eq!(ask(&mut association, 1, &bare, None).await, Status::DOES_NOT_MATCH);
    association.release().await.unwrap();
}

#[tokio::test]
async fn more_of_the_worklist_than_is_given_ends_with_a_failure() {
    let config = DimseConfig {
        find_answers_max: 2,
        ..quick()
    };
    let node = Node::start("ROOM", config).await;
    for id in ["1", "2", "3"] {
        node.rooms
            .worklist
            .put(id, &entry(id, "Doe^Jane", "CT", "20300106"))
            .unwrap();
    }
    let mut association = associate(&node, &[(WORKLIST, EXPLICIT)]).await;
    let identifier = identifier("", "", "");
    let (answers, status) = find(&mut association, identifier.as_bytes(), EXPLICIT).await;
    assert_eq!((answers.len(), status), (2, Status::OUT_OF_RESOURCES));
}

/// The request and its cancellation come in one go: it is seen before the first answer.
#[tokio::test]
async fn a_query_of_the_worklist_is_cancelled() {
    let node = Node::start("ROOM", quick()).await;
    for id in 0..50 {
        let id = id.to_string();
        node.rooms
            .worklist
            .put(&id, &entry(&id, "Doe^Jane", "CT", "20300106"))
            .unwrap();
    }
    let mut association = associate(&node, &[(WORKLIST, EXPLICIT)]).await;
    let command = CommandSet {
        has_data_set: true,
        ..request(Operation::Find, 7, WORKLIST)
    };
    association.queue(1, &command, Some(identifier("", "", "").as_bytes()));
    let cancel = CommandSet {
        command_field: 0x0FFF,
        message_id_being_responded_to: Some(7),
        ..CommandSet::default()
    };
    association.queue(1, &cancel, None);
    association.flush().await.unwrap();
    let mut answers = 0;
    loop {
        let (response, _) = receive(&mut association).await;
        match Status(response.status.unwrap()) {
            status if status.is_pending() => answers += 1,
            status => {
                assert_eq!(status, Status::CANCEL);
                break;
            }
        }
    }
    assert!(answers < 50);
    association.release().await.unwrap();
}
