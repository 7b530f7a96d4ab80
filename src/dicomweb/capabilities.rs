//! What this service can do (PS3.18 §8.9), told from one table: as OpenAPI, as WADL, and at the root of the service.

use axum::{
    extract::State,
    http::{HeaderValue, Method, header},
    response::{IntoResponse, Response},
};

use super::{
    DicomwebState,
    accept::{Accept, Offer},
    base_url::BaseUrl,
    error::Problem,
};
use filmroom_admission::{Routes, Rule};

mod openapi;
mod services;
mod wadl;

#[cfg(test)]
pub(super) use services::SERVICES;

/// What the root answers in, preferred first.
const OFFERS: [Offer; 5] = [
    Offer::single("application/json"),
    Offer::single("application/vnd.sun.wadl+xml"),
    Offer::single("application/vnd.oai.openapi+json"),
    Offer::single("application/xml"),
    Offer::single("application/dicom+json"),
];

/// The routes of this service.
pub(super) fn routes() -> Routes<DicomwebState> {
    root_at("/").get(Rule::Open, "/openapi.json", document)
}

/// The description of the service at a path of its own: the root with a slash behind it.
pub(super) fn root_at(path: &str) -> Routes<DicomwebState> {
    Routes::new()
        .get(Rule::Open, path, root)
        .on(Rule::Open, Method::OPTIONS, path, root)
}

async fn root(State(state): State<DicomwebState>, accept: Accept, base: BaseUrl) -> Result<Response, Problem> {
    let offer = accept.negotiate(&OFFERS)?;
    let body = if offer.media_type.ends_with("xml") {
        wadl::write(&base)
    } else {
        openapi::write(&base, &state.config)
    };
    Ok(typed(offer.media_type, body))
}

async fn document(State(state): State<DicomwebState>, base: BaseUrl) -> Response {
    typed("application/json", openapi::write(&base, &state.config))
}

fn typed(media_type: &'static str, body: String) -> Response {
    let mut response = body.into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
