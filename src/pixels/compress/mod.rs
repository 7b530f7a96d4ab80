//! Samples → compressed frames (PS3.5 §8.2), without loss in all codings but baseline JPEG.

pub mod bit_writer;
pub mod jpeg2000;
pub mod jpeg_baseline;
pub mod jpeg_lossless;
pub mod jpeg_ls;
pub mod rle;

#[cfg(test)]
pub(super) mod tests;

use super::decode::{Frame, Samples, mask};

/// Why a frame is not compressed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompressError {
    /// The coding has no place for samples of this kind.
    #[error("{0} cannot hold {1}")]
    Unsupported(&'static str, String),
}

/// The samples as 16-bit cells, bits that mean nothing cleared; `None` for wider ones.
pub(super) fn cells(frame: &Frame) -> Option<Vec<u16>> {
    let cut = mask(frame.bits_stored) as u16;
    let low = frame.low_bit;
    match &frame.samples {
        Samples::U8(samples) => Some(samples.iter().map(|&cell| u16::from(cell) >> low & cut).collect()),
        Samples::U16Le(samples) => Some(
            samples
                .as_chunks::<2>()
                .0
                .iter()
                .map(|cell| u16::from_le_bytes(*cell) >> low & cut)
                .collect(),
        ),
        Samples::U16(samples) => Some(samples.iter().map(|&cell| cell >> low & cut).collect()),
        _ => None,
    }
}
