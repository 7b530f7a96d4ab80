//! Retrieval of studies, series, instances, metadata and frames (PS3.18 §10.4).

use super::DicomwebState;
use filmroom_access::Action;
use filmroom_admission::{Routes, Rule};

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
pub(super) use frames::{FrameList, Numbers, every_frame, frames_of};
pub(super) use instances::{not_modified, one_instance};
pub(super) use metadata::KeptMetadata;
pub(super) use negotiation::Preference;

/// The routes of this service.
pub(super) fn routes() -> Routes<DicomwebState> {
    const RETRIEVE: Rule = Rule::May(Action::Retrieve);
    const STUDY: &str = "/studies/{study}";
    const SERIES: &str = "/studies/{study}/series/{series}";
    const INSTANCE: &str = "/studies/{study}/series/{series}/instances/{instance}";
    Routes::new()
        .get(RETRIEVE, STUDY, instances::retrieve)
        .get(RETRIEVE, SERIES, instances::retrieve)
        .get(RETRIEVE, INSTANCE, instances::retrieve)
        .get(RETRIEVE, &format!("{STUDY}/metadata"), metadata::retrieve)
        .get(RETRIEVE, &format!("{SERIES}/metadata"), metadata::retrieve)
        .get(RETRIEVE, &format!("{INSTANCE}/metadata"), metadata::retrieve)
        .get(RETRIEVE, &format!("{INSTANCE}/frames/{{frames}}"), frames::retrieve)
}
