//! Retrieval of studies, series, instances, metadata and frames (PS3.18 §10.4).

use axum::{Router, routing::get};

use super::DicomwebState;

mod body;
pub(super) mod conditional;
mod frames;
mod instances;
pub(super) mod media;
mod metadata;
mod negotiation;
pub(super) mod resource;
mod zip;

pub(super) use body::{stream_body, typed};
pub(super) use frames::{FrameList, Numbers, frames_of};
pub(super) use instances::{not_modified, one_instance};
pub(super) use negotiation::Preference;

/// The routes of this service.
pub(super) fn routes() -> Router<DicomwebState> {
    const STUDY: &str = "/studies/{study}";
    const SERIES: &str = "/studies/{study}/series/{series}";
    const INSTANCE: &str = "/studies/{study}/series/{series}/instances/{instance}";
    Router::new()
        .route(STUDY, get(instances::retrieve))
        .route(SERIES, get(instances::retrieve))
        .route(INSTANCE, get(instances::retrieve))
        .route(&format!("{STUDY}/metadata"), get(metadata::retrieve))
        .route(&format!("{SERIES}/metadata"), get(metadata::retrieve))
        .route(&format!("{INSTANCE}/metadata"), get(metadata::retrieve))
        .route(&format!("{INSTANCE}/frames/{{frames}}"), get(frames::retrieve))
}
