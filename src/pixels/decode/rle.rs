//! RLE Lossless (PS3.5 Annex G): byte planes, most significant first, each packed by PackBits.

use bytes::Bytes;

use super::{DecodeError, Frame, Samples, bits};
use crate::pixel_description::{PixelDescription, Representation};

/// Bytes of the header: the number of segments and fifteen offsets.
const HEADER: usize = 64;

/// Decodes an RLE frame of 1, 8, 16 or 32 bits allocated.
///
/// # Errors
/// [`DecodeError::Damaged`], [`DecodeError::Truncated`], [`DecodeError::Unsupported`].
pub fn decode(frame: &Bytes, description: &PixelDescription) -> Result<Frame, DecodeError> {
    let samples_per_pixel = description.samples_per_pixel as usize;
    let pixels = description.pixel_count()?;
    let (plane_length, bytes_per_sample) = match description.bits_allocated {
        1 => (pixels.div_ceil(8), 1),
        8 => (pixels, 1),
        16 => (pixels, 2),
        32 => (pixels, 4),
        other => return Err(DecodeError::Unsupported(format!("RLE of {other} bits allocated"))),
    };
    let segments = segments(frame)?;
    if segments.len() < samples_per_pixel * bytes_per_sample {
        return Err(DecodeError::Damaged(format!(
            "{} RLE segments, not {}",
            segments.len(),
            samples_per_pixel * bytes_per_sample
        )));
    }
    let stride = samples_per_pixel * bytes_per_sample;
    let mut cells = vec![0u8; plane_length * stride];
    for (index, segment) in segments.iter().take(stride).enumerate() {
        let (sample, byte) = (index / bytes_per_sample, index % bytes_per_sample);
        // Most significant byte first in the segments, least significant first in the cells.
        let place = sample * bytes_per_sample + (bytes_per_sample - 1 - byte);
        unpack_into(segment, &mut cells, place, stride)?;
    }
    let samples = match description.bits_allocated {
        1 => Samples::U8(bits::unpack(&cells, pixels * samples_per_pixel).into()),
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
    Ok(Frame {
        rows: description.rows,
        columns: description.columns,
        samples_per_pixel: description.samples_per_pixel,
        samples,
        bits_stored: description.bits_stored,
        low_bit: description.low_bit(),
        signed: description.representation == Representation::Signed,
        // Colour is always by plane in RLE and three full samples a pixel, whatever the object says.
        photometric: description.photometric.fully_sampled(),
    })
}

/// The segments that the header names, each up to the next one's begin.
fn segments(frame: &[u8]) -> Result<Vec<&[u8]>, DecodeError> {
    let header = frame.first_chunk::<HEADER>().ok_or(DecodeError::Truncated)?;
    let words: Vec<usize> = header
        .as_chunks::<4>()
        .0
        .iter()
        .map(|word| u32::from_le_bytes(*word) as usize)
        .collect();
    let (Some(&count), offsets) = (words.first(), words.get(1..).unwrap_or_default()) else {
        return Err(DecodeError::Truncated);
    };
    if count == 0 || count > offsets.len() {
        return Err(DecodeError::Damaged(format!("{count} RLE segments")));
    }
    let offsets = offsets.get(..count).unwrap_or_default();
    let ends = offsets.iter().skip(1).copied().chain([frame.len()]);
    offsets
        .iter()
        .zip(ends)
        .map(|(&begin, end)| {
            if begin < HEADER {
                return Err(DecodeError::Damaged(format!("an RLE segment at {begin}")));
            }
            frame
                .get(begin..end.min(frame.len()))
                .ok_or_else(|| DecodeError::Damaged(format!("an RLE segment at {begin}")))
        })
        .collect()
}

/// Unpacks a segment (PS3.5 §G.3.2) into every `stride`th byte of `cells` from `place`. What follows the last pixel is
/// padding and is not looked at.
fn unpack_into(segment: &[u8], cells: &mut [u8], place: usize, stride: usize) -> Result<(), DecodeError> {
    let mut out = cells.iter_mut().skip(place).step_by(stride);
    let mut left = out.len();
    let mut rest = segment;
    while left > 0 {
        let (&code, after) = rest.split_first().ok_or(DecodeError::Truncated)?;
        rest = after;
        if code < 128 {
            let wanted = usize::from(code) + 1;
            let run = rest.get(..wanted.min(rest.len())).unwrap_or_default();
            if run.len() < wanted.min(left) {
                return Err(DecodeError::Truncated);
            }
            for (value, cell) in run.iter().zip(out.by_ref().take(wanted.min(left))) {
                *cell = *value;
            }
            rest = rest.get(wanted..).unwrap_or_default();
            left -= wanted.min(left);
        } else if code > 128 {
            let (&value, after) = rest.split_first().ok_or(DecodeError::Truncated)?;
            rest = after;
            let count = (257 - usize::from(code)).min(left);
            for cell in out.by_ref().take(count) {
                *cell = value;
            }
            left -= count;
        }
    }
    Ok(())
}
