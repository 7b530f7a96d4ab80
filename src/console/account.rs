//! `/sign-in`, `/sign-out` and `/account`: a person's own session.

use std::net::IpAddr;

use axum::{
    Form,
    extract::{Query, Request, State},
    http::{HeaderMap, HeaderName, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::{
    Rooms,
    layout::{Depth, page},
    problem::Problem,
};
use filmroom_access::{AccountChange, Action, KnownBy, Passcode, Principal, Refused};
use filmroom_admission::{Caller, Demand, Refusal, address_of, is_own_page};

/// Where a person wanted to go before they had to sign in.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Way {
    next: String,
}

impl Way {
    /// A page of ours as seen from `/sign-in`: what came along may have been made up elsewhere.
    fn target(&self) -> &str {
        let is_page = self.next.starts_with('?') || self.next.starts_with("studies/");
        let is_plain = self.next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        if is_page && is_plain { &self.next } else { "." }
    }
}

#[derive(Deserialize)]
pub(super) struct Shown {
    name: String,
    passcode: String,
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
pub(super) struct Passcodes {
    current: String,
    new: String,
    again: String,
}

/// Leads whoever is not known to where they can sign in, and tells whoever is not let so on a page.
pub(super) async fn refusals_as_pages(request: Request, next: Next) -> Response {
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .to_owned();
    let response = next.run(request).await;
    let Some(refusal) = response.extensions().get::<Refusal>().cloned() else {
        return response;
    };
    let mut page = match refusal {
        Refusal::Unknown => {
            let next = path.trim_start_matches('/');
            let way = match next {
                "" => String::new(),
                next => format!("?next={}", utf8_percent_encode(next, NON_ALPHANUMERIC)),
            };
            let ups = path.split('?').next().unwrap_or_default().matches('/').count();
            see(&format!("{}sign-in{way}", "../".repeat(ups.saturating_sub(1))))
        }
        Refusal::NotLet => Problem::NotLet.into_response(),
        _ => return response,
    };
    page.extensions_mut().insert(refusal);
    page
}

/// `GET /sign-in`.
pub(super) async fn sign_in_page(State(rooms): State<Rooms>, Query(way): Query<Way>, request: Request) -> Response {
    if rooms.admission.demand() == Demand::Nothing || Caller::of(request.extensions()).is_some() {
        return see(way.target());
    }
    form(&rooms, &way.next, None, StatusCode::OK)
}

fn form(rooms: &Rooms, next: &str, wrong: Option<&str>, status: StatusCode) -> Response {
    let body = html! {
        div.notice {
            h1 { "Sign in" }
            @if let Some(wrong) = wrong {
                p role="alert" { (wrong) }
            }
            @if !rooms.admission.directory().has_administrator() {
                p {
                    "This archive has no account yet. Whoever runs it makes the first one on its own machine: "
                    code { "filmroom user add NAME --role administrator" }
                }
            }
            form.account method="post" action="sign-in" {
                input type="hidden" name="next" value=(next);
                label { "Name " input name="name" autocomplete="username" required autofocus; }
                label { "Passcode " input name="passcode" type="password" autocomplete="current-password" required; }
                button type="submit" { "Sign in" }
            }
        }
    };
    (status, page("Sign in", Depth::Top, &body)).into_response()
}

/// `POST /sign-in`.
pub(super) async fn sign_in(
    State(rooms): State<Rooms>,
    headers: HeaderMap,
    Address(from): Address,
    Form(shown): Form<Shown>,
) -> Response {
    if rooms.admission.demand() == Demand::Nothing {
        return see(".");
    }
    // Nobody is to be signed in, by another's page, as somebody else.
    if !is_own_page(&headers) {
        return Problem::NotLet.into_response();
    }
    let way = Way { next: shown.next };
    let passcode = Passcode::from(shown.passcode.into_bytes());
    match rooms.admission.sign_in(&shown.name, &passcode, from, &headers).await {
        Ok(cookie) => ([(header::SET_COOKIE, cookie)], see(way.target())).into_response(),
        Err(Refused::Wait(wait)) => {
            let seconds = wait.as_secs().max(1);
            let why = format!("There were too many tries. The next one is looked at in {seconds} seconds.");
            let answer = form(&rooms, &way.next, Some(&why), StatusCode::TOO_MANY_REQUESTS);
            ([(header::RETRY_AFTER, seconds.to_string())], answer).into_response()
        }
        Err(Refused::Unknown) => {
            let why = "Name and passcode do not belong together here.";
            form(&rooms, &way.next, Some(why), StatusCode::FORBIDDEN)
        }
        Err(Refused::Failed(why)) => {
            tracing::error!(why, "somebody cannot sign in");
            Problem::Internal.into_response()
        }
    }
}

/// `POST /sign-out`.
pub(super) async fn sign_out(State(rooms): State<Rooms>, headers: HeaderMap, Address(from): Address) -> Response {
    let clear = [
        (header::SET_COOKIE, rooms.admission.sign_out(from, &headers).await),
        // What the browser kept of patients goes with the session.
        (
            HeaderName::from_static("clear-site-data"),
            header::HeaderValue::from_static("\"cache\", \"storage\""),
        ),
    ];
    (clear, see("sign-in")).into_response()
}

/// `GET /account`.
pub(super) async fn account_page(State(rooms): State<Rooms>, request: Request) -> Response {
    if rooms.admission.demand() == Demand::Nothing {
        let body = html! {
            div.notice {
                h1 { "Nobody is asked who they are" }
                p {
                    "Only this machine reaches the archive, so that nobody has to sign in. The setting "
                    code { "access.authentication" } " changes that."
                }
            }
        };
        return page("Account", Depth::Top, &body).into_response();
    }
    match Caller::of(request.extensions()) {
        Some(principal) => account(principal, None, StatusCode::OK),
        None => see("sign-in"),
    }
}

fn account(principal: &Principal, said: Option<&str>, status: StatusCode) -> Response {
    let roles = principal
        .roles()
        .iter()
        .map(|role| html! { li { (role.word()) ": " (role.about()) } });
    let body: Markup = html! {
        div.notice {
            h1 { (principal.name) }
            @if let Some(said) = said {
                p role="alert" { (said) }
            }
            ul { @for role in roles { (role) } }
            @if principal.may(Action::TakeEmergencyAccess) {
                p { a href="emergency" { "Emergency access to what is protected" } }
            }
            form.account method="post" action="sign-out" { button type="submit" { "Sign out" } }
            @if matches!(principal.known_by, KnownBy::Passcode | KnownBy::Session) {
                h2 { "Another passcode" }
                form.account method="post" action="account" {
                    label {
                        "Current passcode "
                        input name="current" type="password" autocomplete="current-password" required;
                    }
                    label { "New passcode " input name="new" type="password" autocomplete="new-password" required; }
                    label { "Once more " input name="again" type="password" autocomplete="new-password" required; }
                    button type="submit" { "Change" }
                }
            }
        }
    };
    (status, page("Account", Depth::Top, &body)).into_response()
}

/// `POST /account`: another passcode.
pub(super) async fn change_passcode(
    State(rooms): State<Rooms>,
    caller: axum::Extension<Caller>,
    Address(from): Address,
    Form(said): Form<Passcodes>,
) -> Response {
    let Caller(Ok(Some(principal))) = caller.0 else {
        return see("sign-in");
    };
    if !matches!(principal.known_by, KnownBy::Passcode | KnownBy::Session) {
        return Problem::NotLet.into_response();
    }
    let wrong = |why: &str, status| account(&principal, Some(why), status);
    if said.new != said.again {
        return wrong("The two new passcodes are not the same.", StatusCode::BAD_REQUEST);
    }
    let current = Passcode::from(said.current.into_bytes());
    let directory = rooms.admission.directory();
    match directory.by_passcode(&principal.name, &current, from).await {
        Ok(_) => {}
        Err(Refused::Wait(wait)) => {
            let why = format!("There were too many tries. Wait {} seconds.", wait.as_secs().max(1));
            return wrong(&why, StatusCode::TOO_MANY_REQUESTS);
        }
        Err(_) => return wrong("The current passcode is another.", StatusCode::FORBIDDEN),
    }
    let change = AccountChange {
        passcode: Some(Passcode::from(said.new.into_bytes())),
        ..AccountChange::default()
    };
    let (directory, name) = (directory.clone(), principal.name.clone());
    let changed = tokio::task::spawn_blocking(move || directory.change_account(&name, change));
    match changed.await {
        // Sessions that began by the old one are over, this one with them.
        Ok(Ok(_)) => see("sign-in"),
        Ok(Err(error)) => wrong(&format!("It was not changed: {error}."), StatusCode::BAD_REQUEST),
        Err(error) => {
            tracing::error!(%error, "a passcode could not be changed");
            Problem::Internal.into_response()
        }
    }
}

/// The address that a request came from.
pub(super) struct Address(pub(super) IpAddr);

impl<S: Sync> axum::extract::FromRequestParts<S> for Address {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(address_of(&parts.extensions)))
    }
}

/// Another page is to be asked for.
pub(super) fn see(location: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_away_from_here() {
        let target = |next: &str| {
            let way = Way { next: next.to_owned() };
            way.target().to_owned()
        };
        for good in ["studies/1.2/series/3", "?name=doe&page=2", "studies/1.2?x=%20"] {
            assert_eq!(target(good), good);
        }
        for bad in [
            "",
            "/",
            "//evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "studies/\r\nset-cookie: a=b",
            "studies/\\evil",
            "\\\\evil.example",
        ] {
            assert_eq!(target(bad), ".");
        }
    }
}
