//! `/api/v1/holds`.

use axum::{
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use filmroom_records::{HoldRecord, NewHold};
use filmroom_retention::PartialDate;
use serde::Deserialize;
use serde_json::json;

use super::{
    Rooms,
    asked::{Asked, body, wrong},
    part, refused, shown, tagged,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Release {
    #[serde(default)]
    reason: String,
    /// The day from which it is not in force.
    #[serde(default)]
    closed: Option<PartialDate>,
}

/// `GET /api/v1/holds?open=&limit=&cursor=`.
pub(in crate::records) async fn list(State(rooms): State<Rooms>, asked: Asked) -> Response {
    let limit = match asked.only(&["open", "limit", "cursor"]).and_then(|()| asked.limit()) {
        Ok(limit) => limit,
        Err(response) => return response,
    };
    let only_open = match asked.is("open") {
        Ok(only_open) => only_open,
        Err(response) => return response,
    };
    let mut all: Vec<HoldRecord> = rooms.records.holds();
    all.retain(|hold| !only_open || hold.hold.closed.is_none());
    let (holds, next) = part(&all, |hold| hold.hold.id.clone(), asked.text("cursor"), limit);
    shown(StatusCode::OK, &json!({ "holds": holds, "next": next }))
}

/// `GET /api/v1/holds/{id}`.
pub(in crate::records) async fn read(State(rooms): State<Rooms>, Path(id): Path<String>) -> Response {
    held(StatusCode::OK, rooms.records.hold(&id))
}

/// `POST /api/v1/holds?dryRun=`.
pub(in crate::records) async fn open(State(rooms): State<Rooms>, asked: Asked, bytes: Bytes) -> Response {
    let opened = async {
        asked.only(&["dryRun"])?;
        let (by, only_try) = (asked.actor()?, asked.is("dryRun")?);
        let hold: NewHold = body(&bytes)?;
        let status = if only_try { StatusCode::OK } else { StatusCode::CREATED };
        Ok(held(status, rooms.records.open_hold(&by, hold, only_try).await))
    };
    opened.await.unwrap_or_else(|response| response)
}

/// `POST /api/v1/holds/{id}/release`: asks for a release, or, as another person, confirms it.
pub(in crate::records) async fn release(
    State(rooms): State<Rooms>,
    Path(id): Path<String>,
    asked: Asked,
    bytes: Bytes,
) -> Response {
    let released = async {
        let (by, expected) = (asked.person()?, asked.expected()?);
        let release: Release = body(&bytes)?;
        let closed = match release.closed {
            None => None,
            Some(PartialDate::Day(day)) => Some(day),
            Some(_) => return Err(wrong("closed", "the day is missing: YYYY-MM-DD is wanted")),
        };
        let released = rooms
            .records
            .release_hold(&by, &id, &release.reason, closed, expected)
            .await;
        let status = match &released {
            // It waits for the second person.
            Ok(hold) if hold.hold.closed.is_none() => StatusCode::ACCEPTED,
            _ => StatusCode::OK,
        };
        Ok(held(status, released))
    };
    released.await.unwrap_or_else(|response| response)
}

/// `POST /api/v1/holds/{id}/refuse-release`.
pub(in crate::records) async fn refuse_release(
    State(rooms): State<Rooms>,
    Path(id): Path<String>,
    asked: Asked,
) -> Response {
    match asked.person() {
        Ok(by) => held(StatusCode::OK, rooms.records.refuse_release(&by, &id).await),
        Err(response) => response,
    }
}

fn held(status: StatusCode, hold: Result<HoldRecord, filmroom_records::RecordsError>) -> Response {
    match hold {
        Ok(hold) => tagged(status, &hold, hold.version),
        Err(error) => refused(&error),
    }
}
