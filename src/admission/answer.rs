//! What somebody is told who is not answered.

use std::time::Duration;

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use filmroom_access::Refused;

/// Why a request is not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The sender has to be known, and is not; or is not known by what was shown.
    Unknown,
    /// Nobody is asked who they are; what this does takes somebody all the same.
    Nobody,
    /// What was shown is nothing that is understood here.
    NotUnderstood,
    /// The sender is known and is not let.
    NotLet,
    /// The sender is let, and has to prove anew who they are: longest ago that it may be.
    ProveAnew(Duration),
    /// A page of elsewhere had a browser send it.
    ForeignPage,
    /// There were too many tries.
    Wait(Duration),
    /// Who sends it cannot be found out now.
    Failed,
    /// Nobody decided: a fault of ours.
    Undecided,
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unknown => Self::Unknown,
            Refused::Wait(wait) => Self::Wait(wait),
            Refused::Failed(why) => {
                tracing::error!(why, "a caller cannot be checked");
                Self::Failed
            }
        }
    }
}

impl Refusal {
    /// Status and sentence.
    #[must_use]
    pub fn status(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Unknown => (
                StatusCode::UNAUTHORIZED,
                "sign in: by name and passcode, or with a token",
            ),
            Self::Nobody => (
                StatusCode::UNAUTHORIZED,
                "this takes somebody who signed in: on the archive's machine make an account with `filmroom user add NAME --role \
                 ROLE` (`filmroom user roles` lists roles), then send its name and passcode with the request (HTTP Basic), or \
                 sign in at /sign-in; commands take --as NAME",
            ),
            Self::NotUnderstood => (
                StatusCode::UNAUTHORIZED,
                "the Authorization header is understood as Basic or Bearer, once",
            ),
            Self::NotLet => (StatusCode::FORBIDDEN, "none of your roles lets you do this"),
            Self::ProveAnew(_) => (
                StatusCode::UNAUTHORIZED,
                "prove anew who you are: show name and passcode, or send the passcode to /api/v1/session/proof",
            ),
            Self::ForeignPage => (
                StatusCode::FORBIDDEN,
                "pages of other origins cannot do this in your name",
            ),
            Self::Wait(_) => (StatusCode::TOO_MANY_REQUESTS, "too many tries: wait before the next"),
            Self::Failed => (
                StatusCode::SERVICE_UNAVAILABLE,
                "it cannot be found out now who you are",
            ),
            Self::Undecided => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "the answer is kept back: nobody decided who may have it",
            ),
        }
    }

    /// For programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown-sender",
            Self::Nobody => "sign-in",
            Self::NotUnderstood => "not-understood",
            Self::NotLet => "not-let",
            Self::ProveAnew(_) => "prove-anew",
            Self::ForeignPage => "foreign-page",
            Self::Wait(_) => "wait",
            Self::Failed => "failed",
            Self::Undecided => "undecided",
        }
    }

    /// The answer: a problem as JSON (RFC 9457). The refusal itself is in its extensions.
    #[must_use]
    pub fn answer(&self, asked: &HeaderMap) -> Response {
        let (status, detail) = self.status();
        let body = json!({
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "code": self.code(),
            "detail": detail,
        });
        let kind = [
            (
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/problem+json"),
            ),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        let mut response = (status, kind, format!("{body}\n")).into_response();
        // A door may say it in another way: pages lead to where somebody signs in.
        response.extensions_mut().insert(self.clone());
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            // A browser would ask by a window of its own for Basic, in the middle of a page.
            if !is_browser(asked) {
                headers.append(
                    header::WWW_AUTHENTICATE,
                    HeaderValue::from_static("Basic realm=\"Filmroom\", charset=\"UTF-8\""),
                );
            }
            let bearer = match self {
                // RFC 9470 §3.
                Self::ProveAnew(longest) => format!(
                    "Bearer realm=\"Filmroom\", error=\"insufficient_user_authentication\", max_age=\"{}\"",
                    longest.as_secs()
                ),
                _ => "Bearer realm=\"Filmroom\"".to_owned(),
            };
            if let Ok(bearer) = HeaderValue::from_str(&bearer) {
                headers.append(header::WWW_AUTHENTICATE, bearer);
            }
        }
        if let Self::Wait(wait) = self
            && let Ok(seconds) = HeaderValue::from_str(&wait.as_secs().max(1).to_string())
        {
            headers.insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

fn is_browser(asked: &HeaderMap) -> bool {
    asked.contains_key(HeaderName::from_static("sec-fetch-mode"))
}
