//! Query parameters of a search as a question to the query room (PS3.18 §8.3.4, §10.6.1.2).

use filmroom_storage::model::Tag;

use super::super::{DicomwebConfig, error, error::Problem, query_string::QueryString};
use filmroom_dataset::attribute_by_name;
use filmroom_privacy::Sight;
use filmroom_query::{Direction, Include, Key, Level, OrderBy, Query};

/// Parameters that are not attributes.
const CONTROL_PARAMETERS: [&str; 9] = [
    "accept",
    "charset",
    "limit",
    "offset",
    "includefield",
    "fuzzymatching",
    "emptyvaluematching",
    "orderby",
    "_",
];

/// More unknown parameters are not told one by one.
const WARNINGS_MAX: usize = 8;
/// More criteria of order are refused.
const ORDER_MAX: usize = 8;

/// A question, and what the client should know of how it was understood.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) query: Query,
    pub(crate) warnings: Vec<String>,
}

/// Reads the parameters.
///
/// # Errors
/// [`Problem`] 400 that names the parameter and what is wrong.
pub(crate) fn read(
    level: Level,
    parameters: &QueryString,
    config: &DicomwebConfig,
    sight: Sight,
) -> Result<Asked, Problem> {
    let mut query = Query {
        combined_datetime: true,
        ..Query::new(level, sight)
    };
    let mut warnings = Vec::new();
    let mut include = Vec::new();
    for (name, value) in parameters.iter() {
        match CONTROL_PARAMETERS
            .iter()
            .find(|control| control.eq_ignore_ascii_case(name))
        {
            None => add_key(&mut query, &mut warnings, name, value),
            Some(&"includefield") => add_fields(&mut include, &mut query, &mut warnings, value),
            Some(&"orderby") => add_order(&mut query, value)?,
            Some(_) => {}
        }
    }
    if query.include != Include::All {
        query.include = Include::Listed(include);
    }
    query.fuzzy = switch(parameters, "fuzzymatching")?;
    query.empty_value_matching = switch(parameters, "emptyvaluematching")?;
    query.offset = number(parameters, "offset")?.unwrap_or(0);
    query.limit = number(parameters, "limit")?
        .unwrap_or(config.qido_limit_default)
        .min(config.qido_limit_max);
    warnings.truncate(WARNINGS_MAX);
    Ok(Asked { query, warnings })
}

/// Adds what leads to an answer, where the path does not say it: the attributes of the levels above (PS3.18 table 10.6.1-5).
pub(super) fn include_parents(query: &mut Query, study_named: bool, series_named: bool) {
    const OF_STUDY: [Tag; 14] = [
        0x0008_0020,
        0x0008_0030,
        0x0008_0050,
        0x0008_0061,
        0x0008_0090,
        0x0010_0010,
        0x0010_0020,
        0x0010_0030,
        0x0010_0040,
        0x0020_000D,
        0x0020_0010,
        0x0020_1206,
        0x0020_1208,
        0x0008_1030,
    ];
    const OF_SERIES: [Tag; 5] = [0x0008_0060, 0x0008_103E, 0x0020_000E, 0x0020_0011, 0x0020_1209];
    let mut parents: Vec<Tag> = Vec::new();
    if query.level >= Level::Series && !study_named {
        parents.extend(OF_STUDY);
    }
    if query.level == Level::Instance && !series_named {
        parents.extend(OF_SERIES);
    }
    // The UIDs of the path cost nothing and make each answer whole.
    parents.extend((query.level >= Level::Series).then_some(0x0020_000D));
    parents.extend((query.level == Level::Instance).then_some(0x0020_000E));
    query.include_also(&parents);
}

/// An attribute by keyword, tag, or path of them.
fn attribute_path(name: &str) -> Option<(Vec<Tag>, [u8; 2])> {
    let mut path = Vec::new();
    let mut last_vr = None;
    for step in name.split('.') {
        let (tag, vr) = attribute_by_name(step)?;
        path.push(tag);
        last_vr = Some(vr);
    }
    last_vr.map(|vr| (path, vr))
}

