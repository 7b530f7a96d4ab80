//! What is wrong with a pack is said: where, what, and what is allowed.

use super::*;

const HEAD: &str = "pack = \"p\"\nversion = \"1\"\neffective_from = 2026-01-01\n";

#[track_caller]
fn check_wrong(text: &str, line: usize, rule: Option<&str>, what: &str, allowed: &str) {
    let lints = read_toml(text).map(|(pack, _)| pack).expect_err("it was read");
    let found = lints
        .iter()
        .find(|lint| lint.what.contains(what))
        .unwrap_or_else(|| panic!("{lints:#?}"));
    assert_eq!(found.line, Some(line), "{found:?}");
    assert_eq!(found.rule.as_deref(), rule, "{found:?}");
    assert!(found.allowed.contains(allowed), "{found:?}");
}

fn rule(rest: &str) -> String {
    format!("{HEAD}rule = [\n {{id=\"r\", class=\"min\", {rest}}},\n]\n")
}

const KEEP: &str = "keep=[{from=\"study.date\", for=\"P5Y\"}]";

#[test]
fn says_where_what_and_what_is_allowed() {
    let in_rule = Some("r");
    check_wrong(
        &rule("keep=[{from=\"study.end\", for=\"P5Y\"}]"),
        5,
        in_rule,
        "\"study.end\" is not known",
        "study.date, study.completed",
    );
    check_wrong(
        &rule("keep=[{from=\"study.date\", for=\"5 years\"}]"),
        5,
        in_rule,
        "\"5 years\" is no period",
        "P5Y",
    );
    check_wrong(
        &rule("keep=[{from=\"study.date\", for=\"PT5H\"}]"),
        5,
        in_rule,
        "is no period",
        "P14D",
    );
    check_wrong(
        &rule("keep=[{from=\"study.date\"}]"),
        5,
        in_rule,
        "a keep has no for",
        "P5Y",
    );
    check_wrong(
        &rule(&format!("{KEEP}, wen={{}}")),
        5,
        in_rule,
        "\"wen\" is nothing that a rule has",
        "when",
    );
    check_wrong(
        &rule(&format!("{KEEP}, when={{modalty=\"MG\"}}")),
        5,
        in_rule,
        "\"modalty\"",
        "modality",
    );
    check_wrong(
        &rule(&format!("{KEEP}, when={{flag=\"oncolgy\"}}")),
        5,
        in_rule,
        "\"oncolgy\" is no flag",
        "oncology",
    );
    check_wrong(
        &rule(&format!("{KEEP}, when={{age_at_study={{lt=18, gte=18}}}}")),
        5,
        in_rule,
        "no age is at least 18",
        "gte less than lt",
    );
    check_wrong(
        &rule(&format!("{KEEP}, when={{age_at_study={{lt=-1}}}}")),
        5,
        in_rule,
        "-1 is no age",
        "0 to 150",
    );
    check_wrong(
        &rule(&format!("{KEEP}, when={{age_at_study={{}}}}")),
        5,
        in_rule,
        "neither bound",
        "lt=18",
    );
    check_wrong(
        &rule(&format!("{KEEP}, when={{not={{}}}}")),
        5,
        in_rule,
        "not says nothing",
        "a condition",
    );
    check_wrong(
        &rule(&format!("{KEEP}, when={{any=[]}}")),
        5,
        in_rule,
        "any is a list",
        "a list of conditions",
    );
    check_wrong(
        &rule(&format!("{KEEP}, when={{rejected_as=\"113002\"}}")),
        5,
        in_rule,
        "113002",
        "113001",
    );
    check_wrong(
        &rule("keep=[{from=\"flag.date\", for=\"P5Y\"}]"),
        5,
        in_rule,
        "asks for no flag",
        "oncology",
    );
    check_wrong(&rule("title=\"x\""), 5, in_rule, "a min rule has no keep", "keep = ");
    check_wrong(
        &rule(&format!("{KEEP}, supersedes=[\"r\"]")),
        5,
        in_rule,
        "supersedes itself",
        "without a circle",
    );
    check_wrong(
        &rule(&format!(
            "{KEEP}, effective_from=2026-01-01, effective_until=2025-01-01"
        )),
        5,
        in_rule,
        "is not after",
        "a later day",
    );
    check_wrong(
        &rule(&format!("{KEEP}, effective_from=\"soon\"")),
        5,
        in_rule,
        "\"soon\" is no day",
        "2026-01-01",
    );
    let bar = format!("{HEAD}rule = [\n\n {{id=\"b\", class=\"bar\", {KEEP}}},\n]\n");
    check_wrong(&bar, 6, Some("b"), "a bar has a keep", "no keep");
    let class = format!("{HEAD}rule = [\n {{id=\"b\", class=\"most\", {KEEP}}},\n]\n");
    check_wrong(&class, 5, Some("b"), "\"most\" is not known", "min, max, bar");
    let without_id = format!("{HEAD}rule = [\n {{class=\"min\", {KEEP}}},\n]\n");
    check_wrong(&without_id, 5, Some("rule 1"), "a rule has no id", "us.ca.adult");
    let twice = format!("{HEAD}[[rule]]\nid=\"r\"\nclass=\"min\"\n{KEEP}\n[[rule]]\nid=\"r\"\nclass=\"min\"\n{KEEP}\n");
    check_wrong(
        &twice,
        8,
        Some("r"),
        "the id r is there twice, first at line 4",
        "another id",
    );
}

