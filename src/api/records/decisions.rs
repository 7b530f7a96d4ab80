//! `/api/v1/studies/{study}/retention` and `/api/v1/retention-decisions`.

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use filmroom_records::{DecisionFilter, RecordsError};
use filmroom_retention::Status;
use serde_json::json;

use super::{
    Rooms,
    asked::{Asked, wrong},
    refused, shown,
};

/// `GET /api/v1/studies/{study}/retention?asOf=`: the decision on a study, and all that led to it.
pub(in crate::records) async fn explain(
    State(rooms): State<Rooms>,
    Path(study): Path<String>,
    asked: Asked,
) -> Response {
    let as_of = asked.only(&["asOf"]).and_then(|()| asked.seen(&study));
    let as_of = match as_of.and_then(|()| asked.as_of()) {
        Ok(as_of) => as_of,
        Err(response) => return response,
    };
    match rooms.records.explain(&study, as_of).await {
        Ok(explained) => shown(StatusCode::OK, &explained),
        Err(error) => refused(&error),
    }
}

/// `GET /api/v1/retention-survey`: how long all studies are kept, in numbers.
pub(in crate::records) async fn survey(State(rooms): State<Rooms>) -> Response {
    match rooms.records.survey() {
        Some(survey) => shown(StatusCode::OK, &survey),
        None => {
            let what = "not all studies were decided on since the archive started: ask again in a minute";
            refused(&RecordsError::Unknown(what.to_owned()))
        }
    }
}

/// `GET /api/v1/retention-decisions?status=&overdue=&asOf=&limit=&cursor=`.
pub(in crate::records) async fn list(State(rooms): State<Rooms>, asked: Asked) -> Response {
    match listed(&rooms, &asked).await {
        Ok(response) | Err(response) => response,
    }
}

async fn listed(rooms: &Rooms, asked: &Asked) -> Result<Response, Response> {
    asked.only(&["status", "overdue", "asOf", "limit", "cursor"])?;
    let status = match asked.text("status") {
        None => None,
        Some(word) => {
            let found = Status::ALL.into_iter().find(|status| status.word() == word);
            let words: Vec<&str> = Status::ALL.iter().map(|status| status.word()).collect();
            Some(found.ok_or_else(|| wrong("status", &format!("it is none of {}", words.join(", "))))?)
        }
    };
    let filter = DecisionFilter {
        status,
        overdue: asked.is("overdue")?,
    };
    let mut page = rooms
        .records
        .decisions(filter, asked.text("cursor"), asked.limit()?, asked.as_of()?)
        .await
        .map_err(|error| refused(&error))?;
    let mut seen = Vec::with_capacity(page.decisions.len());
    for decision in page.decisions.drain(..) {
        if asked.sees(&decision.study)? {
            seen.push(decision);
        }
    }
    Ok(shown(StatusCode::OK, &json!({ "decisions": seen, "next": page.next })))
}
