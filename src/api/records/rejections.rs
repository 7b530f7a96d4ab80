//! `/api/v1/rejections`, `/api/v1/returned`, reinstating, and the path by which viewers reject series.

use axum::{
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use filmroom_records::{Rejection, RejectionReason, Which};
use serde::Deserialize;
use serde_json::json;

use super::{
    Rooms,
    asked::{Asked, body, wrong},
    refused, shown,
};

/// What is written out in both, since what is misspelt must not be passed over: it would mean the whole study.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reject {
    /// A code of DCM: 113001, 113037 or 113038.
    reason: RejectionReason,
    /// Why, in words.
    #[serde(default)]
    why: String,
    study: String,
    #[serde(default)]
    series: Option<String>,
    #[serde(default)]
    instances: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Restore {
    #[serde(default)]
    why: String,
    study: String,
    #[serde(default)]
    series: Option<String>,
    #[serde(default)]
    instances: Option<Vec<String>>,
}

/// `GET /api/v1/rejections?study=&reason=&limit=&cursor=`.
pub(in crate::records) async fn list(State(rooms): State<Rooms>, asked: Asked) -> Response {
    let listed = || {
        asked.only(&["study", "reason", "limit", "cursor"])?;
        let limit = asked.limit()?;
        let reason = match asked.text("reason") {
            None => None,
            Some(code) => Some(reason_of(code).ok_or_else(|| wrong("reason", CODES))?),
        };
        let found = rooms
            .records
            .rejections(asked.text("study"), reason, asked.text("cursor"), limit);
        let last = found.last().filter(|_| found.len() == limit);
        let next = last.map(|Rejection { study, instance, .. }| format!("{study}/{instance}"));
        Ok::<_, Response>(shown(StatusCode::OK, &json!({ "rejections": found, "next": next })))
    };
    listed().unwrap_or_else(|response| response)
}

/// What is said where a code is none.
const CODES: &str = "113001 (quality), 113037 (patient safety) or 113038 (incorrect worklist entry) is wanted";

fn reason_of(code: &str) -> Option<RejectionReason> {
    RejectionReason::of(code)
}

/// `POST /api/v1/rejections?dryRun=`: a study, or a series or instances of it, for a reason.
pub(in crate::records) async fn reject(State(rooms): State<Rooms>, asked: Asked, bytes: Bytes) -> Response {
    let rejected = async {
        asked.only(&["dryRun"])?;
        let (by, only_try) = (asked.person()?, asked.is("dryRun")?);
        let said: Reject = body(&bytes)?;
        let which = Which {
            study: said.study,
            series: said.series,
            instances: said.instances,
        };
        let rejected = rooms.records.reject(&by, which, said.reason, &said.why, only_try).await;
        let status = if only_try { StatusCode::OK } else { StatusCode::CREATED };
        Ok::<_, Response>(match rejected {
            Ok(rejected) => shown(status, &rejected),
            Err(error) => refused(&error),
        })
    };
    rejected.await.unwrap_or_else(|response| response)
}

/// `POST /api/v1/rejections/restore?dryRun=`: takes back what was rejected of a study, a series, or instances of it.
pub(in crate::records) async fn restore(State(rooms): State<Rooms>, asked: Asked, bytes: Bytes) -> Response {
    let restored = async {
        asked.only(&["dryRun"])?;
        let (by, only_try) = (asked.person()?, asked.is("dryRun")?);
        let said: Restore = body(&bytes)?;
        let which = Which {
            study: said.study,
            series: said.series,
            instances: said.instances,
        };
        let restored = rooms.records.restore(&by, which, &said.why, only_try).await;
        Ok::<_, Response>(match restored {
            Ok(restored) => shown(StatusCode::OK, &restored),
            Err(error) => refused(&error),
        })
    };
    restored.await.unwrap_or_else(|response| response)
}

/// `POST {DICOMweb}/studies/{study}/series/{series}/reject/{code}`, the code as `113001^DCM`: as viewers ask (OHIF's `supportsReject`).
pub(in crate::records) async fn reject_series(
    State(rooms): State<Rooms>,
    Path((study, series, code)): Path<(String, String, String)>,
    asked: Asked,
) -> Response {
    let rejected = async {
        let by = asked.person()?;
        let reason = code
            .strip_suffix("^DCM")
            .and_then(reason_of)
            .ok_or_else(|| wrong("", CODES))?;
        let which = Which {
            study,
            series: Some(series),
            instances: None,
        };
        let why = "rejected in a viewer";
        Ok::<_, Response>(match rooms.records.reject(&by, which, reason, why, false).await {
            Ok(_) => StatusCode::NO_CONTENT.into_response(),
            Err(error) => refused(&error),
        })
    };
    rejected.await.unwrap_or_else(|response| response)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reinstate {
    #[serde(default)]
    reason: String,
}

/// `POST /api/v1/tombstones/{study}/reinstate`: asks that a destroyed study may come again, or confirms it as a second person.
pub(in crate::records) async fn reinstate(
    State(rooms): State<Rooms>,
    Path(study): Path<String>,
    asked: Asked,
    bytes: Bytes,
) -> Response {
    let reinstated = async {
        let by = asked.person()?;
        let said: Reinstate = body(&bytes)?;
        Ok::<_, Response>(match rooms.records.reinstate(&by, &study, &said.reason).await {
            Ok(tombstone) if tombstone.reinstated.is_some() => shown(StatusCode::OK, &tombstone),
            Ok(tombstone) => shown(StatusCode::ACCEPTED, &tombstone),
            Err(error) => refused(&error),
        })
    };
    reinstated.await.unwrap_or_else(|response| response)
}

/// `POST /api/v1/tombstones/{study}/refuse-reinstating`.
pub(in crate::records) async fn refuse_reinstating(
    State(rooms): State<Rooms>,
    Path(study): Path<String>,
    asked: Asked,
) -> Response {
    let by = match asked.person() {
        Ok(by) => by,
        Err(response) => return response,
    };
    match rooms.records.refuse_reinstating(&by, &study).await {
        Ok(tombstone) => shown(StatusCode::OK, &tombstone),
        Err(error) => refused(&error),
    }
}

/// `GET /api/v1/returned?limit=&cursor=`: studies that were destroyed and are sent again, by whom and how often.
pub(in crate::records) async fn returned(State(rooms): State<Rooms>, asked: Asked) -> Response {
    let limit = match asked.only(&["limit", "cursor"]).and_then(|()| asked.limit()) {
        Ok(limit) => limit,
        Err(response) => return response,
    };
    let returned = rooms.records.returned(asked.text("cursor"), limit);
    let next = (returned.len() == limit)
        .then(|| returned.last().map(|one| one.study.clone()))
        .flatten();
    shown(StatusCode::OK, &json!({ "returned": returned, "next": next }))
}
