//! Cross-origin access (the Fetch standard) on every answer, errors included: a browser that may not read an error cannot
//! tell its user what went wrong.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

const ALLOW_METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE, OPTIONS");
const ALLOW_HEADERS: HeaderValue = HeaderValue::from_static(
    "Authorization, Accept, Accept-Language, Accept-Encoding, Cache-Control, Content-Type, Content-Length, Content-Location, If-Match, If-None-Match, If-Modified-Since, If-Range, Range, X-Requested-With",
);
const EXPOSE_HEADERS: HeaderValue = HeaderValue::from_static(
    "Content-Type, Content-Length, Content-Range, Content-Encoding, Content-Location, Content-Disposition, Accept-Ranges, ETag, Last-Modified, Location, Retry-After, Warning",
);
/// A day: the longest that browsers keep a preflight.
const MAX_AGE_SECONDS: HeaderValue = HeaderValue::from_static("86400");

/// Who may read from another origin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Origins {
    /// Any page, without credentials.
    #[default]
    Any,
    /// Pages of these origins (`https://viewer.example`), credentials allowed.
    Listed(Vec<String>),
}

impl Origins {
    fn grant(&self, headers: &mut HeaderMap, origin: Option<&HeaderValue>) {
        match self {
            Self::Any => {
                headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            }
            Self::Listed(listed) => {
                headers.append(header::VARY, HeaderValue::from_static("Origin"));
                let granted = origin.filter(|origin| listed.iter().any(|one| one.as_bytes() == origin.as_bytes()));
                if let Some(origin) = granted {
                    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                    headers.insert(
                        header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
                        HeaderValue::from_static("true"),
                    );
                }
            }
        }
    }
}

/// Answers preflights itself (they carry no credentials, so they stand before any check) and grants access on all else.
/// An `OPTIONS` that is no preflight goes through: it asks for the capabilities (PS3.18 §8.9).
pub async fn grant(State(origins): State<Arc<Origins>>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if preflight {
        answer_preflight()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    origins.grant(headers, origin.as_ref());
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSE_HEADERS);
    response
}

fn answer_preflight() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, ALLOW_METHODS);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOW_HEADERS);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECONDS);
    response
}
