//! JPEG-LS (ISO 14495-1, ITU-T T.87): lossless and near-lossless, components apart, by line and by sample, presets, restarts.

mod bit_reader;
mod context;
mod markers;
mod scan;

use bytes::Bytes;

pub use context::{Presets, RUN_ORDER, RegularContext, RunContext, Thresholds};

use super::{DecodeError, Frame, Samples};
use crate::pixel_description::{PixelDescription, Representation};

/// Decodes a JPEG-LS frame.
///
/// # Errors
/// [`DecodeError`].
pub fn decode(frame: &Bytes, description: &PixelDescription) -> Result<Frame, DecodeError> {
    let (head, cells) = markers::decode_stream(frame, description)?;
    let precision = u32::from(head.precision);
    let samples = if precision <= 8 {
        Samples::U8(cells.iter().map(|&cell| cell as u8).collect::<Vec<u8>>().into())
    } else {
        Samples::U16(cells)
    };
    let signed = description.representation == Representation::Signed;
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
        photometric: description.photometric.fully_sampled(),
    })
}
