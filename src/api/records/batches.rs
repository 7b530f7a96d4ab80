//! `/api/v1/disposal-batches`, `/api/v1/certificates`, `/api/v1/tombstones`.

use axum::{
    body::Bytes,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use filmroom_records::{Batch, RecordsError, to_html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Rooms,
    asked::{Asked, body},
    part, refused, shown, tagged,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Propose {
    /// All that have expired, where none are named.
    #[serde(default)]
    studies: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Approve {
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    opinion: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Why {
    #[serde(default)]
    study: String,
    #[serde(default)]
    reason: String,
}

/// `GET /api/v1/disposal-batches?limit=&cursor=`.
pub(in crate::records) async fn list(State(rooms): State<Rooms>, asked: Asked) -> Response {
    let limit = match asked.only(&["limit", "cursor"]).and_then(|()| asked.limit()) {
        Ok(limit) => limit,
        Err(response) => return response,
    };
    let all = rooms.records.batches();
    let (mut batches, next) = part(&all, |batch| batch.id.clone(), asked.text("cursor"), limit);
    for batch in &mut batches {
        if let Some(fields) = batch.as_object_mut() {
            let count = fields.remove("items").and_then(|items| items.as_array().map(Vec::len));
            fields.insert("studies".to_owned(), count.into());
        }
    }
    shown(StatusCode::OK, &json!({ "batches": batches, "next": next }))
}

/// `GET /api/v1/disposal-batches/{id}`: everything in it was decided on anew.
pub(in crate::records) async fn read(State(rooms): State<Rooms>, Path(id): Path<String>) -> Response {
    batch(StatusCode::OK, rooms.records.batch(&id).await)
}

/// `POST /api/v1/disposal-batches?dryRun=`: each study is taken or refused with its reason.
pub(in crate::records) async fn propose(State(rooms): State<Rooms>, asked: Asked, bytes: Bytes) -> Response {
    let proposed = async {
        asked.only(&["dryRun"])?;
        let (by, only_try) = (asked.person()?, asked.is("dryRun")?);
        let said: Propose = body(&bytes)?;
        let proposed = rooms.records.propose(&by, said.studies, only_try).await;
        let proposal = proposed.map_err(|error| refused(&error))?;
        Ok::<_, Response>(match &proposal.batch {
            Some(batch) => tagged(StatusCode::CREATED, &proposal, batch.version),
            None => shown(StatusCode::OK, &proposal),
        })
    };
    proposed.await.unwrap_or_else(|response| response)
}

/// `POST /api/v1/disposal-batches/{id}/approve`.
pub(in crate::records) async fn approve(
    State(rooms): State<Rooms>,
    Path(id): Path<String>,
    asked: Asked,
    bytes: Bytes,
) -> Response {
    let approved = async {
        let (by, expected) = (asked.person()?, asked.expected()?);
        let said: Approve = body(&bytes)?;
        let approved = rooms
            .records
            .approve(&by, &id, said.role.as_deref(), &said.opinion, expected)
            .await;
        Ok::<_, Response>(batch(StatusCode::OK, approved))
    };
    approved.await.unwrap_or_else(|response| response)
}

/// `POST /api/v1/disposal-batches/{id}/veto`.
pub(in crate::records) async fn veto(
    State(rooms): State<Rooms>,
    Path(id): Path<String>,
    asked: Asked,
    bytes: Bytes,
) -> Response {
    let vetoed = async {
        let (by, expected) = (asked.person()?, asked.expected()?);
        let said: Why = body(&bytes)?;
        let vetoed = rooms.records.veto(&by, &id, &said.reason, expected).await;
        Ok::<_, Response>(batch(StatusCode::OK, vetoed))
    };
    vetoed.await.unwrap_or_else(|response| response)
}

/// `POST /api/v1/disposal-batches/{id}/exclude`: takes one study out.
pub(in crate::records) async fn exclude(
    State(rooms): State<Rooms>,
    Path(id): Path<String>,
    asked: Asked,
    bytes: Bytes,
) -> Response {
    let excluded = async {
        let by = asked.person()?;
        let said: Why = body(&bytes)?;
        let excluded = rooms.records.exclude(&by, &id, &said.study, &said.reason).await;
        Ok::<_, Response>(batch(StatusCode::OK, excluded))
    };
    excluded.await.unwrap_or_else(|response| response)
}

/// `POST /api/v1/disposal-batches/{id}/execute`: begins to carry it out, which goes on behind the answer.
pub(in crate::records) async fn execute(State(rooms): State<Rooms>, Path(id): Path<String>, asked: Asked) -> Response {
    let executed = async {
        let (by, expected) = (asked.person()?, asked.expected()?);
        Ok::<_, Response>(batch(
            StatusCode::ACCEPTED,
            rooms.records.execute(&by, &id, expected).await,
        ))
    };
    executed.await.unwrap_or_else(|response| response)
}

/// `GET /api/v1/certificates/{id}`: as it was signed, or as a page to be printed (`Accept: text/html`).
pub(in crate::records) async fn certificate(
    State(rooms): State<Rooms>,
    Path(id): Path<String>,
    asked: Asked,
) -> Response {
    match rooms.records.certificate(&id) {
        Ok(certificate) if asked.has_kind(header::ACCEPT, "text/html") => (
            [(header::CONTENT_TYPE, "text/html; charset=utf-8")],
            to_html(&certificate),
        )
            .into_response(),
        Ok(certificate) => shown(StatusCode::OK, &certificate),
        Err(error) => refused(&error),
    }
}

/// `GET /api/v1/certificate-key`: what certificates are verified with.
pub(in crate::records) async fn key(State(rooms): State<Rooms>) -> Response {
    let value: Value = json!({ "algorithm": "Ed25519", "publicKey": rooms.records.public_key() });
    shown(StatusCode::OK, &value)
}

/// `GET /api/v1/tombstones?limit=&cursor=`.
pub(in crate::records) async fn tombstones(State(rooms): State<Rooms>, asked: Asked) -> Response {
    let limit = match asked.only(&["limit", "cursor"]).and_then(|()| asked.limit()) {
        Ok(limit) => limit,
        Err(response) => return response,
    };
    let tombstones = rooms.records.tombstones(asked.text("cursor"), limit);
    let next = (tombstones.len() == limit)
        .then(|| tombstones.last().map(|one| one.study.clone()))
        .flatten();
    shown(StatusCode::OK, &json!({ "tombstones": tombstones, "next": next }))
}

/// `GET /api/v1/tombstones/{study}`.
pub(in crate::records) async fn tombstone(State(rooms): State<Rooms>, Path(study): Path<String>) -> Response {
    match rooms.records.tombstone(&study) {
        Ok(tombstone) => shown(StatusCode::OK, &tombstone),
        Err(error) => refused(&error),
    }
}

fn batch(status: StatusCode, found: Result<Batch, RecordsError>) -> Response {
    match found {
        Ok(found) => tagged(status, &found, found.version),
        Err(error) => refused(&error),
    }
}
