//! `/api/v1/policies`, `/api/v1/policy-submissions`, `/api/v1/policy-templates`.

use axum::{
    body::Bytes,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use filmroom_records::{RecordsError, Submission};
use filmroom_retention::{Binding, read_toml, templates::TEMPLATES};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Rooms,
    asked::{Asked, body, wrong},
    part, refused, shown, tagged,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    #[serde(default)]
    toml: Option<String>,
    #[serde(default)]
    pack: Option<Value>,
    #[serde(default)]
    bindings: Option<Vec<Binding>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Publish {
    #[serde(default)]
    acknowledge_shortening: bool,
}

/// `GET /api/v1/policies`: what was published, and where it is in force.
pub(in crate::records) async fn list(State(rooms): State<Rooms>) -> Response {
    let (versions, bindings) = rooms.records.policies();
    shown(StatusCode::OK, &json!({ "versions": versions, "bindings": bindings }))
}

/// `GET /api/v1/policy-templates`.
pub(in crate::records) async fn templates() -> Response {
    let all: Vec<Value> = TEMPLATES
        .iter()
        .filter_map(|(name, text)| {
            let (pack, _) = read_toml(text).ok()?;
            Some(json!({ "name": name, "title": pack.title, "rules": pack.rule.len() }))
        })
        .collect();
    shown(StatusCode::OK, &json!({ "templates": all }))
}

/// `GET /api/v1/policy-templates/{name}`: its text.
pub(in crate::records) async fn template(Path(name): Path<String>) -> Response {
    match filmroom_retention::templates::template(&name) {
        Some(text) => ([(header::CONTENT_TYPE, "application/toml")], text).into_response(),
        None => refused(&RecordsError::Unknown("there is no such template".to_owned())),
    }
}

/// `POST /api/v1/policy-lint`: `{"toml": …}` or `{"pack": …}`, or TOML itself as `application/toml`.
pub(in crate::records) async fn lint(State(rooms): State<Rooms>, asked: Asked, bytes: Bytes) -> Response {
    let said = match said(&asked, &bytes) {
        Ok(said) => said,
        Err(response) => return response,
    };
    match rooms.records.lint_policy(said.toml.as_deref(), said.pack.as_ref()) {
        Ok((pack, warnings)) => shown(StatusCode::OK, &json!({ "pack": pack, "warnings": warnings })),
        Err(error) => refused(&error),
    }
}

fn said(asked: &Asked, bytes: &Bytes) -> Result<Said, Response> {
    if asked.has_kind(header::CONTENT_TYPE, "toml") {
        let text = std::str::from_utf8(bytes).map_err(|_| wrong("", "the text is not in UTF-8"))?;
        return Ok(Said {
            toml: Some(text.to_owned()),
            pack: None,
            bindings: None,
        });
    }
    body(bytes)
}

/// `GET /api/v1/policy-submissions`.
pub(in crate::records) async fn submissions(State(rooms): State<Rooms>, asked: Asked) -> Response {
    let limit = match asked.only(&["limit", "cursor"]).and_then(|()| asked.limit()) {
        Ok(limit) => limit,
        Err(response) => return response,
    };
    let all = rooms.records.submissions();
    let (submissions, next) = part(&all, |one| one.id.clone(), asked.text("cursor"), limit);
    shown(StatusCode::OK, &json!({ "submissions": submissions, "next": next }))
}

/// `POST /api/v1/policy-submissions`: a pack, bindings, or both.
pub(in crate::records) async fn submit(State(rooms): State<Rooms>, asked: Asked, bytes: Bytes) -> Response {
    let submitted = async {
        let by = asked.person()?;
        let said = said(&asked, &bytes)?;
        let submitted = rooms
            .records
            .submit_policy(&by, said.toml, said.pack, said.bindings)
            .await;
        let (submission, warnings) = submitted.map_err(|error| refused(&error))?;
        let mut value = serde_json::to_value(&submission).unwrap_or_default();
        if let Some(fields) = value.as_object_mut() {
            fields.insert("warnings".to_owned(), json!(warnings));
        }
        Ok::<_, Response>(tagged(StatusCode::CREATED, &value, submission.version))
    };
    submitted.await.unwrap_or_else(|response| response)
}

/// `GET /api/v1/policy-submissions/{id}`.
pub(in crate::records) async fn read(State(rooms): State<Rooms>, Path(id): Path<String>) -> Response {
    submission(rooms.records.submission(&id))
}

/// `POST /api/v1/policy-submissions/{id}/simulate`: what it would do to all studies.
pub(in crate::records) async fn simulate(State(rooms): State<Rooms>, Path(id): Path<String>, asked: Asked) -> Response {
    let by = match asked.person() {
        Ok(by) => by,
        Err(response) => return response,
    };
    match rooms.records.simulate_policy(&by, &id).await {
        Ok(simulation) => shown(StatusCode::OK, &simulation),
        Err(error) => refused(&error),
    }
}

/// `POST /api/v1/policy-submissions/{id}/publish`: as another person than its author.
pub(in crate::records) async fn publish(
    State(rooms): State<Rooms>,
    Path(id): Path<String>,
    asked: Asked,
    bytes: Bytes,
) -> Response {
    let published = async {
        let (by, expected) = (asked.person()?, asked.expected()?);
        let said: Publish = body(&bytes)?;
        let published = rooms
            .records
            .publish_policy(&by, &id, said.acknowledge_shortening, expected)
            .await;
        Ok::<_, Response>(submission(published))
    };
    published.await.unwrap_or_else(|response| response)
}

/// `POST /api/v1/policy-submissions/{id}/withdraw`.
pub(in crate::records) async fn withdraw(State(rooms): State<Rooms>, Path(id): Path<String>, asked: Asked) -> Response {
    match asked.person() {
        Ok(by) => submission(rooms.records.withdraw_policy(&by, &id).await),
        Err(response) => response,
    }
}

fn submission(found: Result<Submission, RecordsError>) -> Response {
    match found {
        Ok(found) => tagged(StatusCode::OK, &found, found.version),
        Err(error) => refused(&error),
    }
}
