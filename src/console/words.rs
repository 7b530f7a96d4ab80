//! Values as people read them.

/// A person name (PS3.5 §6.2.1.2) as lists write it: `FAMILY, Given`, with the name in its own script behind it.
pub fn person_name(value: &str) -> String {
    let mut groups = value.split('=');
    let alphabetic = group(groups.next().unwrap_or_default());
    // Ideographic, or else phonetic: either tells two people apart, both would be noise.
    let other = groups.map(|group| {
        group
            .split('^')
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    });
    let other = other
        .map(|group| group.trim().to_owned())
        .find(|group| !group.is_empty());
    match (alphabetic.is_empty(), other) {
        (_, None) => alphabetic,
        (true, Some(other)) => other,
        (false, Some(other)) => format!("{alphabetic} ({other})"),
    }
}

fn group(group: &str) -> String {
    let mut components = group.split('^').map(str::trim);
    let family = components.next().unwrap_or_default();
    let mut rest = components.map(str::to_owned);
    let (given, middle) = (rest.next().unwrap_or_default(), rest.next().unwrap_or_default());
    let (prefix, suffix) = (rest.next().unwrap_or_default(), rest.next().unwrap_or_default());
    let others: Vec<&str> = [prefix.as_str(), &given, &middle, &suffix]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect();
    match (family.is_empty(), others.is_empty()) {
        (true, _) => others.join(" "),
        (false, true) => family.to_owned(),
        (false, false) => format!("{family}, {}", others.join(" ")),
    }
}

/// A date (PS3.5 DA) as `2026-01-31`; anything else as it stands.
pub fn date(value: &str) -> String {
    match (value.get(..4), value.get(4..6), value.get(6..8)) {
        (Some(year), Some(month), Some(day)) if value.len() == 8 && value.bytes().all(|b| b.is_ascii_digit()) => {
            format!("{year}-{month}-{day}")
        }
        _ => value.to_owned(),
    }
}

/// A time (PS3.5 TM) as `14:05`; anything else as it stands.
pub fn time(value: &str) -> String {
    match (value.get(..2), value.get(2..4)) {
        (Some(hours), Some(minutes)) if value.bytes().take(4).all(|b| b.is_ascii_digit()) => {
            format!("{hours}:{minutes}")
        }
        _ => value.to_owned(),
    }
}

/// The sex of a patient (PS3.3 C.7.1.1) in a word.
pub fn sex(value: &str) -> &str {
    match value {
        "F" => "female",
        "M" => "male",
        "O" => "other",
        _ => value,
    }
}

/// Several values as a list.
pub fn list(value: &str) -> String {
    value
        .split('\\')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(", ")
}

/// `1 series`, `2 instances`.
pub fn count(number: &str, one: &str, many: &str) -> String {
    match number {
        "" => String::new(),
        "1" => format!("1 {one}"),
        _ => format!("{number} {many}"),
    }
}

/// The first that is not empty.
pub fn either<'a>(first: &'a str, second: &'a str) -> &'a str {
    if first.is_empty() { second } else { first }
}
