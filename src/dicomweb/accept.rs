//! What the client accepts (PS3.18 §8.7.5, RFC 9110 §12.5.1): the `Accept` header field, or the `accept` query parameter
//! in its place, with weights, wildcards, quoted parameters and the transfer syntaxes of DICOM.

use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
};

use super::{error::Problem, query_string::QueryString};

/// Longer lists are refused with 431; the longest that a viewer is known to send has 1.2 kB.
const ACCEPT_MAX_BYTES: usize = 16 << 10;
/// Lists of more media ranges are refused with 431.
const RANGES_MAX: usize = 200;
/// More parameters of one media range are refused with 400.
const PARAMETERS_MAX: usize = 16;

/// How an answer is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packaging {
    /// The body is the one object.
    Single,
    /// `multipart/related`, one part an object.
    Multipart,
}

/// One kind of answer that a resource offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// How it is wrapped.
    pub packaging: Packaging,
    /// Of the body, or of each part: `application/dicom+json`.
    pub media_type: &'static str,
}

impl Offer {
    /// The body itself is of this media type.
    #[must_use]
    pub const fn single(media_type: &'static str) -> Self {
        Self {
            packaging: Packaging::Single,
            media_type,
        }
    }

    /// Parts of this media type.
    #[must_use]
    pub const fn multipart(media_type: &'static str) -> Self {
        Self {
            packaging: Packaging::Multipart,
            media_type,
        }
    }
}

/// One media range: `multipart/related; type="application/dicom"; transfer-syntax=*; q=0.5`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaRange {
    /// `None` for `*/*`, which takes either.
    packaging: Option<Packaging>,
    /// Lower case; of the parts where the range is multipart; `*/*`, `image/*` or whole.
    media_type: String,
    /// Names in lower case, values unquoted; `q` and `type` are not among them.
    parameters: Vec<(String, String)>,
    /// In thousandths.
    quality: u16,
}

impl MediaRange {
    /// The range that takes everything.
    fn any() -> Self {
        Self {
            packaging: None,
            media_type: "*/*".to_owned(),
            parameters: Vec::new(),
            quality: 1000,
        }
    }

    /// Of the body or of each part, lower case; may be `*/*` or `image/*`.
    #[must_use]
    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    /// How the answer is to be wrapped; `None` when either will do.
    #[must_use]
    pub fn packaging(&self) -> Option<Packaging> {
        self.packaging
    }

    /// The weight in thousandths.
    #[must_use]
    pub fn quality(&self) -> u16 {
        self.quality
    }

    /// A parameter by its name in lower case.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }

    /// The transfer syntax asked for: a UID, or `*` for whatever is stored (PS3.18 §8.7.3.5.2).
    #[must_use]
    pub fn transfer_syntax(&self) -> Option<&str> {
        self.parameter("transfer-syntax")
    }

    /// True when an answer of this kind falls into the range; transfer syntaxes are not looked at.
    #[must_use]
    pub fn covers(&self, offer: Offer) -> bool {
        let wrapped = self.packaging.is_none_or(|packaging| packaging == offer.packaging);
        let typed = match self.media_type.strip_suffix("/*") {
            Some("*") => true,
            Some(kind) => offer.media_type.split_once('/').is_some_and(|(other, _)| other == kind),
            None => self.media_type == offer.media_type,
        };
        wrapped && typed
    }

    /// The higher, the closer the range names one kind of answer.
    fn specificity(&self) -> u8 {
        let typed = if self.media_type == "*/*" {
            0
        } else if self.media_type.ends_with("/*") {
            2
        } else {
            4
        };
        typed + u8::from(self.packaging.is_some())
    }

    fn parse(text: &str) -> Option<Self> {
        let mut pieces = split_outside_quotes(text, ';');
        let (kind, subtype) = pieces.next()?.trim().split_once('/')?;
        let (kind, subtype) = (kind.to_ascii_lowercase(), subtype.to_ascii_lowercase());
        if !is_token(&kind) || !is_token(&subtype) || (kind == "*" && subtype != "*") {
            return None;
        }
        let mut range = Self {
            media_type: format!("{kind}/{subtype}"),
            ..Self::any()
        };
        let mut part_type = None;
        for piece in pieces.filter(|piece| !piece.trim().is_empty()) {
            let (name, value) = piece.split_once('=')?;
            let (name, value) = (name.trim().to_ascii_lowercase(), unquote(value.trim()));
            match name.as_str() {
                "q" => range.quality = parse_quality(&value)?,
                "type" => part_type = Some(value.to_ascii_lowercase()),
                _ if range.parameters.len() == PARAMETERS_MAX => return None,
                _ => range.parameters.push((name, value)),
            }
        }
        match (kind.as_str(), subtype.as_str()) {
            ("*", "*") => {}
            ("multipart", "related" | "*") => {
                range.packaging = Some(Packaging::Multipart);
                range.media_type = part_type.unwrap_or_else(|| "*/*".to_owned());
            }
            _ => range.packaging = Some(Packaging::Single),
        }
        Some(range)
    }
}

