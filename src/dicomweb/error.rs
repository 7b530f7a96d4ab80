//! The one table of HTTP statuses, warnings and failure reasons (PS3.18 §8.5, §10.5.3).
//!
//! What a client reads here differs from what the log says: a failure that is not the client's is logged in full and
//! answered in one general sentence.

use axum::{
    Json,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use filmroom_ingest::{IngestError, NoteFault};
use filmroom_query::QueryError;
use filmroom_render::RenderError;
use filmroom_retrieve::RetrieveError;

/// An answer that is not what was asked for, as `application/problem+json` (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            headers: Vec::new(),
        }
    }

    /// 400: the request cannot be understood; `detail` names the parameter and what is wrong with it.
    #[must_use]
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 404: no such resource.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 405: the resource is there, the method is not. The router adds `Allow`.
    #[must_use]
    pub fn method_not_allowed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, detail)
    }

    /// 406: none of the media types asked for can be given; `offered` are those that can.
    #[must_use]
    pub fn not_acceptable(offered: &[&str]) -> Self {
        Self::new(
            StatusCode::NOT_ACCEPTABLE,
            format!(
                "none of the media types asked for is offered here: ask for {}",
                offered.join(" or ")
            ),
        )
    }

    /// 408: the body did not come in time.
    #[must_use]
    pub fn request_timeout() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "the request did not arrive in time: send it again",
        )
        .with_header(header::CONNECTION, "close")
    }

    /// 409: the state of the archive forbids it.
    #[must_use]
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// 410: known, and no longer held.
    #[must_use]
    pub fn gone(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, detail)
    }

    /// 413: the request, or what it asks for, is larger than a limit; `detail` names the limit and the way around it.
    #[must_use]
    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    }

    /// 414: the query string is longer than the limit.
    #[must_use]
    pub fn uri_too_long(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::URI_TOO_LONG, detail)
    }

    /// 415: the body is of a media type that is not taken here; `taken` are those that are.
    #[must_use]
    pub fn unsupported_media_type(taken: &[&str]) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("the body's media type is not taken here: send {}", taken.join(" or ")),
        )
    }

    /// 415: the body is compressed as a whole; `Accept-Encoding` says what is taken (RFC 9110 §12.5.3).
    #[must_use]
    pub fn unsupported_content_coding() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body is compressed (Content-Encoding), which is not taken here: send it plain; data sets may be in a compressed transfer syntax",
        )
        .with_header(header::ACCEPT_ENCODING, "identity")
    }

    /// 416: the range lies outside the `length` bytes of the resource.
    #[must_use]
    pub fn range_not_satisfiable(length: u64) -> Self {
        Self::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            format!("the range is outside the {length} bytes of the resource"),
        )
        .with_header(header::CONTENT_RANGE, &format!("bytes */{length}"))
    }

    /// 431: a header field is longer or has more parts than the limit.
    #[must_use]
    pub fn header_too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, detail)
    }

    /// 500, logged: not the client's fault. `what` is for the log alone.
    #[must_use]
    pub fn internal(what: impl std::fmt::Display) -> Self {
        tracing::error!(error = %what, "a request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the archive failed to answer; what happened is in its log",
        )
    }

    /// 503: busy or stopping; the client is asked to come again.
    #[must_use]
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).with_header(header::RETRY_AFTER, "5")
    }

    /// 507: no room for more instances.
    #[must_use]
    pub fn out_of_space(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INSUFFICIENT_STORAGE, detail)
    }

    /// The same with one more header field; a value that no header may hold is left out.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What the client reads.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Json(json!({
            "status": self.status.as_u16(),
            "title": self.status.canonical_reason().unwrap_or_default(),
            "detail": self.detail,
        }));
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        response
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Value { .. } => Self::bad_request(error.to_string()),
            QueryError::TooBroad(_) => Self::too_large(error.to_string()),
            QueryError::Index(error) => Self::internal(error),
            QueryError::Header(_) => Self::internal(error),
        }
    }
}

impl From<RetrieveError> for Problem {
    fn from(error: RetrieveError) -> Self {
        match error {
            RetrieveError::NotFound(_) => Self::not_found(error.to_string()),
            RetrieveError::Gone(_) => Self::gone(error.to_string()),
            RetrieveError::TransferSyntax(_) => Self::new(StatusCode::NOT_ACCEPTABLE, error.to_string()),
            RetrieveError::Decode(_) => Self::new(StatusCode::NOT_ACCEPTABLE, error.to_string()),
            RetrieveError::Store(error) => Self::internal(error),
        }
    }
}

impl From<&RenderError> for Problem {
    fn from(error: &RenderError) -> Self {
        match error {
            RenderError::Parameter(_) => Self::bad_request(error.to_string()),
            RenderError::NotRenderable(_) | RenderError::Decode(_) | RenderError::Encode(_) => {
                Self::new(StatusCode::NOT_ACCEPTABLE, error.to_string())
            }
            RenderError::Retrieve(RetrieveError::NotFound(_)) => Self::not_found(error.to_string()),
            RenderError::Retrieve(RetrieveError::Gone(_)) => Self::gone(error.to_string()),
            RenderError::Retrieve(RetrieveError::TransferSyntax(_) | RetrieveError::Decode(_)) => {
                Self::new(StatusCode::NOT_ACCEPTABLE, error.to_string())
            }
            RenderError::Busy => Self::unavailable(error.to_string()),
            RenderError::Retrieve(RetrieveError::Store(error)) => Self::internal(error),
            RenderError::Failed(what) => Self::internal(what),
        }
    }
}

impl From<RenderError> for Problem {
    fn from(error: RenderError) -> Self {
        Self::from(&error)
    }
}

