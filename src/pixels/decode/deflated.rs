//! Deflated Image Frame Compression (PS3.5 §A.4.13): one RFC 1951 stream a frame, read no further than a frame is long.

use std::io::Read;

use bytes::Bytes;

use super::{DecodeError, Frame, native};
use crate::pixel_description::PixelDescription;

/// Decodes a deflated frame.
///
/// # Errors
/// [`DecodeError::Damaged`], and those of [`native::decode`].
pub fn decode(frame: &Bytes, description: &PixelDescription) -> Result<Frame, DecodeError> {
    let wanted = description.frame_bytes()?;
    let mut inflated = Vec::new();
    flate2::read::DeflateDecoder::new(frame.as_ref())
        .take(wanted as u64)
        .read_to_end(&mut inflated)
        .map_err(|error| DecodeError::Damaged(error.to_string()))?;
    native::decode(&inflated.into(), description)
}
