//! The query component of a request (PS3.18 §8.3.1, RFC 3986 §3.4): bounded, percent-decoded, in order.

use axum::{extract::FromRequestParts, http::request::Parts};
use percent_encoding::percent_decode_str;

use super::error::Problem;

/// Longer query components are refused with 414: a list of 400 UIDs needs 26 kB. HTTP itself ends at 64 kB for the whole URI.
const QUERY_MAX_BYTES: usize = 48 << 10;
/// More parameters are refused with 400.
const PARAMETERS_MAX: usize = 1000;

/// The parameters of a request in the order in which they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueryString(Vec<(String, String)>);

impl QueryString {
    /// Reads a raw query component. `+` is a space, as browsers and Python write it, except within `accept`, where
    /// `application/dicom+json` is commonly left unencoded. A parameter without `=` has an empty value.
    ///
    /// # Errors
    /// [`Problem`] 414 or 400 beyond the bounds, 400 for bytes that are not UTF-8.
    pub fn parse(raw: &str) -> Result<Self, Problem> {
        if raw.len() > QUERY_MAX_BYTES {
            return Err(Problem::uri_too_long(format!(
                "the query is {} bytes long, at most {QUERY_MAX_BYTES} are taken: ask in several requests",
                raw.len()
            )));
        }
        let mut parameters = Vec::new();
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            if parameters.len() == PARAMETERS_MAX {
                return Err(Problem::bad_request(format!(
                    "more than {PARAMETERS_MAX} query parameters"
                )));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name, Plus::Space)?;
            let plus = if name.eq_ignore_ascii_case("accept") {
                Plus::Literal
            } else {
                Plus::Space
            };
            let value = decode(value, plus)?;
            parameters.push((name, value));
        }
        Ok(Self(parameters))
    }

    /// All parameters.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The first value of a parameter; names are compared without regard to case, as clients are careless.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Every value of a parameter.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter()
            .filter(move |(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Plus {
    Space,
    Literal,
}

fn decode(text: &str, plus: Plus) -> Result<String, Problem> {
    let spaced = if plus == Plus::Space && text.contains('+') {
        &text.replace('+', " ")
    } else {
        text
    };
    percent_decode_str(spaced)
        .decode_utf8()
        .map(Into::into)
        .map_err(|_| Problem::bad_request("a query parameter is not UTF-8: encode it as UTF-8, then percent-encode it"))
}

impl<S: Sync> FromRequestParts<S> for QueryString {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Self::parse(parts.uri.query().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(raw: &str, expected: &[(&str, &str)]) {
        let parsed = QueryString::parse(raw).unwrap();
        assert_eq!(parsed.iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn decodes_what_clients_send() {
        check(
            "PatientName=Doe%5EJane&limit=5",
            &[("PatientName", "Doe^Jane"), ("limit", "5")],
        );
        check("a=x+y%2Bz&&b&c=", &[("a", "x y+z"), ("b", ""), ("c", "")]);
        check("accept=application/dicom+json", &[("accept", "application/dicom+json")]);
        check("n=%E7%8E%8B*&p=50%", &[("n", "王*"), ("p", "50%")]);
        check("k=a=b", &[("k", "a=b")]);
    }

    #[test]
    fn refuses_what_is_too_long_or_not_utf8() {
        assert_eq!(
            QueryString::parse(&"a".repeat(QUERY_MAX_BYTES + 1))
                .unwrap_err()
                .status(),
            414
        );
        assert_eq!(
            QueryString::parse(&"a&".repeat(PARAMETERS_MAX + 1))
                .unwrap_err()
                .status(),
            400
        );
        assert_eq!(QueryString::parse("a=%FF").unwrap_err().status(), 400);
    }

    proptest! {
        #[test]
        fn never_panics_and_keeps_what_was_encoded(pairs in prop::collection::vec((".{0,12}", ".{0,20}"), 0..12), junk in ".{0,80}") {
            let _ = QueryString::parse(&junk);
            let encode = |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
            let pairs: Vec<_> = pairs.into_iter().filter(|(name, _)| !name.is_empty()).collect();
            let raw = pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect::<Vec<_>>().join("&");
            let parsed = QueryString::parse(&raw).unwrap();
            let back: Vec<_> = parsed.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            prop_assert_eq!(back, pairs);
        }
    }
}
