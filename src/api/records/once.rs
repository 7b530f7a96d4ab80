//! `Idempotency-Key`: a request that is sent again answers what it answered before, and does nothing again.
//!
//! Answers are kept for a day, in memory. They need not outlive a restart: what leads to the destruction of something, or lets it happen,
//! is refused a second time by what was decided the first (an approval is given once by a person, a study is in one batch, a release
//! is confirmed by another, a rejection is there). A hold or a fact that is sent again after a restart is there twice, and says
//! the same.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{Extensions, HeaderMap, Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use filmroom_admission::Caller;
use moka::future::Cache;
use sha2::{Digest, Sha256};

use crate::{BODY_BYTES_MAX, problem::problem};

/// Bytes of answers that are kept; the oldest go.
const KEPT_MAX_BYTES: u64 = 32 << 20;
/// What an answer takes beside its body, about.
const KEPT_BESIDE_BYTES: usize = 1024;
const KEPT_FOR: Duration = Duration::from_secs(86_400);
/// Longest key, in bytes.
const KEY_BYTES_MAX: usize = 255;
/// Longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Answers that were given.
#[derive(Clone)]
pub(crate) struct Answers(Cache<String, Arc<Given>>);

struct Given {
    asked: [u8; 32],
    status: StatusCode,
    headers: HeaderMap,
    /// That somebody decided on the answer, among others.
    marks: Extensions,
    body: Bytes,
}

impl Default for Answers {
    fn default() -> Self {
        let weigh = |key: &String, given: &Arc<Given>| {
            u32::try_from(key.len() + given.body.len() + KEPT_BESIDE_BYTES).unwrap_or(u32::MAX)
        };
        let kept = Cache::builder().weigher(weigh).max_capacity(KEPT_MAX_BYTES);
        Self(kept.time_to_live(KEPT_FOR).build())
    }
}

/// Looks at the header of requests that change something.
pub(crate) async fn once(State(answers): State<Answers>, request: Request, next: Next) -> Response {
    let Some(key) = request.headers().get("idempotency-key") else {
        return next.run(request).await;
    };
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let key = match key.to_str() {
        Ok(key) if (1..=KEY_BYTES_MAX).contains(&key.len()) => key.to_owned(),
        _ => {
            return problem(
                StatusCode::BAD_REQUEST,
                "Idempotency-Key has 1 to 255 visible characters",
            );
        }
    };
    let who = match Caller::of(request.extensions()) {
        // A token may have the name of a person, and one sees what the other does not.
        Some(principal) => format!("{:?} {}", principal.known_by, principal.name),
        None => return next.run(request).await,
    };
    let (parts, body) = request.into_parts();
    let Ok(bytes) = to_bytes(body, BODY_BYTES_MAX).await else {
        return problem(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long");
    };
    let mut hasher = Sha256::new();
    hasher.update(parts.uri.to_string());
    hasher.update([0]);
    hasher.update(&bytes);
    let asked: [u8; 32] = hasher.finalize().into();
    let key = format!("{who}\n{key}");
    let request = Request::from_parts(parts, Body::from(bytes));
    // Of several at one time one is carried out, and all get its answer.
    let given = answers.0.get_with(
        key,
        async move { Arc::new(given(asked, next.run(request).await).await) },
    );
    let given = given.await;
    if given.asked != asked {
        return problem(
            StatusCode::UNPROCESSABLE_ENTITY,
            "this Idempotency-Key came with another request before",
        );
    }
    let mut response = (given.status, given.body.clone()).into_response();
    *response.headers_mut() = given.headers.clone();
    *response.extensions_mut() = given.marks.clone();
    response
}

async fn given(asked: [u8; 32], response: Response) -> Given {
    let (parts, body) = response.into_parts();
    let (status, body) = match to_bytes(body, ANSWER_BYTES_MAX).await {
        Ok(body) => (parts.status, body),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, Bytes::new()),
    };
    Given {
        asked,
        status,
        headers: parts.headers,
        marks: parts.extensions,
        body,
    }
}
