//! Cases that records departments would know, with their days.

use super::*;

#[test]
fn a_mammogram_of_a_minor_in_california() {
    let facts = born(study("2022-06-15", "MG"), "2010-03-10");
    let decision = check(
        &facts,
        &templates(&["us-fed", "us-ca"]),
        "2026-11-22",
        "2032-06-15",
        &["us.mqsa.no-return"],
    );
    assert_eq!(decision.considered.len(), 4);
    assert_eq!(decision.eligible_from, Some(day("2032-06-16")));
    assert_eq!(decision.status, Status::Retained);
    assert!(decision.assumed.is_empty() && decision.holds.is_empty() && decision.conflicts.is_empty());
    assert_eq!(decision.policy, ["us-fed@template-1", "us-ca@template-1"]);
    let of = |rule: &str| {
        decision
            .considered
            .iter()
            .find(|found| found.rule == rule)
            .unwrap()
            .until
    };
    assert_eq!(of("us.cms"), Some(day("2027-06-15")));
    assert_eq!(of("us.ca.adult"), Some(day("2029-06-15")));
    assert_eq!(of("us.ca.minor"), Some(day("2029-03-10")));
    assert_eq!(
        decision.reason,
        "Mammogram; no later mammogram here within 5 years: keep 10 years from 2022-06-15."
    );
}

#[test]
fn the_same_in_north_carolina() {
    let facts = born(study("2022-06-15", "MG"), "2010-03-10");
    check(
        &facts,
        &templates(&["us-fed", "us-nc"]),
        "2026-11-22",
        "2040-03-10",
        &["us.nc.minor"],
    );
}

#[test]
fn a_mammogram_after_which_the_patient_came_back_and_then_had_not() {
    let policies = templates(&["us-fed"]);
    let both = vec![other("1.1", "2018-05-01", "MG"), other("1.2", "2021-04-20", "MG")];
    let mut first = study("2018-05-01", "MG");
    first.study_instance_uid = "1.1".into();
    patient(&mut first).studies = both.clone();
    check(
        &first,
        &policies,
        "2026-11-22",
        "2023-05-01",
        &["us.cms", "us.mqsa.returned"],
    );
    let mut second = study("2021-04-20", "MG");
    second.study_instance_uid = "1.2".into();
    patient(&mut second).studies = both;
    check(&second, &policies, "2026-11-22", "2031-04-20", &["us.mqsa.no-return"]);
    patient(&mut first).studies.pop();
    check(&first, &policies, "2026-11-22", "2028-05-01", &["us.mqsa.no-return"]);
}

#[test]
fn a_death_in_france_and_a_claim() {
    let policies = templates(&["fr"]);
    let mut facts = born(study("2010-02-01", "CT"), "1950-01-01");
    patient(&mut facts).last_encounter = Some("2010-02-01".parse().unwrap());
    check(&facts, &policies, "2024-01-01", "2030-02-01", &["fr.base"]);
    patient(&mut facts).death = Some(Death::On("2015-06-30".parse().unwrap()));
    let decision = check(&facts, &policies, "2024-01-01", "2025-06-30", &["fr.death"]);
    assert_eq!(decision.superseded, ["fr.base"]);
    let claim = hold(HoldEffect::Toll, "2020-01-01", Some("2021-01-01"));
    let decision = decide(&facts, &policies, &[&claim], day("2024-01-01"));
    assert_eq!(decision.retain_until, Some(day("2026-07-01")));
    assert_eq!(decision.status, Status::Retained);
    let open = hold(HoldEffect::Toll, "2020-01-01", None);
    let decision = decide(&facts, &policies, &[&open], day("2024-01-01"));
    assert_eq!((decision.status, decision.retain_until), (Status::Indeterminate, None));
    assert_eq!(decision.holds.len(), 1);
    // As it was while the claim was open.
    let decision = decide(&facts, &policies, &[&claim], day("2020-06-01"));
    assert_eq!(decision.status, Status::Indeterminate);
}

#[test]
fn a_child_in_france_is_28_first() {
    let mut facts = born(study("2008-01-10", "CR"), "2005-09-09");
    patient(&mut facts).last_encounter = Some("2008-01-10".parse().unwrap());
    check(&facts, &templates(&["fr"]), "2026-01-01", "2033-09-09", &["fr.28"]);
}

