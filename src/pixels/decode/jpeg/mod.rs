//! JPEG (ISO 10918-1): baseline, extended and progressive of 8 and 12 bits, lossless of 2 to 16 bits with every predictor.
//!
//! Common 8-bit streams go to `zune-jpeg`, which is fast; everything else, and what that crate refuses, to the decoders here.

mod bit_reader;
mod blocks;
mod coefficients;
mod huffman;
mod idct;
pub mod lossless;
mod markers;
mod planes;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use zune_jpeg::{
    JpegDecoder,
    zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions},
};

pub use markers::{Head, Process, next_segment, read_head};

use super::{DecodeError, Frame, Samples};
use crate::pixel_description::{Photometric, PixelDescription, Representation};

/// Decodes a JPEG frame. Colour comes out as RGB where the stream or the object says that it was transformed.
///
/// # Errors
/// [`DecodeError`].
pub fn decode(frame: &Bytes, description: &PixelDescription) -> Result<Frame, DecodeError> {
    let head = read_head(frame)?;
    check(&head, description)?;
    check_length(&head, frame.len())?;
    let transformed = is_transformed(&head, description);
    let (samples, photometric) = match head.process {
        Process::Lossless => (lossless::decode(frame, &head)?, description.photometric.fully_sampled()),
        Process::Sequential | Process::Progressive => {
            let fast = if head.precision == 8 {
                decode_fast(frame, &head, transformed)
            } else {
                None
            };
            let samples = match fast {
                Some(samples) => samples,
                None => planes::interleave(coefficients::decode(frame, &head)?, &head, transformed)?,
            };
            let photometric = match description.photometric {
                _ if head.components.len() == 1 => description.photometric,
                Photometric::Argb | Photometric::Cmyk | Photometric::Hsv => description.photometric,
                _ => Photometric::Rgb,
            };
            (samples, photometric)
        }
    };
    let precision = u32::from(head.precision);
    let signed = description.representation == Representation::Signed;
    // A stream as wide as the cells carries them whole; a narrower one carries samples. Unsigned samples may need more
    // bits than the object admits to, and then count as they are.
    let whole_cells = precision > description.bits_stored && precision == description.bits_allocated;
    Ok(Frame {
        rows: description.rows,
        columns: description.columns,
        samples_per_pixel: description.samples_per_pixel,
        samples,
        bits_stored: if whole_cells || signed {
            description.bits_stored
        } else {
            description.bits_stored.max(precision)
        },
        low_bit: if whole_cells { description.low_bit() } else { 0 },
        signed,
        photometric,
    })
}

fn check(head: &Head, description: &PixelDescription) -> Result<(), DecodeError> {
    if (u32::from(head.columns), u32::from(head.rows)) != (description.columns, description.rows) {
        return Err(DecodeError::Damaged(format!(
            "a stream of {} x {} for {} columns and {} rows",
            head.columns, head.rows, description.columns, description.rows
        )));
    }
    if head.components.len() as u32 != description.samples_per_pixel {
        return Err(DecodeError::Damaged(format!(
            "{} components for {} samples a pixel",
            head.components.len(),
            description.samples_per_pixel
        )));
    }
    Ok(())
}

/// Refuses a stream that is too short for its size, before memory is taken for the samples: no Huffman code is shorter than a
/// bit, and each sample of a lossless stream has one, each block of the others.
fn check_length(head: &Head, bytes: usize) -> Result<(), DecodeError> {
    let (columns, rows) = (u64::from(head.columns), u64::from(head.rows));
    let codes = match head.process {
        Process::Lossless => columns * rows * head.components.len() as u64,
        Process::Sequential | Process::Progressive => columns.div_ceil(8) * rows.div_ceil(8),
    };
    if (bytes as u64) * 8 < codes {
        return Err(DecodeError::Truncated);
    }
    Ok(())
}

/// Whether three components are luminance and chrominance. The Adobe marker decides, then components that are named
/// R, G, B; then the object, since most encoders of modalities write neither; a JFIF marker outweighs an object that
/// says RGB only when chrominance is subsampled, which RGB never is.
pub fn is_transformed(head: &Head, description: &PixelDescription) -> bool {
    if head.components.len() != 3 {
        return false;
    }
    if let Some(transform) = head.adobe_transform {
        return transform != 0;
    }
    if head.components.iter().map(|component| component.id).eq(*b"RGB") {
        return false;
    }
    let subsampled = head
        .components
        .iter()
        .any(|component| component.h != 1 || component.v != 1);
    description.photometric.is_ybr() || (description.photometric == Photometric::Rgb && subsampled)
}

/// Decodes by `zune-jpeg`; `None` where it does not know the stream or finds fault with it.
fn decode_fast(frame: &Bytes, head: &Head, transformed: bool) -> Option<Samples> {
    let components = head.components.len();
    let options = DecoderOptions::new_fast()
        .set_strict_mode(false)
        .set_max_width(usize::from(head.columns))
        .set_max_height(usize::from(head.rows));
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(frame.as_ref()), options);
    decoder.decode_headers().ok()?;
    let wanted = match (components, decoder.input_colorspace()?, transformed) {
        (1, _, _) => ColorSpace::Luma,
        (3, ColorSpace::YCbCr, true) | (3, ColorSpace::RGB, false) => ColorSpace::RGB,
        // The crate takes components without an Adobe marker for YCbCr: asked for that, it hands them over as they are.
        (3, ColorSpace::YCbCr, false) => ColorSpace::YCbCr,
        _ => return None,
    };
    decoder.set_options(options.jpeg_set_out_colorspace(wanted));
    let samples = decoder.decode().ok()?;
    (samples.len() == usize::from(head.columns) * usize::from(head.rows) * components)
        .then(|| Samples::U8(samples.into()))
}
