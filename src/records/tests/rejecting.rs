//! Rejection: by persons and by notes, and what becomes of disposal with it.

use filmroom_ingest::{Authority, NoteFault};
use filmroom_storage::{index::StudySelector, model::StudyInstanceUid};

use super::*;

const KEY_OBJECT_SELECTION: &str = "1.2.840.10008.5.1.4.1.1.88.59";
const SECONDARY_CAPTURE: &str = "1.2.840.10008.5.1.4.1.1.7";

fn code_item(code: &str, scheme: &str) -> filmroom_storage::model::Attributes {
    let mut item = Builder::new();
    item.text(0x0008_0100, code).text(0x0008_0102, scheme);
    item.build()
}

/// A note on instances of one study.
fn note(code: &str, scheme: &str, number: u32, study: u32, instances: &[u32], patient: &str) -> Vec<u8> {
    let listed: Vec<_> = instances
        .iter()
        .map(|instance| {
            let mut item = Builder::new();
            item.text(0x0008_1150, SECONDARY_CAPTURE)
                .text(0x0008_1155, &format!("1.2.3.{study}.1.{instance}"));
            item.build()
        })
        .collect();
    let mut series = Builder::new();
    series
        .sequence(0x0008_1199, &listed)
        .text(0x0020_000E, &format!("1.2.3.{study}.1"));
    let mut evidence = Builder::new();
    evidence
        .sequence(0x0008_1115, &[series.build()])
        .text(0x0020_000D, &uid(study));
    let mut note = Builder::new();
    note.text(0x0008_0016, KEY_OBJECT_SELECTION)
        .text(0x0008_0018, &format!("1.2.3.{study}.9.{number}"))
        .text(0x0008_0060, "KO")
        .text(0x0010_0020, patient)
        .text(0x0020_000D, &uid(study))
        .text(0x0020_000E, &format!("1.2.3.{study}.9"))
        .sequence(0x0040_A043, &[code_item(code, scheme)])
        .sequence(0x0040_A375, &[evidence.build()]);
    note.build().as_bytes().to_vec()
}

impl Archive {
    /// Takes a note in, in the name of a peer that may reject.
    async fn take_note(&self, note: &[u8]) -> Result<(), IngestError> {
        let peer = Authority::Rejecting("ae:QC".to_owned());
        let ingest = Ingest::new(self.store.clone())
            .gated(Arc::new(NoteGate(self.records.clone())))
            .in_the_name_of(peer);
        self.take_in_with(&ingest, note).await
    }

    /// Instances that a view counts in a study.
    fn seen(&self, view: View, study: u32) -> u64 {
        let index = self.records.seen(&self.store, view).index();
        let found = index.study(&StudyInstanceUid::new(&uid(study)).unwrap()).unwrap();
        found.map_or(0, |record| record.number_of_instances)
    }

    #[track_caller]
    fn check_seen(&self, study: u32, default: u64, regular: u64, manager: u64) {
        let seen = View::ALL.map(|view| self.seen(view, study));
        assert_eq!(seen, [default, regular, manager]);
    }
}

#[track_caller]
fn fault(taken: Result<(), IngestError>) -> NoteFault {
    match taken {
        Err(IngestError::Note(fault, _)) => fault,
        other => panic!("{other:?}"),
    }
}

fn which(study: u32) -> Which {
    Which {
        study: uid(study),
        ..Which::default()
    }
}

fn technologist() -> Actor {
    Actor::new("tech", &["technologist"])
}

