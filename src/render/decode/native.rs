//! Frames stored as their samples are (PS3.5 §8.1, §8.2): any number of bits, any planar configuration.

use bytes::Bytes;

use super::{DecodeError, Frame, Samples, bits};
use crate::render::pixel_description::{Photometric, PixelDescription, Planes, Representation};

/// Decodes a native frame in little endian byte order that starts at a byte.
///
/// A frame that is short by less than a row is completed with zeros, as real objects need it.
///
/// # Errors
/// [`DecodeError::Truncated`], [`DecodeError::Description`].
pub fn decode(frame: &Bytes, description: &PixelDescription) -> Result<Frame, DecodeError> {
    let count = description.sample_count()?;
    let stored = if description.photometric.is_subsampled() {
        subsampled_count(description)
    } else {
        count
    };
    let samples = match (description.representation, description.bits_allocated) {
        (Representation::Float, 32) => Samples::F32(
            complete(frame, stored, 4, description)?
                .as_chunks::<4>()
                .0
                .iter()
                .map(|cell| f32::from_le_bytes(*cell))
                .collect(),
        ),
        (Representation::Float, 64) => Samples::F64(
            complete(frame, stored, 8, description)?
                .as_chunks::<8>()
                .0
                .iter()
                .map(|cell| f64::from_le_bytes(*cell))
                .collect(),
        ),
        (Representation::Float, other) => {
            return Err(DecodeError::Description(format!(
                "floating point samples of {other} bits"
            )));
        }
        (_, 1) => {
            if frame.len() < stored.div_ceil(8) {
                return Err(DecodeError::Truncated);
            }
            Samples::U8(bits::unpack(frame, stored).into())
        }
        (_, 8) => Samples::U8(complete(frame, stored, 1, description)?),
        (_, 16) => Samples::U16Le(complete(frame, stored, 2, description)?),
        (_, 32) => Samples::U32(
            complete(frame, stored, 4, description)?
                .as_chunks::<4>()
                .0
                .iter()
                .map(|cell| u32::from_le_bytes(*cell))
                .collect(),
        ),
        (_, packed) => Samples::U16(bits::unpack_packed(frame, stored, packed)?),
    };
    let mut decoded = Frame {
        rows: description.rows,
        columns: description.columns,
        samples_per_pixel: description.samples_per_pixel,
        samples,
        bits_stored: description.bits_stored,
        low_bit: description.low_bit(),
        signed: description.representation == Representation::Signed,
        photometric: description.photometric,
    };
    if description.photometric.is_subsampled() {
        decoded.samples = Samples::U8(expand_subsampled(&decoded, description)?.into());
        if description.photometric == Photometric::YbrFull422 {
            decoded.photometric = Photometric::YbrFull;
        }
    } else if description.planes == Planes::Separate && description.samples_per_pixel > 1 {
        decoded.samples = interleave(decoded.samples, description.samples_per_pixel as usize);
    }
    Ok(decoded)
}

/// The bytes of `count` cells of `width` bytes; completed with zeros when less than a row is missing.
fn complete(frame: &Bytes, count: usize, width: usize, description: &PixelDescription) -> Result<Bytes, DecodeError> {
    let wanted = count * width;
    if frame.len() >= wanted {
        return Ok(frame.slice(..wanted));
    }
    let row = description.columns as usize * description.samples_per_pixel as usize * width;
    if wanted - frame.len() >= row.max(2) {
        return Err(DecodeError::Truncated);
    }
    let mut bytes = frame.to_vec();
    bytes.resize(wanted, 0);
    Ok(bytes.into())
}

fn subsampled_count(description: &PixelDescription) -> usize {
    let (columns, rows) = (description.columns as usize, description.rows as usize);
    match description.photometric {
        Photometric::YbrPartial420 => columns.div_ceil(2) * rows.div_ceil(2) * 6,
        _ => columns.div_ceil(2) * rows * 4,
    }
}

/// Brings 4:2:2 (Y Y Cb Cr) and 4:2:0 (Y Y / Y Y / Cb Cr by rows: Y Y Cb Cr, Y Y) to three samples a pixel.
fn expand_subsampled(frame: &Frame, description: &PixelDescription) -> Result<Vec<u8>, DecodeError> {
    let Samples::U8(stored) = &frame.samples else {
        return Err(DecodeError::Description(
            "subsampled chrominance of other than 8 bits".into(),
        ));
    };
    let (columns, rows) = (description.columns as usize, description.rows as usize);
    let mut out = Vec::with_capacity(columns * rows * 3);
    if description.photometric == Photometric::YbrPartial420 {
        // PS3.3 C.7.6.3.1.2: rows in pairs, the first of a pair carrying the chrominance of both.
        let pairs = columns.div_ceil(2);
        let (with, without) = (pairs * 4, pairs * 2);
        for pair in stored.chunks(with + without) {
            let (first, second) = pair.split_at_checked(with).ok_or(DecodeError::Truncated)?;
            for (quads, lumas) in [(first, None), (first, Some(second))] {
                if out.len() >= columns * rows * 3 {
                    break;
                }
                let start = out.len();
                for (index, quad) in quads.as_chunks::<4>().0.iter().enumerate() {
                    let [y0, y1, cb, cr] = *quad;
                    let (y0, y1) = match lumas {
                        None => (y0, y1),
                        Some(lumas) => match lumas.get(index * 2..index * 2 + 2) {
                            Some(&[y0, y1]) => (y0, y1),
                            _ => return Err(DecodeError::Truncated),
                        },
                    };
                    out.extend_from_slice(&[y0, cb, cr, y1, cb, cr]);
                }
                out.truncate(start + columns * 3);
            }
        }
        return Ok(out);
    }
    for row in stored.chunks(columns.div_ceil(2) * 4) {
        let start = out.len();
        for &[y0, y1, cb, cr] in row.as_chunks::<4>().0 {
            out.extend_from_slice(&[y0, cb, cr, y1, cb, cr]);
        }
        out.truncate(start + columns * 3);
    }
    Ok(out)
}

/// Colour by plane → colour by pixel.
pub fn interleave(samples: Samples, samples_per_pixel: usize) -> Samples {
    match samples {
        Samples::U8(cells) => Samples::U8(weave(&cells, samples_per_pixel).into()),
        Samples::U16Le(cells) => {
            let cells: Vec<u16> = cells
                .as_chunks::<2>()
                .0
                .iter()
                .map(|cell| u16::from_le_bytes(*cell))
                .collect();
            Samples::U16(weave(&cells, samples_per_pixel))
        }
        Samples::U16(cells) => Samples::U16(weave(&cells, samples_per_pixel)),
        Samples::U32(cells) => Samples::U32(weave(&cells, samples_per_pixel)),
        Samples::F32(cells) => Samples::F32(weave(&cells, samples_per_pixel)),
        Samples::F64(cells) => Samples::F64(weave(&cells, samples_per_pixel)),
    }
}

fn weave<T: Copy + Default>(planes: &[T], samples_per_pixel: usize) -> Vec<T> {
    let pixels = planes.len() / samples_per_pixel.max(1);
    let mut out = vec![T::default(); pixels * samples_per_pixel];
    for (sample, plane) in planes.chunks_exact(pixels.max(1)).enumerate() {
        for (cell, value) in out.iter_mut().skip(sample).step_by(samples_per_pixel.max(1)).zip(plane) {
            *cell = *value;
        }
    }
    out
}
