//! RLE Lossless (PS3.5 Annex G).

use super::CompressError;
use crate::decode::{Frame, Samples};

/// Compresses a frame of 8-, 16- or 32-bit cells as they are.
///
/// # Errors
/// [`CompressError::Unsupported`] for floating point.
pub fn compress(frame: &Frame) -> Result<Vec<u8>, CompressError> {
    let (bytes, width): (Vec<u8>, usize) = match &frame.samples {
        Samples::U8(cells) => (cells.to_vec(), 1),
        Samples::U16Le(cells) => (cells.to_vec(), 2),
        Samples::U16(cells) => (cells.iter().flat_map(|cell| cell.to_le_bytes()).collect(), 2),
        Samples::U32(cells) => (cells.iter().flat_map(|cell| cell.to_le_bytes()).collect(), 4),
        _ => return Err(CompressError::Unsupported("RLE", "floating point".into())),
    };
    let samples = frame.samples_per_pixel as usize;
    let stride = samples * width;
    let mut segments: Vec<Vec<u8>> = Vec::with_capacity(stride);
    for sample in 0..samples {
        for byte in (0..width).rev() {
            let plane: Vec<u8> = bytes
                .iter()
                .skip(sample * width + byte)
                .step_by(stride)
                .copied()
                .collect();
            let mut segment = Vec::with_capacity(plane.len() / 2);
            // Rows are packed apart (PS3.5 §G.3.1).
            for row in plane.chunks(frame.columns.max(1) as usize) {
                pack(row, &mut segment);
            }
            if segment.len() % 2 == 1 {
                segment.push(0);
            }
            segments.push(segment);
        }
    }
    if segments.len() > 15 {
        return Err(CompressError::Unsupported(
            "RLE",
            format!("{} byte planes", segments.len()),
        ));
    }
    let mut header = [0u32; 16];
    let mut offset = 64u32;
    for (word, segment) in header.iter_mut().skip(1).zip(&segments) {
        *word = offset;
        offset = offset.saturating_add(segment.len() as u32);
    }
    header[0] = segments.len() as u32;
    let mut out: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
    segments.iter().for_each(|segment| out.extend_from_slice(segment));
    Ok(out)
}

/// PackBits: runs of two and more are repeated, everything else stands as it is.
fn pack(row: &[u8], out: &mut Vec<u8>) {
    let mut literal: &[u8] = &[];
    let mut rest = row;
    let flush = |literal: &[u8], out: &mut Vec<u8>| {
        for piece in literal.chunks(128) {
            out.push((piece.len() - 1) as u8);
            out.extend_from_slice(piece);
        }
    };
    while let Some(&first) = rest.first() {
        let run = rest.iter().take(128).take_while(|byte| **byte == first).count();
        if run >= 3 || (run == 2 && literal.is_empty()) {
            flush(literal, out);
            out.push((257 - run) as u8);
            out.push(first);
            rest = rest.get(run..).unwrap_or_default();
            literal = rest.get(..0).unwrap_or_default();
        } else {
            // The literal grows over the bytes just looked at: it always ends where the rest begins.
            let from = row.len() - rest.len() - literal.len();
            rest = rest.get(run..).unwrap_or_default();
            literal = row.get(from..row.len() - rest.len()).unwrap_or_default();
        }
    }
    flush(literal, out);
}
