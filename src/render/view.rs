//! One decoded frame → one picture.

use super::annotate::{Annotation, annotate};
use super::grey::{Pipeline, Window};
use super::lut::Palette;
use super::picture::{Channels, Enlarge, Picture, Viewport};
use super::{RenderError, overlay, presentation};
use filmroom_pixels::colour;
use filmroom_pixels::decode::{Frame, Reduction, Samples};
use filmroom_pixels::elements::DataSet;
use filmroom_pixels::pixel_description::{Photometric, PixelDescription};

/// How a picture is wanted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parameters {
    /// Instead of the object's own values of interest; colour is not windowed.
    pub window: Option<Window>,
    /// Part and size; the frame as it is when `None`.
    pub viewport: Option<Viewport>,
    /// 1 to 100, for JPEG; `None` for the archive's choice.
    pub quality: Option<u8>,
    /// What is written over the picture.
    pub annotation: Annotation,
    /// What becomes of colour profiles.
    pub icc_profile: IccProfile,
    /// Whether overlay planes are drawn.
    pub overlays: Overlays,
    /// Whether small pictures are enlarged to fill the viewport.
    pub enlarge: Enlarge,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            window: None,
            viewport: None,
            quality: None,
            annotation: Annotation::default(),
            icc_profile: IccProfile::No,
            overlays: Overlays::Shown,
            enlarge: Enlarge::Yes,
        }
    }
}

/// The `iccprofile` parameter (PS3.18 §8.3.5.1.5).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum IccProfile {
    /// No profile in the answer.
    #[default]
    No,
    /// The object's own profile, embedded.
    Yes,
    /// Colours brought to sRGB, its profile embedded.
    Srgb,
    /// Colours brought to Adobe RGB (1998), its profile embedded.
    AdobeRgb,
    /// Colours brought to ROMM RGB (ProPhoto), its profile embedded.
    RommRgb,
}

/// Whether overlay planes are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Overlays {
    /// Over the picture.
    Shown,
    /// Left out: they may say who the patient is.
    Hidden,
}

/// How much of a frame a decoder may leave out: what the viewport has no pixels for.
#[must_use]
pub fn reduction(description: &PixelDescription, parameters: &Parameters) -> Reduction {
    match parameters.viewport {
        // A region is given in pixels of the frame, and bits above the samples, which overlays may be, are lost in reduction.
        Some(Viewport {
            width,
            height,
            source: None,
        }) if parameters.overlays == Overlays::Hidden => {
            let scale = (f64::from(width) / f64::from(description.columns))
                .min(f64::from(height) / f64::from(description.rows))
                .min(1.0);
            Reduction::AtLeast {
                columns: (f64::from(description.columns) * scale).ceil() as u32,
                rows: (f64::from(description.rows) * scale).ceil() as u32,
            }
        }
        _ => Reduction::None,
    }
}

/// Renders a frame.
///
/// # Errors
/// [`RenderError`] for a palette that is missing and for a region outside the frame.
pub fn picture(
    frame: &Frame,
    description: &PixelDescription,
    data_set: &DataSet,
    frame_index: u32,
    parameters: &Parameters,
) -> Result<Picture, RenderError> {
    let elements = data_set.elements();
    let pipeline = frame
        .photometric
        .is_monochrome()
        .then(|| presentation::pipeline(&elements, description, frame_index, parameters.window));
    let mut picture = toned(frame, data_set, pipeline.as_ref())?;
    if parameters.overlays == Overlays::Shown {
        overlay::draw(&mut picture, &elements, frame, frame_index);
    }
    if let Some(viewport) = &parameters.viewport {
        let side = |tag, own: u32| elements.unsigned(tag).map_or(own, |side| side.max(own)) as usize;
        let full = (side(0x0028_0011, frame.columns), side(0x0028_0010, frame.rows));
        picture = picture
            .fit(
                viewport,
                full,
                presentation::pixel_aspect(&elements, frame_index),
                parameters.enlarge,
            )
            .ok_or_else(|| RenderError::Parameter("the region of the viewport lies outside the frame".into()))?;
    }
    Ok(annotate(picture, &elements, frame_index, parameters.annotation))
}

/// The whole frame in its greys or colours, without anything over it. `pipeline`: for grey frames.
///
/// # Errors
/// [`RenderError::NotRenderable`] for a palette that is missing.
pub fn toned(frame: &Frame, data_set: &DataSet, pipeline: Option<&Pipeline>) -> Result<Picture, RenderError> {
    let (channels, data) = match (frame.photometric, pipeline) {
        (Photometric::PaletteColor, _) => {
            let palette = Palette::read(&data_set.elements(), frame.signed)
                .ok_or_else(|| RenderError::NotRenderable("the palette is missing or unusable".into()))?;
            (Channels::Rgb, indexed(frame, &palette))
        }
        (_, Some(pipeline)) if frame.samples_per_pixel == 1 => (Channels::Grey, pipeline.apply(frame)),
        _ => (Channels::Rgb, colour::to_rgb(frame)),
    };
    let (width, height) = (frame.columns as usize, frame.rows as usize);
    if data.len() != width * height * channels.count() {
        return Err(RenderError::NotRenderable(
            "the frame has another length than its description".into(),
        ));
    }
    Ok(Picture {
        width,
        height,
        channels,
        data,
    })
}

fn indexed(frame: &Frame, palette: &Palette) -> Vec<u8> {
    match &frame.samples {
        Samples::U8(cells) => {
            let mut table = [[0u8; 3]; 256];
            for (cell, entry) in (0u32..).zip(&mut table) {
                *entry = palette.get(frame.interpret(cell));
            }
            #[expect(clippy::indexing_slicing, reason = "256 entries for the 256 values of a byte")]
            cells.iter().flat_map(|&cell| table[usize::from(cell)]).collect()
        }
        _ => (0..frame.samples.len())
            .flat_map(|index| palette.get(frame.value(index)))
            .collect(),
    }
}