/// The media ranges that a client accepts, best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accept {
    /// By weight, then in the client's order.
    ranges: Vec<MediaRange>,
}

impl Accept {
    /// Accepts everything: what the absence of the header field means here (PS3.18 §8.7.5 would answer 406, and no client
    /// in use expects that).
    #[must_use]
    pub fn any() -> Self {
        Self {
            ranges: vec![MediaRange::any()],
        }
    }

    /// Reads a list of media ranges. Those that are malformed are passed over, as long as one is sound.
    ///
    /// # Errors
    /// [`Problem`] 431 beyond the bounds, 400 when nothing in the list is a media range.
    pub fn parse(list: &str) -> Result<Self, Problem> {
        if list.len() > ACCEPT_MAX_BYTES {
            return Err(Problem::header_too_large(format!(
                "the Accept list is longer than {ACCEPT_MAX_BYTES} bytes"
            )));
        }
        let mut ranges = Vec::new();
        let mut given = 0_usize;
        for piece in split_outside_quotes(list, ',').filter(|piece| !piece.trim().is_empty()) {
            given += 1;
            if given > RANGES_MAX {
                return Err(Problem::header_too_large(format!(
                    "the Accept list has more than {RANGES_MAX} media types"
                )));
            }
            ranges.extend(MediaRange::parse(piece));
        }
        match (given, ranges.is_empty()) {
            (0, _) => Ok(Self::any()),
            (_, true) => Err(Problem::bad_request("the Accept list holds no media type")),
            _ => {
                ranges.sort_by_key(|range| std::cmp::Reverse(range.quality));
                Ok(Self { ranges })
            }
        }
    }

    /// The ranges best first; those of weight 0, which the client refuses, left out. For resources whose offer depends on
    /// the stored transfer syntax: walk, and take the first that can be given.
    pub fn ranked(&self) -> impl Iterator<Item = &MediaRange> {
        self.ranges.iter().filter(|range| range.quality > 0)
    }

    /// The best of the offers, which stand in the resource's own order of preference: by weight of the most specific range
    /// that covers an offer, then by how specific that range is, then in the client's order, then in the resource's.
    #[must_use]
    pub fn choose(&self, offers: &[Offer]) -> Option<Offer> {
        offers
            .iter()
            .enumerate()
            .filter_map(|(preference, offer)| {
                let (place, range) = self
                    .ranges
                    .iter()
                    .enumerate()
                    .filter(|(_, range)| range.covers(*offer))
                    .max_by_key(|(place, range)| (range.specificity(), std::cmp::Reverse(*place)))?;
                let rank = (
                    range.quality,
                    range.specificity(),
                    std::cmp::Reverse(place),
                    std::cmp::Reverse(preference),
                );
                (range.quality > 0).then_some((rank, *offer))
            })
            .max_by_key(|(rank, _)| *rank)
            .map(|(_, offer)| offer)
    }

    /// As [`Accept::choose`].
    ///
    /// # Errors
    /// [`Problem`] 406 that names the offers.
    pub fn negotiate(&self, offers: &[Offer]) -> Result<Offer, Problem> {
        self.choose(offers).ok_or_else(|| {
            let names: Vec<String> = offers
                .iter()
                .map(|offer| match offer.packaging {
                    Packaging::Single => offer.media_type.to_owned(),
                    Packaging::Multipart => format!("multipart/related; type=\"{}\"", offer.media_type),
                })
                .collect();
            Problem::not_acceptable(&names.iter().map(String::as_str).collect::<Vec<_>>())
        })
    }
}

impl<S: Sync> FromRequestParts<S> for Accept {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let query = QueryString::parse(parts.uri.query().unwrap_or_default())?;
        let asked: Vec<&str> = query.all("accept").filter(|value| !value.trim().is_empty()).collect();
        if !asked.is_empty() {
            return Self::parse(&asked.join(","));
        }
        let fields = parts.headers.get_all(header::ACCEPT);
        let list: Vec<&str> = fields.iter().filter_map(|value| value.to_str().ok()).collect();
        Self::parse(&list.join(","))
    }
}

