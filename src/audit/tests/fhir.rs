use serde_json::Value;

use super::{all_kinds, open, seen};
use crate::{
    Entry, SearchOrder,
    fhir::{bundle, parse, resource},
    xml::Source,
};

fn source() -> Source {
    Source {
        id: "FILMROOM".into(),
        site: "north".into(),
    }
}

/// Where a file is named, all are written there, for a validator.
#[test]
fn every_kind_of_event_is_an_audit_event_with_what_r4_demands() {
    let mut all = String::new();
    for (index, event) in all_kinds().into_iter().enumerate() {
        let made = resource(
            &Entry {
                index: index as u64,
                event,
                leaf_hash: [0; 32],
            },
            &source(),
        );
        assert_eq!(made["resourceType"], "AuditEvent");
        assert!(made["type"]["code"].is_string() && made["recorded"].is_string());
        let agents = made["agent"].as_array().unwrap();
        assert!(!agents.is_empty() && agents.iter().all(|agent| agent["requestor"].is_boolean()));
        assert!(made["source"]["observer"].is_object());
        assert!(no_empty(&made), "{made}");
        all.push_str(&format!("{made}\n"));
    }
    if let Ok(path) = std::env::var("FILMROOM_AUDIT_EVENTS") {
        std::fs::write(path, all).unwrap();
    }
}

/// FHIR has no empty strings, arrays or objects.
fn no_empty(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => !values.is_empty() && values.iter().all(no_empty),
        Value::Object(values) => !values.is_empty() && values.values().all(no_empty),
        Value::Null => false,
        _ => true,
    }
}

#[tokio::test]
async fn a_search_is_answered_with_pages_that_name_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let audit = open(folder.path());
    for number in 0..20 {
        audit.record(seen(number)).await.unwrap();
    }
    let parameters = [
        ("patient.identifier", "HOSPITAL|PAT-3"),
        ("_count", "3"),
        ("date", "ge2020-01-01"),
    ];
    let search = parse(parameters).unwrap();
    let page = audit.log().search(search.search.clone()).await.unwrap();
    let made = bundle(&page, &search, &source(), "http://localhost/fhir");
    assert_eq!(made["entry"].as_array().unwrap().len(), 3);
    assert_eq!(made["entry"][0]["resource"]["id"], "18");
    let next = made["link"][1]["url"].as_str().unwrap();
    assert!(
        next.contains("patient.identifier=HOSPITAL%7CPAT-3") && next.ends_with("_cursor=3"),
        "{next}"
    );
    let search = parse(parameters.into_iter().chain([("_cursor", "3")])).unwrap();
    let page = audit.log().search(search.search.clone()).await.unwrap();
    let made = bundle(&page, &search, &source(), "http://localhost/fhir");
    assert_eq!(
        (
            made["entry"].as_array().unwrap().len(),
            made["link"].as_array().unwrap().len()
        ),
        (1, 1)
    );
}

#[test]
fn what_is_not_known_is_refused_and_values_are_not_repeated() {
    for (name, value) in [
        ("patientt", "PAT-1"),
        ("date", "PAT-1"),
        ("date", "ge2026-13-01"),
        ("type", "PAT-1"),
        ("outcome", "1"),
        ("_sort", "PAT-1"),
        ("_count", "x"),
        ("_cursor", "-1"),
    ] {
        let problem = parse([(name, value)]).unwrap_err();
        assert!(!problem.to_string().contains("PAT-1") && problem.parameter == name);
    }
}

#[test]
fn dates_of_any_precision_mean_all_of_their_time() {
    let check = |date: &str, from: Option<&str>, until: Option<&str>| {
        let search = parse([("date", date)]).unwrap().search;
        let show = |at: time::OffsetDateTime| crate::xml::time(at);
        assert_eq!(search.from.map(show).as_deref(), from, "{date}");
        assert_eq!(search.until.map(show).as_deref(), until, "{date}");
    };
    check(
        "2026",
        Some("2026-01-01T00:00:00.000Z"),
        Some("2027-01-01T00:00:00.000Z"),
    );
    check("ge2026-02", Some("2026-02-01T00:00:00.000Z"), None);
    check("le2026-02", None, Some("2026-03-01T00:00:00.000Z"));
    check("gt2026-02-28", Some("2026-03-01T00:00:00.000Z"), None);
    check("lt2026-02-28", None, Some("2026-02-28T00:00:00.000Z"));
    check(
        "2026-02-28T10:00:00Z",
        Some("2026-02-28T10:00:00.000Z"),
        Some("2026-02-28T10:00:01.000Z"),
    );
    check(
        "ge2026-02-28T10:00:00.500 02:00",
        Some("2026-02-28T08:00:00.500Z"),
        None,
    );
    let between = parse([("date", "ge2026-01-01"), ("date", "lt2026-02-01")])
        .unwrap()
        .search;
    assert!(between.from.is_some() && between.until.is_some());
    assert_eq!(
        parse([("_sort", "date")]).unwrap().search.order,
        SearchOrder::OldestFirst
    );
}

#[test]
fn codes_are_taken_with_and_without_their_system() {
    let system = "http://dicom.nema.org/resources/ontology/DCM|110112,110104";
    let search = parse([
        ("type", system),
        ("action", "R,U"),
        ("agent", "smith"),
        ("study", "urn:oid:1.2.3"),
    ])
    .unwrap();
    assert_eq!(search.search.events.len(), 2);
    assert_eq!(search.search.study_instance_uid.as_deref(), Some("1.2.3"));
}
