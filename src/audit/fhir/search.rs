//! `AuditEvent?…`: parameters, and the bundle that answers (FHIR R4 §3.1.1, IHE ITI-81).

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description};

use super::resource;
use crate::{
    codes::{Action, EventId, EventType, Outcome},
    search::{Cursor, Order, PAGE_ENTRIES_MAX, Page, Search},
    xml::Source,
};

/// Entries of a page where nobody says how many.
const COUNT_DEFAULT: usize = 50;

/// A search, and how its answer refers to itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FhirSearch {
    /// What is looked for.
    pub search: Search,
    /// The parameters that were understood, decoded, without the cursor.
    pub parameters: Vec<(String, String)>,
}

/// A parameter that does not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{parameter}: {why}")]
pub struct SearchProblem {
    /// Which.
    pub parameter: String,
    /// What is wrong, without its value, which may name a patient.
    pub why: String,
}

/// Reads decoded parameters. What is not known is refused: a filter that is passed over would answer with too much.
///
/// Known: `date` (`eq ge gt le lt`), `patient`, `patient.identifier`, `patient:identifier`, `entity`, `entity.identifier`,
/// `agent`, `agent.identifier`, `agent-name`, `altid`, `address`, `type`, `subtype`, `action`, `outcome`, `study`, `_count`,
/// `_sort` (`date`, `-date`), `_format`, `_cursor`.
///
/// # Errors
/// [`SearchProblem`].
pub fn parse<'a>(parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<FhirSearch, SearchProblem> {
    let mut parsed = FhirSearch::default();
    parsed.search.limit = COUNT_DEFAULT;
    for (name, value) in parameters {
        let problem = |why: &str| SearchProblem {
            parameter: name.to_owned(),
            why: why.to_owned(),
        };
        let search = &mut parsed.search;
        let token = value.rsplit_once('|').map_or(value, |(_, code)| code);
        match name {
            "_format" => continue,
            "_cursor" => {
                let index = value.parse().map_err(|_| problem("it is no cursor of an answer"))?;
                search.cursor = Some(Cursor(index));
                continue;
            }
            "_count" => {
                let count: usize = value.parse().map_err(|_| problem("it is no number"))?;
                search.limit = count.clamp(1, PAGE_ENTRIES_MAX);
            }
            "_sort" => {
                search.order = match value {
                    "date" => Order::OldestFirst,
                    "-date" => Order::NewestFirst,
                    _ => return Err(problem("events are sorted by date or -date")),
                };
            }
            "date" => date(search, value).ok_or_else(|| problem("it is no date with eq, ge, gt, le or lt"))?,
            "patient" | "patient.identifier" | "patient:identifier" => {
                let identifier = value.strip_prefix("Patient/").unwrap_or(value);
                match identifier.split_once('|') {
                    Some((issuer, id)) => {
                        search.patient_id = Some(id.to_owned());
                        search.issuer_of_patient_id = (!issuer.is_empty()).then(|| issuer.to_owned());
                    }
                    None => search.patient_id = Some(identifier.to_owned()),
                }
            }
            "study" | "entity" | "entity.identifier" | "entity:identifier" => {
                let uid = token.strip_prefix("urn:oid:").unwrap_or(token);
                search.study_instance_uid = Some(uid.to_owned());
            }
            "accession" => search.accession_number = Some(token.to_owned()),
            "agent" | "agent.identifier" | "agent:identifier" | "agent-name" | "altid" => {
                let user = token.strip_prefix("AETITLES=").unwrap_or(token);
                search.user = Some(user.to_owned());
            }
            "address" => search.address = Some(value.to_owned()),
            "type" => search.events = list(value, EventId::of).ok_or_else(|| problem("it is no code of CID 400"))?,
            "subtype" => {
                search.types = list(value, EventType::of).ok_or_else(|| problem("it is no code of CID 401"))?
            }
            "action" => search.actions = list(value, Action::of).ok_or_else(|| problem("it is none of C R U D E"))?,
            "outcome" => {
                search.outcomes = list(value, Outcome::of).ok_or_else(|| problem("it is none of 0, 4, 8 and 12"))?;
            }
            _ => return Err(problem("it is not among the parameters that are searched by")),
        }
        parsed.parameters.push((name.to_owned(), value.to_owned()));
    }
    Ok(parsed)
}