impl From<std::sync::Arc<RenderError>> for Problem {
    fn from(error: std::sync::Arc<RenderError>) -> Self {
        Self::from(error.as_ref())
    }
}

impl From<IngestError> for Problem {
    fn from(error: IngestError) -> Self {
        match error {
            IngestError::CannotUnderstand(_)
            | IngestError::Mismatch(_)
            | IngestError::InvalidUid(_)
            | IngestError::SopClass(_)
            | IngestError::Note(..)
            | IngestError::Destroyed(_) => Self::conflict(error.to_string()),
            IngestError::OutOfResources(_) => Self::unavailable(error.to_string()),
            IngestError::OutOfStorage(what) => {
                tracing::error!(error = what, "an instance could not be stored");
                Self::out_of_space("the archive cannot store at the moment: store again later")
            }
            IngestError::Failed(what) => Self::internal(what),
        }
    }
}

/// Failure Reason (0008,1197) of an instance that was not stored (PS3.18 table I.2.2-2, PS3.4 table GG.4-1).
#[must_use]
pub fn failure_reason(error: &IngestError) -> u16 {
    match error {
        IngestError::CannotUnderstand(_) => 0xC000,
        IngestError::Mismatch(_) => 0xA900,
        IngestError::InvalidUid(_) => 0x0117,
        IngestError::SopClass(_) => 0x0122,
        IngestError::Destroyed(_) => 0x0124,
        IngestError::Note(fault, _) => match fault {
            NoteFault::NotAuthorized => 0x0124,
            NoteFault::NoSuchInstance => 0xA772,
            NoteFault::ClassConflict => 0xA773,
            NoteFault::AlreadyRejected => 0xA774,
            NoteFault::NotAllowed => 0xA775,
            NoteFault::NotExpired => 0xA776,
        },
        IngestError::OutOfResources(_) | IngestError::OutOfStorage(_) => 0xA700,
        IngestError::Failed(_) => 0x0110,
    }
}

/// What a sender reads of an instance that was not stored; the inside of the archive stays in its log.
#[must_use]
pub fn failure_detail(error: &IngestError) -> String {
    match error {
        IngestError::Failed(_) => "the archive failed to store it; what happened is in its log".to_owned(),
        IngestError::OutOfResources(_) | IngestError::OutOfStorage(_) => {
            "the archive cannot store at the moment: store again later".to_owned()
        }
        other => other.to_string(),
    }
}

/// Warning Reason (0008,1196) of an instance that is safe, yet kept apart from another of the same UID for a person to
/// decide on: the general warning of PS3.18 table I.2.2-1.
pub const KEPT_APART: u16 = 0xB000;

/// The status of a whole STOW request by how many of its instances were stored as they came, stored with a warning, and
/// not stored (PS3.18 table 10.5.3-1).
#[must_use]
pub fn store_status(stored: usize, warned: usize, failed: usize) -> StatusCode {
    match (stored, warned, failed) {
        (_, 0, 0) => StatusCode::OK,
        (0, 0, _) => StatusCode::CONFLICT,
        _ => StatusCode::ACCEPTED,
    }
}

/// One `Warning: 299` (PS3.18 §8.3.4): `service` is the base URL of the service.
pub fn warn(headers: &mut HeaderMap, service: &str, text: &str) {
    let plain: String = text
        .chars()
        .map(|letter| {
            if letter.is_ascii_graphic() || letter == ' ' {
                letter
            } else {
                '?'
            }
        })
        .collect();
    if let Ok(value) = HeaderValue::from_str(&format!("299 {service}: {plain}")) {
        headers.append(header::WARNING, value);
    }
}

/// The text of the warning that more answers are there (PS3.18 §8.3.4.4).
#[must_use]
pub fn more_results(remaining: Option<u64>) -> String {
    match remaining {
        Some(count) => format!("There are {count} additional results that can be requested"),
        None => "There are additional results that can be requested".to_owned(),
    }
}

/// The text of the warning that a key was not matched on.
#[must_use]
pub fn unsupported_key(name: &str) -> String {
    format!("The attribute {name} is not supported for matching here and was ignored")
}

/// The text of the warning that a query parameter is none (PS3.18 §8.3.4 lets unknown ones be ignored; silence would pass for
/// a match).
#[must_use]
pub fn unknown_parameter(name: &str) -> String {
    format!(
        "The parameter {} is not known and was ignored",
        name.chars().take(64).collect::<String>()
    )
}

/// The text of the warning that a field to include is none.
#[must_use]
pub fn unknown_field(name: &str) -> String {
    format!(
        "The includefield {} is not known and was ignored",
        name.chars().take(64).collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_status_follows_the_table() {
        assert_eq!(store_status(3, 0, 0), StatusCode::OK);
        assert_eq!(store_status(2, 1, 0), StatusCode::ACCEPTED);
        assert_eq!(store_status(2, 0, 1), StatusCode::ACCEPTED);
        assert_eq!(store_status(0, 1, 1), StatusCode::ACCEPTED);
        assert_eq!(store_status(0, 0, 2), StatusCode::CONFLICT);
    }

    #[test]
    fn a_warning_never_breaks_the_header() {
        let mut headers = HeaderMap::new();
        warn(&mut headers, "http://host/dicom-web", "bad\r\nSet-Cookie: x");
        assert_eq!(
            headers.get(header::WARNING).unwrap(),
            "299 http://host/dicom-web: bad??Set-Cookie: x"
        );
    }

    #[test]
    fn a_failure_of_ours_says_nothing_of_its_inside() {
        let problem = Problem::internal("index at /secret/place broke");
        assert_eq!(problem.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!problem.detail().contains("secret"));
    }
}
