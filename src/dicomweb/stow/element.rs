//! Data sets as they are described in JSON or XML, before they are encoded.

use base64::Engine;

use crate::dataset::attribute_by_name;

/// One attribute.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Element {
    pub(super) tag: u32,
    pub(super) vr: [u8; 2],
    pub(super) value: Value,
}

/// Its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Encoded in little endian byte order, in UTF-8, of even length.
    Bytes(Vec<u8>),
    /// Items of a sequence.
    Items(Vec<Vec<Element>>),
    /// Sent in other parts: the URI that names them.
    Bulk(String),
}

/// What a description says of an attribute's value, before its value representation is known.
#[derive(Debug, Default)]
pub(super) struct Described {
    pub(super) vr: Option<[u8; 2]>,
    /// Values as text, joined with a backslash; numbers as they are written.
    pub(super) text: Option<String>,
    pub(super) items: Option<Vec<Vec<Element>>>,
    /// Base64.
    pub(super) inline: Option<String>,
    pub(super) bulk: Option<String>,
}

impl Described {
    /// Appends one value of a list.
    pub(super) fn push_text(&mut self, value: &str) {
        match &mut self.text {
            None => self.text = Some(value.to_owned()),
            Some(text) => {
                text.push('\\');
                text.push_str(value);
            }
        }
    }

    /// Encodes the value.
    ///
    /// # Errors
    /// One sentence on what is wrong.
    pub(super) fn element(self, tag: u32) -> Result<Element, String> {
        let vr = match self.vr {
            Some(vr) => vr,
            None => attribute_by_name(&format!("{tag:08X}")).map_or(*b"UN", |(_, vr)| vr),
        };
        let named = |what: String| format!("({:04X},{:04X}): {what}", tag >> 16, tag & 0xFFFF);
        let value = if let Some(uri) = self.bulk {
            Value::Bulk(uri)
        } else if let Some(base64) = self.inline {
            let compact: String = base64.split_ascii_whitespace().collect();
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(compact)
                .map_err(|error| named(format!("InlineBinary is no base64: {error}")))?;
            Value::Bytes(padded(bytes, 0))
        } else if &vr == b"SQ" {
            match (self.items, self.text) {
                (items, None) => Value::Items(items.unwrap_or_default()),
                (_, Some(_)) => return Err(named("a sequence holds something other than items".to_owned())),
            }
        } else if self
            .items
            .is_some_and(|items| items.iter().any(|item| !item.is_empty()))
        {
            return Err(named("items in an attribute that is no sequence".to_owned()));
        } else {
            Value::Bytes(encode(vr, self.text.as_deref().unwrap_or_default()).map_err(named)?)
        };
        Ok(Element { tag, vr, value })
    }
}

/// The tag that eight hexadecimal digits or a keyword name.
pub(super) fn tag(name: &str) -> Result<u32, String> {
    attribute_by_name(name).map(|(tag, _)| tag).ok_or_else(|| {
        let shown: String = name.chars().take(32).collect();
        format!("{shown:?} is no attribute")
    })
}

fn padded(mut bytes: Vec<u8>, padding: u8) -> Vec<u8> {
    if bytes.len() % 2 == 1 {
        bytes.push(padding);
    }
    bytes
}

fn encode(vr: [u8; 2], text: &str) -> Result<Vec<u8>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    match &vr {
        b"US" => words(text, |value| Some(u16::try_from(integer(value)?).ok()?.to_le_bytes())),
        b"SS" => words(text, |value| Some(i16::try_from(integer(value)?).ok()?.to_le_bytes())),
        b"UL" | b"OL" => words(text, |value| Some(u32::try_from(integer(value)?).ok()?.to_le_bytes())),
        b"SL" => words(text, |value| Some(i32::try_from(integer(value)?).ok()?.to_le_bytes())),
        b"UV" | b"OV" => words(text, |value| Some(u64::try_from(integer(value)?).ok()?.to_le_bytes())),
        b"SV" => words(text, |value| Some(i64::try_from(integer(value)?).ok()?.to_le_bytes())),
        b"FL" | b"OF" => words(text, |value| Some((value.parse::<f64>().ok()? as f32).to_le_bytes())),
        b"FD" | b"OD" => words(text, |value| Some(value.parse::<f64>().ok()?.to_le_bytes())),
        b"AT" => words(text, |value| {
            let tag = u32::from_str_radix(value, 16).ok()?;
            let [g0, g1] = ((tag >> 16) as u16).to_le_bytes();
            let [e0, e1] = (tag as u16).to_le_bytes();
            Some([g0, g1, e0, e1])
        }),
        b"OB" | b"OW" | b"UN" => Err("binary values are sent as InlineBinary or BulkDataURI".to_owned()),
        b"UI" => Ok(padded(text.as_bytes().to_vec(), 0)),
        b"DS" => {
            let values: Vec<String> = text.split('\\').map(decimal_string).collect();
            Ok(padded(values.join("\\").into_bytes(), b' '))
        }
        _ => Ok(padded(text.as_bytes().to_vec(), b' ')),
    }
}

