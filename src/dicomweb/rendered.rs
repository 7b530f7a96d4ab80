//! Rendered resources and thumbnails (PS3.18 §8.3.5, §10.4.1.1.3, §10.4.3.3).
//!
//! | resource | one picture | several |
//! |---|---|---|
//! | study, series | its representative instance | every frame, multipart |
//! | instance | its representative frame; GIF shows all in turn | every frame, multipart |
//! | presentation state | the first image that it references, as it presents it | all of them, multipart |
//! | frames | the one that is listed; GIF shows the list in turn | every listed one, multipart |

use axum::{Router, routing::get};

use super::DicomwebState;

mod answer;
mod documents;
mod parameters;
mod pictures;
mod presentations;
mod thumbnails;

/// The routes of this service.
pub(super) fn routes() -> Router<DicomwebState> {
    const STUDY: &str = "/studies/{study}";
    const SERIES: &str = "/studies/{study}/series/{series}";
    const INSTANCE: &str = "/studies/{study}/series/{series}/instances/{instance}";
    Router::new()
        .route(&format!("{STUDY}/rendered"), get(pictures::of_many))
        .route(&format!("{SERIES}/rendered"), get(pictures::of_many))
        .route(&format!("{INSTANCE}/rendered"), get(pictures::of_instance))
        .route(
            &format!("{INSTANCE}/frames/{{frames}}/rendered"),
            get(pictures::of_frames),
        )
        .route(&format!("{STUDY}/thumbnail"), get(thumbnails::of_many))
        .route(&format!("{SERIES}/thumbnail"), get(thumbnails::of_many))
        .route(&format!("{INSTANCE}/thumbnail"), get(thumbnails::of_instance))
        .route(
            &format!("{INSTANCE}/frames/{{frames}}/thumbnail"),
            get(thumbnails::of_frames),
        )
}
