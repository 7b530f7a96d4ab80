//! One stored frame → samples, for every transfer syntax that can be decoded (PS3.5 §8 and §10, Annex A).
//!
//! Nothing is allocated before the dimensions of the description, and of the stream where it has its own, were checked
//! against [`FRAME_MAX_BYTES`]. Decoders that are not ours run where a panic is caught.

pub mod bits;
pub mod deflated;
pub mod jpeg;
pub mod jpeg2000;
pub mod jpeg_ls;
pub mod jpeg_xl;
pub mod native;
pub mod rle;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;

use super::pixel_description::{Photometric, PixelDescription};

/// Bytes that one decoded frame may take.
pub const FRAME_MAX_BYTES: usize = 512 << 20;

/// Why a frame cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The attributes that describe the pixels are missing or contradict each other.
    #[error("the pixel description is unusable: {0}")]
    Description(String),
    /// The stream breaks the rules of its coding.
    #[error("the frame is damaged: {0}")]
    Damaged(String),
    /// The stream ends early.
    #[error("the frame is truncated")]
    Truncated,
    /// A coding process that no decoder here knows.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// More memory than a frame may take.
    #[error("the frame of {0} bytes is too large")]
    TooLarge(u64),
}

/// Sample values of a frame, interleaved by pixel, rows top to bottom.
///
/// Integer cells hold the value in their low bits (after [`Frame::low_bit`]); bits above may hold anything.
#[derive(Debug, Clone, PartialEq)]
pub enum Samples {
    /// 8-bit cells.
    U8(Bytes),
    /// 16-bit cells, little endian, as stored.
    U16Le(Bytes),
    /// 16-bit cells.
    U16(Vec<u16>),
    /// 32-bit cells.
    U32(Vec<u32>),
    /// Float Pixel Data (7FE0,0008).
    F32(Vec<f32>),
    /// Double Float Pixel Data (7FE0,0009).
    F64(Vec<f64>),
}

impl Samples {
    /// How many samples there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::U8(cells) => cells.len(),
            Self::U16Le(cells) => cells.len() / 2,
            Self::U16(cells) => cells.len(),
            Self::U32(cells) => cells.len(),
            Self::F32(cells) => cells.len(),
            Self::F64(cells) => cells.len(),
        }
    }

    /// True when there is no sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A decoded frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// (0028,0010).
    pub rows: u32,
    /// (0028,0011).
    pub columns: u32,
    /// (0028,0002).
    pub samples_per_pixel: u32,
    /// The samples.
    pub samples: Samples,
    /// Bits of a sample that mean something.
    pub bits_stored: u32,
    /// Lowest bit of a cell that belongs to the sample.
    pub low_bit: u32,
    /// Two's complement.
    pub signed: bool,
    /// What the samples mean now: a codec may have undone the colour transform that the object names.
    pub photometric: Photometric,
}

impl Frame {
    /// Bits that a cell takes: 8, 16, 32 or 64.
    #[must_use]
    pub fn bits_allocated(&self) -> u32 {
        match self.samples {
            Samples::U8(_) => 8,
            Samples::U16Le(_) | Samples::U16(_) => 16,
            Samples::U32(_) | Samples::F32(_) => 32,
            Samples::F64(_) => 64,
        }
    }

    /// One sample as a number. `index` counts samples; 0 beyond the end.
    #[must_use]
    pub fn value(&self, index: usize) -> f64 {
        let cell = match &self.samples {
            Samples::U8(cells) => u32::from(cells.get(index).copied().unwrap_or_default()),
            Samples::U16Le(cells) => {
                let at = index * 2;
                match cells.get(at..at + 2) {
                    Some(&[low, high]) => u32::from(u16::from_le_bytes([low, high])),
                    _ => 0,
                }
            }
            Samples::U16(cells) => u32::from(cells.get(index).copied().unwrap_or_default()),
            Samples::U32(cells) => cells.get(index).copied().unwrap_or_default(),
            Samples::F32(cells) => return f64::from(cells.get(index).copied().unwrap_or_default()),
            Samples::F64(cells) => return cells.get(index).copied().unwrap_or_default(),
        };
        self.interpret(cell)
    }

    /// The number that an integer cell stands for.
    #[must_use]
    pub fn interpret(&self, cell: u32) -> f64 {
        let bits = self.bits_stored.clamp(1, 32);
        let value = (cell >> self.low_bit.min(31)) & mask(bits);
        if self.signed && value >> (bits - 1) & 1 == 1 {
            f64::from(value) - (1u64 << bits) as f64
        } else {
            f64::from(value)
        }
    }
}

/// The lowest `bits` bits.
#[must_use]
pub fn mask(bits: u32) -> u32 {
    if bits >= 32 { u32::MAX } else { (1 << bits) - 1 }
}

