//! JPEG XL (ISO 18181): lossless, lossy, and recompressed JPEG.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use jxl_oxide::{AllocTracker, InitializeResult, JxlImage, JxlThreadPool};

use super::{DecodeError, FRAME_MAX_BYTES, Frame, Samples};
use crate::pixel_description::{Photometric, PixelDescription, Representation};

/// Memory for reading the head of an image.
const HEAD_MAX_BYTES: usize = 16 << 20;

/// How the samples of an image were coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// They come out as they went in.
    Lossless,
    /// A JPEG image can be made of it again, bit by bit.
    JpegRecompressed,
    /// Samples may have changed.
    Lossy,
}

/// What the head of an image says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Height in pixels.
    pub rows: u32,
    /// Width in pixels.
    pub columns: u32,
    /// One sample a pixel, beside transparency; three otherwise.
    pub is_grey: bool,
    /// Bits of a sample.
    pub bits: u32,
    /// Whether samples may have changed.
    pub coding: Coding,
}

/// Reads the first bytes of an image; `None` when it is no JPEG XL, or when they are too few.
#[must_use]
pub fn head(bytes: &[u8]) -> Option<Head> {
    let is_boxed = bytes.starts_with(b"\0\0\0\x0cJXL ");
    if !is_boxed && !bytes.starts_with(&[0xFF, 0x0A]) {
        return None;
    }
    let read = || {
        let mut image = JxlImage::builder()
            .pool(JxlThreadPool::none())
            .alloc_tracker(AllocTracker::with_limit(HEAD_MAX_BYTES))
            .build_uninit();
        image.feed_bytes(bytes).ok()?;
        match image.try_init() {
            Ok(InitializeResult::Initialized(image)) => Some(image),
            _ => None,
        }
    };
    let image = catch_unwind(AssertUnwindSafe(read)).ok()??;
    let metadata = &image.image_header().metadata;
    Some(Head {
        rows: image.height(),
        columns: image.width(),
        is_grey: image.pixel_format().is_grayscale(),
        bits: metadata.bit_depth.bits_per_sample(),
        coding: match metadata.xyb_encoded {
            true => Coding::Lossy,
            false if is_boxed && bytes.windows(4).any(|window| window == b"jbrd") => Coding::JpegRecompressed,
            false => Coding::Lossless,
        },
    })
}

/// Decodes a JPEG XL frame. Colour comes out as RGB.
///
/// # Errors
/// [`DecodeError`].
pub fn decode(frame: &Bytes, description: &PixelDescription) -> Result<Frame, DecodeError> {
    let damaged = |error: &dyn std::fmt::Display| DecodeError::Damaged(error.to_string());
    let image = JxlImage::builder()
        .pool(JxlThreadPool::none())
        .alloc_tracker(AllocTracker::with_limit(FRAME_MAX_BYTES))
        .read(frame.as_ref())
        .map_err(|error| damaged(&error))?;
    if (image.width(), image.height()) != (description.columns, description.rows) {
        return Err(DecodeError::Damaged(format!(
            "a stream of {} x {} for {} columns and {} rows",
            image.width(),
            image.height(),
            description.columns,
            description.rows
        )));
    }
    let bits = image.image_header().metadata.bit_depth.bits_per_sample();
    let grey = image.pixel_format().is_grayscale();
    if grey != (description.samples_per_pixel == 1) || bits > 32 {
        return Err(DecodeError::Damaged(
            "other components than the object describes".into(),
        ));
    }
    let render = image.render_frame(0).map_err(|error| damaged(&error))?;
    let mut stream = render.stream_no_alpha();
    if stream.channels() != description.samples_per_pixel {
        return Err(DecodeError::Damaged(format!("{} channels", stream.channels())));
    }
    let count = description.sample_count()?;
    let mut values = vec![0f32; count];
    if stream.write_to_buffer(&mut values) != count {
        return Err(DecodeError::Truncated);
    }
    let most = ((1u64 << bits) - 1) as f32;
    let whole = |value: &f32| (value * most + 0.5).clamp(0.0, most);
    let samples = match bits {
        ..=8 => Samples::U8(
            values
                .iter()
                .map(|value| whole(value) as u8)
                .collect::<Vec<u8>>()
                .into(),
        ),
        9..=16 => Samples::U16(values.iter().map(|value| whole(value) as u16).collect()),
        _ => return Err(DecodeError::Unsupported(format!("JPEG XL of {bits} bits"))),
    };
    Ok(Frame {
        rows: description.rows,
        columns: description.columns,
        samples_per_pixel: description.samples_per_pixel,
        samples,
        bits_stored: description.bits_stored.max(bits),
        low_bit: 0,
        signed: description.representation == Representation::Signed,
        photometric: if grey {
            description.photometric
        } else {
            Photometric::Rgb
        },
    })
}