fn add_key(query: &mut Query, warnings: &mut Vec<String>, name: &str, value: &str) {
    let Some((path, vr)) = attribute_path(name) else {
        warnings.push(error::unknown_parameter(name));
        return;
    };
    let value = list(vr, value);
    match query.keys.iter_mut().find(|key| key.path == path) {
        // The same key again widens the list, as clients write lists that way too; one open value opens it all.
        Some(key) if key.value.is_empty() || value.is_empty() => key.value.clear(),
        Some(key) => {
            key.value.push('\\');
            key.value.push_str(&value);
        }
        None => query.keys.push(Key { path, value }),
    }
}

/// A list as the query room reads it, separated by `\`. Clients write `,`, `\` and `\\`; a comma separates only where no value
/// can hold one.
fn list(vr: [u8; 2], value: &str) -> String {
    let holds_commas = matches!(
        &vr,
        b"AE" | b"LO" | b"LT" | b"PN" | b"SH" | b"ST" | b"UC" | b"UN" | b"UR" | b"UT"
    );
    if matches!(&vr, b"LT" | b"ST" | b"UR" | b"UT") {
        return value.to_owned();
    }
    let separates = |letter: char| letter == '\\' || (letter == ',' && !holds_commas);
    value
        .split(separates)
        .filter(|piece| !piece.is_empty())
        .collect::<Vec<_>>()
        .join("\\")
}

fn add_fields(include: &mut Vec<Tag>, query: &mut Query, warnings: &mut Vec<String>, value: &str) {
    for field in value.split(',').map(str::trim).filter(|field| !field.is_empty()) {
        if field.eq_ignore_ascii_case("all") {
            query.include = Include::All;
            continue;
        }
        match attribute_path(field).and_then(|(path, _)| path.first().copied()) {
            Some(tag) => include.push(tag),
            None => warnings.push(error::unknown_field(field)),
        }
    }
}

fn add_order(query: &mut Query, value: &str) -> Result<(), Problem> {
    for criterion in value
        .split(',')
        .map(str::trim)
        .filter(|criterion| !criterion.is_empty())
    {
        let (direction, name) = match criterion.strip_prefix('-') {
            Some(name) => (Direction::Descending, name),
            None => (Direction::Ascending, criterion.trim_start_matches('+')),
        };
        let Some((tag, _)) = attribute_by_name(name.trim()) else {
            return Err(Problem::bad_request(format!("orderby: no attribute is called {name}")));
        };
        if query.order.len() == ORDER_MAX {
            return Err(Problem::bad_request(format!("orderby: at most {ORDER_MAX} attributes")));
        }
        query.order.push(OrderBy { tag, direction });
    }
    Ok(())
}

fn number(parameters: &QueryString, name: &str) -> Result<Option<u64>, Problem> {
    let Some(text) = parameters.get(name).map(str::trim).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    // More digits than a number holds are still a number, and larger than any answer.
    match text.parse() {
        Ok(number) if digits => Ok(Some(number)),
        Err(_) if digits => Ok(Some(u64::MAX)),
        _ => Err(Problem::bad_request(format!(
            "{name} is a number from 0 up, not {}",
            shown(text)
        ))),
    }
}

fn switch(parameters: &QueryString, name: &str) -> Result<bool, Problem> {
    match parameters.get(name).map(str::trim).unwrap_or_default() {
        "" => Ok(false),
        text if text.eq_ignore_ascii_case("true") => Ok(true),
        text if text.eq_ignore_ascii_case("false") => Ok(false),
        text => Err(Problem::bad_request(format!(
            "{name} is true or false, not {}",
            shown(text)
        ))),
    }
}

