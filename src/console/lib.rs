//! The pages for people: what the archive holds, with previews. They read through the query room, show previews from
//! DICOMweb, and own no rule.
//!
//! Everything is rendered here and works without scripts; one small script steps through the images of a series. Nothing
//! is loaded from elsewhere, and everything that peers sent is escaped by the templates.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod ask;
mod layout;
mod list;
mod problem;
mod series;
mod study;
#[cfg(test)]
mod tests;
mod words;

use axum::{
    Router,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tower_http::set_header::SetResponseHeaderLayer;

use filmroom_query::QueryRoom;

/// Only what is served here may be loaded; no page of others may show ours in a frame.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

const STYLE: &str = include_str!("console.css");
const SCRIPT: &str = include_str!("console.js");
const ICON: &str = include_str!("icon.svg");

/// The pages: `/`, `/studies/{study}`, `/studies/{study}/series/{series}`, and what they load.
pub fn router(query: QueryRoom) -> Router {
    let pages = Router::new()
        .route("/", get(list::page))
        .route("/studies/{study}", get(study::page))
        .route("/studies/{study}/series/{series}", get(series::page))
        .fallback(|| async { problem::Problem::NotFound("page", layout::Depth::Unknown) })
        // Pages hold patients' names: no shared cache and no disk may keep them.
        .layer(SetResponseHeaderLayer::overriding(
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-store"),
        ))
        .with_state(query);
    let mut router = pages
        .route("/console/console.css", get(|| asset("text/css; charset=utf-8", STYLE)))
        .route(
            "/console/console.js",
            get(|| asset("text/javascript; charset=utf-8", SCRIPT)),
        )
        .route("/console/icon.svg", get(|| asset("image/svg+xml", ICON)))
        .route("/favicon.ico", get(|| asset("image/svg+xml", ICON)));
    for (name, value) in HEADERS {
        router = router.layer(SetResponseHeaderLayer::overriding(
            name,
            HeaderValue::from_static(value),
        ));
    }
    router
}

async fn asset(media_type: &'static str, body: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, "max-age=300"),
    ];
    (headers, body).into_response()
}
