//! Pictures → the media types of PS3.18 §8.7.4.

use std::io::Cursor;

use filmroom_pixels::compress::jpeg_baseline::{self, Chrominance, Colour};
use image::{
    ExtendedColorType, ImageEncoder,
    codecs::{
        png::{CompressionType, FilterType, PngEncoder},
        webp::WebPEncoder,
    },
};

use super::RenderError;
use super::picture::{Channels, Picture};

/// A media type that pictures are given in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Media {
    /// image/jpeg.
    Jpeg,
    /// image/png.
    Png,
    /// image/gif.
    Gif,
    /// image/webp, lossless.
    Webp,
}

impl Media {
    /// The media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Gif => "image/gif",
            Self::Webp => "image/webp",
        }
    }
}

/// Encodes one picture. `quality`: 1 to 100, for JPEG. `icc_profile` is embedded where the format has a place for it.
///
/// # Errors
/// [`RenderError::Encode`] for a picture that the format cannot hold.
pub fn encode(
    picture: &Picture,
    media: Media,
    quality: u8,
    icc_profile: Option<&[u8]>,
) -> Result<Vec<u8>, RenderError> {
    let failed = |error: &dyn std::fmt::Display| RenderError::Encode(error.to_string());
    let colour = match picture.channels {
        Channels::Grey => ExtendedColorType::L8,
        Channels::Rgb => ExtendedColorType::Rgb8,
    };
    let (width, height) = (picture.width as u32, picture.height as u32);
    let mut out = Vec::with_capacity(picture.data.len() / 4 + 1024);
    match media {
        Media::Jpeg => {
            let colour = match picture.channels {
                Channels::Grey => Colour::Grey,
                Channels::Rgb if quality <= 90 => Colour::Rgb(Chrominance::Halved),
                Channels::Rgb => Colour::Rgb(Chrominance::Full),
            };
            return jpeg_baseline::compress(&picture.data, width, height, colour, quality, icc_profile)
                .map_err(|error| failed(&error));
        }
        Media::Png => {
            let mut encoder = PngEncoder::new_with_quality(&mut out, CompressionType::Fast, FilterType::Sub);
            if let Some(profile) = icc_profile {
                // An encoder that has no place for a profile says so; the picture is right without it.
                let _ = encoder.set_icc_profile(profile.to_vec());
            }
            encoder
                .write_image(&picture.data, width, height, colour)
                .map_err(|error| failed(&error))?;
        }
        Media::Webp => {
            let mut encoder = WebPEncoder::new_lossless(&mut out);
            if let Some(profile) = icc_profile {
                let _ = encoder.set_icc_profile(profile.to_vec());
            }
            encoder
                .write_image(&picture.data, width, height, colour)
                .map_err(|error| failed(&error))?;
        }
        Media::Gif => return animate(std::slice::from_ref(picture), 0),
    }
    Ok(out)
}

/// Encodes pictures of one size as a GIF that repeats; `delay_ms` between frames. One picture stands still.
///
/// # Errors
/// [`RenderError::Encode`].
pub fn animate(pictures: &[Picture], delay_ms: u32) -> Result<Vec<u8>, RenderError> {
    let failed = |error: gif::EncodingError| RenderError::Encode(error.to_string());
    let first = pictures.first().ok_or_else(|| RenderError::Encode("no frame".into()))?;
    let (Ok(width), Ok(height)) = (u16::try_from(first.width), u16::try_from(first.height)) else {
        return Err(RenderError::Encode("a GIF has at most 65535 rows and columns".into()));
    };
    let greys: Vec<u8> = (0..=255u8).flat_map(|grey| [grey; 3]).collect();
    let mut out = Cursor::new(Vec::new());
    {
        let palette: &[u8] = if first.channels == Channels::Grey { &greys } else { &[] };
        let mut encoder = gif::Encoder::new(&mut out, width, height, palette).map_err(failed)?;
        if pictures.len() > 1 {
            encoder.set_repeat(gif::Repeat::Infinite).map_err(failed)?;
        }
        for picture in pictures {
            if (picture.width, picture.height, picture.channels) != (first.width, first.height, first.channels) {
                return Err(RenderError::Encode("frames of different sizes".into()));
            }
            let mut frame = match picture.channels {
                Channels::Grey => gif::Frame {
                    width,
                    height,
                    buffer: picture.data.as_slice().into(),
                    ..gif::Frame::default()
                },
                Channels::Rgb => gif::Frame::from_rgb_speed(width, height, &picture.data, 20),
            };
            frame.delay = u16::try_from(delay_ms / 10).unwrap_or(u16::MAX);
            encoder.write_frame(&frame).map_err(failed)?;
        }
    }
    Ok(out.into_inner())
}
