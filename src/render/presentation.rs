//! What the object says of how it wants to be shown: modality, values of interest, polarity, padding, aspect, for one
//! frame (PS3.3 C.11.1, C.11.2, C.7.6.16.2).

use super::grey::{Function, Modality, Pipeline, Polarity, Voi, Window};
use super::lut::Lut;
use filmroom_pixels::elements::Elements;
use filmroom_pixels::pixel_description::{Photometric, PixelDescription, Representation};

/// The item of a functional group for a frame: its own, else the shared one.
#[must_use]
pub fn functional_group<'a>(elements: &Elements<'a>, frame_index: u32, sequence: u32) -> Option<Elements<'a>> {
    elements
        .item(0x5200_9230, frame_index as usize)
        .and_then(|item| item.item(sequence, 0))
        .or_else(|| elements.item(0x5200_9229, 0).and_then(|item| item.item(sequence, 0)))
}

/// The pipeline of a grey frame. `window`: asked for instead of the object's own values of interest.
#[must_use]
pub fn pipeline(
    elements: &Elements<'_>,
    description: &PixelDescription,
    frame_index: u32,
    window: Option<Window>,
) -> Pipeline {
    let signed = description.representation == Representation::Signed;
    let modality = modality(elements, frame_index, signed);
    let negative = signed || matches!(&modality, Modality::Rescale { intercept, .. } if *intercept < 0.0);
    let voi = window
        .map(Voi::Window)
        .or_else(|| own_voi(elements, frame_index, negative))
        .unwrap_or_else(|| without_voi(elements, description));
    let inverse = description.photometric == Photometric::Monochrome1 || elements.text(0x2050_0020) == "INVERSE";
    Pipeline {
        modality,
        voi,
        presentation: None,
        polarity: if inverse { Polarity::Inverse } else { Polarity::Normal },
        padding: padding(elements, signed),
    }
}

/// The modality transformation of a frame.
#[must_use]
pub fn modality(elements: &Elements<'_>, frame_index: u32, signed: bool) -> Modality {
    functional_group(elements, frame_index, 0x0028_9145)
        .and_then(|item| rescale(&item))
        .unwrap_or_else(|| own_modality(elements, signed))
}

/// The modality transformation at the top level of an object: its table, else its rescale.
#[must_use]
pub fn own_modality(elements: &Elements<'_>, signed: bool) -> Modality {
    elements
        .item(0x0028_3000, 0)
        .and_then(|item| Lut::read(&item, signed))
        .map(Modality::Table)
        .or_else(|| rescale(elements))
        .unwrap_or(Modality::IDENTITY)
}

/// (0028,1053) and (0028,1052).
fn rescale(of: &Elements<'_>) -> Option<Modality> {
    match (of.decimal(0x0028_1053), of.decimal(0x0028_1052)) {
        (Some(slope), intercept) if slope != 0.0 => Some(Modality::Rescale {
            slope,
            intercept: intercept.unwrap_or_default(),
        }),
        (None, Some(intercept)) => Some(Modality::Rescale { slope: 1.0, intercept }),
        _ => None,
    }
}

/// The first usable window, else the first VOI LUT: of the frame, then of the object.
#[must_use]
pub fn own_voi(elements: &Elements<'_>, frame_index: u32, negative: bool) -> Option<Voi> {
    functional_group(elements, frame_index, 0x0028_9132)
        .and_then(|item| voi_of(&item, negative))
        .or_else(|| voi_of(elements, negative))
}

/// The first usable window of an item, else its first VOI LUT.
#[must_use]
pub fn voi_of(item: &Elements<'_>, negative: bool) -> Option<Voi> {
    let function = match item.text(0x0028_1056) {
        "LINEAR_EXACT" => Function::LinearExact,
        "SIGMOID" => Function::Sigmoid,
        _ => Function::Linear,
    };
    let (centers, widths) = (item.decimals(0x0028_1050), item.decimals(0x0028_1051));
    centers
        .iter()
        .zip(&widths)
        .map(|(&center, &width)| Window {
            center,
            width,
            // A linear window cannot be narrower than 1 (C.11.2.1.2.1); objects with fractional slopes have such windows all
            // the same, and mean them as the exact function reads them.
            function: if width < 1.0 && function == Function::Linear {
                Function::LinearExact
            } else {
                function
            },
        })
        .find(Window::is_defined)
        .map(Voi::Window)
        .or_else(|| {
            item.items(0x0028_3010)
                .find_map(|lut| Lut::read(&lut, negative))
                .map(Voi::Table)
        })
}

/// A range for objects whose values have a known one, else the frame's own.
fn without_voi(elements: &Elements<'_>, description: &PixelDescription) -> Voi {
    if description.bits_allocated == 1 {
        return Voi::Range(0.0, 1.0);
    }
    // Fractional segmentations: (0062,000E).
    match elements.unsigned(0x0062_000E) {
        Some(most) if most > 0 && elements.text(0x0062_0001).starts_with("FRACTIONAL") => {
            Voi::Range(0.0, f64::from(most))
        }
        _ => Voi::MinMax,
    }
}

/// (0028,0120) with (0028,0121).
fn padding(elements: &Elements<'_>, signed: bool) -> Option<(f64, f64)> {
    let value = |tag: u32| {
        let word = *elements.words(tag).first()?;
        Some(if signed {
            f64::from(word as i16)
        } else {
            f64::from(word)
        })
    };
    let first = value(0x0028_0120)?;
    let other = value(0x0028_0121).unwrap_or(first);
    Some((first.min(other), first.max(other)))
}

/// Height of a pixel over its width, from (0028,0034) or spacings; 1 where nothing is said.
#[must_use]
pub fn pixel_aspect(elements: &Elements<'_>, frame_index: u32) -> f64 {
    let ratio = |pair: &[f64]| match pair {
        [down, across, ..] if *down > 0.0 && *across > 0.0 => Some(down / across),
        _ => None,
    };
    ratio(&elements.decimals(0x0028_0034))
        .or_else(|| {
            functional_group(elements, frame_index, 0x0028_9110).and_then(|item| ratio(&item.decimals(0x0028_0030)))
        })
        .or_else(|| ratio(&elements.decimals(0x0028_0030)))
        .or_else(|| ratio(&elements.decimals(0x0018_1164)))
        .filter(|ratio| (0.05..20.0).contains(ratio))
        .unwrap_or(1.0)
}