/// How the transfer syntax codes frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// As the samples are: the native formats, and Encapsulated Uncompressed.
    Native,
    /// PackBits, PS3.5 Annex G.
    Rle,
    /// ISO 10918-1.
    Jpeg,
    /// ISO 14495-1.
    JpegLs,
    /// ISO 15444-1 and -15.
    Jpeg2000,
    /// ISO 18181-1.
    JpegXl,
    /// RFC 1951 a frame, PS3.5 §A.4.13.
    Deflated,
    /// A video that is passed through.
    Video,
    /// Anything else.
    Unknown,
}

impl Coding {
    /// By Transfer Syntax UID (PS3.6 Annex A).
    #[must_use]
    pub fn of(transfer_syntax_uid: &str) -> Self {
        match transfer_syntax_uid {
            // GE's private syntax is implicit VR little endian with big endian pixels; `retrieve` gives little endian.
            "1.2.840.10008.1.2"
            | "1.2.840.10008.1.2.1"
            | "1.2.840.10008.1.2.2"
            | "1.2.840.10008.1.2.1.99"
            | "1.2.840.10008.1.2.1.98"
            | "1.2.840.113619.5.2" => Self::Native,
            "1.2.840.10008.1.2.5" => Self::Rle,
            "1.2.840.10008.1.2.8.1" => Self::Deflated,
            other => match other
                .strip_prefix("1.2.840.10008.1.2.4.")
                .and_then(|rest| rest.parse::<u32>().ok())
            {
                Some(50..=66 | 70) => Self::Jpeg,
                Some(80 | 81) => Self::JpegLs,
                Some(90..=93 | 201..=203) => Self::Jpeg2000,
                Some(110..=112) => Self::JpegXl,
                Some(100..=108) => Self::Video,
                _ => Self::Unknown,
            },
        }
    }

    /// True for codings that lose nothing of any stream written in them.
    #[must_use]
    pub fn is_always_lossless(self) -> bool {
        matches!(self, Self::Native | Self::Rle | Self::Deflated)
    }
}

/// Bytes that decoding a frame takes at most, the stored frame and the result included. A stored frame that is longer than its
/// samples is no picture that anybody made; it is counted as if it were not.
#[must_use]
pub fn working_bytes(transfer_syntax_uid: &str, description: &PixelDescription) -> usize {
    let samples = description.sample_count().unwrap_or(FRAME_MAX_BYTES);
    let cells = samples.saturating_mul(description.bits_allocated.div_ceil(8) as usize);
    let for_a_sample: usize = match Coding::of(transfer_syntax_uid) {
        // Cells are used as they lie, but packed and wide ones.
        Coding::Native if matches!(description.bits_allocated, 8 | 16) => 0,
        Coding::Native => 4,
        // Whole cells beside the stream; inflated by doubling.
        Coding::Rle | Coding::JpegLs => 2,
        Coding::Deflated => 4,
        // Coefficients and samples of two bytes, padded to blocks.
        Coding::Jpeg if description.bits_allocated > 8 => 6,
        Coding::Jpeg => 2,
        // OpenJPEG has a tile and an image, jxl-oxide a plane before and behind its filters, of four bytes a sample.
        Coding::Jpeg2000 => 10,
        Coding::JpegXl => 14,
        Coding::Video | Coding::Unknown => 0,
    };
    cells.saturating_add(samples.saturating_mul(for_a_sample))
}

/// How much of the full size a decoder may leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reduction {
    /// Every sample.
    #[default]
    None,
    /// A frame no smaller than so many columns and rows may be given, where a codec keeps smaller sizes or pixels can be left
    /// out.
    AtLeast {
        /// Columns.
        columns: u32,
        /// Rows.
        rows: u32,
    },
}

/// Decodes one frame.
///
/// `frame`: as retrieval gives it: encapsulated frames without item headers, native frames in
/// little endian byte order and starting at a byte.
///
/// # Errors
/// [`DecodeError`]; a panic inside a codec is [`DecodeError::Damaged`].
pub fn decode(
    frame: &Bytes,
    transfer_syntax_uid: &str,
    description: &PixelDescription,
    reduction: Reduction,
) -> Result<Frame, DecodeError> {
    description.check()?;
    let work = || match Coding::of(transfer_syntax_uid) {
        Coding::Native => native::decode_reduced(frame, description, reduction),
        Coding::Rle => rle::decode(frame, description),
        Coding::Jpeg => jpeg::decode(frame, description),
        Coding::JpegLs => jpeg_ls::decode(frame, description),
        Coding::Jpeg2000 => jpeg2000::decode(frame, description, reduction),
        Coding::JpegXl => jpeg_xl::decode(frame, description),
        Coding::Deflated => deflated::decode(frame, description),
        Coding::Video => Err(DecodeError::Unsupported("video".into())),
        Coding::Unknown => Err(DecodeError::Unsupported(format!(
            "transfer syntax {transfer_syntax_uid}"
        ))),
    };
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(DecodeError::Damaged("the decoder gave up".into())))
}
