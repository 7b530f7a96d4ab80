//! From a proposal to a certificate.

use std::{fs, path::Path};

use super::*;

/// Files below a folder in which a run of a byte stands.
fn files_with(folder: &Path, fill: u8, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_with(&path, fill, found);
        } else if fs::read(&path)
            .unwrap()
            .windows(200)
            .any(|window| window.iter().all(|byte| *byte == fill))
        {
            found.push(path.display().to_string());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_destroyed_is_gone_and_certified() {
    let archive = Archive::keeping_five_years().await;
    archive.take_in(1, 1, "A", "20100101").await.unwrap();
    archive.take_in(1, 2, "A", "20100101").await.unwrap();
    archive.take_in(2, 1, "B", "20100101").await.unwrap();
    let id = archive.begin_disposal(&[1]).await;
    let batch = archive.until_over(&id).await;
    assert_eq!(batch.state, BatchState::Destroyed);
    let mut found = Vec::new();
    files_with(archive.folder.path(), fill(1, 1), &mut found);
    files_with(archive.folder.path(), fill(1, 2), &mut found);
    assert!(found.is_empty(), "{found:?}");
    files_with(archive.folder.path(), fill(2, 1), &mut found);
    assert!(!found.is_empty(), "the other study stays");
    assert_eq!(code(archive.records.explain(&uid(1), None).await), "unknown");
    let tombstone = archive.records.tombstone(&uid(1)).unwrap();
    assert_eq!((tombstone.instances, tombstone.batch.as_str()), (2, id.as_str()));
    assert_eq!(tombstone.approved_by, ["one", "two"]);
    assert!(!serde_json::to_string(&tombstone).unwrap().contains("DOE"));
    let again = archive.take_in(1, 1, "A", "20100101").await;
    assert!(matches!(again, Err(IngestError::Destroyed(_))), "{again:?}");

    let certificate = archive.records.certificate(&id).unwrap();
    let verified = verify_certificate(&certificate, Some(&archive.records.public_key())).unwrap();
    assert_eq!(verified.studies, 1);
    assert_eq!(certificate["studies"][0]["instances"].as_array().unwrap().len(), 2);
    assert_eq!(certificate["backups"]["kept"], true);
    assert!(to_html(&certificate).contains("Certificate of destruction"));
    for (path, value) in [
        ("/executedBy", "x"),
        ("/studies/0/study", "1.2.4"),
        ("/studies/0/instances/0/sha256", "00"),
    ] {
        let mut changed = certificate.clone();
        *changed.pointer_mut(path).unwrap() = value.into();
        assert!(verify_certificate(&changed, None).is_err(), "{path}");
    }
    assert!(verify_certificate(&certificate, Some(&"00".repeat(32))).is_err());
    // After a restart all is as it was, and it is verified with the same key.
    let archive = archive.reopened().await;
    assert_eq!(archive.records.certificate(&id).unwrap(), certificate);
    assert_eq!(archive.records.tombstone(&uid(1)).unwrap(), tombstone);
    verify_certificate(&certificate, Some(&archive.records.public_key())).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn others_than_the_proposer_approve_each_once_and_in_a_role() {
    let archive = Archive::keeping_five_years().await;
    archive.take_in(1, 1, "A", "20100101").await.unwrap();
    let records = &archive.records;
    assert_eq!(code(records.propose(&approver("one"), None, false).await), "not-let");
    let both = Actor::new("clerk", &["him-clerk", "records-approver"]);
    let id = records.propose(&both, None, false).await.unwrap().batch.unwrap().id;
    assert_eq!(code(records.approve(&both, &id, None, "", None).await), "not-let");
    assert_eq!(
        code(records.approve(&lawyer("x"), &id, None, "", None).await),
        "not-let"
    );
    records.approve(&approver("one"), &id, None, "", None).await.unwrap();
    assert_eq!(code(records.execute(&manager(), &id, None).await), "not-approved");
    assert_eq!(
        code(records.approve(&approver("one"), &id, None, "", None).await),
        "not-let"
    );
    // The same person by another account, in another role beside it.
    let other_account = Actor::new("one", &["records-approver", "him-manager"]);
    assert_eq!(
        code(records.approve(&other_account, &id, None, "", None).await),
        "not-let"
    );
    let version = records.batch(&id).await.unwrap().version;
    assert_eq!(
        code(
            records
                .approve(&approver("two"), &id, None, "", Some(version + 1))
                .await
        ),
        "stale"
    );
    let batch = records
        .approve(&approver("two"), &id, None, "", Some(version))
        .await
        .unwrap();
    assert_eq!(batch.state, BatchState::Approved);
    assert_eq!(
        code(records.approve(&approver("three"), &id, None, "", None).await),
        "approved"
    );
    assert_eq!(code(records.execute(&approver("two"), &id, None).await), "not-let");
    assert_eq!(
        code(records.propose(&clerk(), Some(vec![uid(1)]), false).await),
        "nothing-eligible"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_cools_off_and_may_be_refused() {
    let archive = Archive::keeping_five_years().await;
    archive.take_in(1, 1, "A", "20100101").await.unwrap();
    let records = &archive.records;
    let id = records.propose(&clerk(), None, false).await.unwrap().batch.unwrap().id;
    for name in ["one", "two"] {
        records.approve(&approver(name), &id, None, "", None).await.unwrap();
    }
    // The approval is of the journal's time, which is long before that of the clock here: the wait is over.
    let batch = records.batch(&id).await.unwrap();
    assert_eq!(
        batch.cooled_off(),
        batch.approved_at.map(|at| at.date() + time::Duration::days(14))
    );
    assert_eq!(code(records.veto(&approver("one"), &id, "", None).await), "invalid");
    let batch = records.veto(&approver("one"), &id, "wrong year", None).await.unwrap();
    assert_eq!(batch.state, BatchState::Vetoed);
    assert_eq!(code(records.execute(&manager(), &id, None).await), "vetoed");
    assert_eq!(archive.status(1).await, Status::Expired);
    assert!(records.propose(&clerk(), Some(vec![uid(1)]), false).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_leaves_and_the_rest_proceeds() {
    let archive = Archive::new().await;
    archive
        .publish(&FIVE.replace(
            "rule = [",
            "rule = [{ id = \"minor\", class = \"min\", when = { age_at_study = { lt = 18 } }, keep = [{ from = \"patient.birth\", for = \"P200Y\" }] }, ",
        ))
        .await;
    for study in 1..=4 {
        archive
            .take_in(study, 1, &format!("P{study}"), "20100101")
            .await
            .unwrap();
    }
    let records = &archive.records;
    let id = records.propose(&clerk(), None, false).await.unwrap().batch.unwrap().id;
    for name in ["one", "two"] {
        records.approve(&approver(name), &id, None, "", None).await.unwrap();
    }
    let corrected =
        serde_json::json!([{ "patient": "P2", "fact": "patient.birth", "value": "2001-05-05", "source": "him" }]);
    records
        .assert_facts(&clerk(), serde_json::from_value(corrected).unwrap(), false)
        .await
        .unwrap();
    let batch = records.batches().pop().unwrap();
    assert_eq!(batch.inside().count(), 3);
    assert_eq!(batch.state, BatchState::Approved);
    let left = batch.items.iter().find(|item| item.study == uid(2)).unwrap();
    assert!(left.reason.as_ref().unwrap().contains("retained"), "{left:?}");
    // One that is only taken out, and one that gets another instance.
    records
        .exclude(&approver("one"), &id, &uid(3), "teaching file")
        .await
        .unwrap();
    archive.take_in(4, 2, "P4", "20100101").await.unwrap();
    archive.wait_days(15);
    records.execute(&manager(), &id, None).await.unwrap();
    let batch = archive.until_over(&id).await;
    let certificate = archive.records.certificate(&id).unwrap();
    assert_eq!(certificate["studies"].as_array().unwrap().len(), 1);
    assert_eq!(certificate["left"].as_array().unwrap().len(), 3);
    assert_eq!(batch.state, BatchState::Destroyed);
    for study in 2..=4 {
        assert!(
            archive.records.explain(&uid(study), None).await.is_ok(),
            "{study} stays"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_has_expired_is_taken_each_with_its_reason() {
    let archive = Archive::keeping_five_years().await;
    archive.take_in(1, 1, "A", "20100101").await.unwrap();
    archive.take_in(2, 1, "A", "21261101").await.unwrap();
    let studies = vec![uid(1), uid(1), uid(2), uid(3), "nonsense".to_owned()];
    let tried = archive
        .records
        .propose(&clerk(), Some(studies.clone()), true)
        .await
        .unwrap();
    assert!(tried.batch.is_none() && archive.records.batches().is_empty());
    let proposal = archive.records.propose(&clerk(), Some(studies), false).await.unwrap();
    assert_eq!(proposal.taken.len(), 1);
    let refused: Vec<_> = proposal.refused.iter().map(|refused| refused.code).collect();
    assert_eq!(refused, ["retained", "unknown", "unknown"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_set_back_destroys_nothing() {
    let archive = Archive::keeping_five_years().await;
    archive.take_in(1, 1, "A", "20100101").await.unwrap();
    archive.wait_days(-200 * 365);
    assert_eq!(
        code(archive.records.propose(&clerk(), None, false).await),
        "clock-behind"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leap_day_is_kept_to_its_last() {
    let archive = Archive::keeping_five_years().await;
    archive.take_in(1, 1, "A", "20200229").await.unwrap();
    let on = |text: &str| match text.parse().unwrap() {
        filmroom_retention::PartialDate::Day(day) => day,
        _ => unreachable!(),
    };
    let decided = archive.records.explain(&uid(1), Some(on("2025-03-01"))).await.unwrap();
    assert_eq!(decided.decision.status, Status::Retained);
    let decided = archive.records.explain(&uid(1), Some(on("2025-03-02"))).await.unwrap();
    assert_eq!(decided.decision.status, Status::Expired);
}
