//! `/api/v1/tokens`: the programs that may come in.

use std::{collections::BTreeSet, time::Duration};

use axum::{
    Extension,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Rooms,
    accounts::{refused, words},
    problem::{answer, problem},
};
use filmroom_access::{NewToken, Role, Token};
use filmroom_admission::Caller;

const DAY: Duration = Duration::from_secs(86_400);

/// What a body says of a new token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    name: String,
    roles: BTreeSet<Role>,
    /// How long it lives, in days.
    days: u32,
    /// The account of the person that it acts for.
    owner: Option<String>,
    /// It is to see what is granted to it, and nothing else.
    #[serde(default)]
    is_confined: bool,
}

/// `GET /api/v1/tokens`.
pub(super) async fn list(State(rooms): State<Rooms>) -> Response {
    let tokens: Vec<Value> = rooms.admission.directory().tokens().iter().map(shown).collect();
    answer(StatusCode::OK, &json!({ "tokens": tokens }))
}

/// `POST /api/v1/tokens`: makes a token. Its text is in the answer and is not to be had again.
pub(super) async fn create(State(rooms): State<Rooms>, Extension(caller): Extension<Caller>, body: Bytes) -> Response {
    let said: Said = match serde_json::from_slice(&body) {
        Ok(said) => said,
        Err(error) => {
            let why = format!(
                "the body is no JSON object with name, roles (of: {}), days and perhaps owner, is_confined: {error}",
                words()
            );
            return problem(StatusCode::BAD_REQUEST, &why);
        }
    };
    let by = match caller.0 {
        Ok(Some(principal)) => principal.name,
        _ => String::new(),
    };
    let made = tokio::task::spawn_blocking(move || {
        rooms.admission.directory().add_token(NewToken {
            name: said.name,
            roles: said.roles,
            life: DAY.saturating_mul(said.days),
            made_by: by,
            owner: said.owner,
            is_confined: said.is_confined,
        })
    });
    match made.await {
        Ok(Ok((token, text))) => {
            tracing::info!(id = token.id, "a token was made");
            let mut value = shown(&token);
            if let Some(fields) = value.as_object_mut() {
                fields.insert("token".to_owned(), text.into());
            }
            answer(StatusCode::CREATED, &value)
        }
        Ok(Err(error)) => refused(&error),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// `DELETE /api/v1/tokens/{id}`: revokes a token.
pub(super) async fn revoke(State(rooms): State<Rooms>, Path(id): Path<String>) -> Response {
    match tokio::task::spawn_blocking(move || rooms.admission.directory().revoke_token(&id)).await {
        Ok(Ok(())) => {
            tracing::info!("a token was revoked");
            StatusCode::NO_CONTENT.into_response()
        }
        Ok(Err(error)) => refused(&error),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// Everything of a token but its sum.
fn shown(token: &Token) -> Value {
    json!({
        "id": token.id,
        "name": token.name,
        "roles": token.roles,
        "made_at": token.made_at,
        "expires_at": token.expires_at,
        "made_by": token.made_by,
        "owner": token.owner,
        "is_confined": token.is_confined,
    })
}
