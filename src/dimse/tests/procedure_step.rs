//! Modality performed procedure steps.

use filmroom_storage::model::Attributes;

use super::*;
use filmroom_dataset::Builder;

const CLASS: &str = "1.2.840.10008.3.1.2.3.3";
const RETRIEVE: &str = "1.2.840.10008.3.1.2.3.4";
const STATUS: u32 = 0x0040_0252;

fn begun() -> Attributes {
    let item = Builder::new()
        .text(0x0020_000D, "1.2.3")
        .text(0x0040_0009, "SPS1")
        .build();
    Builder::new()
        .text(0x0008_0060, "CT")
        .text(0x0010_0010, "Müller^Jörg")
        .text(0x0040_0241, "CT01")
        .text(0x0040_0244, "20300105")
        .text(0x0040_0245, "0930")
        .text(STATUS, "IN PROGRESS")
        .text(0x0040_0253, "PPS1")
        .sequence(0x0040_0270, &[item])
        .build()
}

fn command(operation: Operation, uid: &str) -> CommandSet {
    CommandSet {
        has_data_set: operation != Operation::NGet,
        sop_instance_uid: uid.into(),
        ..request(
            operation,
            1,
            if operation == Operation::NGet { RETRIEVE } else { CLASS },
        )
    }
}

async fn send(
    association: &mut Association,
    context_id: u8,
    command: &CommandSet,
    data_set: Option<&Attributes>,
) -> (CommandSet, Bytes) {
    let bytes = data_set.map(|data_set| data_set.as_bytes().to_vec());
    association.send(context_id, command, bytes.as_deref()).await.unwrap();
    receive(association).await
}

#[tokio::test]
async fn steps_are_made_changed_ended_and_told() {
    let node = Node::start("ROOM", quick()).await;
    let mut association = associate(&node, &[(CLASS, EXPLICIT), (RETRIEVE, EXPLICIT)]).await;
    let create = command(Operation::Create, "1.2.9");
    let set = command(Operation::Set, "1.2.9");
    let status = |answer: &(CommandSet, Bytes)| Status(answer.0.status.unwrap());

    let answer = send(&mut association, 1, &set, Some(&begun())).await;
    assert_eq!(status(&answer), Status::NO_SUCH_SOP_INSTANCE);
    let without = Builder::from_attributes(&begun()).remove(0x0040_0270).build();
    let answer = send(&mut association, 1, &create, Some(&without)).await;
    assert_eq!(status(&answer), Status::MISSING_ATTRIBUTE);
    assert_eq!(answer.0.attribute_identifiers, [0x0040_0270]);
    let void = Builder::from_attributes(&begun()).empty(0x0040_0253).build();
    let answer = send(&mut association, 1, &create, Some(&void)).await;
    assert_eq!(status(&answer), Status::MISSING_ATTRIBUTE_VALUE);
    let ended = Builder::from_attributes(&begun()).text(STATUS, "COMPLETED").build();
    let answer = send(&mut association, 1, &create, Some(&ended)).await;
    assert_eq!(status(&answer), Status::INVALID_ATTRIBUTE_VALUE);
    let answer = send(&mut association, 1, &command(Operation::Create, "1..2"), Some(&begun())).await;
    assert_eq!(status(&answer), Status::INVALID_SOP_INSTANCE_UID);
    association.send(1, &create, Some(&[0xff; 40])).await.unwrap();
    assert_eq!(status(&receive(&mut association).await), Status::PROCESSING_FAILURE);

    let answer = send(&mut association, 1, &create, Some(&begun())).await;
    assert_eq!(status(&answer), Status::SUCCESS);
    assert_eq!(answer.0.sop_instance_uid, "1.2.9");
    let answer = send(&mut association, 1, &create, Some(&begun())).await;
    assert_eq!(status(&answer), Status::DUPLICATE_SOP_INSTANCE);
    let another = Builder::new()
        .text(0x0010_0020, "ANOTHER")
        .text(0x0040_0280, "late")
        .build();
    let answer = send(&mut association, 1, &set, Some(&another)).await;
    assert_eq!(status(&answer), Status::ATTRIBUTE_LIST_ERROR);
    assert_eq!(answer.0.attribute_identifiers, [0x0010_0020]);
    let completed = Builder::new().text(STATUS, "COMPLETED").build();
    let answer = send(&mut association, 1, &set, Some(&completed)).await;
    assert_eq!(status(&answer), Status::SUCCESS);
    let answer = send(&mut association, 1, &set, Some(&completed)).await;
    assert_eq!(status(&answer), Status::PROCESSING_FAILURE);
    assert_eq!(answer.0.error_id, Some(0xA710));

    let listed = CommandSet {
        attribute_identifiers: vec![STATUS, 0x0010_0010],
        ..command(Operation::NGet, "1.2.9")
    };
    let answer = send(&mut association, 3, &listed, None).await;
    assert_eq!(status(&answer), Status::SUCCESS);
    let told = filmroom_dataset::parse(&answer.1, &EXPLICIT.parse().unwrap(), 1 << 20).unwrap();
    assert_eq!(
        (told.text(STATUS), told.text(0x0010_0010)),
        ("COMPLETED", "Müller^Jörg")
    );
    assert!(told.get(0x0040_0241).is_none());
    let answer = send(&mut association, 3, &command(Operation::NGet, "1.2.10"), None).await;
    assert_eq!(status(&answer), Status::NO_SUCH_SOP_INSTANCE);
    // Made without a UID: it is given one.
    let answer = send(&mut association, 1, &command(Operation::Create, ""), Some(&begun())).await;
    assert_eq!(status(&answer), Status::SUCCESS);
    assert!(answer.0.sop_instance_uid.starts_with("2.25."));
    // Nothing but what the class has.
    let answer = send(&mut association, 3, &set_on_retrieve(), Some(&completed)).await;
    assert_eq!(status(&answer), Status::UNRECOGNIZED_OPERATION);
    association.release().await.unwrap();
}

fn set_on_retrieve() -> CommandSet {
    CommandSet {
        sop_class_uid: RETRIEVE.into(),
        ..command(Operation::Set, "1.2.9")
    }
}
