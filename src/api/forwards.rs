//! `/api/v1/forwards`: the queue of what is passed on.

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use super::{
    Rooms,
    problem::{answer, problem},
};
use filmroom_forwarding::{Forwarding, ForwardingError, Job};

/// `GET /api/v1/forwards`.
pub(super) async fn list(rooms: State<Rooms>) -> Response {
    let jobs: Vec<Value> = rooms.forwarding.list().iter().map(shown).collect();
    answer(StatusCode::OK, &json!({ "forwards": jobs }))
}

/// `GET /api/v1/forwards/{id}`.
pub(super) async fn read(rooms: State<Rooms>, Path(id): Path<String>) -> Response {
    match rooms.forwarding.list().iter().find(|job| job.id == id) {
        Some(job) => answer(StatusCode::OK, &shown(job)),
        None => problem(StatusCode::NOT_FOUND, "there is no such job: it may be done"),
    }
}

/// `POST /api/v1/forwards/{id}/retry`: tries a job again at once.
pub(super) async fn retry(State(rooms): State<Rooms>, Path(id): Path<String>) -> Response {
    change(rooms, move |forwarding| forwarding.retry(&id)).await
}

/// `DELETE /api/v1/forwards/{id}`: drops a job; what it has not sent is not sent.
pub(super) async fn remove(State(rooms): State<Rooms>, Path(id): Path<String>) -> Response {
    change(rooms, move |forwarding| forwarding.drop_job(&id)).await
}

async fn change(
    rooms: Rooms,
    change: impl FnOnce(&Forwarding) -> Result<(), ForwardingError> + Send + 'static,
) -> Response {
    match tokio::task::spawn_blocking(move || change(&rooms.forwarding)).await {
        Ok(Ok(())) => StatusCode::NO_CONTENT.into_response(),
        Ok(Err(error @ ForwardingError::Unknown)) => problem(StatusCode::NOT_FOUND, &error.to_string()),
        Ok(Err(error)) => problem(StatusCode::INSUFFICIENT_STORAGE, &error.to_string()),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn shown(job: &Job) -> Value {
    let at = |time: time::OffsetDateTime| time.format(&Rfc3339).unwrap_or_default();
    json!({
        "id": job.id,
        "to": job.to,
        "task": job.task,
        "study_instance_uid": job.study_instance_uid.as_str(),
        "series_instance_uid": job.series_instance_uid.as_str(),
        "state": job.state,
        "done": job.done.len(),
        "attempts": job.attempts,
        "created_at": at(job.created_at),
        "next_attempt_at": at(job.next_attempt_at),
        "last_error": job.last_error,
    })
}
