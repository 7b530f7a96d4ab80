//! Facts from tables.

use filmroom_retention::PartialDate;

use super::{
    Problem, RecordsError,
    fact::{FactName, NewFact},
};

const COLUMNS: [&str; 10] = [
    "patient",
    "issuer",
    "study",
    "fact",
    "value",
    "date",
    "source",
    "visit",
    "supersedes",
    "note",
];
/// Most complaints about one table.
const PROBLEMS_MAX: usize = 200;

/// The facts of a table, and the line of each.
pub(crate) fn facts(table: &str) -> Result<(Vec<NewFact>, Vec<u64>), RecordsError> {
    let table = table.trim_start_matches('\u{feff}');
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(table.as_bytes());
    let headers = reader
        .headers()
        .map_err(|error| RecordsError::invalid("line 1", error.to_string()))?
        .clone();
    let mut problems = Vec::new();
    for name in &headers {
        if !COLUMNS.contains(&name) {
            problems.push(Problem {
                at: "line 1".to_owned(),
                what: format!("\"{}\" is no column: {} are", name.escape_debug(), COLUMNS.join(", ")),
            });
        }
    }
    for name in ["fact", "value"] {
        if !headers.iter().any(|found| found == name) {
            problems.push(Problem {
                at: "line 1".to_owned(),
                what: format!("there is no column {name}"),
            });
        }
    }
    if !problems.is_empty() {
        return Err(RecordsError::Invalid(problems));
    }
    let (mut facts, mut lines) = (Vec::new(), Vec::new());
    for record in reader.records() {
        if problems.len() > PROBLEMS_MAX {
            break;
        }
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map_or(0, |position| line_at(table, position));
                problems.push(Problem {
                    at: format!("line {line}"),
                    what: error.to_string(),
                });
                continue;
            }
        };
        let line = record.position().map_or(0, |position| line_at(table, position));
        let of = |name: &str| {
            let column = headers.iter().position(|found| found == name)?;
            record.get(column).filter(|value| !value.is_empty()).map(str::to_owned)
        };
        match fact(of) {
            Ok(fact) => {
                facts.push(fact);
                lines.push(line);
            }
            Err(what) => problems.push(Problem {
                at: format!("line {line}"),
                what,
            }),
        }
    }
    if problems.is_empty() {
        return Ok((facts, lines));
    }
    Err(RecordsError::Invalid(problems))
}

/// The line in which a record begins. The reader counts a line that ends with CR LF when it has read the LF, which it does with
/// the next record.
fn line_at(table: &str, position: &csv::Position) -> u64 {
    let start = usize::try_from(position.byte()).unwrap_or(usize::MAX).min(table.len());
    let (before, rest) = table.as_bytes().split_at_checked(start).unwrap_or_default();
    let passed = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    let breaks = before.iter().chain(passed).filter(|byte| **byte == b'\n').count();
    1 + breaks as u64
}

fn fact(of: impl Fn(&str) -> Option<String>) -> Result<NewFact, String> {
    let name = of("fact").unwrap_or_default();
    let fact = FactName::of(&name).ok_or_else(|| {
        format!(
            "\"{}\" is no fact: {} are",
            name.escape_debug(),
            FactName::WORDS.join(", ")
        )
    })?;
    let date = of("date").map(|date| date.parse::<PartialDate>()).transpose();
    Ok(NewFact {
        patient: of("patient"),
        issuer: of("issuer").unwrap_or_default(),
        study: of("study"),
        fact,
        value: of("value"),
        date: date.map_err(|error| error.to_string())?,
        source: of("source").unwrap_or_else(|| "csv".to_owned()),
        visit: of("visit").unwrap_or_default(),
        supersedes: of("supersedes")
            .map(|ids| ids.split_whitespace().map(str::to_owned).collect())
            .unwrap_or_default(),
        note: of("note").unwrap_or_default(),
    })
}
