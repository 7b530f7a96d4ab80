//! `/api/v1/patient-links`: patients that a message said are one.

use axum::{
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use filmroom_records::{PatientKey, PatientLink};
use serde::Deserialize;
use serde_json::json;

use super::{
    Rooms,
    asked::{Asked, body},
    part, refused, shown, tagged,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TakeBack {
    reason: String,
}

/// `GET /api/v1/patient-links?patient=&issuer=&limit=&cursor=`.
pub(in crate::records) async fn list(State(rooms): State<Rooms>, asked: Asked) -> Response {
    let limit = asked
        .only(&["patient", "issuer", "limit", "cursor"])
        .and_then(|()| asked.limit());
    let limit = match limit {
        Ok(limit) => limit,
        Err(response) => return response,
    };
    let of = asked.text("patient").map(|id| PatientKey {
        id: id.to_owned(),
        issuer: asked.text("issuer").unwrap_or_default().to_owned(),
    });
    let all: Vec<PatientLink> = rooms.records.patient_links(of.as_ref());
    let (links, next) = part(&all, |link| link.id.clone(), asked.text("cursor"), limit);
    shown(StatusCode::OK, &json!({ "links": links, "next": next }))
}

/// `POST /api/v1/patient-links/{id}/take-back`: `{"reason": "…"}`.
pub(in crate::records) async fn take_back(
    State(rooms): State<Rooms>,
    Path(id): Path<String>,
    asked: Asked,
    bytes: Bytes,
) -> Response {
    let taken = async {
        let (by, expected) = (asked.person()?, asked.expected()?);
        let TakeBack { reason } = body(&bytes)?;
        let link = rooms.records.take_link_back(&by, &id, &reason, expected).await;
        let link = link.map_err(|error| refused(&error))?;
        Ok(tagged(StatusCode::OK, &link, link.version))
    };
    taken.await.unwrap_or_else(|response: Response| response)
}
