//! What was decided of all studies is kept up to date, and is what deciding on all of them anew gives.

use proptest::prelude::*;

use super::*;
use crate::{DecisionFilter, Message, NewFact};

const RULES: &str = r#"pack = "house"
version = "1"
effective_from = 2000-01-01
rule = [
 { id = "seen", class = "min", keep = [{ from = "patient.last_encounter", for = "P5Y" }] },
 { id = "most", class = "max", keep = [{ from = "study.date", for = "P6Y" }] },
]
"#;

fn key(id: &str) -> PatientKey {
    PatientKey {
        id: id.to_owned(),
        issuer: String::new(),
    }
}

fn seen(patient: &str, day: &str) -> NewFact {
    let fact =
        serde_json::json!({ "patient": patient, "fact": "patient.last_encounter", "value": day, "source": "him" });
    serde_json::from_value(fact).unwrap()
}

impl Archive {
    fn kept_up(&self) -> Survey {
        self.records.keep_up().unwrap();
        self.records.survey().unwrap()
    }

    fn made_anew(&self) -> Survey {
        *self.records.standing() = None;
        self.kept_up()
    }

    /// Lists by what is at hand, and by looking at all studies.
    async fn lists(&self) {
        for filter in [
            DecisionFilter {
                status: Some(Status::Expired),
                overdue: false,
            },
            DecisionFilter {
                status: None,
                overdue: true,
            },
        ] {
            let all = async || {
                let (mut found, mut after): (Vec<String>, Option<String>) = (Vec::new(), None);
                loop {
                    let page = self.records.decisions(filter, after.as_deref(), 2, None).await.unwrap();
                    found.extend(page.decisions.into_iter().map(|decision| decision.study));
                    match page.next {
                        Some(next) => after = Some(next),
                        None => return found,
                    }
                }
            };
            let at_hand = all().await;
            assert!(self.records.listed(filter.overdue, None, 1).is_some());
            self.records.pending().everything = true;
            assert_eq!(at_hand, all().await, "{filter:?}");
            self.records.pending().everything = false;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_at_hand_and_right_after_every_change() {
    let archive = Archive::new().await;
    archive.publish(RULES).await;
    for (study, patient, date) in [
        (1, "A", "21100101"),
        (2, "B", "21110101"),
        (3, "B", "21220101"),
        (4, "", "21100601"),
        (5, "C", "21190601"),
    ] {
        archive.take_in(study, 1, patient, date).await.unwrap();
    }
    assert!(archive.records.survey().is_none());
    let survey = archive.kept_up();
    assert_eq!(
        (survey.all.studies, survey.by_status["expired"].studies),
        (5, 3),
        "{survey:?}"
    );
    assert!(survey.by_status["expired"].bytes > 10_000 && !survey.is_behind);
    assert_eq!(
        survey.by_year.get(&2127).map(|count| count.studies),
        Some(2),
        "{survey:?}"
    );
    archive.lists().await;
    let same = |archive: &Archive| {
        let kept = archive.kept_up();
        let anew = archive.made_anew();
        assert_eq!(
            (&kept.all, &kept.by_status, &kept.by_year),
            (&anew.all, &anew.by_status, &anew.by_year)
        );
        assert_eq!((kept.overdue, kept.in_conflict), (anew.overdue, anew.in_conflict));
        kept
    };
    // A study comes, a fact, a hold of every kind, a merge, a policy.
    archive.take_in(6, 1, "A", "21230101").await.unwrap();
    assert_eq!(
        same(&archive).by_status.get("expired").map(|count| count.studies),
        Some(2)
    );
    archive
        .records
        .assert_facts(&clerk(), vec![seen("C", "2125-01-01")], false)
        .await
        .unwrap();
    same(&archive);
    archive.lists().await;
    let mut holds = Vec::new();
    for scope in [
        serde_json::json!({ "study": uid(4) }),
        serde_json::json!({ "patient": "A" }),
        serde_json::json!({ "query": { "PatientID": "B" } }),
    ] {
        holds.push(archive.open_hold(HoldEffect::Block, scope).await.hold.id);
        same(&archive);
    }
    assert_eq!(same(&archive).by_status["held"].studies, 5);
    for hold in holds {
        for name in ["l1", "l2"] {
            archive
                .records
                .release_hold(&lawyer(name), &hold, "over", None, None)
                .await
                .unwrap();
        }
        same(&archive);
    }
    let message = Message {
        control_id: "1".to_owned(),
        application: "HIS".to_owned(),
        facility: String::new(),
        event: "ADT^A40".to_owned(),
        sent_at: None,
    };
    let interface = Actor::new("hl7:HIS|", &["interface"]);
    archive
        .records
        .merge_patients(&interface, &message, &[(key("C"), key("B"))])
        .await
        .unwrap();
    same(&archive);
    archive
        .publish(
            &RULES
                .replace("version = \"1\"", "version = \"2\"")
                .replace("P5Y", "P1Y"),
        )
        .await;
    assert!(archive.records.survey().unwrap().is_behind);
    same(&archive);
    archive.lists().await;
    // Days go by.
    archive.wait_days(3000);
    assert!(archive.records.survey().unwrap().is_behind);
    assert_eq!(archive.kept_up().by_status["expired"].studies, 6);
    archive.lists().await;
    // What is destroyed is gone from it.
    let id = archive.begin_disposal(&[1]).await;
    archive.until_over(&id).await;
    assert_eq!(same(&archive).all.studies, 5);
}

#[derive(Debug, Clone)]
enum Step {
    Comes(u32, u8, u32),
    Seen(u8, u32),
    Merge(u8, u8),
    KeepUp,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1_u32..12, 0_u8..3, 2100_u32..2125).prop_map(|(study, patient, year)| Step::Comes(study, patient, year)),
        (0_u8..3, 2100_u32..2126).prop_map(|(patient, year)| Step::Seen(patient, year)),
        (0_u8..3, 0_u8..3).prop_map(|(stays, goes)| Step::Merge(stays, goes)),
        Just(Step::KeepUp),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn keeping_up_is_making_anew(steps in prop::collection::vec(step(), 1..12)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let archive = Archive::new().await;
            archive.publish(RULES).await;
            archive.kept_up();
            let name = |patient: u8| ["", "A", "B"][usize::from(patient)].to_owned();
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Comes(study, patient, year) => {
                        // One that is there belongs to somebody else: it goes into quarantine.
                        let _ = archive.take_in(study, u32::try_from(number).unwrap() + 1, &name(patient), &format!("{year}0101")).await;
                    }
                    Step::Seen(patient, year) => {
                        let fact = seen(&format!("{}x", name(patient)).replace("Ax", "A").replace("Bx", "B"), &year.to_string());
                        let _ = archive.records.assert_facts(&clerk(), vec![fact], false).await;
                    }
                    Step::Merge(stays, goes) => {
                        let message = Message { control_id: number.to_string(), application: "HIS".into(), facility: String::new(), event: "ADT^A40".into(), sent_at: None };
                        let interface = Actor::new("hl7:HIS|", &["interface"]);
                        let _ = archive.records.merge_patients(&interface, &message, &[(key(&name(stays)), key(&name(goes)))]).await;
                    }
                    Step::KeepUp => drop(archive.kept_up()),
                }
            }
            let kept = archive.kept_up();
            let anew = archive.made_anew();
            assert_eq!((&kept.all, &kept.by_status, &kept.by_year), (&anew.all, &anew.by_status, &anew.by_year));
            assert_eq!((kept.overdue, kept.in_conflict), (anew.overdue, anew.in_conflict));
        });
    }
}
