//! The change feed, for systems that follow the archive: what came and went, in the order in which it was committed.
//!
//! PS3.18 has no such service; this one answers in JSON of its own.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use super::{DicomwebState, error::Problem, query_string::QueryString};
use filmroom_access::Action;
use filmroom_admission::{Routes, Rule, Seen};
use filmroom_retrieve::{Change, ChangeKind, ChangesError, Since};

/// Changes in a page that names no limit.
pub(super) const LIMIT_DEFAULT: usize = 1_000;
/// Changes in one page at most: some three megabytes.
pub(super) const LIMIT_MAX: usize = 10_000;

/// The routes of this service.
pub(super) fn routes() -> Routes<DicomwebState> {
    Routes::new().get(Rule::May(Action::Query), "/changes", changes)
}

async fn changes(
    State(state): State<DicomwebState>,
    Seen(sight): Seen,
    query: QueryString,
) -> Result<Response, Problem> {
    let since = match query.get("since").unwrap_or_default() {
        "" => Since::Beginning,
        "now" => Since::Now,
        text => Since::Cursor(text.parse().map_err(|error| {
            Problem::bad_request(format!(
                "since is {error}: leave it out to begin with the oldest change, or say since=now"
            ))
        })?),
    };
    let limit = match query.get("limit") {
        None => LIMIT_DEFAULT,
        Some(text) => match text.trim().parse::<usize>() {
            Ok(limit) if limit > 0 => limit.min(LIMIT_MAX),
            _ => return Err(Problem::bad_request("limit is no whole number above 0")),
        },
    };
    let page = state
        .retrieve
        .changes(&sight, since, limit)
        .await
        .map_err(|error| match error {
            ChangesError::Superseded => Problem::gone(format!("{error}: begin again without since")),
            ChangesError::Retrieve(error) => error.into(),
        })?;
    let body = json!({
        "changes": page.changes.iter().map(told).collect::<Vec<_>>(),
        "next": page.next.to_string(),
        "more": page.has_more,
    });
    let mut response = Body::from(body.to_string()).into_response();
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn told(change: &Change) -> Value {
    json!({
        "change": match change.kind {
            ChangeKind::Stored => "stored",
            ChangeKind::Destroyed => "destroyed",
            ChangeKind::Rejected => "rejected",
            ChangeKind::Restored => "restored",
        },
        "at": change.at.format(&Rfc3339).unwrap_or_default(),
        "StudyInstanceUID": change.study_instance_uid.as_str(),
        "SeriesInstanceUID": change.series_instance_uid.as_str(),
        "SOPInstanceUID": change.sop_instance_uid.as_str(),
    })
}
