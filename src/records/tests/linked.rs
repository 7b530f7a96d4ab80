//! Patients that are one: their facts, studies and holds count together, and batches follow at once.

use super::*;
use crate::{MergeRefused, Message, Said, Told, Visit, VisitChange};

const SEEN: &str = "pack = \"nhs\"\nversion = \"1\"\neffective_from = 2000-01-01\nrule = [{ id = \"adult\", class = \"min\", keep = [{ from = \"patient.last_encounter\", for = \"P8Y\" }] }]\n";

fn key(id: &str) -> PatientKey {
    PatientKey {
        id: id.to_owned(),
        issuer: String::new(),
    }
}

fn message(control_id: &str) -> Message {
    Message {
        control_id: control_id.to_owned(),
        application: "HIS".to_owned(),
        facility: String::new(),
        event: "ADT^A40".to_owned(),
        sent_at: None,
    }
}

fn interface() -> Actor {
    Actor::new("hl7:HIS|", &["interface"])
}

async fn visit(archive: &Archive, patient: &str, day: &str) {
    let told = Told {
        message: message(day),
        patients: vec![key(patient)],
        birth: Said::Nothing,
        sex: Said::Nothing,
        death: Said::Nothing,
        visit: Some(Visit {
            number: String::new(),
            change: VisitChange::Seen,
            start: Some(day.parse().unwrap()),
            end: None,
            day: None,
            is_of_a_day: true,
        }),
    };
    let heard = archive.records.hear(&interface(), &told).await.unwrap();
    assert_eq!(heard.facts.len(), 1);
}

async fn until(archive: &Archive, study: u32) -> String {
    let decision = archive.records.explain(&uid(study), None).await.unwrap().decision;
    decision.retain_until.unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn merged_patients_count_as_one_until_the_merge_is_taken_back() {
    let archive = Archive::new().await;
    archive.publish(SEEN).await;
    archive.take_in(1, 1, "A", "20100101").await.unwrap();
    archive.take_in(2, 1, "B", "20110101").await.unwrap();
    archive.take_in(3, 1, "C", "20110101").await.unwrap();
    let records = &archive.records;
    let id = records.propose(&clerk(), None, false).await.unwrap().batch.unwrap().id;
    visit(&archive, "B", "2123-05-14").await;
    let inside = |batch: Batch| batch.inside().map(|item| item.study.clone()).collect::<Vec<_>>();
    assert_eq!(
        inside(records.known_batch(&id).unwrap()),
        [uid(3), uid(1)],
        "at once, and nobody else's"
    );
    let merges = [(key("A"), key("B"))];
    assert_eq!(
        records
            .merge_patients(&interface(), &message("1"), &merges)
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        records
            .merge_patients(&interface(), &message("1"), &merges)
            .await
            .unwrap(),
        0
    );
    assert_eq!(inside(records.known_batch(&id).unwrap()), [uid(3)]);
    assert_eq!(until(&archive, 1).await, "2131-05-14");
    // Holds and visits of one are the other's too.
    let hold = archive
        .open_hold(HoldEffect::Block, serde_json::json!({ "patient": "A" }))
        .await;
    assert_eq!(archive.status(2).await, Status::Held);
    assert_eq!(archive.status(3).await, Status::Expired);
    visit(&archive, "A", "2124-01-01").await;
    assert_eq!(until(&archive, 2).await, "2132-01-01");
    let facts = records.explain(&uid(1), None).await.unwrap().facts;
    assert_eq!(facts.len(), 2, "both visits are shown");
    // The same after a restart.
    let archive = archive.reopened().await;
    let records = &archive.records;
    assert_eq!(until(&archive, 1).await, "2132-01-01");
    let refused = records
        .merge_patients(&interface(), &message("2"), &[(key("B"), key("A"))])
        .await;
    assert!(matches!(refused, Err(RecordsError::Merge(1, MergeRefused::Reversed))));
    // A clerk does not part them; a manager does.
    let link = records.patient_links(Some(&key("B"))).remove(0);
    assert_eq!(
        code(records.take_link_back(&clerk(), &link.id, "wrong", None).await),
        "not-let"
    );
    assert_eq!(
        code(records.take_link_back(&manager(), &link.id, "", None).await),
        "invalid"
    );
    let parted = records
        .take_link_back(&manager(), &link.id, "two persons", Some(link.version))
        .await
        .unwrap();
    assert!(!parted.active);
    assert_eq!(
        code(records.take_link_back(&manager(), &link.id, "again", None).await),
        "taken-back"
    );
    assert_eq!(archive.status(2).await, Status::Retained);
    assert_eq!(
        (until(&archive, 1).await, until(&archive, 2).await),
        ("2132-01-01".into(), "2131-05-14".into())
    );
    assert!(
        records.explain(&uid(2), None).await.unwrap().all_holds.is_empty(),
        "{}",
        hold.hold.id
    );
}
