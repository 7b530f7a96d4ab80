//! Which images a presentation state presents (PS3.3 C.11.11), and which of its items mean one of them.

use filmroom_pixels::elements::Elements;
use filmroom_storage::model::{SeriesInstanceUid, SopInstanceUid};

/// More images of one presentation state are not looked for.
const IMAGES_MAX: usize = 4096;

/// An image that is referenced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Its series.
    pub series: SeriesInstanceUid,
    /// Itself.
    pub instance: SopInstanceUid,
    /// Its frames, from 1; all of them when empty.
    pub frame_numbers: Vec<u32>,
}

/// All images that a presentation state references, in its order. What has no usable UID is left out.
#[must_use]
pub fn references(elements: &Elements<'_>) -> Vec<Reference> {
    elements
        .items(0x0008_1115)
        .flat_map(|series| {
            let uid = SeriesInstanceUid::new(series.text(0x0020_000E)).ok();
            series.items(0x0008_1140).filter_map(move |image| {
                Some(Reference {
                    series: uid.clone()?,
                    instance: SopInstanceUid::new(image.text(0x0008_1155)).ok()?,
                    frame_numbers: frame_numbers(&image),
                })
            })
        })
        .take(IMAGES_MAX)
        .collect()
}

/// (0008,1160).
fn frame_numbers(image: &Elements<'_>) -> Vec<u32> {
    image
        .decimals(0x0008_1160)
        .into_iter()
        .filter(|number| *number >= 1.0)
        .map(|number| number as u32)
        .collect()
}

/// The frame that is presented.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// (0008,0018) of the image.
    pub sop_instance_uid: &'a str,
    /// From 1.
    pub frame_number: u32,
}

impl Target<'_> {
    /// True when an item is meant for this frame: it has no Referenced Image Sequence (0008,1140), or one that names it.
    #[must_use]
    pub fn is_meant_by(&self, item: &Elements<'_>) -> bool {
        let mut images = item.items(0x0008_1140).peekable();
        if images.peek().is_none() {
            return true;
        }
        images.any(|image| {
            let frames = frame_numbers(&image);
            image.text(0x0008_1155) == self.sop_instance_uid
                && (frames.is_empty() || frames.contains(&self.frame_number))
        })
    }

    /// The first item of a sequence that is meant for this frame.
    #[must_use]
    pub fn item<'e>(&self, elements: &Elements<'e>, sequence: u32) -> Option<Elements<'e>> {
        elements.items(sequence).find(|item| self.is_meant_by(item))
    }
}
