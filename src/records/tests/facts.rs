//! Facts: taken or refused with the place, superseded, and told from headers.

use super::*;

async fn said(archive: &Archive, fact: serde_json::Value) -> Fact {
    let facts = vec![serde_json::from_value(fact).unwrap()];
    archive
        .records
        .assert_facts(&clerk(), facts, false)
        .await
        .unwrap()
        .remove(0)
}

const NHS: &str = "pack = \"nhs\"\nversion = \"1\"\neffective_from = 2000-01-01\nrule = [{ id = \"adult\", class = \"min\", keep = [{ from = \"patient.last_encounter\", for = \"P8Y\" }] }]\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_visit_takes_all_studies_of_a_patient_out() {
    let archive = Archive::new().await;
    archive.publish(NHS).await;
    archive.take_in(1, 1, "A", "20150303").await.unwrap();
    archive.take_in(2, 1, "A", "20120303").await.unwrap();
    let id = archive
        .records
        .propose(&clerk(), None, false)
        .await
        .unwrap()
        .batch
        .unwrap()
        .id;
    said(
        &archive,
        serde_json::json!({ "patient": "A", "fact": "patient.last_encounter", "value": "2123-05-14", "source": "adt" }),
    )
    .await;
    let batch = archive.records.batch(&id).await.unwrap();
    assert_eq!((batch.state, batch.inside().count()), (BatchState::Ended, 0));
    for study in [1, 2] {
        let decision = archive.records.explain(&uid(study), None).await.unwrap().decision;
        assert_eq!(decision.retain_until.unwrap().to_string(), "2131-05-14");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn later_facts_of_a_source_replace_and_others_conflict_until_superseded() {
    let archive = Archive::new().await;
    archive
        .publish("pack = \"p\"\nversion = \"1\"\neffective_from = 2000-01-01\nrule = [{ id = \"b\", class = \"min\", keep = [{ from = \"patient.birth\", for = \"P50Y\" }] }]\n")
        .await;
    archive.take_in(1, 1, "A", "20150303").await.unwrap();
    let until = async || archive.records.explain(&uid(1), None).await.unwrap().decision;
    assert_eq!(
        until().await.retain_until.unwrap().to_string(),
        "2010-01-01",
        "as the header says"
    );
    let first = said(
        &archive,
        serde_json::json!({ "patient": "A", "fact": "patient.birth", "value": "1950", "source": "adt" }),
    )
    .await;
    assert_eq!(first.precision, Some("year"));
    assert_eq!(until().await.retain_until.unwrap().to_string(), "2000-12-31");
    said(
        &archive,
        serde_json::json!({ "patient": "A", "fact": "patient.birth", "value": "1951-02-03", "source": "adt" }),
    )
    .await;
    assert_eq!(until().await.retain_until.unwrap().to_string(), "2001-02-03");
    let him = said(
        &archive,
        serde_json::json!({ "patient": "A", "fact": "patient.birth", "value": "1949-02-03", "source": "him" }),
    )
    .await;
    let decision = until().await;
    assert_eq!(decision.retain_until.unwrap().to_string(), "2001-02-03");
    assert_eq!(decision.conflicts.len(), 1);
    let all = archive.records.facts_about(&Subject::Patient(PatientKey {
        id: "A".into(),
        issuer: String::new(),
    }));
    assert_eq!(
        all.iter().map(|fact| fact.active).collect::<Vec<_>>(),
        [false, true, true]
    );
    said(&archive, serde_json::json!({ "patient": "A", "fact": "patient.birth", "value": "1949-02-04", "source": "him", "supersedes": [all[1].id, him.id] })).await;
    let decision = until().await;
    assert_eq!(
        (
            decision.retain_until.unwrap().to_string().as_str(),
            decision.conflicts.len()
        ),
        ("1999-02-04", 0)
    );
    // The same after a restart, and paged.
    let archive = archive.reopened().await;
    let again = archive.records.explain(&uid(1), None).await.unwrap();
    assert_eq!(again.decision, decision);
    assert_eq!(again.facts.len(), 4);
    let page = archive.records.facts(None, 3);
    assert_eq!(archive.records.facts(Some(&page[2].id), 3).len(), 1);
    // Another patient of that ID.
    said(&archive, serde_json::json!({ "patient": "A", "issuer": "elsewhere", "fact": "patient.birth", "value": "2020-01-01", "source": "him" })).await;
    assert_eq!(
        archive
            .records
            .explain(&uid(1), None)
            .await
            .unwrap()
            .decision
            .retain_until,
        decision.retain_until
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_fact_is_refused_with_its_place() {
    let archive = Archive::new().await;
    let refused = async |facts: serde_json::Value| {
        let facts = serde_json::from_value(facts).unwrap();
        match archive.records.assert_facts(&clerk(), facts, false).await {
            Err(RecordsError::Invalid(problems)) => problems,
            other => panic!("{other:?}"),
        }
    };
    let good = serde_json::json!({ "patient": "A", "fact": "patient.birth", "value": "1950" });
    for wrong in [
        serde_json::json!({ "patient": "A", "fact": "patient.birth", "value": "1950-13" }),
        serde_json::json!({ "patient": "A", "study": "1.2", "fact": "patient.birth", "value": "1950" }),
        serde_json::json!({ "study": "1.2", "fact": "patient.birth", "value": "1950" }),
        serde_json::json!({ "patient": "A", "fact": "study.purpose", "value": "treatment" }),
        serde_json::json!({ "study": "1.2", "fact": "study.purpose", "value": "fun" }),
        serde_json::json!({ "patient": "A", "fact": "flag", "value": "oncolgy" }),
        serde_json::json!({ "patient": "A", "fact": "encounter", "value": "2022-06-15/2022-06-10" }),
        serde_json::json!({ "patient": "A", "fact": "patient.birth" }),
        serde_json::json!({ "patient": "A", "fact": "patient.birth", "value": "1950", "supersedes": ["f9-9"] }),
        serde_json::json!({ "patient": "", "fact": "patient.birth", "value": "1950" }),
        serde_json::json!({ "patient": "A", "fact": "patient.birth", "value": "1950", "date": "1950" }),
        serde_json::json!({ "patient": "A\n", "fact": "patient.birth", "value": "1950" }),
    ] {
        let problems = refused(serde_json::json!([good, wrong])).await;
        assert_eq!(problems[0].at, "fact 2", "{wrong}");
    }
    assert_eq!(
        refused(serde_json::json!([good, good])).await[0].what,
        "it is there twice"
    );
    assert!(
        archive.records.facts(None, 10).is_empty(),
        "none is taken where one is wrong"
    );
    let nobody = Actor::new("", &["him-clerk"]);
    assert_eq!(
        code(archive.records.assert_facts(&nobody, Vec::new(), false).await),
        "not-let"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_taken_whole_or_refused_by_line() {
    let archive = Archive::new().await;
    let table = "\u{feff}patient,issuer,fact,value,date,note\r\nA,,patient.death,unknown,,\"said \"\"yes\"\",\nby phone\"\r\nA,X,flag,oncology,2012-04,\r\n";
    let refused = archive.records.import_facts(&clerk(), table, false).await;
    assert!(
        matches!(&refused, Err(RecordsError::Invalid(problems)) if problems[0].at == "line 2"),
        "{refused:?}"
    );
    let table = table.replace(",\nby", ", by");
    assert!(
        archive
            .records
            .import_facts(&clerk(), &table, true)
            .await
            .unwrap()
            .is_empty()
    );
    let taken = archive.records.import_facts(&clerk(), &table, false).await.unwrap();
    assert_eq!(taken.len(), 2);
    assert_eq!(
        (taken[1].precision, taken[1].said.source.as_str()),
        (Some("month"), "csv")
    );
    for (table, line) in [
        (
            "patient,fact,value\nA,patient.birth,1950\nA,patient.birth,soon\n",
            "line 3",
        ),
        ("patient,fact,value\nA,patient.birth\n", "line 2"),
        ("patient,fact,value\nA,birth,1950\n", "line 2"),
        ("patient,fact,colour\n", "line 1"),
        ("patient,value\nA,1950\n", "line 1"),
        ("", "line 1"),
    ] {
        match archive.records.import_facts(&clerk(), table, false).await {
            Err(RecordsError::Invalid(problems)) => assert_eq!(problems[0].at, line, "{table}: {problems:?}"),
            other => panic!("{table}: {other:?}"),
        }
    }
    assert_eq!(archive.records.facts(None, 10).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_study_that_is_gone_still_counts_as_one_that_came_later() {
    let archive = Archive::new().await;
    let mg = "{ id = \"returned\", class = \"min\", when = { later_study = { modality = \"MG\", within = \"P5Y\" } }, keep = [{ from = \"study.date\", for = \"P5Y\" }] }, { id = \"other\", class = \"min\", when = { not = { later_study = { modality = \"MG\", within = \"P5Y\" } } }, keep = [{ from = \"study.date\", for = \"P10Y\" }] }";
    archive
        .publish(&format!(
            "{}rule = [{mg}]\n[approval]\nsteps = [{{ role = \"records-approver\", n = 2 }}]\n",
            "pack = \"p\"\nversion = \"1\"\neffective_from = 2000-01-01\n"
        ))
        .await;
    for (study, date) in [(1, "21160101"), (2, "21150601")] {
        archive
            .take_in_data_set(&data_set(study, 1, "A", date, "MG", "19600101"))
            .await
            .unwrap();
    }
    let before = archive.records.explain(&uid(2), None).await.unwrap();
    assert_eq!(before.decision.binding, ["returned"]);
    let id = archive.begin_disposal(&[1]).await;
    archive.until_over(&id).await;
    let after = archive.records.explain(&uid(2), None).await.unwrap();
    assert_eq!(after.decision.binding, ["returned"]);
    assert_eq!(after.digest, before.digest);
}
