//! Policies: two persons, a simulation, and never changed again.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_takes_a_simulation_and_two_persons() {
    let archive = Archive::new().await;
    let records = &archive.records;
    archive.take_in(1, 1, "A", "20100101").await.unwrap();
    let author = Actor::new("author", &["him-manager"]);
    let text = Some(FIVE.to_owned());
    assert_eq!(
        code(records.submit_policy(&clerk(), text.clone(), None, None).await),
        "not-let"
    );
    let bind = |pack: &str| {
        Some(vec![filmroom_retention::Binding {
            pack: pack.to_owned(),
            site: None,
            source: None,
            programme: None,
        }])
    };
    assert_eq!(
        code(records.submit_policy(&author, text.clone(), None, bind("other")).await),
        "invalid"
    );
    let (submission, warnings) = records
        .submit_policy(&author, text.clone(), None, bind("house"))
        .await
        .unwrap();
    assert!(warnings.is_empty());
    let id = &submission.id;
    assert_eq!(code(records.publish_policy(&author, id, true, None).await), "not-let");
    assert_eq!(
        code(records.publish_policy(&manager(), id, true, None).await),
        "not-simulated"
    );
    let simulation = records.simulate_policy(&author, id).await.unwrap();
    assert_eq!((simulation.studies, simulation.newly_eligible), (1, 1));
    assert_eq!(simulation.changes[0].study, uid(1));
    assert_eq!(
        code(records.publish_policy(&manager(), id, false, None).await),
        "shortens"
    );
    assert_eq!(
        code(records.publish_policy(&manager(), id, true, Some(1)).await),
        "stale"
    );
    assert_eq!(archive.status(1).await, Status::Indeterminate);
    let published = records.publish_policy(&manager(), id, true, None).await.unwrap();
    assert_eq!(published.state, SubmissionState::Published);
    assert_eq!(archive.status(1).await, Status::Expired);
    assert_eq!(
        code(records.publish_policy(&manager(), id, true, None).await),
        "published"
    );
    assert_eq!(
        code(records.submit_policy(&author, text, None, None).await),
        "published"
    );
    // One that was simulated before another was published has to be simulated again.
    let second = FIVE.replace("version = \"1\"", "version = \"2\"").replace("P5Y", "P9Y");
    let third = FIVE.replace("version = \"1\"", "version = \"3\"");
    let (second, _) = records.submit_policy(&author, Some(second), None, None).await.unwrap();
    let (third, _) = records.submit_policy(&author, Some(third), None, None).await.unwrap();
    for id in [&second.id, &third.id] {
        records.simulate_policy(&author, id).await.unwrap();
    }
    records
        .publish_policy(&manager(), &second.id, false, None)
        .await
        .unwrap();
    assert_eq!(
        code(records.publish_policy(&manager(), &third.id, true, None).await),
        "not-simulated"
    );
    records.withdraw_policy(&author, &third.id).await.unwrap();
    assert_eq!(code(records.simulate_policy(&author, &third.id).await), "withdrawn");
    let archive = archive.reopened().await;
    let (versions, bindings) = archive.records.policies();
    assert_eq!(versions.len(), 2);
    assert_eq!(bindings.len(), 1);
    assert_eq!(archive.records.submissions().len(), 3);
    let decision = archive.records.explain(&uid(1), None).await.unwrap().decision;
    assert_eq!(decision.policy, ["house@2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn templates_and_what_does_not_read_are_refused() {
    let archive = Archive::new().await;
    let template = filmroom_retention::templates::template("us-fed").unwrap().to_owned();
    let submitted = archive
        .records
        .submit_policy(&manager(), Some(template), None, None)
        .await;
    assert_eq!(code(submitted), "template");
    let wrong = FIVE.replace("study.date", "study.end");
    match archive.records.submit_policy(&manager(), Some(wrong), None, None).await {
        Err(RecordsError::Invalid(problems)) => assert_eq!(problems[0].at, "line 4, five"),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        code(archive.records.submit_policy(&manager(), None, None, None).await),
        "invalid"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_are_paged_and_filtered() {
    let archive = Archive::keeping_five_years().await;
    for study in 1..=7 {
        let date = if study % 2 == 0 { "20100101" } else { "21260101" };
        archive.take_in(study, 1, "A", date).await.unwrap();
    }
    let filter = DecisionFilter {
        status: Some(Status::Expired),
        overdue: false,
    };
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = archive
            .records
            .decisions(filter, after.as_deref(), 2, None)
            .await
            .unwrap();
        found.extend(page.decisions.into_iter().map(|decision| decision.study));
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    found.sort();
    assert_eq!(found, [uid(2), uid(4), uid(6)]);
    let all = DecisionFilter::default();
    assert_eq!(
        code(archive.records.decisions(all, Some("zz"), 2, None).await),
        "invalid"
    );
}