fn words<const N: usize>(text: &str, word: impl Fn(&str) -> Option<[u8; N]>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for value in text.split('\\') {
        let encoded = word(value.trim()).ok_or_else(|| {
            let shown: String = value.chars().take(32).collect();
            format!("{shown:?} does not fit the value representation")
        })?;
        bytes.extend_from_slice(&encoded);
    }
    Ok(bytes)
}

/// A whole number, also one that is written with a fraction of zero.
fn integer(text: &str) -> Option<i128> {
    if let Ok(value) = text.parse() {
        return Some(value);
    }
    let value: f64 = text.parse().ok()?;
    (value.fract() == 0.0 && value.abs() < 1e18).then_some(value as i128)
}

/// A number in at most 16 characters (PS3.5 §6.2), as exact as they allow; other text as it is.
fn decimal_string(text: &str) -> String {
    if text.len() <= 16 {
        return text.to_owned();
    }
    let Ok(value) = text.trim().parse::<f64>() else {
        return text.to_owned();
    };
    let plain = value.to_string();
    if plain.len() <= 16 {
        return plain;
    }
    (0..=14)
        .rev()
        .flat_map(|digits| [format!("{value:.digits$}"), format!("{value:.digits$e}")])
        .filter(|written| written.len() <= 16)
        .min_by(|one, other| {
            let error = |written: &str| {
                written
                    .parse::<f64>()
                    .map_or(f64::INFINITY, |read| (read - value).abs())
            };
            error(one).total_cmp(&error(other))
        })
        .unwrap_or(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(vr: &[u8; 2], text: &str, expected: &[u8]) {
        assert_eq!(encode(*vr, text).unwrap(), expected);
    }

    #[test]
    fn values_follow_their_representation() {
        check(b"US", "1\\65535", &[1, 0, 255, 255]);
        check(b"SS", "-1", &[255, 255]);
        check(b"US", "2.0", &[2, 0]);
        check(b"FL", "1.5", &1.5_f32.to_le_bytes());
        check(b"AT", "00100020", &[0x10, 0, 0x20, 0]);
        check(b"UI", "1.2", b"1.2\0");
        check(b"LO", "Größe", "Größe ".as_bytes());
        check(b"CS", "", b"");
        assert!(encode(*b"US", "70000").is_err());
        assert!(encode(*b"OW", "1").is_err());
    }

    #[test]
    fn decimals_fit_sixteen_characters() {
        assert_eq!(decimal_string("0.5"), "0.5");
        assert_eq!(decimal_string("3.14159265358979323846"), "3.14159265358979");
        assert_eq!(decimal_string("0.1000000000000000055511151231257827"), "0.1");
    }

    proptest! {
        #[test]
        fn decimals_are_as_near_as_sixteen_characters_allow(value in proptest::num::f64::NORMAL) {
            let written = decimal_string(&value.to_string());
            prop_assert!(written.len() <= 16, "{}", written);
            let read: f64 = written.parse().unwrap();
            prop_assert!(((read - value) / value).abs() < 1e-7, "{} for {}", written, value);
        }

        #[test]
        fn any_text_is_encoded_or_refused(text in ".{0,60}", first in b'A'..=b'Z', second in b'A'..=b'Z') {
            if let Ok(bytes) = encode([first, second], &text) {
                prop_assert!(bytes.len() % 2 == 0);
            }
        }
    }
}
