//! One text for one value of JSON, so that it can be signed: names in order, no space.

use serde_json::Value;

pub(crate) fn canonical(value: &Value) -> String {
    match value {
        Value::Array(list) => {
            let inside: Vec<String> = list.iter().map(canonical).collect();
            format!("[{}]", inside.join(","))
        }
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort();
            let inside: Vec<String> = names
                .into_iter()
                .filter_map(|name| {
                    Some(format!(
                        "{}:{}",
                        Value::from(name.as_str()),
                        canonical(fields.get(name)?)
                    ))
                })
                .collect();
            format!("{{{}}}", inside.join(","))
        }
        plain => plain.to_string(),
    }
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String does not fail.
        let _ = std::fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
    }
    text
}

pub(crate) fn from_hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let pairs = digits.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    Some(
        pairs
            .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
            .collect(),
    )
}
