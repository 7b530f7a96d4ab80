//! PNG pictures (ISO 15948), which no transfer syntax holds: unpacked to plain samples, identical ones.

use bytes::Bytes;
use image::{ColorType, DynamicImage, ImageDecoder as _, Limits, codecs::png::PngDecoder};

use super::{
    assemble::BulkPart,
    codestream::{Codestream, Size},
    spool::Spooled,
};

/// The media type.
pub(super) const PNG: &str = "image/png";
/// A longer file is not unpacked.
const FILE_MAX_BYTES: u64 = 64 << 20;
/// Samples of one picture take no more.
const SAMPLES_MAX_BYTES: u64 = 128 << 20;

/// Puts samples in the place of a picture.
///
/// # Errors
/// One sentence on what cannot be read.
pub(super) async fn unpack(part: &mut BulkPart) -> Result<(), String> {
    if part.content.length() > FILE_MAX_BYTES {
        return Err(format!("a PNG picture longer than {FILE_MAX_BYTES} bytes is not taken"));
    }
    let file = part.content.whole().await.map_err(|error| error.to_string())?;
    let unpacking = tokio::task::spawn_blocking(move || samples(&file));
    let (described, samples) = unpacking.await.map_err(|error| error.to_string())??;
    part.content = Spooled::of(samples).await.map_err(|error| error.to_string())?;
    part.content_type = None;
    part.unpacked = Some(described);
    Ok(())
}

fn samples(file: &[u8]) -> Result<(Codestream, Bytes), String> {
    let wrong = |error: image::ImageError| format!("the PNG picture cannot be read: {error}");
    let mut limits = Limits::default();
    limits.max_alloc = Some(SAMPLES_MAX_BYTES);
    let decoder = PngDecoder::with_limits(std::io::Cursor::new(file), limits).map_err(wrong)?;
    let (width, height) = decoder.dimensions();
    if decoder.total_bytes() > SAMPLES_MAX_BYTES {
        return Err(format!("a picture of {width} x {height} pixels is not taken"));
    }
    let (Ok(columns), Ok(rows)) = (u16::try_from(width), u16::try_from(height)) else {
        return Err(format!(
            "a picture of {width} x {height} pixels is larger than an image can be"
        ));
    };
    let has_alpha = decoder.color_type().has_alpha();
    let picture = DynamicImage::from_decoder(decoder).map_err(wrong)?;
    if has_alpha && !is_opaque(&picture) {
        return Err("a picture that can be seen through is no DICOM image: flatten it first".to_owned());
    }
    let words = |words: Vec<u16>| words.into_iter().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let (samples, bits, bytes) = match picture.color() {
        ColorType::L8 | ColorType::La8 => (1, 8, picture.into_luma8().into_raw()),
        ColorType::L16 | ColorType::La16 => (1, 16, words(picture.into_luma16().into_raw())),
        ColorType::Rgb16 | ColorType::Rgba16 => (3, 16, words(picture.into_rgb16().into_raw())),
        _ => (3, 8, picture.into_rgb8().into_raw()),
    };
    let described = Codestream {
        size: Some(Size {
            rows,
            columns,
            samples,
            bits,
        }),
        photometric_interpretation: Some(if samples == 1 { "MONOCHROME2" } else { "RGB" }),
        ..Codestream::default()
    };
    Ok((described, bytes.into()))
}

fn is_opaque(picture: &DynamicImage) -> bool {
    match picture {
        DynamicImage::ImageLumaA8(picture) => picture.pixels().all(|pixel| pixel.0[1] == u8::MAX),
        DynamicImage::ImageLumaA16(picture) => picture.pixels().all(|pixel| pixel.0[1] == u16::MAX),
        DynamicImage::ImageRgba8(picture) => picture.pixels().all(|pixel| pixel.0[3] == u8::MAX),
        DynamicImage::ImageRgba16(picture) => picture.pixels().all(|pixel| pixel.0[3] == u16::MAX),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use image::ImageFormat;
    use proptest::prelude::*;

    use super::*;

    fn png(picture: &DynamicImage) -> Vec<u8> {
        let mut file = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut file, ImageFormat::Png).unwrap();
        file.into_inner()
    }

    #[test]
    fn samples_come_out_identical() {
        let grey = image::ImageBuffer::from_fn(3, 2, |x, y| image::Luma([(x * 300 + y) as u16]));
        let (described, bytes) = samples(&png(&DynamicImage::ImageLuma16(grey))).unwrap();
        assert_eq!(
            described
                .size
                .map(|size| (size.rows, size.columns, size.samples, size.bits)),
            Some((2, 3, 1, 16))
        );
        assert_eq!(bytes.as_ref(), [0, 0, 44, 1, 88, 2, 1, 0, 45, 1, 89, 2]);
        let colour = image::ImageBuffer::from_pixel(1, 1, image::Rgba([1, 2, 3, 255]));
        let (described, bytes) = samples(&png(&DynamicImage::ImageRgba8(colour))).unwrap();
        assert_eq!(
            (described.photometric_interpretation, bytes.as_ref()),
            (Some("RGB"), &[1, 2, 3][..])
        );
        let glass = image::ImageBuffer::from_pixel(1, 1, image::Rgba([1, 2, 3, 9]));
        assert!(samples(&png(&DynamicImage::ImageRgba8(glass))).is_err());
    }

    proptest! {
        #[test]
        fn damaged_files_are_refused_or_read(at in 0_usize..80, byte in any::<u8>()) {
            let mut file = png(&DynamicImage::new_rgb8(9, 7));
            let length = file.len();
            file[at % length] = byte;
            let _ = samples(&file);
        }
    }
}
