//! `/api/v1/peers`: the registry of other application entities.

use axum::{
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{
    Rooms,
    problem::{answer, problem},
};
use filmroom_peers::{AeTitle, Expected, Peer, PeersError, Source, tag_of};

/// `GET /api/v1/peers`.
pub(super) async fn list(State(rooms): State<Rooms>) -> Response {
    let peers: Vec<Value> = rooms
        .peers
        .list()
        .iter()
        .map(|(peer, source)| shown(peer, *source))
        .collect();
    answer(StatusCode::OK, &json!({ "peers": peers }))
}

/// `GET /api/v1/peers/{AE title}`.
pub(super) async fn read(State(rooms): State<Rooms>, Path(title): Path<String>, headers: HeaderMap) -> Response {
    let Some((peer, source)) = AeTitle::new(&title).ok().and_then(|title| rooms.peers.find(&title)) else {
        return problem(StatusCode::NOT_FOUND, "there is no peer of this AE title");
    };
    let tag = tag_of(&peer);
    if tags(&headers, header::IF_NONE_MATCH).is_some_and(|tags| tags.iter().any(|known| *known == tag || known == "*"))
    {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, quoted(&tag))]).into_response();
    }
    tagged(StatusCode::OK, &quoted(&tag), &shown(&peer, source))
}

/// `PUT /api/v1/peers/{AE title}`: registers or changes a peer. `If-Match` and `If-None-Match: *` are honoured.
pub(super) async fn write(
    State(rooms): State<Rooms>,
    Path(title): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Ok(title) = AeTitle::new(&title) else {
        return problem(StatusCode::BAD_REQUEST, "the path names no AE title");
    };
    let peer = match understood(&title, &body) {
        Ok(peer) => peer,
        Err(why) => return problem(StatusCode::BAD_REQUEST, &why),
    };
    let tag = quoted(&tag_of(&peer));
    let expected = expected(&headers);
    let shown = shown(&peer, Source::Registered);
    match tokio::task::spawn_blocking(move || rooms.peers.put(peer, &expected)).await {
        Ok(Ok(is_new)) => {
            tracing::info!(ae_title = %title, is_new, "a peer was registered");
            let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
            tagged(status, &tag, &shown)
        }
        Ok(Err(error)) => refused(&error),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// `DELETE /api/v1/peers/{AE title}`: forgets a registered peer. `If-Match` is honoured.
pub(super) async fn remove(State(rooms): State<Rooms>, Path(title): Path<String>, headers: HeaderMap) -> Response {
    let Ok(title) = AeTitle::new(&title) else {
        return problem(StatusCode::NOT_FOUND, "the path names no AE title");
    };
    let expected = expected(&headers);
    let asked = title.clone();
    match tokio::task::spawn_blocking(move || rooms.peers.remove(&asked, &expected)).await {
        Ok(Ok(())) => {
            tracing::info!(ae_title = %title, "a peer was forgotten");
            StatusCode::NO_CONTENT.into_response()
        }
        Ok(Err(error)) => refused(&error),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// The peer of a body. Its AE title is that of the path, said again or not.
fn understood(title: &AeTitle, body: &[u8]) -> Result<Peer, String> {
    let mut value: Value = serde_json::from_slice(body).map_err(|error| format!("the body is no JSON: {error}"))?;
    let fields = value.as_object_mut().ok_or("the body is no JSON object")?;
    // What `GET` adds may come back.
    fields.remove("source");
    let said = fields.entry("ae_title").or_insert_with(|| title.as_str().into());
    if said.as_str().and_then(|said| AeTitle::new(said).ok()).as_ref() != Some(title) {
        return Err("the AE title of the body is not that of the path".to_owned());
    }
    serde_json::from_value(value).map_err(|error| error.to_string())
}

fn shown(peer: &Peer, source: Source) -> Value {
    let mut value = serde_json::to_value(peer).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        let source = match source {
            Source::Settings => "settings",
            Source::Registered => "registered",
        };
        fields.insert("source".to_owned(), source.into());
    }
    value
}

fn expected(headers: &HeaderMap) -> Expected {
    match (tags(headers, header::IF_MATCH), tags(headers, header::IF_NONE_MATCH)) {
        (Some(tags), _) => Expected::Tags(tags),
        (None, Some(tags)) if tags.iter().any(|tag| tag == "*") => Expected::Nothing,
        _ => Expected::Any,
    }
}

/// The entity tags of a header (RFC 9110 §8.8.3), without quotes; `None` when there is no such header.
fn tags(headers: &HeaderMap, name: HeaderName) -> Option<Vec<String>> {
    let value = headers.get(name)?.to_str().unwrap_or_default();
    let tags = value
        .split(',')
        .map(|tag| tag.trim().trim_start_matches("W/").trim_matches('"').to_owned());
    Some(tags.collect())
}

fn quoted(tag: &str) -> String {
    format!("\"{tag}\"")
}

fn tagged(status: StatusCode, tag: &str, value: &Value) -> Response {
    let mut response = answer(status, value);
    if let Ok(tag) = tag.parse() {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

fn refused(error: &PeersError) -> Response {
    let status = match error {
        PeersError::NotAsExpected => StatusCode::PRECONDITION_FAILED,
        PeersError::InSettings => StatusCode::CONFLICT,
        PeersError::Unknown => StatusCode::NOT_FOUND,
        PeersError::TooMany => StatusCode::INSUFFICIENT_STORAGE,
        PeersError::State(error) => {
            tracing::error!(%error, "a peer could not be kept");
            StatusCode::INSUFFICIENT_STORAGE
        }
    };
    problem(status, &error.to_string())
}
