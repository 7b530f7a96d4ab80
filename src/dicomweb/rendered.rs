//! Rendered resources and thumbnails (PS3.18 §8.3.5, §10.4.1.1.3, §10.4.3.3).
//!
//! | resource | one picture | several |
//! |---|---|---|
//! | study, series | its representative instance | every frame, multipart |
//! | instance | its representative frame; GIF shows all in turn | every frame, multipart |
//! | film (MPEG-2, H.264, HEVC) | as it is stored | |
//! | document, report, waveform | as document or text; a picture of text and traces where asked | |
//! | presentation state | the first image that it references, as it presents it | all of them, multipart |
//! | frames | the one that is listed; GIF shows the list in turn | every listed one, multipart |

use super::DicomwebState;
use filmroom_access::Action;
use filmroom_admission::{Routes, Rule};

mod answer;
mod documents;
mod films;
pub(crate) mod parameters;
mod pictures;
mod presentations;
mod thumbnails;

/// The routes of this service.
pub(super) fn routes() -> Routes<DicomwebState> {
    const RETRIEVE: Rule = Rule::May(Action::Retrieve);
    const STUDY: &str = "/studies/{study}";
    const SERIES: &str = "/studies/{study}/series/{series}";
    const INSTANCE: &str = "/studies/{study}/series/{series}/instances/{instance}";
    Routes::new()
        .get(RETRIEVE, &format!("{STUDY}/rendered"), pictures::of_many)
        .get(RETRIEVE, &format!("{SERIES}/rendered"), pictures::of_many)
        .get(RETRIEVE, &format!("{INSTANCE}/rendered"), pictures::of_instance)
        .get(
            RETRIEVE,
            &format!("{INSTANCE}/frames/{{frames}}/rendered"),
            pictures::of_frames,
        )
        .get(RETRIEVE, &format!("{STUDY}/thumbnail"), thumbnails::of_many)
        .get(RETRIEVE, &format!("{SERIES}/thumbnail"), thumbnails::of_many)
        .get(RETRIEVE, &format!("{INSTANCE}/thumbnail"), thumbnails::of_instance)
        .get(
            RETRIEVE,
            &format!("{INSTANCE}/frames/{{frames}}/thumbnail"),
            thumbnails::of_frames,
        )
}
