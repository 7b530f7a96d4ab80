//! A decoded frame → a compressed one of even length.

use std::io::Write as _;

use bytes::Bytes;
use flate2::{Compression, write::DeflateEncoder};

use super::{Form, cells};
use crate::{
    colour,
    compress::{
        CompressError,
        jpeg_baseline::{self, Chrominance, Colour},
        jpeg_lossless,
        jpeg_ls::{self, Order},
        jpeg2000::{self, BlockCoding},
        rle,
    },
    decode::{Frame, Samples},
    elements::Elements,
    pixel_description::{Photometric, PixelDescription},
};

/// Of JPEG: differences that a display does not show.
const QUALITY: u8 = 92;
const PIXEL_DATA: u32 = 0x7FE0_0010;

/// Checks what no single frame tells.
///
/// # Errors
/// [`CompressError::Unsupported`] for floating point, for single bits, and for overlays among the bits of the samples, which
/// a coding of samples would drop.
pub(super) fn check(
    form: Form,
    tag: u32,
    stored: &PixelDescription,
    elements: &Elements<'_>,
) -> Result<(), CompressError> {
    let refuse = |what: &str| Err(CompressError::Unsupported("the transfer syntax", what.to_owned()));
    if tag != PIXEL_DATA {
        return refuse("floating point");
    }
    if stored.bits_allocated < 8 || !stored.bits_allocated.is_multiple_of(8) {
        return refuse("cells that are no whole bytes");
    }
    // Overlay Bits Allocated (60xx,0100): more than one where an overlay lies among the bits of the samples.
    let overlays_within = (0..16u32)
        .map(|group| 0x6000_0100 + (group << 17))
        .any(|tag| elements.unsigned(tag).is_some_and(|bits| bits > 1));
    if form.keeps_samples_only() && overlays_within {
        return refuse("overlays among the bits of the samples");
    }
    if form == Form::JpegBaseline && (stored.bits_stored > 8 || stored.photometric == Photometric::PaletteColor) {
        return refuse("samples of more than 8 bits, or indices");
    }
    Ok(())
}

/// The photometric interpretation of what is decoded as `decoded` (PS3.5 §8.2).
pub(super) fn photometric(form: Form, decoded: Photometric) -> Photometric {
    match (form, decoded) {
        (Form::Jpeg2000 | Form::HighThroughput, Photometric::Rgb) => Photometric::YbrRct,
        (Form::JpegBaseline, Photometric::Rgb | Photometric::YbrFull) => Photometric::YbrFull422,
        _ => decoded,
    }
}

/// # Errors
/// [`CompressError::Unsupported`].
pub(super) fn compress(form: Form, frame: &Frame, stored: &PixelDescription) -> Result<Bytes, CompressError> {
    let native =
        || cells(frame, stored.bits_allocated).map_err(|error| CompressError::Unsupported("cells", error.to_string()));
    let mut bytes = match form {
        Form::Native | Form::Uncompressed => native()?,
        Form::Deflated => deflate(&native()?)?,
        Form::Rle => rle::compress(&of_cells(native()?, frame, stored))?,
        Form::JpegLossless => jpeg_lossless::compress(frame)?,
        Form::JpegLs => jpeg_ls::compress(frame, 0, Order::Line)?,
        Form::Jpeg2000 => jpeg2000::compress(frame, BlockCoding::BitPlanes)?,
        Form::HighThroughput => jpeg2000::compress(frame, BlockCoding::HighThroughput)?,
        Form::JpegBaseline => baseline(frame)?,
    };
    if bytes.len() % 2 == 1 {
        bytes.push(0);
    }
    Ok(bytes.into())
}

/// The frame with cells as wide as they are allocated.
fn of_cells(cells: Vec<u8>, frame: &Frame, stored: &PixelDescription) -> Frame {
    let samples = match stored.bits_allocated {
        8 => Samples::U8(cells.into()),
        16 => Samples::U16Le(cells.into()),
        _ => Samples::U32(
            cells
                .as_chunks::<4>()
                .0
                .iter()
                .map(|cell| u32::from_le_bytes(*cell))
                .collect(),
        ),
    };
    Frame {
        samples,
        ..frame.clone()
    }
}

fn deflate(cells: &[u8]) -> Result<Vec<u8>, CompressError> {
    let mut encoder = DeflateEncoder::new(Vec::with_capacity(cells.len() / 2), Compression::fast());
    encoder
        .write_all(cells)
        .and_then(|()| encoder.finish())
        .map_err(|error| CompressError::Unsupported("deflate", error.to_string()))
}

fn baseline(frame: &Frame) -> Result<Vec<u8>, CompressError> {
    let unsupported = |what: &str| CompressError::Unsupported("JPEG", what.to_owned());
    let mut frame = frame.clone();
    if frame.photometric == Photometric::YbrFull {
        colour::ybr_full_to_rgb(&mut frame);
    }
    let colour = match (frame.samples_per_pixel, frame.photometric) {
        (1, _) => Colour::Grey,
        (3, Photometric::Rgb) => Colour::Rgb(Chrominance::Halved),
        _ => return Err(unsupported("this photometric interpretation")),
    };
    let Samples::U8(samples) = &frame.samples else {
        return Err(unsupported("samples of more than 8 bits"));
    };
    if frame.signed || frame.low_bit > 0 || frame.bits_stored > 8 {
        return Err(unsupported("signed samples"));
    }
    jpeg_baseline::compress(samples, frame.columns, frame.rows, colour, QUALITY, None)
}
