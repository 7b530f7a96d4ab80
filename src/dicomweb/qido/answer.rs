//! Answers of a search as a response (PS3.18 §10.6.3).

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use filmroom_storage::model::{Attributes, Header};

use super::super::{
    DicomwebConfig, EmptyAnswer,
    accept::{Offer, Packaging},
    error,
    multipart::Boundary,
};
use filmroom_dataset::{keyword, write_json_attributes, write_xml};
use filmroom_query::Answers;

/// A page of answers, encoded.
#[derive(Debug)]
pub(super) struct Encoded {
    body: Bytes,
    content_type: String,
    /// Of what the answers say, in any encoding of this kind.
    tag: u64,
    is_empty: bool,
    packaging: Packaging,
    warnings: Vec<String>,
}

/// A typical answer takes so many bytes in JSON.
const ANSWER_BYTES: usize = 1536;

/// Encodes a page as the client wants it.
pub(super) fn encode(answers: Answers, offer: Offer) -> Encoded {
    let mut warnings: Vec<String> = answers
        .ignored
        .iter()
        .map(|path| error::unsupported_key(&path_name(path)))
        .collect();
    if answers.remaining != Some(0) {
        warnings.push(error::more_results(answers.remaining));
    }
    let mut hasher = DefaultHasher::new();
    offer.media_type.hash(&mut hasher);
    for answer in &answers.answers {
        answer.attributes.as_bytes().hash(&mut hasher);
    }
    let is_empty = answers.answers.is_empty();
    let attributes = answers.answers.into_iter().map(|answer| answer.attributes);
    let (body, content_type) = match offer.packaging {
        Packaging::Single => (json(attributes), offer.media_type.to_owned()),
        Packaging::Multipart => xml(attributes, offer.media_type),
    };
    Encoded {
        body,
        content_type,
        tag: hasher.finish(),
        is_empty,
        packaging: offer.packaging,
        warnings,
    }
}

fn json(answers: impl ExactSizeIterator<Item = Attributes>) -> Bytes {
    let mut out = Vec::with_capacity(answers.len() * ANSWER_BYTES + 2);
    out.push(b'[');
    for (place, attributes) in answers.enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write_json_attributes(&mut out, &attributes);
    }
    out.push(b']');
    out.into()
}

fn xml(answers: impl ExactSizeIterator<Item = Attributes>, media_type: &str) -> (Bytes, String) {
    let boundary = Boundary::random();
    let mut out = Vec::with_capacity(answers.len() * ANSWER_BYTES * 2);
    for (place, attributes) in answers.enumerate() {
        out.extend_from_slice(&boundary.open(place == 0, media_type, None, None));
        write_xml(
            &mut out,
            &Header {
                attributes,
                bulk: Vec::new(),
            },
            "",
        );
    }
    out.extend_from_slice(&boundary.close());
    (out.into(), boundary.content_type(media_type))
}

fn path_name(path: &[u32]) -> String {
    let names = path
        .iter()
        .map(|tag| keyword(*tag).map_or_else(|| format!("{tag:08X}"), str::to_owned));
    names.collect::<Vec<_>>().join(".")
}

/// The response: 304 when the client has the same page, 204 or an empty list when nothing was found.
pub(super) fn respond(
    encoded: Encoded,
    warnings: &[String],
    service: &str,
    config: &DicomwebConfig,
    asked: &HeaderMap,
) -> Response {
    let tag = format!("W/\"{:016x}\"", encoded.tag);
    // An empty multipart body has no part, which RFC 2046 does not allow.
    let no_content = encoded.is_empty
        && (config.empty_answer == EmptyAnswer::NoContent || encoded.packaging == Packaging::Multipart);
    let mut response = if is_known(asked, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else if no_content {
        StatusCode::NO_CONTENT.into_response()
    } else {
        let mut response = Response::new(Body::from(encoded.body));
        if let Ok(content_type) = HeaderValue::from_str(&encoded.content_type) {
            response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        }
        response
    };
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.append(header::VARY, HeaderValue::from_static("Accept"));
    for text in warnings.iter().chain(&encoded.warnings) {
        error::warn(headers, service, text);
    }
    response
}

/// True when the client holds this very page (RFC 9110 §13.1.2, weak comparison).
fn is_known(asked: &HeaderMap, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let fields = asked
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok());
    fields
        .flat_map(|list| list.split(','))
        .any(|known| known.trim() == "*" || opaque(known) == opaque(tag))
}
