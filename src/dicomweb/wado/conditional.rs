//! Conditional and partial requests (RFC 9110 §13, §14).

use std::ops::Range;

use axum::http::{HeaderMap, HeaderValue, header};
use sha2::{Digest, Sha256};

/// The tag of a response's content (RFC 9110 §8.8.3): weak, since the content may be compressed on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ETag(String);

impl ETag {
    /// A tag of all that the content depends on.
    #[must_use]
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let digest = hash.finalize();
        let tag: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        Self(tag)
    }

    /// The tag itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value of the header field.
    #[must_use]
    pub fn header(&self) -> HeaderValue {
        HeaderValue::from_str(&format!("W/\"{}\"", self.0)).unwrap_or_else(|_| HeaderValue::from_static("W/\"\""))
    }

    /// True when the client says that it has this content already (`If-None-Match`).
    #[must_use]
    pub fn is_known(&self, headers: &HeaderMap) -> bool {
        headers
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|list| {
                list.split(',').map(str::trim).any(|tag| {
                    let opaque = tag.strip_prefix("W/").unwrap_or(tag);
                    tag == "*" || opaque.trim_matches('"') == self.0
                })
            })
    }
}

/// What part of a body is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// All of it: no range, or one that is to be ignored (several ranges, another unit, malformed).
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// Bytes behind the end: 416.
    Nothing,
}

/// Reads `Range` for a body of so many bytes. With `If-Range` the range holds only for the same content, which a weak
/// tag cannot show: the whole is given.
#[must_use]
pub fn range(headers: &HeaderMap, length: u64) -> Wanted {
    let Some(value) = headers.get(header::RANGE).and_then(|value| value.to_str().ok()) else {
        return Wanted::Whole;
    };
    if headers.contains_key(header::IF_RANGE) {
        return Wanted::Whole;
    }
    let Some((from, to)) = value
        .trim()
        .strip_prefix("bytes=")
        .filter(|list| !list.contains(','))
        .and_then(|range| range.trim().split_once('-'))
    else {
        return Wanted::Whole;
    };
    let part = match (from.trim().parse::<u64>(), to.trim().parse::<u64>()) {
        (Ok(from), Ok(to)) if from <= to => from..to.saturating_add(1).min(length),
        (Ok(from), Err(_)) if to.trim().is_empty() => from..length,
        (Err(_), Ok(last)) if from.trim().is_empty() => length.saturating_sub(last)..length,
        _ => return Wanted::Whole,
    };
    if part.is_empty() {
        Wanted::Nothing
    } else {
        Wanted::Part(part)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(value: &str, expected: Wanted) {
        let headers = [(header::RANGE, HeaderValue::from_str(value).unwrap())]
            .into_iter()
            .collect();
        assert_eq!(range(&headers, 100), expected);
    }

    #[test]
    fn reads_one_range() {
        check("bytes=0-9", Wanted::Part(0..10));
        check("bytes=90-", Wanted::Part(90..100));
        check("bytes=90-1000", Wanted::Part(90..100));
        check("bytes=-10", Wanted::Part(90..100));
        check("bytes=-1000", Wanted::Part(0..100));
        check("bytes=100-", Wanted::Nothing);
        check("bytes=-0", Wanted::Nothing);
    }

    #[test]
    fn what_cannot_be_read_is_ignored() {
        for value in [
            "bytes=0-9,20-29",
            "items=0-9",
            "bytes=9-0",
            "bytes=a-b",
            "bytes=-",
            "bytes",
            "",
        ] {
            check(value, Wanted::Whole);
        }
    }

    #[test]
    fn a_known_tag_is_found_in_a_list() {
        let tag = ETag::of([b"a".as_slice()]);
        let known = |value: &str| {
            let headers = [(header::IF_NONE_MATCH, HeaderValue::from_str(value).unwrap())]
                .into_iter()
                .collect();
            tag.is_known(&headers)
        };
        let value = tag.header().to_str().unwrap().to_owned();
        assert!(known(&value));
        assert!(known(&format!("\"other\", {}", value.trim_start_matches("W/"))));
        assert!(known("*"));
        assert!(!known("\"other\""));
        assert!(!tag.is_known(&HeaderMap::new()));
    }

    proptest! {
        #[test]
        fn a_part_lies_within_the_body(from in ".{0,20}", length in any::<u64>()) {
            if let Ok(value) = HeaderValue::from_str(&format!("bytes={from}")) {
                let headers = [(header::RANGE, value)].into_iter().collect();
                if let Wanted::Part(part) = range(&headers, length) {
                    prop_assert!(part.start < part.end && part.end <= length);
                }
            }
        }
    }
}
