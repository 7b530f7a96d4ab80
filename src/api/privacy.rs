//! Labels, grants and access in an emergency, below `/api/v1`.
#![allow(
    clippy::result_large_err,
    reason = "the error is the answer that is sent, made once a request"
)]

use std::collections::BTreeSet;

use axum::{
    extract::{Path, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use filmroom_access::{Action, Principal};
use filmroom_admission::{Caller, Refusal, Routes, Rule, address_of};
use filmroom_privacy::{Emergency, Finding, Label, NewEmergency, NewGrant, PrivacyError};
use filmroom_storage::model::StudyInstanceUid;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    BODY_BYTES_MAX, Rooms,
    problem::{answer, problem},
};

/// Studies of a label in one answer.
const STUDIES_A_PAGE: usize = 1000;

/// All routes about who sees what.
pub(super) fn routes() -> Routes<Rooms> {
    const LABEL: Rule = Rule::May(Action::Label);
    const GRANT: Rule = Rule::May(Action::Grant);
    const TAKE: Rule = Rule::May(Action::TakeEmergencyAccess);
    const TAKE_ANEW: Rule = Rule::Anew(Action::TakeEmergencyAccess);
    const REVIEW: Rule = Rule::May(Action::ReviewEmergencyAccess);
    Routes::new()
        .get(LABEL, "/api/v1/studies/{study}/labels", labels)
        .put(LABEL, "/api/v1/studies/{study}/labels", write_labels)
        .get(LABEL, "/api/v1/labels/{label}/studies", labelled)
        .get(GRANT, "/api/v1/grants", grants)
        .post(GRANT, "/api/v1/grants", grant)
        .delete(GRANT, "/api/v1/grants/{id}", revoke)
        .get(REVIEW, "/api/v1/emergencies", emergencies)
        .post(TAKE_ANEW, "/api/v1/emergencies", take)
        .delete(TAKE, "/api/v1/emergencies/{id}", give_back)
        .post(REVIEW, "/api/v1/emergencies/{id}/review", review)
}

/// Who asks, from where, and what they say.
async fn said<T: DeserializeOwned>(request: Request) -> Result<(Principal, String, T), Response> {
    let place = address_of(request.extensions()).to_string();
    let Some(principal) = Caller::of(request.extensions()).cloned() else {
        return Err(Refusal::Unknown.answer(request.headers()));
    };
    let body = axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX).await;
    let body = body.map_err(|_| problem(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long"))?;
    let body: &[u8] = if body.is_empty() { b"null" } else { &body };
    let said = serde_json::from_slice(body).map_err(|error| problem(StatusCode::BAD_REQUEST, &error.to_string()))?;
    Ok((principal, place, said))
}

fn study_of(text: &str) -> Result<StudyInstanceUid, Response> {
    StudyInstanceUid::new(text).map_err(|error| problem(StatusCode::BAD_REQUEST, &format!("no study: {error}")))
}

fn refused(error: &PrivacyError) -> Response {
    let status = match error {
        PrivacyError::Wrong(_) => StatusCode::BAD_REQUEST,
        PrivacyError::NotLet(_) => StatusCode::FORBIDDEN,
        PrivacyError::Unknown(_) => StatusCode::NOT_FOUND,
        PrivacyError::Conflict(_) => StatusCode::CONFLICT,
        PrivacyError::Journal(error) => {
            tracing::error!(%error, "what was decided on who sees what could not be kept");
            StatusCode::INSUFFICIENT_STORAGE
        }
        PrivacyError::Failed(error) => {
            tracing::error!(%error, "a decision on who sees what failed");
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    problem(status, &error.to_string())
}

fn shown<T: Serialize>(status: StatusCode, value: &T) -> Response {
    match serde_json::to_value(value) {
        Ok(value) => answer(status, &value),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn done(result: Result<(), PrivacyError>) -> Response {
    match result {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => refused(&error),
    }
}

fn words(labels: &BTreeSet<Label>) -> Value {
    labels.iter().map(Label::to_string).collect()
}

/// `GET /api/v1/studies/{study}/labels`.
async fn labels(State(rooms): State<Rooms>, Path(study): Path<String>) -> Response {
    match study_of(&study) {
        Ok(study) => answer(
            StatusCode::OK,
            &json!({ "labels": words(&rooms.privacy.labels(&study)) }),
        ),
        Err(response) => response,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Labels {
    labels: BTreeSet<Label>,
    reason: String,
}

/// `PUT /api/v1/studies/{study}/labels`: all labels that the study has from now on.
async fn write_labels(State(rooms): State<Rooms>, Path(study): Path<String>, request: Request) -> Response {
    let (by, place, wanted): (_, _, Labels) = match said(request).await {
        Ok(said) => said,
        Err(response) => return response,
    };
    let study = match study_of(&study) {
        Ok(study) => study,
        Err(response) => return response,
    };
    let shown = json!({ "labels": words(&wanted.labels) });
    let written = rooms.privacy.label(&by, &place, &study, wanted.labels, &wanted.reason);
    match written.await {
        Ok(()) => answer(StatusCode::OK, &shown),
        Err(error) => refused(&error),
    }
}

/// `GET /api/v1/labels/{label}/studies?cursor=`.
async fn labelled(State(rooms): State<Rooms>, Path(label): Path<String>, request: Request) -> Response {
    let label: Label = match label.parse() {
        Ok(label) => label,
        Err(error) => return problem(StatusCode::BAD_REQUEST, &format!("{error}")),
    };
    let cursor = request.uri().query().and_then(|query| query.strip_prefix("cursor="));
    let after = match cursor.map(study_of).transpose() {
        Ok(after) => after,
        Err(response) => return response,
    };
    let studies = rooms.privacy.labelled(&label, after.as_ref(), STUDIES_A_PAGE);
    let next = (studies.len() == STUDIES_A_PAGE)
        .then(|| studies.last().map(StudyInstanceUid::as_str))
        .flatten();
    let uids: Vec<&str> = studies.iter().map(StudyInstanceUid::as_str).collect();
    answer(StatusCode::OK, &json!({ "studies": uids, "next": next }))
}

/// `GET /api/v1/grants`.
async fn grants(State(rooms): State<Rooms>) -> Response {
    shown(StatusCode::OK, &json!({ "grants": rooms.privacy.grants() }))
}

/// `POST /api/v1/grants`.
async fn grant(State(rooms): State<Rooms>, request: Request) -> Response {
    let (by, place, new): (_, _, NewGrant) = match said(request).await {
        Ok(said) => said,
        Err(response) => return response,
    };
    match rooms.privacy.grant(&by, &place, new).await {
        Ok(grant) => shown(StatusCode::CREATED, &grant),
        Err(error) => refused(&error),
    }
}

/// `DELETE /api/v1/grants/{id}`.
async fn revoke(State(rooms): State<Rooms>, Path(id): Path<String>, request: Request) -> Response {
    match said::<Option<Value>>(request).await {
        Ok((by, place, _)) => done(rooms.privacy.revoke(&by, &place, &id).await),
        Err(response) => response,
    }
}

/// `GET /api/v1/emergencies?unreviewed=true`: latest first.
async fn emergencies(State(rooms): State<Rooms>, request: Request) -> Response {
    let is_unreviewed = request.uri().query() == Some("unreviewed=true");
    let mut all = rooms.privacy.emergencies();
    all.retain(|emergency| !is_unreviewed || emergency.review.is_none());
    shown(StatusCode::OK, &json!({ "emergencies": all }))
}

/// `POST /api/v1/emergencies`: takes access, at once and for a short time.
async fn take(State(rooms): State<Rooms>, request: Request) -> Response {
    let (by, place, new): (_, _, NewEmergency) = match said(request).await {
        Ok(said) => said,
        Err(response) => return response,
    };
    match rooms.privacy.take(&by, &place, new).await {
        Ok(emergency) => shown(StatusCode::CREATED, &emergency),
        Err(error) => refused(&error),
    }
}

/// `DELETE /api/v1/emergencies/{id}`: gives access back before its time.
async fn give_back(State(rooms): State<Rooms>, Path(id): Path<String>, request: Request) -> Response {
    match said::<Option<Value>>(request).await {
        Ok((by, place, _)) => done(rooms.privacy.give_back(&by, &place, &id).await),
        Err(response) => response,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Found {
    finding: Finding,
    text: String,
}

/// `POST /api/v1/emergencies/{id}/review`.
async fn review(State(rooms): State<Rooms>, Path(id): Path<String>, request: Request) -> Response {
    let (by, place, found): (_, _, Found) = match said(request).await {
        Ok(said) => said,
        Err(response) => return response,
    };
    let reviewed = rooms.privacy.review(&by, &place, &id, found.finding, &found.text);
    match reviewed.await {
        Ok(emergency) => shown(StatusCode::OK, &emergency),
        Err(error) => refused(&error),
    }
}

/// What a caller has open, for whoever shows it.
pub(super) fn open(emergencies: &[Emergency]) -> Value {
    serde_json::to_value(emergencies).unwrap_or_default()
}
