//! JPEG 2000 (ISO 15444-1) and High-Throughput JPEG 2000 (ISO 15444-15), with or without the boxes of JP2.

use bytes::Bytes;
use jpeg2k::{DecodeParameters, Image};

use super::{DecodeError, Frame, Reduction, Samples, mask};
use crate::pixel_description::{Photometric, PixelDescription, Representation};

/// What the head of a codestream says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Width of the image area on the reference grid.
    pub columns: u32,
    /// Height of the image area.
    pub rows: u32,
    /// Number of tiles.
    pub tiles: u64,
    /// Bits and sign of each component.
    pub components: Vec<(u32, bool)>,
    /// True when a component has fewer samples than the grid.
    pub subsampled: bool,
    /// True when the first three components were transformed together (COD, SGcod).
    pub transformed: bool,
    /// Wavelet decompositions, of the default coding style.
    pub decompositions: u32,
}

/// Decodes a JPEG 2000 frame. Where `reduction` allows, fewer resolutions are decoded.
///
/// # Errors
/// [`DecodeError`].
pub fn decode(frame: &Bytes, description: &PixelDescription, reduction: Reduction) -> Result<Frame, DecodeError> {
    let codestream = codestream(frame)?;
    let head = read_head(codestream)?;
    check(&head, description)?;
    let reduce = match reduction {
        Reduction::None => 0,
        Reduction::AtLeast { columns, rows } => (0..=head.decompositions.min(5))
            .rev()
            .find(|&reduce| head.columns.div_ceil(1 << reduce) >= columns && head.rows.div_ceil(1 << reduce) >= rows)
            .unwrap_or(0),
    };
    let image = Image::from_bytes_with(codestream, DecodeParameters::new().reduce(reduce))
        .map_err(|error| DecodeError::Damaged(error.to_string()))?;
    let (columns, rows) = (head.columns.div_ceil(1 << reduce), head.rows.div_ceil(1 << reduce));
    let count = description.samples_per_pixel as usize;
    let components = image.components().get(..count).ok_or(DecodeError::Truncated)?;
    if components.iter().any(|component| {
        component.width() != columns
            || component.height() != rows
            || component.data().len() < columns as usize * rows as usize
    }) {
        return Err(DecodeError::Damaged("a component of another size".into()));
    }
    let pixels = columns as usize * rows as usize;
    let (precision, stream_signed) = head.components.first().copied().unwrap_or((8, false));
    let cut = mask(precision) as i32;
    let samples = if precision <= 8 {
        Samples::U8(weave(components, pixels, |value| (value & cut) as u8).into())
    } else if precision <= 16 {
        Samples::U16(weave(components, pixels, |value| (value & cut) as u16))
    } else {
        Samples::U32(weave(components, pixels, |value| (value & cut) as u32))
    };
    let photometric = match description.photometric {
        Photometric::YbrIct | Photometric::YbrRct => Photometric::Rgb,
        other if count == 3 && head.transformed && other.is_ybr() => Photometric::Rgb,
        other => other.fully_sampled(),
    };
    Ok(Frame {
        rows,
        columns,
        samples_per_pixel: description.samples_per_pixel,
        samples,
        // The stream knows how many bits it coded; an object that calls unsigned samples signed means two's complement
        // of that many bits.
        bits_stored: precision,
        low_bit: 0,
        signed: stream_signed || description.representation == Representation::Signed,
        photometric,
    })
}

fn weave<T: Copy + Default>(
    components: &[jpeg2k::ImageComponent],
    pixels: usize,
    narrow: impl Fn(i32) -> T + Copy,
) -> Vec<T> {
    match components {
        [only] => only.data().iter().take(pixels).map(|&value| narrow(value)).collect(),
        [red, green, blue] => {
            let mut out = Vec::with_capacity(pixels * 3);
            for ((&red, &green), &blue) in red.data().iter().zip(green.data()).zip(blue.data()).take(pixels) {
                out.extend_from_slice(&[narrow(red), narrow(green), narrow(blue)]);
            }
            out
        }
        several => {
            let mut out = vec![T::default(); pixels * several.len()];
            for (index, component) in several.iter().enumerate() {
                for (cell, &value) in out.iter_mut().skip(index).step_by(several.len()).zip(component.data()) {
                    *cell = narrow(value);
                }
            }
            out
        }
    }
}

