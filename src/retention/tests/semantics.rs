//! One behaviour each.

use super::*;

const FIVE: &str = r#"{id="five", class="min", keep=[{from="study.date", for="P5Y"}]}"#;

#[test]
fn without_a_policy_everything_is_kept() {
    let decision = decide(&study("1990-01-01", "CT"), &Policies::default(), &[], day("2026-01-01"));
    assert_eq!((decision.status, decision.eligible_from), (Status::Indeterminate, None));
    assert_eq!(decision.tasks.len(), 1);
    let nothing = rules(r#"{id="mg", class="min", when={modality="MG"}, keep=[{from="study.date", for="P1Y"}]}"#);
    let decision = decide(&study("1990-01-01", "CT"), &nothing, &[], day("2026-01-01"));
    assert_eq!(decision.status, Status::Indeterminate);
}

#[test]
fn what_is_not_known_keeps_and_is_a_task() {
    let policies = rules(&format!(
        "{FIVE}, {}",
        r#"{id="done", class="min", keep=[{from="study.completed", for="P3Y"}]}"#
    ));
    let decision = decide(&study("1990-01-01", "CT"), &policies, &[], day("2026-01-01"));
    assert_eq!((decision.status, decision.retain_until), (Status::Indeterminate, None));
    assert_eq!(decision.binding, ["done"]);
    assert!(decision.tasks[0].contains("study.completed"), "{:?}", decision.tasks);
    let mut known = study("1990-01-01", "CT");
    known.completed = Some("1995".parse().unwrap());
    check(&known, &policies, "2026-01-01", "1998-12-31", &["done"]);
}

#[test]
fn an_optional_anchor_is_left_out_and_the_earliest_is_bounded_by_what_is_known() {
    let policies = rules(
        r#"{id="late", class="min", keep=[{from="study.date", for="P5Y"}, {from="patient.death", for="P8Y", optional=true}]}"#,
    );
    let mut facts = study("2000-01-01", "CT");
    check(&facts, &policies, "2026-01-01", "2005-01-01", &["late"]);
    patient(&mut facts).death = Some(Death::On("2001-06-01".parse().unwrap()));
    check(&facts, &policies, "2026-01-01", "2009-06-01", &["late"]);
    let policies = rules(
        r#"{id="first", class="min", combine="earliest", keep=[{from="study.date", for="P5Y"}, {from="study.completed", for="P1Y"}]}"#,
    );
    check(
        &study("2000-01-01", "CT"),
        &policies,
        "2026-01-01",
        "2005-01-01",
        &["first"],
    );
}

#[test]
fn partial_dates_count_as_their_last_day_and_ages_as_the_youngest() {
    let policies = rules(
        r#"{id="minor", class="min", when={age_at_study={lt=18}}, keep=[{from="patient.birth", for="P30Y"}]},
           {id="any", class="min", keep=[{from="study.date", for="P1Y"}]}"#,
    );
    let decision = check(
        &born(study("2022-06-15", "CT"), "2010"),
        &policies,
        "2026-01-01",
        "2040-12-31",
        &["minor"],
    );
    assert_eq!(decision.assumed[0].day, day("2010-12-31"));
    // 17 at least, 18 at most.
    check(
        &born(study("2022-06-15", "CT"), "2004"),
        &policies,
        "2026-01-01",
        "2034-12-31",
        &["minor"],
    );
    check(
        &born(study("2022-06-15", "CT"), "2003"),
        &policies,
        "2026-01-01",
        "2023-06-15",
        &["any"],
    );
    check(
        &born(study("2010-03-01", "CT"), "2010"),
        &policies,
        "2026-01-01",
        "2040-12-31",
        &["minor"],
    );
    check(
        &born(study("2022-06", "CT"), "2004-06-15"),
        &policies,
        "2026-01-01",
        "2034-06-15",
        &["minor"],
    );
}

#[test]
fn a_birthday_is_the_day_on_which_somebody_is_18() {
    let policies = rules(
        r#"{id="minor", class="min", when={age_at_study={lt=18}}, keep=[{from="patient.birth", for="P30Y"}]}, {id="any", class="min", keep=[{from="study.date", for="P1Y"}]}"#,
    );
    check(
        &born(study("2022-03-09", "CT"), "2004-03-10"),
        &policies,
        "2026-01-01",
        "2034-03-10",
        &["minor"],
    );
    check(
        &born(study("2022-03-10", "CT"), "2004-03-10"),
        &policies,
        "2026-01-01",
        "2023-03-10",
        &["any"],
    );
    check(
        &born(study("2022-02-28", "CT"), "2004-02-29"),
        &policies,
        "2026-01-01",
        "2034-03-01",
        &["minor"],
    );
    check(
        &born(study("2022-03-01", "CT"), "2004-02-29"),
        &policies,
        "2026-01-01",
        "2023-03-01",
        &["any"],
    );
}

#[test]
fn a_study_without_a_date_is_no_younger_than_its_receipt() {
    let mut facts = study("2022-06-15", "CT");
    facts.study_date = None;
    let decision = check(&facts, &rules(FIVE), "2026-01-01", "2027-06-15", &["five"]);
    assert_eq!(decision.assumed[0].fact, "study.date");
}

#[test]
fn ties_are_all_binding() {
    let policies = rules(&format!("{FIVE}, {}", FIVE.replace("\"five\"", "\"also\"")));
    check(
        &study("2020-01-01", "CT"),
        &policies,
        "2026-01-01",
        "2025-01-01",
        &["five", "also"],
    );
}

#[test]
fn a_maximum_yields_to_a_minimum_and_its_end_is_a_reason_to_look() {
    let policies = rules(&format!(
        "{FIVE}, {}",
        r#"{id="most", class="max", keep=[{from="study.date", for="P3Y"}]}"#
    ));
    let decision = check(
        &study("2020-01-01", "CT"),
        &policies,
        "2024-01-01",
        "2025-01-01",
        &["five"],
    );
    assert_eq!(decision.conflicts[0].rule.as_deref(), Some("most"));
    assert_eq!(decision.status, Status::Retained);
    let policies = rules(&format!(
        "{FIVE}, {}",
        r#"{id="most", class="max", keep=[{from="study.date", for="P6Y"}]}"#
    ));
    let facts = study("2020-01-01", "CT");
    assert_eq!(decide(&facts, &policies, &[], day("2026-01-01")).review, None);
    assert_eq!(
        decide(&facts, &policies, &[], day("2026-01-02")).review,
        Some(Review::Overdue)
    );
    let block = hold(HoldEffect::Block, "2020-01-01", None);
    assert_eq!(
        decide(&facts, &policies, &[&block], day("2026-01-02")).status,
        Status::Held
    );
}

#[test]
fn a_bar_keeps_without_a_date() {
    let policies = rules(&format!(
        "{FIVE}, {}",
        r#"{id="inquiry", class="bar", when={flag="x-inquiry"}}"#
    ));
    let mut facts = study("2000-01-01", "CT");
    assert_eq!(
        decide(&facts, &policies, &[], day("2026-01-01")).status,
        Status::Expired
    );
    facts.flags.push(Flag {
        name: "x-inquiry".into(),
        date: None,
        known_on: day("2020-01-01"),
    });
    let decision = decide(&facts, &policies, &[], day("2026-01-01"));
    assert_eq!((decision.status, decision.eligible_from), (Status::Barred, None));
    assert_eq!(decision.binding, ["inquiry"]);
}

#[test]
fn suspensions_add_the_days_that_a_period_was_running() {
    let policies = rules(FIVE);
    let facts = study("2020-01-01", "CT");
    let until = |holds: &[&Hold], as_of: &str| decide(&facts, &policies, holds, day(as_of)).retain_until;
    let before = hold(HoldEffect::Toll, "2019-06-01", Some("2020-01-11"));
    assert_eq!(
        until(&[&before], "2026-01-01"),
        Some(day("2025-01-11")),
        "ten days of it ran"
    );
    let behind = hold(HoldEffect::Toll, "2025-01-02", Some("2025-06-01"));
    assert_eq!(until(&[&behind], "2026-01-01"), Some(day("2025-01-01")), "it was over");
    let on_the_last_day = hold(HoldEffect::Toll, "2025-01-01", Some("2025-01-11"));
    assert_eq!(until(&[&on_the_last_day], "2026-01-01"), Some(day("2025-01-11")));
    let one = hold(HoldEffect::Toll, "2021-01-01", Some("2021-01-21"));
    let overlapping = hold(HoldEffect::Toll, "2021-01-11", Some("2021-01-31"));
    assert_eq!(
        until(&[&one, &overlapping], "2026-01-01"),
        Some(day("2025-01-31")),
        "thirty days, not forty"
    );
    // The first moves the end so far that the second is in time.
    let longer = hold(HoldEffect::Toll, "2024-12-01", Some("2025-12-01"));
    let next = hold(HoldEffect::Toll, "2025-12-20", Some("2025-12-30"));
    assert_eq!(until(&[&longer, &next], "2026-06-01"), Some(day("2026-01-11")));
    // A claim that came behind the end suspends nothing, and keeps while it is open.
    let late = hold(HoldEffect::Toll, "2025-06-01", None);
    let decision = decide(&facts, &policies, &[&late], day("2026-01-01"));
    assert_eq!(
        (decision.status, decision.retain_until),
        (Status::Held, Some(day("2025-01-01")))
    );
}

#[test]
fn a_superseded_rule_supersedes_nothing_and_what_is_uncertain_does_not_either() {
    let policies = rules(
        r#"{id="a", class="min", keep=[{from="study.date", for="P9Y"}]},
           {id="b", class="min", supersedes=["a"], when={modality="CT"}, keep=[{from="study.date", for="P5Y"}]},
           {id="c", class="min", supersedes=["b"], when={modality="MG"}, keep=[{from="study.date", for="P3Y"}]}"#,
    );
    check(
        &study("2020-01-01", "CR"),
        &policies,
        "2021-01-01",
        "2029-01-01",
        &["a"],
    );
    check(
        &study("2020-01-01", "CT"),
        &policies,
        "2021-01-01",
        "2025-01-01",
        &["b"],
    );
    let mut both = study("2020-01-01", "CT");
    both.modalities.push("MG".into());
    check(&both, &policies, "2021-01-01", "2029-01-01", &["a"]);
    // A death in 2020 may have been ten years and a day after the last visit.
    let mut facts = born(study("2010-06-01", "CT"), "1950-01-01");
    patient(&mut facts).death = Some(Death::On("2020".parse().unwrap()));
    check(&facts, &templates(&["fr"]), "2024-01-01", "2030-12-31", &["fr.death"]);
    let decision = decide(&facts, &templates(&["fr"]), &[], day("2024-01-01"));
    assert!(decision.considered.iter().any(|found| found.rule == "fr.base"));
}

#[test]
fn a_stay_gives_the_discharge() {
    let policies = rules(r#"{id="seven", class="min", keep=[{from="encounter.end", for="P7Y"}]}"#);
    let mut facts = study("2020-01-01", "CT");
    patient(&mut facts).encounters = vec![
        Encounter {
            start: "2019-12-28".parse().unwrap(),
            end: Some("2020-01-05".parse().unwrap()),
        },
        Encounter {
            start: "2021-01-01".parse().unwrap(),
            end: None,
        },
    ];
    check(&facts, &policies, "2026-01-01", "2027-01-05", &["seven"]);
    patient(&mut facts).encounters[0].end = None;
    let decision = decide(&facts, &policies, &[], day("2026-01-01"));
    assert_eq!(decision.status, Status::Indeterminate, "the stay has not ended");
    facts.encounter_end = Some("2020-01-03".parse().unwrap());
    check(&facts, &policies, "2026-01-01", "2027-01-03", &["seven"]);
}

#[test]
fn flags_have_their_own_dates() {
    let policies = templates(&["uk-nhs"]);
    let mut facts = born(study("2015-01-01", "CT"), "1950-01-01");
    patient(&mut facts).flags = vec![
        Flag {
            name: "oncology".into(),
            date: Some("2012-04".parse().unwrap()),
            known_on: day("2013-01-01"),
        },
        Flag {
            name: "transplant".into(),
            date: Some("2014-01-01".parse().unwrap()),
            known_on: day("2014-01-01"),
        },
    ];
    let decision = check(&facts, &policies, "2026-01-01", "2044-01-01", &["uk.transplant"]);
    let cancer = decision
        .considered
        .iter()
        .find(|found| found.rule == "uk.cancer")
        .unwrap();
    assert_eq!(cancer.until, Some(day("2042-04-30")));
    patient(&mut facts).flags[0].date = None;
    check(&facts, &policies, "2026-01-01", "2044-01-01", &["uk.transplant"]);
    patient(&mut facts).death = Some(Death::On("2039-01-01".parse().unwrap()));
    check(&facts, &policies, "2040-01-01", "2047-01-01", &["uk.cancer"]);
}

#[test]
fn packs_are_bound_by_site_source_and_programme() {
    let own = "pack=\"own\"\nversion=\"1\"\neffective_from=2000-01-01\nrule=[{id=\"own\", class=\"min\", keep=[{from=\"study.date\", for=\"P5Y\"}]}]";
    let imported = own.replace("\"own\"", "\"imp\"").replace("P5Y", "P1Y");
    let medicare = own.replace("\"own\"", "\"medicare\"").replace("P5Y", "P7Y");
    let mut policies = policies(&[own, &imported, &medicare]);
    policies.bindings[0].source = Some(Source::Own);
    policies.bindings[1].source = Some(Source::Imported);
    policies.bindings[2].programme = Some("medicare".into());
    policies.bindings[0].site = Some("S1".into());
    let mut facts = study("2020-01-01", "CT");
    check(&facts, &policies, "2026-01-01", "2025-01-01", &["own"]);
    facts.programmes = vec!["medicare".into()];
    check(&facts, &policies, "2026-01-01", "2027-01-01", &["medicare"]);
    facts.source = Source::Imported;
    facts.programmes.clear();
    check(&facts, &policies, "2026-01-01", "2021-01-01", &["imp"]);
    facts.source = Source::Own;
    facts.site = "S2".into();
    assert_eq!(
        decide(&facts, &policies, &[], day("2026-01-01")).status,
        Status::Indeterminate
    );
}

#[test]
fn versions_and_rules_are_in_force_from_their_day() {
    let first = "pack=\"p\"\nversion=\"1\"\neffective_from=2000-01-01\nrule=[{id=\"r\", class=\"min\", keep=[{from=\"study.date\", for=\"P5Y\"}]}]";
    let second = first
        .replace("version=\"1\"", "version=\"2\"")
        .replace("2000-01-01", "2024-01-01")
        .replace("P5Y", "P9Y");
    let mut policies = policies(&[first, &second]);
    policies.bindings.pop();
    let facts = study("2020-01-01", "CT");
    assert_eq!(
        check(&facts, &policies, "2023-12-31", "2025-01-01", &["r"]).policy,
        ["p@1"]
    );
    assert_eq!(
        check(&facts, &policies, "2024-01-01", "2029-01-01", &["r"]).policy,
        ["p@2"]
    );
    let policies = rules(
        r#"{id="old", class="min", effective_until=2024-01-01, keep=[{from="study.date", for="P9Y"}]},
           {id="new", class="min", effective_from=2024-01-01, keep=[{from="study.date", for="P5Y"}]}"#,
    );
    check(&facts, &policies, "2023-12-31", "2029-01-01", &["old"]);
    check(&facts, &policies, "2024-01-01", "2025-01-01", &["new"]);
}

#[test]
fn any_and_not_nest() {
    let policies = rules(
        r#"{id="x", class="min", when={any=[{modality="MG"}, {flag="oncology", not={source="imported"}}], not={site="S9"}}, keep=[{from="study.date", for="P5Y"}]},
           {id="rest", class="min", keep=[{from="study.date", for="P1Y"}]}"#,
    );
    check(
        &study("2020-01-01", "MG"),
        &policies,
        "2026-01-01",
        "2025-01-01",
        &["x"],
    );
    let mut facts = study("2020-01-01", "CT");
    check(&facts, &policies, "2026-01-01", "2021-01-01", &["rest"]);
    facts.flags.push(Flag {
        name: "oncology".into(),
        date: None,
        known_on: day("2020-01-01"),
    });
    check(&facts, &policies, "2026-01-01", "2025-01-01", &["x"]);
    facts.source = Source::Imported;
    check(&facts, &policies, "2026-01-01", "2021-01-01", &["rest"]);
    facts.source = Source::Own;
    facts.site = "S9".into();
    check(&facts, &policies, "2026-01-01", "2021-01-01", &["rest"]);
}

#[test]
fn the_digest_follows_what_is_known_and_not_its_order() {
    let policies = rules(FIVE);
    let mut facts = study("2020-01-01", "CT");
    facts.modalities = vec!["CT".into(), "PT".into()];
    let one = decide(&facts, &policies, &[], day("2026-01-01"));
    facts.modalities.reverse();
    let same = decide(&facts, &policies, &[], day("2026-01-02"));
    assert_eq!((&one.facts_digest, one.digest()), (&same.facts_digest, same.digest()));
    facts.instances = 2;
    let other = decide(&facts, &policies, &[], day("2026-01-01"));
    assert_ne!(one.facts_digest, other.facts_digest);
    assert_ne!(one.digest(), other.digest());
}

#[test]
fn simulation_counts_and_lists() {
    let before = rules(FIVE);
    let after = rules(
        r#"{id="three", class="min", when={modality="CT"}, keep=[{from="study.date", for="P3Y"}]}, {id="nine", class="min", when={not={modality="CT"}}, keep=[{from="study.date", for="P9Y"}]}"#,
    );
    let mut simulation = Simulation::default();
    for (date, modality) in [("2022-01-01", "CT"), ("2025-01-01", "CT"), ("2022-01-01", "MR")] {
        let facts = study(date, modality);
        let as_of = day("2026-01-01");
        simulation.add(
            &decide(&facts, &before, &[], as_of),
            &decide(&facts, &after, &[], as_of),
            100,
            2,
        );
    }
    assert_eq!((simulation.studies, simulation.earlier, simulation.later), (3, 2, 1));
    assert_eq!((simulation.newly_eligible, simulation.newly_eligible_bytes), (1, 100));
    assert_eq!((simulation.changes.len(), simulation.truncated), (2, true));
    assert!(simulation.shortens());
}

#[test]
fn a_trace_tells_of_every_rule() {
    let policies = templates(&["us-fed", "us-ca"]);
    let facts = born(study("2022-06-15", "MG"), "1970-03-10");
    let decision = decide(&facts, &policies, &[], day("2026-01-01"));
    let traced = trace(&facts, &policies, &decision, day("2026-01-01"));
    let of = |rule: &str| traced.iter().find(|found| found.rule == rule).unwrap();
    assert_eq!(of("us.mqsa.no-return").verdict, Verdict::Binding);
    assert_eq!(of("us.ca.minor").verdict, Verdict::DoesNotApply);
    assert!(
        of("us.ca.minor").why.contains("age_at_study"),
        "{}",
        of("us.ca.minor").why
    );
    assert_eq!(of("us.cms").verdict, Verdict::Applies);
    assert_eq!(traced.len(), 6);
}
