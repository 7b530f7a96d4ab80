//! Holds keep what they are on, whatever else is decided.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_begun_is_in_force_though_its_caller_goes_away() {
    let archive = Archive::new().await;
    for number in 0..40 {
        let records = archive.records.clone();
        let hold = serde_json::json!({ "matter": format!("m{number}"), "scope": { "patient": "A" } });
        let hold = serde_json::from_value(hold).unwrap();
        let asked = tokio::spawn(async move { records.open_hold(&lawyer("l"), hold, false).await.map(drop) });
        for _ in 0..number % 8 {
            tokio::task::yield_now().await;
        }
        asked.abort();
        let _ = asked.await;
    }
    archive
        .open_hold(HoldEffect::Block, serde_json::json!({ "patient": "B" }))
        .await;
    let held = archive.records.holds().len();
    let archive = archive.reopened().await;
    assert_eq!(
        archive.records.holds().len(),
        held,
        "the journal has what was in force, and nothing else"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_refuses_every_way_out_and_its_release_brings_no_approval_back() {
    let archive = Archive::keeping_five_years().await;
    archive.take_in(1, 1, "A", "20100101").await.unwrap();
    let records = &archive.records;
    let id = records.propose(&clerk(), None, false).await.unwrap().batch.unwrap().id;
    for name in ["one", "two"] {
        records.approve(&approver(name), &id, None, "", None).await.unwrap();
    }
    archive.wait_days(15);
    let hold = archive
        .open_hold(HoldEffect::Block, serde_json::json!({ "patient": "A" }))
        .await;
    assert_eq!(archive.status(1).await, Status::Held);
    assert_eq!(
        code(records.propose(&clerk(), Some(vec![uid(1)]), false).await),
        "nothing-eligible"
    );
    assert_eq!(
        code(records.approve(&approver("three"), &id, None, "", None).await),
        "ended"
    );
    assert_eq!(code(records.execute(&manager(), &id, None).await), "ended");
    // What comes later is held too.
    archive.take_in(2, 1, "A", "20110101").await.unwrap();
    archive.take_in(3, 1, "B", "20110101").await.unwrap();
    assert_eq!(archive.status(2).await, Status::Held);
    assert_eq!(archive.status(3).await, Status::Expired);
    // Two persons release it.
    let hold_id = &hold.hold.id;
    assert_eq!(
        code(records.release_hold(&clerk(), hold_id, "x", None, None).await),
        "not-let"
    );
    assert_eq!(
        code(records.release_hold(&lawyer("l1"), hold_id, "", None, None).await),
        "invalid"
    );
    let asked = records
        .release_hold(&lawyer("l1"), hold_id, "settled", None, None)
        .await
        .unwrap();
    assert!(asked.hold.closed.is_none() && asked.release.is_some());
    assert_eq!(archive.status(1).await, Status::Held);
    assert_eq!(
        code(
            records
                .release_hold(&lawyer("l1"), hold_id, "settled", None, None)
                .await
        ),
        "not-let"
    );
    assert_eq!(
        code(records.release_hold(&lawyer("l2"), hold_id, "", None, Some(1)).await),
        "stale"
    );
    let released = records
        .release_hold(&lawyer("l2"), hold_id, "", None, None)
        .await
        .unwrap();
    assert_eq!(released.released_by, ["l1", "l2"]);
    assert_eq!(archive.status(1).await, Status::Expired);
    assert_eq!(records.batch(&id).await.unwrap().state, BatchState::Ended);
    assert_eq!(
        code(records.release_hold(&lawyer("l1"), hold_id, "again", None, None).await),
        "released"
    );
    let archive = archive.reopened().await;
    assert_eq!(archive.records.hold(hold_id).unwrap().released_by, ["l1", "l2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_comes_while_a_batch_is_carried_out_holds_what_is_left() {
    let archive = Archive::keeping_five_years().await;
    for study in 1..=3 {
        archive
            .take_in(study, 1, &format!("P{study}"), "20100101")
            .await
            .unwrap();
    }
    let id = archive.begin_disposal(&[1, 2, 3]).await;
    archive
        .open_hold(HoldEffect::Block, serde_json::json!({ "study": uid(2) }))
        .await;
    let batch = archive.until_over(&id).await;
    let left: Vec<_> = batch
        .items
        .iter()
        .filter(|item| item.state == ItemState::Left)
        .collect();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].study, uid(2));
    assert_eq!(archive.status(2).await, Status::Held);
    assert_eq!(archive.records.tombstones(None, 10).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_query_holds_what_matches_now_and_later() {
    let archive = Archive::keeping_five_years().await;
    archive.take_in(1, 1, "A", "20100101").await.unwrap();
    let query = serde_json::json!({ "query": { "ModalitiesInStudy": "MG", "PatientName": "doe*" } });
    archive.open_hold(HoldEffect::Block, query).await;
    assert_eq!(archive.status(1).await, Status::Expired);
    archive
        .take_in_data_set(&data_set(2, 1, "B", "20100101", "MG", "19600101"))
        .await
        .unwrap();
    assert_eq!(archive.status(2).await, Status::Held);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_hold_is_refused() {
    let archive = Archive::new().await;
    for (hold, by) in [
        (serde_json::json!({ "matter": "m", "scope": {} }), lawyer("l")),
        (
            serde_json::json!({ "matter": "", "scope": { "study": "1.2" } }),
            lawyer("l"),
        ),
        (
            serde_json::json!({ "matter": "m", "scope": { "study": "../1" } }),
            lawyer("l"),
        ),
        (
            serde_json::json!({ "matter": "m", "scope": { "study": "1.2", "patient": "A" } }),
            lawyer("l"),
        ),
        (
            serde_json::json!({ "matter": "m", "scope": { "query": {} } }),
            lawyer("l"),
        ),
        (
            serde_json::json!({ "matter": "m", "scope": { "query": { "Nonsense": "x" } } }),
            lawyer("l"),
        ),
        (
            serde_json::json!({ "matter": "m", "scope": { "query": { "Rows": "5" } } }),
            lawyer("l"),
        ),
        (
            serde_json::json!({ "matter": "m", "effect": "capped", "scope": { "study": "1.2" } }),
            lawyer("l"),
        ),
        (
            serde_json::json!({ "matter": "m", "cap": { "from": "study.date", "for": "P1Y" }, "scope": { "study": "1.2" } }),
            lawyer("l"),
        ),
    ] {
        let shown = hold.to_string();
        let hold = serde_json::from_value(hold).unwrap();
        assert_eq!(
            code(archive.records.open_hold(&by, hold, false).await),
            "invalid",
            "{shown}"
        );
    }
    let research: NewHold =
        serde_json::from_value(serde_json::json!({ "matter": "m", "kind": "research", "scope": { "study": "1.2" } }))
            .unwrap();
    let researcher = Actor::new("r", &["researcher"]);
    archive
        .records
        .open_hold(&researcher, research.clone(), false)
        .await
        .unwrap();
    let legal = NewHold {
        kind: filmroom_retention::HoldKind::Legal,
        ..research
    };
    assert_eq!(
        code(archive.records.open_hold(&researcher, legal, false).await),
        "not-let"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_suspends_and_its_close_is_a_day_of_the_past() {
    let archive = Archive::keeping_five_years().await;
    archive.take_in(1, 1, "A", "21220101").await.unwrap();
    let hold = serde_json::json!({ "matter": "claim", "effect": "toll", "opened": "2123-01-01", "scope": { "study": uid(1) } });
    let hold = archive
        .records
        .open_hold(&lawyer("l"), serde_json::from_value(hold).unwrap(), false)
        .await
        .unwrap();
    assert_eq!(archive.status(1).await, Status::Indeterminate);
    let closed = match "2123-01-11".parse().unwrap() {
        filmroom_retention::PartialDate::Day(day) => Some(day),
        _ => None,
    };
    for name in ["l1", "l2"] {
        archive
            .records
            .release_hold(&lawyer(name), &hold.hold.id, "settled", closed, None)
            .await
            .unwrap();
    }
    let decision = archive.records.explain(&uid(1), None).await.unwrap().decision;
    assert_eq!(decision.retain_until.unwrap().to_string(), "2127-01-11");
}