#[tokio::test(flavor = "multi_thread")]
async fn each_reason_has_its_views_and_outlives_restarts() {
    let archive = Archive::new().await;
    for study in 1..=3 {
        for instance in 1..=2 {
            archive.take_in(study, instance, "A", "20100101").await.unwrap();
        }
    }
    archive
        .take_note(&note("113001", "DCM", 1, 1, &[1], "A"))
        .await
        .unwrap();
    archive
        .take_note(&note("113037", "DCM", 1, 2, &[1], "A"))
        .await
        .unwrap();
    archive
        .take_note(&note("113038", "DCM", 1, 3, &[1, 2], "A"))
        .await
        .unwrap();
    let check = |archive: &Archive| {
        archive.check_seen(1, 1, 3, 3);
        archive.check_seen(2, 1, 1, 3);
        archive.check_seen(3, 0, 0, 3);
        let default = archive.records.seen(&archive.store, View::Default).index();
        assert_eq!(default.studies(&StudySelector::All, None, 1).unwrap().len(), 1);
        assert_eq!(default.studies(&StudySelector::All, None, 9).unwrap().len(), 2);
    };
    check(&archive);
    let archive = archive.reopened().await;
    check(&archive);
    assert_eq!(archive.records.rejections(None, None, None, 10).len(), 4);
    let first = archive.records.rejections(None, None, None, 3);
    let last = first.last().map(|one| format!("{}/{}", one.study, one.instance));
    assert_eq!(archive.records.rejections(None, None, last.as_deref(), 3).len(), 1);

    let tech = technologist();
    let restored = archive.records.restore(&tech, which(2), "why", false).await;
    assert_eq!(
        code(restored),
        "not-let",
        "what endangered a patient a manager restores"
    );
    archive
        .records
        .restore(&manager(), which(2), "why", false)
        .await
        .unwrap();
    archive.records.restore(&tech, which(3), "why", false).await.unwrap();
    archive
        .take_note(&note("REVOKE_REJECTION", "99DCM4CHEE", 2, 1, &[1], "A"))
        .await
        .unwrap();
    let archive = archive.reopened().await;
    archive.check_seen(1, 2, 2, 4);
    archive.check_seen(2, 2, 2, 3);
    archive.check_seen(3, 2, 2, 3);
    assert_eq!(
        code(archive.records.restore(&tech, which(1), "why", false).await),
        "not-rejected"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_may_say_is_not_said() {
    let archive = Archive::new().await;
    archive.take_in(1, 1, "A", "20100101").await.unwrap();
    let plain = Ingest::new(archive.store.clone()).gated(Arc::new(NoteGate(archive.records.clone())));
    let quality = note("113001", "DCM", 1, 1, &[1], "A");
    assert_eq!(
        fault(archive.take_in_with(&plain, &quality).await),
        NoteFault::NotAuthorized
    );
    // Before its instances it does nothing, and does nothing when they come.
    assert_eq!(
        fault(archive.take_note(&note("113037", "DCM", 2, 1, &[1, 2], "A")).await),
        NoteFault::NoSuchInstance
    );
    archive.take_in(1, 2, "A", "20100101").await.unwrap();
    archive.check_seen(1, 2, 2, 2);
    let foreign = archive.take_note(&note("113037", "DCM", 3, 1, &[1], "B")).await;
    assert!(matches!(foreign, Err(IngestError::Mismatch(_))), "{foreign:?}");
    let empty = archive.take_note(&note("113037", "DCM", 4, 1, &[], "A")).await;
    assert!(matches!(empty, Err(IngestError::Mismatch(_))), "{empty:?}");
    archive.take_note(&quality).await.unwrap();
    archive.take_note(&quality).await.unwrap();
    assert_eq!(
        fault(archive.take_note(&note("113037", "DCM", 5, 1, &[1], "A")).await),
        NoteFault::AlreadyRejected
    );
    archive.check_seen(1, 1, 3, 3);
    // Another coding scheme, or another title, says nothing of the kind.
    archive
        .take_note(&note("113001", "99X", 6, 1, &[2], "A"))
        .await
        .unwrap();
    archive.check_seen(1, 2, 4, 4);
    let tech = technologist();
    let nobody = Actor::new("x", &["viewer"]);
    let reject = |by: Actor, reason, why: &'static str| {
        let records = archive.records.clone();
        async move { records.reject(&by, which(1), reason, why, false).await }
    };
    assert_eq!(code(reject(nobody, RejectionReason::Quality, "w").await), "not-let");
    assert_eq!(
        code(reject(tech.clone(), RejectionReason::Expired, "w").await),
        "invalid"
    );
    assert_eq!(
        code(reject(tech.clone(), RejectionReason::Quality, " ").await),
        "invalid"
    );
    reject(tech.clone(), RejectionReason::Quality, "w").await.unwrap();
    assert_eq!(
        code(reject(tech, RejectionReason::Quality, "w").await),
        "already-rejected"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_note_is_a_proposal_and_nothing_else() {
    let archive = Archive::keeping_five_years().await;
    archive.take_in(1, 1, "A", "20100101").await.unwrap();
    archive.take_in(1, 2, "A", "20100101").await.unwrap();
    archive.take_in(2, 1, "B", "21260101").await.unwrap();
    archive.take_in(3, 1, "C", "20100101").await.unwrap();
    let expired = |number, study, instances: &[u32], patient| note("113039", "DCM", number, study, instances, patient);
    assert_eq!(
        fault(archive.take_note(&expired(1, 2, &[1], "B")).await),
        NoteFault::NotExpired
    );
    assert_eq!(
        fault(archive.take_note(&expired(1, 1, &[1], "A")).await),
        NoteFault::NotAllowed,
        "a part of a study"
    );
    let hold = archive
        .open_hold(HoldEffect::Block, serde_json::json!({ "patient": "C" }))
        .await;
    assert_eq!(
        fault(archive.take_note(&expired(1, 3, &[1], "C")).await),
        NoteFault::NotAllowed,
        "{}",
        hold.hold.matter
    );
    let asked = expired(1, 1, &[1, 2], "A");
    archive.take_note(&asked).await.unwrap();
    archive.take_note(&asked).await.unwrap();
    assert_eq!(
        fault(archive.take_note(&expired(2, 1, &[1, 2], "A")).await),
        NoteFault::AlreadyRejected
    );
    let batches = archive.records.batches();
    assert_eq!(batches.len(), 1);
    assert_eq!(
        (batches[0].state, batches[0].proposed_by.as_str()),
        (BatchState::Proposed, "ae:QC")
    );
    archive.check_seen(1, 2, 2, 3);
    // From there on it goes like any other.
    let archive = archive.reopened().await;
    let id = archive.records.batches()[0].id.clone();
    for name in ["one", "two"] {
        archive
            .records
            .approve(&approver(name), &id, None, "", None)
            .await
            .unwrap();
    }
    archive.wait_days(15);
    archive.records.execute(&manager(), &id, None).await.unwrap();
    assert_eq!(archive.until_over(&id).await.state, BatchState::Destroyed);
    archive.check_seen(1, 0, 0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rejected_changes_what_may_go() {
    let archive = Archive::keeping_five_years().await;
    archive.take_in(1, 1, "A", "20100101").await.unwrap();
    archive.take_in(2, 1, "B", "20100101").await.unwrap();
    let proposed = archive.records.propose(&clerk(), None, false).await.unwrap();
    let id = proposed.batch.unwrap().id;
    let tech = technologist();
    archive
        .records
        .reject(&tech, which(1), RejectionReason::Safety, "wrong laterality", false)
        .await
        .unwrap();
    // It is evidence: nothing of it goes before somebody has looked.
    let batch = archive.records.batch(&id).await.unwrap();
    assert_eq!(batch.items[0].state, ItemState::Left);
    assert_eq!(archive.status(1).await, Status::Held);
    assert_eq!(
        code(archive.records.propose(&clerk(), Some(vec![uid(1)]), false).await),
        "nothing-eligible"
    );
    archive
        .records
        .restore(&manager(), which(1), "looked at", false)
        .await
        .unwrap();
    assert_eq!(archive.status(1).await, Status::Expired);

    // A rule for what was not used in interpretation.
    let quick = FIVE.replace("\"1\"", "\"2\"").replace(
        "rule = [",
        "rule = [{ id = \"unused\", class = \"min\", supersedes = [\"five\"], when = { rejected_as = [\"113001\"] }, \
             keep = [{ from = \"study.date\", for = \"P1D\" }] }, ",
    );
    archive.publish(&quick).await;
    archive.take_in(5, 1, "E", "21261001").await.unwrap();
    archive.take_in(5, 2, "E", "21261001").await.unwrap();
    let reject = |instances: Vec<String>| {
        let (records, tech) = (archive.records.clone(), technologist());
        let which = Which {
            instances: Some(instances),
            ..which(5)
        };
        async move {
            records
                .reject(&tech, which, RejectionReason::Quality, "moved", false)
                .await
        }
    };
    reject(vec!["1.2.3.5.1.1".to_owned()]).await.unwrap();
    assert_eq!(archive.status(5).await, Status::Retained, "a part is used");
    reject(vec!["1.2.3.5.1.2".to_owned()]).await.unwrap();
    assert_eq!(archive.status(5).await, Status::Expired);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_is_listed_with_who_sends_it() {
    let archive = Archive::keeping_five_years().await;
    archive.take_in(1, 1, "A", "20100101").await.unwrap();
    let id = archive.begin_disposal(&[1]).await;
    archive.until_over(&id).await;
    let gated = Ingest::new(archive.store.clone()).gated(Arc::new(NoteGate(archive.records.clone())));
    let data_set = data_set(1, 1, "A", "20100101", "CT", "19600101");
    for _ in 0..3 {
        let again = archive.take_in_with(&gated, &data_set).await;
        assert!(matches!(again, Err(IngestError::Destroyed(_))), "{again:?}");
    }
    archive.records.keep_returned().await;
    drop(gated);
    let archive = archive.reopened().await;
    let returned = archive.records.returned(None, 10);
    assert_eq!((returned.len(), returned[0].refused), (1, 3));
    assert_eq!(returned[0].senders.len(), 1);
    assert!(archive.records.returned(Some(&uid(1)), 10).is_empty());

    // Two persons let it in again.
    let (one, two) = (approver("one"), manager());
    let ask = |by: Actor, reason: &'static str| {
        let records = archive.records.clone();
        async move { records.reinstate(&by, &uid(1), reason).await }
    };
    assert_eq!(code(ask(clerk(), "w").await), "not-let");
    assert_eq!(code(ask(one.clone(), " ").await), "invalid");
    ask(one.clone(), "wrongly expired").await.unwrap();
    assert_eq!(code(ask(one.clone(), "w").await), "not-let");
    archive.records.refuse_reinstating(&two, &uid(1)).await.unwrap();
    ask(one, "wrongly expired").await.unwrap();
    let archive = archive.reopened().await;
    let refused = archive.take_in(1, 1, "A", "20100101").await;
    assert!(matches!(refused, Err(IngestError::Destroyed(_))), "{refused:?}");
    let reinstated = archive.records.reinstate(&two, &uid(1), "").await.unwrap();
    assert_eq!(reinstated.reinstated.as_ref().unwrap().by, ["one", "manager"]);
    assert_eq!(code(archive.records.reinstate(&two, &uid(1), "").await), "reinstated");
    archive.take_in(1, 1, "A", "20100101").await.unwrap();
    let archive = archive.reopened().await;
    archive.check_seen(1, 1, 1, 1);
    assert_eq!(archive.records.tombstone(&uid(1)).unwrap(), reinstated);
    // An index that is made anew knows that it may be there, and it can be destroyed again.
    let Archive {
        folder,
        store,
        records,
        now,
    } = archive;
    drop(records);
    store.close().await.unwrap();
    drop(store);
    let mut options = StoreOptions::new(folder.path());
    options.free_space_min_bytes = 0;
    let rebuilt = Store::rebuild(options, Arc::new(DataSetDescriber), |_| {})
        .await
        .unwrap();
    assert!(rebuilt.problems.is_empty(), "{:?}", rebuilt.problems);
    let (store, records) = opened(&folder, &now).await;
    let archive = Archive {
        folder,
        store,
        records,
        now,
    };
    archive.check_seen(1, 1, 1, 1);
    let id = archive.begin_disposal(&[1]).await;
    assert_eq!(archive.until_over(&id).await.state, BatchState::Destroyed);
    let again = archive.take_in(1, 1, "A", "20100101").await;
    assert!(matches!(again, Err(IngestError::Destroyed(_))), "{again:?}");
    assert!(archive.records.tombstone(&uid(1)).unwrap().reinstated.is_none());
}
