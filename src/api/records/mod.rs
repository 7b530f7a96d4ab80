//! Records: facts, retention, holds, policies and disposal, below `/api/v1`.
//!
//! Names in JSON are in camel case, days are `YYYY-MM-DD`. What has a version is sent with it as its entity tag; `If-Match` is honoured
//! where it is changed. `Idempotency-Key` makes a `POST` that is sent again answer what it answered before (`once.rs`).
#![allow(
    clippy::result_large_err,
    reason = "the error is the answer that is sent, made once a request"
)]

mod asked;
mod batches;
mod decisions;
mod facts;
mod holds;
mod links;
pub(super) mod once;
mod policies;
mod rejections;

use axum::{
    http::{StatusCode, header},
    response::Response,
};
use filmroom_access::Action;
use filmroom_admission::{Routes, Rule};
use filmroom_records::RecordsError;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Rooms, problem::answer};

/// All routes of records; `dicomweb`: below which path viewers reject. Here it is decided which roles may ask; the room decides who
/// among them may.
pub(super) fn routes(dicomweb: &str) -> Routes<Rooms> {
    const IN: Rule = Rule::May(Action::ReadRecords);
    const FACTS: Rule = Rule::May(Action::AssertFacts);
    const HOLD: Rule = Rule::May(Action::Hold);
    const WRITE: Rule = Rule::May(Action::WritePolicies);
    const REJECT: Rule = Rule::May(Action::Reject);
    const PROPOSE: Rule = Rule::May(Action::ProposeDisposal);
    const APPROVE: Rule = Rule::May(Action::ApproveDisposal);
    const CARRY_OUT: Rule = Rule::Anew(Action::CarryOutDisposal);
    Routes::new()
        .get(IN, "/api/v1/studies/{study}/retention", decisions::explain)
        .get(IN, "/api/v1/studies/{study}/facts", facts::of_study)
        .get(IN, "/api/v1/retention-decisions", decisions::list)
        .get(IN, "/api/v1/retention-survey", decisions::survey)
        .get(IN, "/api/v1/facts", facts::list)
        .post(FACTS, "/api/v1/facts", facts::assert)
        .get(IN, "/api/v1/patient-links", links::list)
        .post(
            Rule::Anew(Action::AssertFacts),
            "/api/v1/patient-links/{id}/take-back",
            links::take_back,
        )
        .get(IN, "/api/v1/holds", holds::list)
        .post(HOLD, "/api/v1/holds", holds::open)
        .get(IN, "/api/v1/holds/{id}", holds::read)
        .post(Rule::Anew(Action::Hold), "/api/v1/holds/{id}/release", holds::release)
        .post(HOLD, "/api/v1/holds/{id}/refuse-release", holds::refuse_release)
        .get(IN, "/api/v1/policies", policies::list)
        .get(IN, "/api/v1/policy-templates", policies::templates)
        .get(IN, "/api/v1/policy-templates/{name}", policies::template)
        .post(IN, "/api/v1/policy-lint", policies::lint)
        .get(IN, "/api/v1/policy-submissions", policies::submissions)
        .post(WRITE, "/api/v1/policy-submissions", policies::submit)
        .get(IN, "/api/v1/policy-submissions/{id}", policies::read)
        .post(WRITE, "/api/v1/policy-submissions/{id}/simulate", policies::simulate)
        .post(
            Rule::Anew(Action::WritePolicies),
            "/api/v1/policy-submissions/{id}/publish",
            policies::publish,
        )
        .post(WRITE, "/api/v1/policy-submissions/{id}/withdraw", policies::withdraw)
        .get(IN, "/api/v1/disposal-batches", batches::list)
        .post(PROPOSE, "/api/v1/disposal-batches", batches::propose)
        .get(IN, "/api/v1/disposal-batches/{id}", batches::read)
        .post(
            Rule::Anew(Action::ApproveDisposal),
            "/api/v1/disposal-batches/{id}/approve",
            batches::approve,
        )
        .post(APPROVE, "/api/v1/disposal-batches/{id}/veto", batches::veto)
        .post(APPROVE, "/api/v1/disposal-batches/{id}/exclude", batches::exclude)
        .post(CARRY_OUT, "/api/v1/disposal-batches/{id}/execute", batches::execute)
        .get(IN, "/api/v1/certificates/{id}", batches::certificate)
        .get(IN, "/api/v1/certificate-key", batches::key)
        .post(
            REJECT,
            &format!("{dicomweb}/studies/{{study}}/series/{{series}}/reject/{{code}}"),
            rejections::reject_series,
        )
        .get(REJECT, "/api/v1/rejections", rejections::list)
        .post(REJECT, "/api/v1/rejections", rejections::reject)
        .post(REJECT, "/api/v1/rejections/restore", rejections::restore)
        .get(IN, "/api/v1/returned", rejections::returned)
        .get(IN, "/api/v1/tombstones", batches::tombstones)
        .get(IN, "/api/v1/tombstones/{study}", batches::tombstone)
        .post(
            Rule::Anew(Action::Reinstate),
            "/api/v1/tombstones/{study}/reinstate",
            rejections::reinstate,
        )
        .post(
            Rule::May(Action::Reinstate),
            "/api/v1/tombstones/{study}/refuse-reinstating",
            rejections::refuse_reinstating,
        )
}