#[test]
fn a_minor_and_a_treatment_in_germany() {
    let policies = templates(&["de"]);
    let mut facts = born(study("2020-03-01", "CT"), "2002-04-05");
    check(&facts, &policies, "2026-01-01", "2030-04-05", &["de.minor"]);
    facts.purpose = Some(Purpose::Treatment);
    check(&facts, &policies, "2026-01-01", "2050-03-01", &["de.treat"]);
    facts.purpose = None;
    facts.modalities.push("RTPLAN".into());
    check(&facts, &policies, "2026-01-01", "2050-03-01", &["de.treat"]);
}

#[test]
fn last_seen_at_17_in_england() {
    let mut facts = born(study("2022-06-01", "CR"), "2004-11-20");
    patient(&mut facts).last_encounter = Some("2022-06-01".parse().unwrap());
    check(
        &facts,
        &templates(&["uk-nhs"]),
        "2026-01-01",
        "2030-11-20",
        &["uk.child17"],
    );
}

#[test]
fn a_visit_starts_the_clock_again() {
    let policies = templates(&["uk-nhs"]);
    let mut facts = born(study("2015-03-03", "CR"), "1960-01-01");
    let decision = check(&facts, &policies, "2023-05-01", "2023-03-03", &["uk.adult"]);
    assert_eq!(decision.status, Status::Expired);
    patient(&mut facts).encounters.push(Encounter {
        start: "2023-05-14".parse().unwrap(),
        end: Some("2023-05-14".parse().unwrap()),
    });
    let decision = check(&facts, &policies, "2023-05-15", "2031-05-14", &["uk.adult"]);
    assert_eq!(decision.status, Status::Retained);
}

#[test]
fn a_notice_of_litigation_in_illinois_ends_by_itself() {
    let policies = templates(&["us-il"]);
    let facts = study("2014-01-15", "CR");
    let mut notice = hold(HoldEffect::Capped, "2018-12-01", None);
    notice.cap = Some(Cap {
        from: Anchor::StudyDate,
        period: Period::years(12),
    });
    let decision = decide(&facts, &policies, &[&notice], day("2026-01-15"));
    assert_eq!(decision.status, Status::Held);
    assert_eq!(decision.holds[0].until, Some(day("2026-01-15")));
    assert_eq!(decision.eligible_from, Some(day("2026-01-16")));
    let decision = decide(&facts, &policies, &[&notice], day("2026-01-16"));
    assert_eq!(decision.status, Status::Expired);
    assert!(decision.holds.is_empty());
    let own = hold(HoldEffect::Block, "2020-01-01", None);
    let decision = decide(&facts, &policies, &[&notice, &own], day("2026-01-16"));
    assert_eq!((decision.status, decision.eligible_from), (Status::Held, None));
}

#[test]
fn who_was_born_when_is_not_known() {
    let decision = check(
        &study("2021-08-09", "CT"),
        &templates(&["us-nc"]),
        "2026-01-01",
        "2051-08-09",
        &["us.nc.minor"],
    );
    assert_eq!(decision.assumed[0].fact, "patient.birth");
    assert_eq!(decision.assumed[0].day, day("2021-08-09"));
}

#[test]
fn a_leap_day_and_five_years() {
    let policies = rules(r#"{id="five", class="min", keep=[{from="study.date", for="P5Y"}]}"#);
    let facts = study("2020-02-29", "CT");
    let decision = check(&facts, &policies, "2025-03-01", "2025-03-01", &["five"]);
    assert_eq!(decision.status, Status::Retained);
    assert_eq!(decision.eligible_from, Some(day("2025-03-02")));
    assert_eq!(
        decide(&facts, &policies, &[], day("2025-03-02")).status,
        Status::Expired
    );
}

#[test]
fn every_template_reads_and_says_that_it_is_one() {
    for (name, text) in templates::TEMPLATES {
        let (pack, warnings) = read_toml(text).unwrap_or_else(|lints| panic!("{name}: {lints:?}"));
        assert_eq!(pack.pack, name);
        assert!(pack.template, "{name}");
        assert!(warnings.is_empty(), "{name}: {warnings:?}");
        for rule in &pack.rule {
            assert!(!rule.cite.is_empty(), "{} has no citation", rule.id);
        }
        // What goes over the wire is read back as the same.
        let json = serde_json::to_value(&pack).unwrap();
        assert_eq!(read_json(&json).unwrap().0, pack);
        assert_eq!(serde_json::from_value::<Pack>(json).unwrap(), pack);
    }
}