/// The pieces between separators that stand outside quoted strings.
fn split_outside_quotes(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |letter| {
        if escaped {
            escaped = false;
        } else if quoted && letter == '\\' {
            escaped = true;
        } else if letter == '"' {
            quoted = !quoted;
        } else {
            return !quoted && letter == separator;
        }
        false
    })
}

fn unquote(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut plain = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => plain.extend(letters.next()),
            other => plain.push(other),
        }
    }
    plain
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// A weight in thousandths (RFC 9110 §12.4.2).
fn parse_quality(text: &str) -> Option<u16> {
    let quality: f32 = text.parse().ok()?;
    (0.0..=1.0)
        .contains(&quality)
        .then_some((quality * 1000.0).round() as u16)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const JSON: Offer = Offer::single("application/dicom+json");
    const PLAIN_JSON: Offer = Offer::single("application/json");
    const XML: Offer = Offer::multipart("application/dicom+xml");

    #[track_caller]
    fn check(list: &str, expected: Option<Offer>) {
        assert_eq!(Accept::parse(list).unwrap().choose(&[JSON, PLAIN_JSON, XML]), expected);
    }

    #[test]
    fn chooses_by_weight_and_specificity() {
        check("", Some(JSON));
        check("*/*", Some(JSON));
        check("application/json", Some(PLAIN_JSON));
        check("Application/DICOM+JSON", Some(JSON));
        check("application/*", Some(JSON));
        check("multipart/related; type=\"application/dicom+xml\"", Some(XML));
        check("multipart/related;type=application/dicom+xml", Some(XML));
        check("multipart/related", Some(XML));
        check(
            "application/dicom+json;q=0.5, multipart/related; type=\"application/dicom+xml\";q=0.8",
            Some(XML),
        );
        check("*/*;q=0.1, application/json", Some(PLAIN_JSON));
        check("application/dicom+json;q=0, */*", Some(PLAIN_JSON));
        check("text/plain", None);
        check("application/dicom+json;q=0", None);
    }

    #[test]
    fn serves_the_half_of_a_mixed_list_that_it_can() {
        check(
            "multipart/related; type=application/octet-stream, application/dicom+json",
            Some(JSON),
        );
        check("image/jpeg;q=bad, application/dicom+json", Some(JSON));
        check("nonsense, application/dicom+json", Some(JSON));
    }

    #[test]
    fn reads_transfer_syntaxes_quoted_or_not() {
        let accept = Accept::parse(
            "multipart/related; type=\"application/octet-stream\"; transfer-syntax=\"1.2.840.10008.1.2.1\"; q=0.2, \
             multipart/related; type=image/jls; transfer-syntax=*",
        )
        .unwrap();
        let ranked: Vec<_> = accept
            .ranked()
            .map(|range| (range.media_type(), range.transfer_syntax(), range.quality()))
            .collect();
        assert_eq!(
            ranked,
            [
                ("image/jls", Some("*"), 1000),
                ("application/octet-stream", Some("1.2.840.10008.1.2.1"), 200)
            ]
        );
    }

    #[test]
    fn keeps_separators_inside_quotes() {
        let accept = Accept::parse("multipart/related; type=\"a/b\"; note=\"x, y; \\\"z\"").unwrap();
        assert_eq!(accept.ranked().next().unwrap().parameter("note"), Some("x, y; \"z"));
    }

    #[test]
    fn is_bounded() {
        assert_eq!(
            Accept::parse(&"a".repeat(ACCEPT_MAX_BYTES + 1)).unwrap_err().status(),
            431
        );
        assert_eq!(Accept::parse(&"a/b,".repeat(RANGES_MAX + 1)).unwrap_err().status(), 431);
        assert_eq!(Accept::parse("nonsense").unwrap_err().status(), 400);
    }

    proptest! {
        #[test]
        fn never_panics(list in ".{0,400}") {
            if let Ok(accept) = Accept::parse(&list) {
                let _ = accept.choose(&[JSON, XML]);
            }
        }

        #[test]
        fn only_gives_what_a_range_covers(list in "((application|multipart|\\*)/(dicom\\+json|related|\\*)(;q=(0|0\\.5|1))?(, )?){0,6}") {
            if let Ok(accept) = Accept::parse(&list)
                && let Some(offer) = accept.choose(&[JSON, XML])
            {
                prop_assert!(accept.ranked().any(|range| range.covers(offer)));
            }
        }
    }
}
