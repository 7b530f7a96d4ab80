//! Frames stored as their samples are (PS3.5 §8.1, §8.2): any number of bits, any planar configuration.

use bytes::Bytes;

use super::{DecodeError, Frame, Reduction, Samples, bits};
use crate::pixel_description::{Photometric, PixelDescription, Planes, Representation};

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

/// Samples of the picture that go into one of the smaller frame's neighbourhood, in each direction: enough of them to be
/// averaged once more when the frame is scaled to its size.
const SAMPLES_A_SIDE: u32 = 3;

/// Decodes a frame, or every so many rows and columns of it where `reduction` leaves that much room.
///
/// # Errors
/// As [`decode`].
pub fn decode_reduced(
    frame: &Bytes,
    description: &PixelDescription,
    reduction: Reduction,
) -> Result<Frame, DecodeError> {
    let step = match reduction {
        Reduction::AtLeast { columns, rows } => {
            (description.columns / columns.max(1)).min(description.rows / rows.max(1)) / SAMPLES_A_SIDE
        }
        Reduction::None => 1,
    };
    let width = match (description.bits_allocated, description.representation) {
        (_, Representation::Float) => 0,
        (8, _) if !description.photometric.is_subsampled() => 1,
        (16, _) if description.samples_per_pixel == 1 => 2,
        _ => 0,
    };
    let is_planar = description.samples_per_pixel > 1 && description.planes == Planes::Separate;
    if step < 2 || width == 0 || is_planar {
        return decode(frame, description);
    }
    let pixel = width * description.samples_per_pixel as usize;
    let bytes = complete(frame, description.sample_count()?, width, description)?;
    let (columns, rows) = (description.columns.div_ceil(step), description.rows.div_ceil(step));
    let mut kept = Vec::with_capacity(columns as usize * rows as usize * pixel);
    for row in bytes
        .chunks_exact(description.columns as usize * pixel)
        .step_by(step as usize)
    {
        match pixel {
            1 => kept.extend(row.iter().step_by(step as usize)),
            2 => kept.extend(row.as_chunks::<2>().0.iter().step_by(step as usize).flatten()),
            _ => kept.extend(row.chunks_exact(pixel).step_by(step as usize).flatten()),
        }
    }
    decode(
        &kept.into(),
        &PixelDescription {
            rows,
            columns,
            ..description.clone()
        },
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_out_what_a_small_picture_has_no_room_for() {
        let description = PixelDescription {
            rows: 60,
            columns: 41,
            samples_per_pixel: 1,
            bits_allocated: 16,
            bits_stored: 12,
            high_bit: 11,
            representation: Representation::Unsigned,
            photometric: Photometric::Monochrome2,
            planes: Planes::Interleaved,
        };
        let cells: Vec<u8> = (0..60u16 * 41).flat_map(u16::to_le_bytes).collect();
        let cells = Bytes::from(cells);
        let small = Reduction::AtLeast { columns: 6, rows: 9 };
        let frame = decode_reduced(&cells, &description, small).unwrap();
        assert_eq!((frame.columns, frame.rows), (21, 30));
        assert_eq!((frame.value(0), frame.value(1), frame.value(21)), (0.0, 2.0, 82.0));
        let large = Reduction::AtLeast { columns: 20, rows: 30 };
        let frame = decode_reduced(&cells, &description, large).unwrap();
        assert_eq!((frame.columns, frame.rows), (41, 60));
        assert_eq!(
            decode_reduced(&cells.slice(..99), &description, small),
            Err(DecodeError::Truncated)
        );
    }
}
