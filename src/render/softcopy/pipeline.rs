//! The grayscale transformations of a presentation state (PS3.4 §N.2.1): they take the place of the image's own.

use super::references::Target;
use crate::{
    grey::{Modality, Pipeline, Polarity, Voi, Window},
    lut::{Lut, Palette},
    presentation,
};
use filmroom_pixels::{
    decode::mask,
    elements::Elements,
    pixel_description::{PixelDescription, Representation},
};

/// What a grey image goes through. `window`: asked for instead of the state's values of interest.
///
/// A step that the state leaves out changes nothing: the image's own is not taken instead (PS3.4 §N.2.1). Polarity is the
/// state's alone: its presentation LUT gives P-values, of which 0 is black.
#[must_use]
pub fn of_state(
    state: &Elements<'_>,
    target: &Target<'_>,
    description: &PixelDescription,
    window: Option<Window>,
) -> Pipeline {
    let signed = description.representation == Representation::Signed;
    let modality = presentation::own_modality(state, signed);
    let (least, most) = stored_range(description);
    let (least, most) = match &modality {
        Modality::Rescale { .. } => (modality.apply(least), modality.apply(most)),
        Modality::Table(lut) => (0.0, lut.most()),
    };
    let (least, most) = (least.min(most), least.max(most));
    let voi = window
        .map(Voi::Window)
        .or_else(|| {
            let item = target.item(state, 0x0028_3110)?;
            presentation::voi_of(&item, least < 0.0)
        })
        .unwrap_or(Voi::Range(least, most));
    Pipeline {
        modality,
        voi,
        presentation: state.item(0x2050_0010, 0).and_then(|item| Lut::read(&item, false)),
        polarity: if state.text(0x2050_0020) == "INVERSE" {
            Polarity::Inverse
        } else {
            Polarity::Normal
        },
        padding: None,
    }
}

/// The stored values that are possible.
fn stored_range(description: &PixelDescription) -> (f64, f64) {
    let bits = description.bits_stored.clamp(1, 32);
    let most = f64::from(mask(bits));
    if description.representation == Representation::Signed {
        let half = (most + 1.0) / 2.0;
        (-half, half - 1.0)
    } else {
        (0.0, most)
    }
}

/// The palette of a pseudo-colour state over the whole range of greys (PS3.4 §N.2.3).
#[must_use]
pub fn palette(state: &Elements<'_>) -> Option<[[u8; 3]; 256]> {
    let palette = Palette::read(state, false)?;
    let mut colours = [[0u8; 3]; 256];
    for (grey, colour) in (0u32..).zip(&mut colours) {
        *colour = palette.along(f64::from(grey) / 255.0);
    }
    Some(colours)
}
