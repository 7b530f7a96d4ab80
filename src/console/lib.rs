//! The pages for people: what the archive holds, with previews. They read through the query room, show previews from
//! DICOMweb, and own no rule.
//!
//! Everything is rendered here and works without scripts; one small script steps through the images of a series. Nothing
//! is loaded from elsewhere, and everything that peers sent is escaped by the templates.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod account;
mod ask;
mod emergency;
mod layout;
mod list;
mod problem;
mod series;
mod study;
#[cfg(test)]
mod tests;
mod words;

use axum::{
    extract::{DefaultBodyLimit, FromRef},
    http::{HeaderName, HeaderValue, header},
    middleware,
    response::{IntoResponse, Response},
};
use tower_http::set_header::SetResponseHeaderLayer;

use filmroom_access::Action;
use filmroom_admission::{Admission, Routes, Rule};
use filmroom_privacy::Privacy;
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

/// Longest form, in bytes.
const FORM_BYTES_MAX: usize = 16 << 10;

const STYLE: &str = include_str!("console.css");
const SCRIPT: &str = include_str!("console.js");
const ICON: &str = include_str!("icon.svg");

/// What the pages read through.
#[derive(Clone, FromRef)]
pub struct Rooms {
    /// Finds.
    pub query: QueryRoom,
    /// Knows callers.
    pub admission: Admission,
    /// Knows who sees what.
    pub privacy: Privacy,
}

/// The pages: `/`, `/studies/{study}`, `/studies/{study}/series/{series}`, those of a person's session, and what they load.
pub fn routes(rooms: Rooms) -> Routes {
    const QUERY: Rule = Rule::May(Action::Query);
    const EMERGENCY: Rule = Rule::May(Action::TakeEmergencyAccess);
    let pages = Routes::new()
        .get(QUERY, "/", list::page)
        .get(QUERY, "/studies/{study}", study::page)
        .get(QUERY, "/studies/{study}/series/{series}", series::page)
        .get(Rule::Open, "/sign-in", account::sign_in_page)
        .post(Rule::Open, "/sign-in", account::sign_in)
        .post(Rule::Open, "/sign-out", account::sign_out)
        .get(EMERGENCY, "/emergency", emergency::form_page)
        .post(EMERGENCY, "/emergency", emergency::take)
        .post(EMERGENCY, "/emergency/end", emergency::end)
        .get(Rule::Open, "/account", account::account_page)
        .post(Rule::Open, "/account", account::change_passcode)
        .around(|router| {
            router
                .fallback(|| async { problem::Problem::NotFound("page", layout::Depth::Unknown) })
                .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
                .layer(middleware::from_fn(account::refusals_as_pages))
                // Pages hold patients' names: no shared cache and no disk may keep them.
                .layer(SetResponseHeaderLayer::overriding(
                    header::CACHE_CONTROL,
                    HeaderValue::from_static("no-store"),
                ))
                .with_state(rooms)
        });
    Routes::new()
        .get(Rule::Open, "/console/console.css", || {
            asset("text/css; charset=utf-8", STYLE)
        })
        .get(Rule::Open, "/console/console.js", || {
            asset("text/javascript; charset=utf-8", SCRIPT)
        })
        .get(Rule::Open, "/console/icon.svg", || asset("image/svg+xml", ICON))
        .get(Rule::Open, "/favicon.ico", || asset("image/svg+xml", ICON))
        .merge(pages)
        .around(|router| {
            HEADERS.into_iter().fold(router, |router, (name, value)| {
                router.layer(SetResponseHeaderLayer::overriding(
                    name,
                    HeaderValue::from_static(value),
                ))
            })
        })
}

async fn asset(media_type: &'static str, body: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, "max-age=300"),
    ];
    (headers, body).into_response()
}