#[test]
fn says_what_is_wrong_with_the_pack_itself() {
    let body = format!("rule = [{{id=\"r\", class=\"min\", {KEEP}}}]\n");
    check_wrong(
        &format!("version = \"1\"\neffective_from = 2026-01-01\n{body}"),
        1,
        None,
        "a pack has no pack",
        "us-ca",
    );
    check_wrong(
        &format!("pack = \"US CA\"\nversion = \"1\"\neffective_from = 2026-01-01\n{body}"),
        1,
        None,
        "is no name",
        "a-z",
    );
    check_wrong(
        &format!("pack = \"p\"\nversion = 1\neffective_from = 2026-01-01\n{body}"),
        2,
        None,
        "1 is no text",
        "quotation",
    );
    check_wrong(
        &format!("pack = \"p\"\nversion = \"1\"\neffective_from = 2026-13-01\n{body}"),
        3,
        None,
        "",
        "",
    );
    check_wrong(
        &format!("{HEAD}colour = 1\n{body}"),
        4,
        None,
        "\"colour\"",
        "effective_from",
    );
    check_wrong(
        &format!("{HEAD}rule = []\n"),
        4,
        None,
        "there is no rule",
        "at least one",
    );
    check_wrong("pack = ", 1, None, "no TOML", "");
    check_wrong(
        &format!("{HEAD}[approval]\nsteps = []\n[[rule]]\nid=\"r\"\nclass=\"min\"\n{KEEP}\n"),
        5,
        None,
        "steps is a list",
        "at least one step",
    );
}

#[test]
fn complains_of_everything_at_once() {
    let text = format!(
        "{HEAD}rule = [\n {{id=\"a\", class=\"mim\", {KEEP}}},\n {{id=\"b\", class=\"min\", keep=[{{from=\"x\", for=\"y\"}}]}},\n]\n"
    );
    let lints = read_toml(&text).unwrap_err();
    let places: Vec<_> = lints.iter().map(|lint| (lint.line, lint.rule.as_deref())).collect();
    assert!(
        places.contains(&(Some(5), Some("a"))) && places.contains(&(Some(6), Some("b"))),
        "{lints:#?}"
    );
    assert!(
        lints[0]
            .to_string()
            .starts_with("line 5: a: \"mim\" is not known here; allowed: min, max, bar"),
        "{}",
        lints[0]
    );
}

#[test]
fn a_circle_over_several_rules_is_found() {
    let text = format!(
        "{HEAD}rule = [\n {{id=\"a\", class=\"min\", supersedes=[\"b\"], {KEEP}}},\n {{id=\"b\", class=\"min\", supersedes=\"a\", {KEEP}}},\n]\n"
    );
    check_wrong(&text, 5, Some("a"), "supersedes itself", "");
    let other = text.replace("{id=\"b\", class=\"min\", supersedes=\"a\"", "{id=\"b\", class=\"max\"");
    check_wrong(
        &other,
        5,
        Some("a"),
        "a min rule supersedes b, which is a max rule",
        "same class",
    );
}

#[test]
fn warns_of_what_is_perhaps_not_meant() {
    let text = rule(&format!("{KEEP}, supersedes=[\"elsewhere\"]"));
    let (_, warnings) = read_toml(&text).unwrap();
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].severity, Severity::Warning);
    assert!(warnings[0].what.contains("elsewhere"));
}

#[test]
fn json_says_the_same() {
    let wrong = serde_json::json!({"pack": "p", "version": "1", "effective_from": "2026-01-01", "rule": [{"id": "r", "class": "min", "keep": [{"from": "study.date", "for": 5}]}]});
    let lints = read_json(&wrong).unwrap_err();
    assert_eq!((lints[0].line, lints[0].rule.as_deref()), (None, Some("r")));
    assert!(read_json(&serde_json::json!([])).is_err());
    assert!(read_json(&serde_json::Value::Null).is_err());
}

#[test]
fn the_pack_of_the_reference_reads() {
    let text = r#"
pack = "demo"
version = "2026.1"
effective_from = 2026-01-01
rule = [
 {id="uk.cancer", class="min", when={flag=["oncology"]}, keep=[{from="flag.date", for="P30Y"}, {from="patient.death", for="P8Y", optional=true}], combine="latest"},
 {id="fr.base", class="min", keep=[{from="patient.last_encounter", for="P20Y"}], cite="CSP R1112-7"},
 {id="fr.death", class="min", supersedes=["fr.base"], when={death_within={of="patient.last_encounter", for="P10Y"}}, keep=[{from="patient.death", for="P10Y"}]},
 {id="gdpr.review", class="max", keep=[{from="patient.last_encounter", for="P30Y"}]},
]
[approval]
steps = [{role="records-approver", n=1}, {role="physician-dim", n=1, opinion=true}, {role="archives", n=1, when="public"}]
distinct_subjects = true
cooling_off = "P14D"
"#;
    let (pack, warnings) = read_toml(text).unwrap();
    assert!(warnings.is_empty());
    assert_eq!(pack.approval.unwrap().steps.len(), 3);
    assert_eq!(pack.rule[0].keep[1].from, Anchor::PatientDeath);
}