/// Alternatives with commas between, each perhaps with its system before a bar.
fn list<T>(value: &str, read: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    value
        .split(',')
        .map(|token| read(token.rsplit_once('|').map_or(token, |(_, code)| code)))
        .collect()
}

/// Takes a date with its prefix into account; a date of less precision is all the time that it means.
fn date(search: &mut Search, value: &str) -> Option<()> {
    let prefixes = ["eq", "ge", "gt", "le", "lt"];
    let (prefix, value) = prefixes
        .iter()
        .find_map(|prefix| value.strip_prefix(prefix).map(|rest| (*prefix, rest)))
        .unwrap_or(("eq", value));
    let (start, end) = period(value)?;
    let (from, until) = match prefix {
        "ge" => (Some(start), None),
        "gt" => (Some(end), None),
        "le" => (None, Some(end)),
        "lt" => (None, Some(start)),
        _ => (Some(start), Some(end)),
    };
    if let Some(from) = from {
        search.from = Some(search.from.map_or(from, |known| known.max(from)));
    }
    if let Some(until) = until {
        search.until = Some(search.until.map_or(until, |known| known.min(until)));
    }
    Some(())
}

/// Start and end of a day, a month, a year, or of a time's second.
fn period(value: &str) -> Option<(OffsetDateTime, OffsetDateTime)> {
    let day = |text: &str| {
        time::Date::parse(text, format_description!("[year]-[month]-[day]"))
            .ok()
            .map(time::Date::midnight)
            .map(time::PrimitiveDateTime::assume_utc)
    };
    match value.len() {
        4 => {
            let next = value.parse::<u16>().ok()?.checked_add(1)?;
            Some((day(&format!("{value}-01-01"))?, day(&format!("{next:04}-01-01"))?))
        }
        7 => {
            let start = day(&format!("{value}-01"))?;
            Some((
                start,
                start + Duration::days(i64::from(start.month().length(start.year()))),
            ))
        }
        10 => {
            let start = day(value)?;
            Some((start, start.checked_add(Duration::DAY)?))
        }
        _ => {
            let with_seconds = if value.len() == 16 {
                format!("{value}:00Z")
            } else {
                value.to_owned()
            };
            let with_zone = if with_seconds.len() == 19 {
                with_seconds + "Z"
            } else {
                with_seconds
            };
            // An unencoded + of a time zone came as a space.
            let start = OffsetDateTime::parse(&with_zone.replace(' ', "+"), &Rfc3339).ok()?;
            let precision = if start.nanosecond() == 0 {
                Duration::SECOND
            } else {
                Duration::MILLISECOND
            };
            Some((start, start.checked_add(precision)?))
        }
    }
}

/// The answer: a searchset. `base`: URL of the FHIR service, without a slash at its end.
#[must_use]
pub fn bundle(page: &Page, search: &FhirSearch, source: &Source, base: &str) -> Value {
    let entries: Vec<_> = page
        .entries
        .iter()
        .map(|entry| {
            json!({
                "fullUrl": format!("{base}/AuditEvent/{}", entry.index),
                "resource": resource(entry, source),
                "search": {"mode": "match"},
            })
        })
        .collect();
    let url = |cursor: Option<Cursor>| {
        let mut parameters = search.parameters.clone();
        parameters.extend(cursor.map(|cursor| ("_cursor".to_owned(), cursor.0.to_string())));
        let query: Vec<_> = parameters
            .iter()
            .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
            .collect();
        format!("{base}/AuditEvent?{}", query.join("&"))
    };
    let mut links = vec![json!({"relation": "self", "url": url(search.search.cursor)})];
    if let Some(next) = page.next {
        links.push(json!({"relation": "next", "url": url(Some(next))}));
    }
    let mut made = json!({
        "resourceType": "Bundle",
        "type": "searchset",
        "timestamp": crate::xml::time(OffsetDateTime::now_utc()),
        "link": links,
    });
    if let (Some(made), false) = (made.as_object_mut(), entries.is_empty()) {
        made.insert("entry".into(), Value::Array(entries));
    }
    made
}

/// What went wrong, as an OperationOutcome. `code`: of issue-type, such as `invalid`, `not-found`, `exception`.
#[must_use]
pub fn outcome(code: &str, diagnostics: &str) -> Value {
    json!({
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "error", "code": code, "diagnostics": diagnostics}],
    })
}

/// Percent-encoded for a query.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => {
                encoded.push(char::from(byte))
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}
