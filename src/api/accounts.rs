//! `/api/v1/accounts`: the people who may come in.

use std::collections::BTreeSet;

use axum::{
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Rooms,
    problem::{answer, problem},
};
use filmroom_access::{Account, AccountChange, DirectoryError, Owner, Passcode, Role};

/// What a body may say of an account.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    passcode: Option<String>,
    roles: Option<BTreeSet<Role>>,
    is_disabled: Option<bool>,
    person: Option<String>,
    is_confined: Option<bool>,
}

/// `GET /api/v1/accounts`.
pub(super) async fn list(State(rooms): State<Rooms>) -> Response {
    let accounts: Vec<Value> = rooms.admission.directory().accounts().iter().map(shown).collect();
    answer(StatusCode::OK, &json!({ "accounts": accounts }))
}

/// `GET /api/v1/accounts/{name}`.
pub(super) async fn read(State(rooms): State<Rooms>, Path(name): Path<String>) -> Response {
    let accounts = rooms.admission.directory().accounts();
    match accounts.iter().find(|account| account.name == name) {
        Some(account) => answer(StatusCode::OK, &shown(account)),
        None => refused(&DirectoryError::Unknown("account")),
    }
}

/// `PUT /api/v1/accounts/{name}`: makes an account, or changes what the body says of one.
pub(super) async fn write(State(rooms): State<Rooms>, Path(name): Path<String>, body: Bytes) -> Response {
    let said: Said = match serde_json::from_slice(&body) {
        Ok(said) => said,
        // The words of the error may repeat the body, in which there is a passcode.
        Err(error) => {
            let place = format!("line {}, column {}", error.line(), error.column());
            let why = format!(
                "the body is no JSON object with passcode, roles (of: {}), is_disabled, person, is_confined: {place}",
                words()
            );
            return problem(StatusCode::BAD_REQUEST, &why);
        }
    };
    let passcode = said.passcode.map(|passcode| Passcode::from(passcode.into_bytes()));
    let written = tokio::task::spawn_blocking(move || {
        let directory = rooms.admission.directory();
        let is_known = directory.accounts().iter().any(|account| account.name == name);
        match (is_known, passcode, said.roles) {
            (false, Some(passcode), Some(roles)) if said.is_disabled != Some(true) => {
                let made = directory.add_account(
                    &name,
                    &passcode,
                    roles,
                    Owner {
                        person: said.person.as_deref(),
                        is_confined: said.is_confined.unwrap_or(false),
                    },
                );
                made.map(|account| (StatusCode::CREATED, account))
            }
            (false, ..) => Err(DirectoryError::Wrong(
                "a new account needs a passcode and roles, and is not disabled".to_owned(),
            )),
            (true, passcode, roles) => {
                let change = AccountChange {
                    passcode,
                    roles,
                    person: said.person,
                    is_disabled: said.is_disabled,
                    is_confined: said.is_confined,
                };
                let changed = directory.change_account(&name, change);
                changed.map(|account| (StatusCode::OK, account))
            }
        }
    });
    match written.await {
        Ok(Ok((status, account))) => {
            tracing::info!(status = status.as_u16(), "an account was written");
            answer(status, &shown(&account))
        }
        Ok(Err(error)) => refused(&error),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// `DELETE /api/v1/accounts/{name}`.
pub(super) async fn remove(State(rooms): State<Rooms>, Path(name): Path<String>) -> Response {
    match tokio::task::spawn_blocking(move || rooms.admission.directory().remove_account(&name)).await {
        Ok(Ok(())) => {
            tracing::info!("an account was removed");
            StatusCode::NO_CONTENT.into_response()
        }
        Ok(Err(error)) => refused(&error),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// The words of all roles.
pub(super) fn words() -> String {
    let words: Vec<&str> = Role::ALL.iter().map(|role| role.word()).collect();
    words.join(", ")
}

/// Everything of an account but its hash.
fn shown(account: &Account) -> Value {
    json!({
        "name": account.name,
        "person": account.person(),
        "roles": account.roles,
        "is_disabled": account.is_disabled,
        "is_confined": account.is_confined,
        "made_at": account.made_at,
    })
}

pub(super) fn refused(error: &DirectoryError) -> Response {
    let status = match error {
        DirectoryError::Wrong(_) => StatusCode::BAD_REQUEST,
        DirectoryError::Unknown(_) => StatusCode::NOT_FOUND,
        DirectoryError::LastAdministrator => StatusCode::CONFLICT,
        DirectoryError::TooMany => StatusCode::INSUFFICIENT_STORAGE,
        DirectoryError::State(error) => {
            tracing::error!(%error, "an account or token could not be kept");
            StatusCode::INSUFFICIENT_STORAGE
        }
    };
    problem(status, &error.to_string())
}
