//! `/api/v1/facts`.

use axum::{
    body::Bytes,
    extract::{Path, State},
    http::{StatusCode, header},
    response::Response,
};
use filmroom_records::{Fact, NewFact, PatientKey, Subject};
use serde::Deserialize;
use serde_json::json;

use super::{
    Rooms,
    asked::{Asked, body, wrong},
    refused, shown,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    facts: Vec<NewFact>,
}

/// `GET /api/v1/facts?patient=&issuer=&study=&limit=&cursor=`.
pub(in crate::records) async fn list(State(rooms): State<Rooms>, asked: Asked) -> Response {
    let limit = match asked
        .only(&["patient", "issuer", "study", "limit", "cursor"])
        .and_then(|()| asked.limit())
    {
        Ok(limit) => limit,
        Err(response) => return response,
    };
    let subject = match (asked.text("patient"), asked.text("study")) {
        (Some(_), Some(_)) => return wrong("", "either patient or study"),
        (Some(id), None) => Subject::Patient(PatientKey {
            id: id.to_owned(),
            issuer: asked.text("issuer").unwrap_or_default().to_owned(),
        }),
        (None, Some(study)) => Subject::Study(study.to_owned()),
        (None, None) => {
            let mut facts = rooms.records.facts(asked.text("cursor"), limit);
            let next = (facts.len() == limit)
                .then(|| facts.last().map(|fact| fact.id.clone()))
                .flatten();
            facts.retain(|fact| is_seen(&asked, fact));
            return shown(StatusCode::OK, &json!({ "facts": facts, "next": next }));
        }
    };
    let mut all = rooms.records.facts_about(&subject);
    all.retain(|fact| is_seen(&asked, fact));
    let (facts, next) = super::part(&all, |fact| fact.id.clone(), asked.text("cursor"), limit);
    shown(StatusCode::OK, &json!({ "facts": facts, "next": next }))
}

fn is_seen(asked: &Asked, fact: &Fact) -> bool {
    let study = fact.said.study.as_deref();
    study.is_none_or(|study| asked.sees(study).unwrap_or(false))
}

/// `GET /api/v1/studies/{study}/facts`: what was said of the study and of its patient.
pub(in crate::records) async fn of_study(
    State(rooms): State<Rooms>,
    Path(study): Path<String>,
    asked: Asked,
) -> Response {
    if let Err(response) = asked.seen(&study) {
        return response;
    }
    match rooms.records.explain(&study, None).await {
        Ok(explained) => shown(StatusCode::OK, &json!({ "facts": explained.facts })),
        Err(error) => refused(&error),
    }
}

/// `POST /api/v1/facts?dryRun=`: `{"facts": [...]}`, or a table as `text/csv`. All are taken or none.
pub(in crate::records) async fn assert(State(rooms): State<Rooms>, asked: Asked, bytes: Bytes) -> Response {
    match asserted(&rooms, &asked, &bytes).await {
        Ok(response) | Err(response) => response,
    }
}

async fn asserted(rooms: &Rooms, asked: &Asked, bytes: &Bytes) -> Result<Response, Response> {
    asked.only(&["dryRun"])?;
    let (by, only_try) = (asked.actor()?, asked.is("dryRun")?);
    let taken = if asked.has_kind(header::CONTENT_TYPE, "text/csv") {
        let table = std::str::from_utf8(bytes).map_err(|_| wrong("", "the table is not in UTF-8"))?;
        rooms.records.import_facts(&by, table, only_try).await
    } else {
        rooms
            .records
            .assert_facts(&by, body::<Said>(bytes)?.facts, only_try)
            .await
    };
    let facts = taken.map_err(|error| refused(&error))?;
    let status = if only_try { StatusCode::OK } else { StatusCode::CREATED };
    Ok(shown(status, &json!({ "facts": facts, "dryRun": only_try })))
}