/// What went wrong, as a problem with a code for programs and each place that is wrong.
fn refused(error: &RecordsError) -> Response {
    let (status, code) = match error {
        RecordsError::NotLet(_) => (StatusCode::FORBIDDEN, "not-let"),
        RecordsError::Invalid(_) => (StatusCode::BAD_REQUEST, "invalid"),
        RecordsError::Unknown(_) => (StatusCode::NOT_FOUND, "unknown"),
        RecordsError::Merge(..) => (StatusCode::CONFLICT, "merge"),
        RecordsError::Conflict { code, .. } => (StatusCode::CONFLICT, *code),
        RecordsError::Stale => (StatusCode::PRECONDITION_FAILED, "stale"),
        RecordsError::Store(error) => {
            tracing::error!(%error, "what was decided could not be kept");
            (StatusCode::INSUFFICIENT_STORAGE, "store")
        }
        RecordsError::Failed(error) => {
            tracing::error!(%error, "a decision on records failed");
            (StatusCode::INTERNAL_SERVER_ERROR, "failed")
        }
    };
    let mut body = json!({
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "code": code,
        "detail": error.to_string(),
    });
    if let (RecordsError::Invalid(problems), Some(fields)) = (error, body.as_object_mut()) {
        fields.insert("problems".to_owned(), json!(problems));
    }
    with(answer(status, &body), header::CONTENT_TYPE, "application/problem+json")
}

fn shown<T: Serialize>(status: StatusCode, value: &T) -> Response {
    match serde_json::to_value(value) {
        Ok(value) => answer(status, &value),
        Err(error) => refused(&RecordsError::Failed(error.to_string())),
    }
}

/// What has a version, with it as its entity tag.
fn tagged<T: Serialize>(status: StatusCode, value: &T, version: u64) -> Response {
    with(shown(status, value), header::ETAG, &format!("\"v{version}\""))
}

fn with(mut response: Response, name: header::HeaderName, value: &str) -> Response {
    if let Ok(value) = value.parse() {
        response.headers_mut().insert(name, value);
    }
    response
}

/// A part of a list that is all at hand: the entries behind the one that the cursor names, and the cursor of the next part.
fn part<T: Serialize>(
    all: &[T],
    id: impl Fn(&T) -> String,
    cursor: Option<&str>,
    limit: usize,
) -> (Vec<Value>, Option<String>) {
    let from = cursor.map_or(0, |cursor| {
        all.iter()
            .position(|one| id(one) == cursor)
            .map_or(all.len(), |place| place + 1)
    });
    let rest = all.get(from..).unwrap_or_default();
    let taken = rest.get(..limit.min(rest.len())).unwrap_or_default();
    let next = (taken.len() < rest.len()).then(|| taken.last().map(&id)).flatten();
    let values = taken.iter().filter_map(|one| serde_json::to_value(one).ok()).collect();
    (values, next)
}