fn check(head: &Head, description: &PixelDescription) -> Result<(), DecodeError> {
    if (head.columns, head.rows) != (description.columns, description.rows) {
        return Err(DecodeError::Damaged(format!(
            "a stream of {} x {} for {} columns and {} rows",
            head.columns, head.rows, description.columns, description.rows
        )));
    }
    if head.components.len() < description.samples_per_pixel as usize {
        return Err(DecodeError::Damaged("too few components".into()));
    }
    if head.subsampled {
        return Err(DecodeError::Unsupported("JPEG 2000 with subsampled components".into()));
    }
    // Each component takes 32 bits while it is decoded; a tile has a record of its own.
    let bytes = u64::from(head.columns) * u64::from(head.rows) * head.components.len() as u64 * 4;
    if bytes > super::FRAME_MAX_BYTES as u64 * 2 || head.components.len() > 4 {
        return Err(DecodeError::TooLarge(bytes));
    }
    if head.tiles > 65_535 || head.tiles > (u64::from(head.columns) * u64::from(head.rows)).div_ceil(256).max(16) {
        return Err(DecodeError::Damaged(format!("{} tiles", head.tiles)));
    }
    Ok(())
}

/// The codestream itself, out of the boxes of JP2 where there are some.
fn codestream(frame: &[u8]) -> Result<&[u8], DecodeError> {
    const START: [u8; 4] = [0xFF, 0x4F, 0xFF, 0x51];
    if frame.starts_with(&START) {
        return Ok(frame);
    }
    let window = frame.get(..frame.len().min(64 << 10)).unwrap_or_default();
    memchr::memmem::find(window, &START)
        .and_then(|at| frame.get(at..))
        .ok_or_else(|| DecodeError::Damaged("no JPEG 2000 codestream".into()))
}

/// Reads SIZ and COD (ISO 15444-1 §A.5.1, §A.6.1).
///
/// # Errors
/// [`DecodeError::Truncated`], [`DecodeError::Damaged`].
pub fn read_head(codestream: &[u8]) -> Result<Head, DecodeError> {
    let word = |at: usize| -> Result<u32, DecodeError> {
        codestream
            .get(at..at + 4)
            .and_then(|bytes| bytes.first_chunk::<4>())
            .map(|bytes| u32::from_be_bytes(*bytes))
            .ok_or(DecodeError::Truncated)
    };
    let half = |at: usize| -> Result<usize, DecodeError> {
        codestream
            .get(at..at + 2)
            .and_then(|bytes| bytes.first_chunk::<2>())
            .map(|bytes| usize::from(u16::from_be_bytes(*bytes)))
            .ok_or(DecodeError::Truncated)
    };
    let damaged = || DecodeError::Damaged("an unusable SIZ".into());
    let (x1, y1, x0, y0) = (word(8)?, word(12)?, word(16)?, word(20)?);
    let (tile_x, tile_y, tile_x0, tile_y0) = (word(24)?, word(28)?, word(32)?, word(36)?);
    let count = half(40)?;
    let (columns, rows) = (
        x1.checked_sub(x0).ok_or_else(damaged)?,
        y1.checked_sub(y0).ok_or_else(damaged)?,
    );
    if tile_x == 0 || tile_y == 0 || tile_x0 > x0 || tile_y0 > y0 || columns == 0 || rows == 0 || count == 0 {
        return Err(damaged());
    }
    let tiles = u64::from((x1 - tile_x0).div_ceil(tile_x)) * u64::from((y1 - tile_y0).div_ceil(tile_y));
    let described = codestream.get(42..42 + count * 3).ok_or(DecodeError::Truncated)?;
    let components: Vec<(u32, bool)> = described
        .as_chunks::<3>()
        .0
        .iter()
        .map(|&[bits, _, _]| (u32::from(bits & 0x7F) + 1, bits & 0x80 != 0))
        .collect();
    if components.iter().any(|&(bits, _)| bits > 31) {
        return Err(DecodeError::Unsupported("components of more than 31 bits".into()));
    }
    let subsampled = described.as_chunks::<3>().0.iter().any(|&[_, x, y]| (x, y) != (1, 1));
    let mut at = 2 + 2 + half(4)?;
    loop {
        let (marker, length) = (half(at)?, half(at + 2)?);
        match marker {
            0xFF52 => {
                let parameters = codestream.get(at + 4..at + 10).ok_or(DecodeError::Truncated)?;
                let &[_, _, _, _, transform, decompositions] = parameters else {
                    return Err(DecodeError::Truncated);
                };
                return Ok(Head {
                    columns,
                    rows,
                    tiles,
                    components,
                    subsampled,
                    transformed: transform != 0,
                    decompositions: u32::from(decompositions),
                });
            }
            0xFF90 | 0xFF93 | 0xFFD9 => return Err(DecodeError::Damaged("no COD before the first tile".into())),
            _ if length < 2 => return Err(DecodeError::Damaged("a marker segment without length".into())),
            _ => at += 2 + length,
        }
    }
}
