use std::time::Duration;

use super::{open, patient, us};
use crate::{
    Action, EventId, Participant, Search, SearchOrder,
    events::Parties,
    transfers::{Item, Limits, Transfer, TransferKey, Transfers},
};

fn key(study: &str) -> TransferKey {
    TransferKey {
        requestor: "CT1 10.0.0.1".into(),
        receiver: "FILMROOM".into(),
        service: "C-STORE",
        study_instance_uid: study.into(),
        is_failed: false,
    }
}

fn transfer() -> Transfer {
    Transfer {
        parties: Parties {
            from: Participant::application_entity("CT1", "10.0.0.1:5000").requesting(),
            to: us(),
            others: Vec::new(),
        },
        action: Action::Create,
        patient: patient(1),
        accession_number: "ACC1".into(),
        purpose: None,
    }
}

fn item(uid: &str) -> Item<'_> {
    Item {
        series_instance_uid: "1.2.3.1",
        sop_class_uid: "1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uid: uid,
        what: "instances",
    }
}

#[tokio::test]
async fn a_thousand_instances_are_a_beginning_and_an_end_that_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let audit = open(folder.path());
    let transfers = Transfers::new(audit.clone(), Limits::default());
    for number in 0..900 {
        transfers
            .went(key("1.2.3"), item(&format!("1.2.3.1.{number}")), transfer)
            .await
            .unwrap();
    }
    transfers.went(key("1.2.4"), item("1.2.4.1.1"), transfer).await.unwrap();
    assert_eq!(audit.log().size(), 2);
    transfers.end(|_| true).await.unwrap();
    let search = Search {
        order: SearchOrder::OldestFirst,
        study_instance_uid: Some("1.2.3".into()),
        ..Search::default()
    };
    let page = audit.log().search(search).await.unwrap();
    let [begun, ended] = page.entries.as_slice() else {
        panic!("two events")
    };
    assert_eq!(
        (begun.event.event, ended.event.event),
        (EventId::BeginTransferring, EventId::InstancesTransferred)
    );
    assert_eq!(ended.event.action, Action::Create);
    let class = &ended.event.studies().next().unwrap().classes[0];
    assert_eq!((class.number, class.instances.len()), (900, 900));
}

#[tokio::test]
async fn one_of_too_many_instances_or_too_many_transfers_ends_and_another_begins() {
    let folder = tempfile::tempdir().unwrap();
    let audit = open(folder.path());
    let transfers = Transfers::new(
        audit.clone(),
        Limits {
            open_max: 2,
            ..Limits::default()
        },
    );
    for number in 0..2500 {
        transfers
            .went(key("1.2.3"), item(&format!("1.2.3.1.{number}")), transfer)
            .await
            .unwrap();
    }
    for study in ["1.2.4", "1.2.5", "1.2.6"] {
        transfers.went(key(study), item("1.9"), transfer).await.unwrap();
    }
    transfers.end(|_| true).await.unwrap();
    let search = Search {
        events: vec![EventId::InstancesTransferred],
        ..Search::default()
    };
    let page = audit.log().search(search).await.unwrap();
    let named: u64 = page
        .entries
        .iter()
        .flat_map(|entry| {
            entry
                .event
                .studies()
                .flat_map(|study| study.classes.iter().map(|class| class.number))
        })
        .sum();
    assert_eq!(named, 2503);
    let begun = Search {
        events: vec![EventId::BeginTransferring],
        ..Search::default()
    };
    assert_eq!(
        audit.log().search(begun).await.unwrap().entries.len(),
        page.entries.len()
    );
}

#[tokio::test]
async fn a_quiet_one_ends_by_itself_and_all_end_with_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let audit = open(folder.path());
    let limits = Limits {
        quiet: Duration::from_millis(1),
        ..Limits::default()
    };
    let transfers = Transfers::new(audit.clone(), limits);
    transfers.went(key("1.2.3"), item("1.9"), transfer).await.unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let sweeping = tokio::spawn(transfers.clone().run(async { drop(stopped.await) }));
    let mut grown = audit.log().watch();
    grown.wait_for(|size| *size == 2).await.unwrap();
    transfers.went(key("1.2.4"), item("1.9"), transfer).await.unwrap();
    stop.send(()).unwrap();
    sweeping.await.unwrap();
    assert_eq!(audit.log().size(), 4);
}

#[tokio::test]
async fn those_that_come_at_the_same_time_are_one_transfer() {
    let folder = tempfile::tempdir().unwrap();
    let audit = open(folder.path());
    let transfers = Transfers::new(audit.clone(), Limits::default());
    let tasks: Vec<_> = (0..20)
        .map(|number| {
            let transfers = transfers.clone();
            let uid = format!("1.2.3.1.{number}");
            tokio::spawn(async move { transfers.went(key("1.2.3"), item(&uid), transfer).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(audit.log().size(), 1);
    transfers.end(|_| true).await.unwrap();
    let ended = audit.log().entry(1).unwrap().event;
    assert_eq!(ended.studies().next().unwrap().classes[0].number, 20);
}

#[tokio::test]
async fn whoever_is_refused_again_and_again_does_not_fill_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let audit = open(folder.path());
    let transfers = Transfers::new(audit.clone(), Limits::default());
    let trail = crate::Trail::new(transfers, us(), Box::new(|_| None));
    for port in 1000..1500 {
        let place = format!("10.6.6.6:{port}");
        let who = crate::Caller {
            place: &place,
            ..Default::default()
        };
        trail.refused(who, "not among the peers").await.unwrap();
    }
    assert_eq!(audit.log().size(), 1);
}
