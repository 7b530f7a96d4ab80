//! `/api/v1/session`: who the caller is.

use axum::{
    Extension,
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;

use super::{
    Rooms,
    accounts::refused,
    problem::{answer, problem},
};
use filmroom_access::{AccountChange, Action, KnownBy, Passcode};
use filmroom_admission::{Caller, Refusal, address_of};

/// `GET /api/v1/session`: by what name the caller is known, and what it may do.
pub(super) async fn read(
    State(rooms): State<Rooms>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Response {
    let Ok(Some(principal)) = caller.0 else {
        return Refusal::Unknown.answer(&headers);
    };
    let actions: Vec<&str> = Action::ALL
        .iter()
        .filter(|action| principal.may(**action))
        .map(|action| action.word())
        .collect();
    let value = json!({
        "name": principal.name,
        "person": principal.subject(),
        "known_by": principal.known_by.word(),
        "proved_seconds_ago": principal.proof().map(|proof| proof.at.elapsed().as_secs()),
        "roles": principal.roles(),
        "may": actions,
        "emergencies": super::privacy::open(&rooms.privacy.open_of(&principal)),
    });
    answer(StatusCode::OK, &value)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Passcodes {
    current: String,
    new: String,
}

/// `PUT /api/v1/session/passcode`: gives the caller's account another passcode. The one before has to be shown, whatever the caller
/// was known by: a session that somebody left open is not enough.
pub(super) async fn change_passcode(State(rooms): State<Rooms>, request: Request) -> Response {
    let from = address_of(request.extensions());
    let headers = request.headers().clone();
    let name = match Caller::of(request.extensions()) {
        Some(principal) if matches!(principal.known_by, KnownBy::Passcode | KnownBy::Session) => principal.name.clone(),
        Some(_) => return Refusal::NotLet.answer(&headers),
        None => return Refusal::Unknown.answer(&headers),
    };
    let body = axum::body::to_bytes(request.into_body(), super::BODY_BYTES_MAX).await;
    let body: Bytes = body.unwrap_or_default();
    let Ok(said) = serde_json::from_slice::<Passcodes>(&body) else {
        return problem(
            StatusCode::BAD_REQUEST,
            "the body is no JSON object with current and new",
        );
    };
    let current = Passcode::from(said.current.into_bytes());
    if let Err(refused) = rooms.admission.directory().by_passcode(&name, &current, from).await {
        return match Refusal::from(refused) {
            Refusal::Unknown => problem(StatusCode::FORBIDDEN, "the current passcode is another"),
            other => other.answer(&headers),
        };
    }
    let change = AccountChange {
        passcode: Some(Passcode::from(said.new.into_bytes())),
        ..AccountChange::default()
    };
    let changed = tokio::task::spawn_blocking(move || rooms.admission.directory().change_account(&name, change)).await;
    match changed {
        Ok(Ok(_)) => StatusCode::NO_CONTENT.into_response(),
        Ok(Err(error)) => refused(&error),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Proof {
    passcode: String,
}

/// `PUT /api/v1/session/proof`: the person of a session proves anew who they are, for what asks for that.
pub(super) async fn prove(State(rooms): State<Rooms>, request: Request) -> Response {
    let from = address_of(request.extensions());
    let headers = request.headers().clone();
    let Some(principal) = Caller::of(request.extensions()).cloned() else {
        return Refusal::Unknown.answer(&headers);
    };
    if principal.known_by != KnownBy::Session {
        let why = "only the person of a session proves anew who they are; name and passcode prove it with each request";
        return problem(StatusCode::FORBIDDEN, why);
    }
    let body = axum::body::to_bytes(request.into_body(), super::BODY_BYTES_MAX).await;
    let Ok(said) = serde_json::from_slice::<Proof>(&body.unwrap_or_default()) else {
        return problem(StatusCode::BAD_REQUEST, "the body is no JSON object with passcode");
    };
    let passcode = Passcode::from(said.passcode.into_bytes());
    match rooms.admission.prove_again(&principal, &passcode, from).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(refused) => match Refusal::from(refused) {
            Refusal::Unknown => problem(StatusCode::FORBIDDEN, "the passcode is another"),
            other => other.answer(&headers),
        },
    }
}