/// A client's text as an answer may show it.
fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(raw: &str) -> Result<Asked, Problem> {
        read(
            Level::Study,
            &QueryString::parse(raw).unwrap(),
            &DicomwebConfig::default(),
            Sight::all(),
        )
    }

    #[track_caller]
    fn check_key(raw: &str, path: &[Tag], value: &str) {
        let asked = parse(raw).unwrap();
        assert_eq!(
            asked.query.keys,
            [Key {
                path: path.to_vec(),
                value: value.to_owned()
            }],
            "{raw}"
        );
        assert!(asked.warnings.is_empty());
    }

    #[test]
    fn reads_keys_by_keyword_tag_and_path() {
        check_key("PatientID=a", &[0x0010_0020], "a");
        check_key("00100020=a", &[0x0010_0020], "a");
        check_key("0020000d=1.2", &[0x0020_000D], "1.2");
        check_key("RequestAttributesSequence.00400009=x", &[0x0040_0275, 0x0040_0009], "x");
        check_key("PatientName=Doe%5EJane%2A", &[0x0010_0010], "Doe^Jane*");
        check_key("AccessionNumber=", &[0x0008_0050], "");
    }

    #[test]
    fn reads_every_spelling_of_a_list() {
        for raw in [
            "1.2,1.3",
            "1.2\\1.3",
            "1.2\\\\1.3",
            "1.2%2C1.3",
            "1.2%5C%5C1.3",
            "1.2&StudyInstanceUID=1.3",
        ] {
            check_key(&format!("StudyInstanceUID={raw}"), &[0x0020_000D], "1.2\\1.3");
        }
        check_key("ModalitiesInStudy=CT,MR", &[0x0008_0061], "CT\\MR");
        check_key("PatientName=Doe,Jane", &[0x0010_0010], "Doe,Jane");
        check_key("StudyDescription=a,b", &[0x0008_1030], "a,b");
    }

    #[test]
    fn reads_fields_and_pages() {
        let asked =
            parse("includefield=StudyDescription,00100030&includefield=00081030&limit=5&offset=10&FuzzyMatching=TRUE")
                .unwrap();
        assert_eq!(
            asked.query.include,
            Include::Listed(vec![0x0008_1030, 0x0010_0030, 0x0008_1030])
        );
        assert_eq!(
            (asked.query.limit, asked.query.offset, asked.query.fuzzy),
            (5, 10, true)
        );
        assert_eq!(parse("includefield=all").unwrap().query.include, Include::All);
        assert_eq!(parse("limit=99999999999999999999999").unwrap().query.limit, 10_000);
        let order = parse("orderby=-StudyDate,PatientName").unwrap().query.order;
        assert_eq!(
            order.iter().map(|by| (by.tag, by.direction)).collect::<Vec<_>>(),
            [
                (0x0008_0020, Direction::Descending),
                (0x0010_0010, Direction::Ascending)
            ]
        );
    }

    #[test]
    fn warns_of_what_it_does_not_know() {
        let asked = parse("NoSuchAttribute=1&includefield=Nonsense&_=123&charset=utf-8").unwrap();
        assert!(asked.query.keys.is_empty());
        assert_eq!(asked.warnings.len(), 2);
    }

    #[test]
    fn names_what_is_wrong() {
        for (raw, name) in [
            ("limit=-1", "limit"),
            ("limit=x", "limit"),
            ("offset=1.5", "offset"),
            ("fuzzymatching=maybe", "fuzzymatching"),
            ("orderby=Nope", "orderby"),
        ] {
            let problem = parse(raw).unwrap_err();
            assert_eq!(problem.status(), 400);
            assert!(problem.detail().starts_with(name), "{}", problem.detail());
        }
    }

    proptest! {
        #[test]
        fn never_panics(raw in "[ -~]{0,200}") {
            if let Ok(parameters) = QueryString::parse(&raw) {
                let _ = read(Level::Instance, &parameters, &DicomwebConfig::default(), Sight::all());
            }
        }
    }
}
