//! `/api/v1/worklist`: what is scheduled. An entry is a DICOM JSON data set (PS3.18 annex F) of what PS3.4 table K.6-1 has.

use axum::{
    body::Bytes,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use super::{
    Rooms,
    page::Page,
    problem::{answer, problem},
};
use filmroom_worklist::{Entry, Worklist, WorklistError, to_json};

/// `GET /api/v1/worklist`.
pub(super) async fn list(State(rooms): State<Rooms>, Query(page): Query<Page>) -> Response {
    let listed = blocking(rooms, move |worklist| {
        let all = worklist.entries();
        let shown: Vec<Value> = page.of(&all).iter().map(|entry| shown(entry)).collect();
        let unusable = worklist.unusable_files();
        let unusable: Vec<Value> = unusable
            .iter()
            .take(page.limit())
            .map(|file| json!({ "name": file.name, "why": file.why }))
            .collect();
        json!({ "total": all.len(), "entries": shown, "unusable_files": unusable })
    });
    match listed.await {
        Ok(listed) => answer(StatusCode::OK, &listed),
        Err(response) => response,
    }
}

/// `GET /api/v1/worklist/{id}`.
pub(super) async fn read(State(rooms): State<Rooms>, Path(id): Path<String>) -> Response {
    match blocking(rooms, move |worklist| worklist.entry(&id)).await {
        Ok(Some(entry)) => answer(StatusCode::OK, &shown(&entry)),
        Ok(None) => refused(&WorklistError::Unknown),
        Err(response) => response,
    }
}

/// `PUT /api/v1/worklist/{id}`: the data set, or what `GET` gave.
pub(super) async fn write(State(rooms): State<Rooms>, Path(id): Path<String>, body: Bytes) -> Response {
    let mut value: Value = match serde_json::from_slice(&body) {
        Ok(value) => value,
        Err(error) => return problem(StatusCode::BAD_REQUEST, &format!("the body is no JSON: {error}")),
    };
    if let Some(attributes) = value.get_mut("attributes") {
        value = attributes.take();
    }
    match blocking(rooms, move |worklist| worklist.put(&id, &value)).await {
        Ok(Ok((entry, is_new))) => {
            tracing::info!(is_new, "an entry was put into the worklist");
            let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
            answer(status, &shown(&entry))
        }
        Ok(Err(error)) => refused(&error),
        Err(response) => response,
    }
}

/// `DELETE /api/v1/worklist/{id}`.
pub(super) async fn remove(State(rooms): State<Rooms>, Path(id): Path<String>) -> Response {
    match blocking(rooms, move |worklist| worklist.remove(&id)).await {
        Ok(Ok(())) => {
            tracing::info!("an entry was removed from the worklist");
            StatusCode::NO_CONTENT.into_response()
        }
        Ok(Err(error)) => refused(&error),
        Err(response) => response,
    }
}

fn shown(entry: &Entry) -> Value {
    json!({
        "id": entry.id,
        "source": entry.source,
        "changed_at": entry.changed_at.format(&Rfc3339).unwrap_or_default(),
        "attributes": to_json(&entry.attributes),
    })
}

fn refused(error: &WorklistError) -> Response {
    let status = match error {
        WorklistError::Id(_) | WorklistError::NotAnEntry(_) | WorklistError::DataSet(_) => StatusCode::BAD_REQUEST,
        WorklistError::Unknown => StatusCode::NOT_FOUND,
        WorklistError::IsFile => StatusCode::CONFLICT,
        WorklistError::TooMany | WorklistError::State(_) => StatusCode::INSUFFICIENT_STORAGE,
    };
    problem(status, &error.to_string())
}

async fn blocking<T: Send + 'static>(
    rooms: Rooms,
    step: impl FnOnce(&Worklist) -> T + Send + 'static,
) -> Result<T, Response> {
    let done = tokio::task::spawn_blocking(move || step(&rooms.worklist)).await;
    done.map_err(|error| problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()))
}
