//! Pixel data that came as pictures or films, and what the data set says of them.

use std::ops::Range;

use filmroom_storage::model::Attributes;

use super::{BulkParts, PIXEL_DATA, find, referred};
use crate::{
    stow::codestream::{self, Codestream},
    wado::media::{self, EXPLICIT_VR_LITTLE_ENDIAN},
};
use filmroom_dataset::{Builder, ReadDataSet};

const SAMPLES_PER_PIXEL: u32 = 0x0028_0002;
const PHOTOMETRIC_INTERPRETATION: u32 = 0x0028_0004;
const PLANAR_CONFIGURATION: u32 = 0x0028_0006;
const NUMBER_OF_FRAMES: u32 = 0x0028_0008;
const ROWS: u32 = 0x0028_0010;
const COLUMNS: u32 = 0x0028_0011;
const BITS_ALLOCATED: u32 = 0x0028_0100;
const BITS_STORED: u32 = 0x0028_0101;
const HIGH_BIT: u32 = 0x0028_0102;
const PIXEL_REPRESENTATION: u32 = 0x0028_0103;
const FRAME_TIME: u32 = 0x0018_1063;
const FRAME_INCREMENT_POINTER: u32 = 0x0028_0009;
const LOSSY_IMAGE_COMPRESSION: u32 = 0x0028_2110;
const LOSSY_IMAGE_COMPRESSION_RATIO: u32 = 0x0028_2112;
const LOSSY_IMAGE_COMPRESSION_METHOD: u32 = 0x0028_2114;

/// Bytes of a compressed image that are looked at.
const HEAD_BYTES: u64 = 64 << 10;

/// Pixel data that came as pictures.
pub(super) struct Frames {
    pub(super) transfer_syntax: String,
    /// Part and place of each frame that is to be encapsulated; `None` for samples as they are.
    pub(super) streams: Option<Vec<(String, usize, Range<u64>)>>,
    first: Codestream,
    /// Parts that hold a frame each, or a film.
    count: usize,
    compressed_bytes: u64,
}

/// The data set's own pixel data where they are sent as pictures.
pub(super) async fn frames(
    data_set: &ReadDataSet,
    parts: &BulkParts,
    declared: Option<&str>,
) -> Result<Option<Frames>, String> {
    let Some(uri) = referred(data_set, PIXEL_DATA) else {
        return Ok(None);
    };
    let (name, parts) = find(parts, uri)?;
    if let Some(first) = parts.first().and_then(|part| part.unpacked.as_ref()) {
        return Ok(Some(Frames {
            transfer_syntax: EXPLICIT_VR_LITTLE_ENDIAN.to_owned(),
            streams: None,
            first: first.clone(),
            count: parts.len(),
            compressed_bytes: 0,
        }));
    }
    let content_type = parts.first().and_then(|part| part.content_type.as_ref());
    let media_type = content_type.map_or(media::OCTET_STREAM, |content_type| content_type.media_type.as_str());
    let labelled = content_type.and_then(|content_type| content_type.parameter("transfer-syntax"));
    let named = labelled
        .or(declared)
        .filter(|uid| !media::is_native(uid) && *uid != "*");
    if media_type == media::OCTET_STREAM && named.is_none() {
        return Ok(None);
    }
    let is_film =
        media_type.starts_with("video/") || named.is_some_and(|uid| media::media_type(uid).starts_with("video/"));
    let mut streams = Vec::new();
    let mut first = None;
    for (index, part) in parts.iter().enumerate() {
        let stream = if is_film {
            codestream::film(&part.content).await
        } else {
            part.content
                .read(0..HEAD_BYTES)
                .await
                .map(|head| codestream::read(&head))
        };
        let stream = stream.map_err(|error| error.to_string())?;
        streams.push((name.to_owned(), index, stream.range(part.content.length())));
        first.get_or_insert(stream);
    }
    let first = first.unwrap_or_default();
    // What is named holds as long as it is of the same kind as the part; the codestream itself knows best which process
    // it is of.
    let of_media_type = default_of(media_type);
    let named = named.filter(|uid| of_media_type.is_none() || media::media_type(uid).eq_ignore_ascii_case(media_type));
    let transfer_syntax = named.or(first.transfer_syntax_uid).or(of_media_type);
    let transfer_syntax = transfer_syntax
        .ok_or_else(|| format!("pixel data of media type {media_type} are not taken"))?
        .to_owned();
    Ok(Some(Frames {
        transfer_syntax,
        count: streams.len(),
        compressed_bytes: streams.iter().map(|(_, _, range)| range.end - range.start).sum(),
        streams: Some(streams),
        first,
    }))
}

/// The transfer syntax of a media type where nothing else tells it (PS3.18 table 8.7.3-2 to -4).
fn default_of(media_type: &str) -> Option<&'static str> {
    Some(match media_type {
        "image/jpeg" => "1.2.840.10008.1.2.4.50",
        "image/dicom-rle" | "image/x-dicom-rle" => "1.2.840.10008.1.2.5",
        "image/jls" | "image/x-jls" => "1.2.840.10008.1.2.4.80",
        "image/jp2" => "1.2.840.10008.1.2.4.90",
        "image/jpx" => "1.2.840.10008.1.2.4.92",
        "image/jphc" => "1.2.840.10008.1.2.4.201",
        "image/jxl" => "1.2.840.10008.1.2.4.110",
        "video/mpeg" | "video/mpeg2" => "1.2.840.10008.1.2.4.100",
        "video/mp4" => "1.2.840.10008.1.2.4.102",
        "video/h265" | "video/H265" => "1.2.840.10008.1.2.4.107",
        _ => return None,
    })
}

impl Frames {
    /// The attributes of the pixels that the metadata do not have, as the pictures say (PS3.18 §10.5.1.1.2).
    pub(super) fn complete(&self, stated: &Attributes, completed: &mut Builder) {
        let is_absent = |tag| stated.get(tag).is_none_or(|element| element.value.is_empty());
        let number_of_frames = match self.first.number_of_frames {
            Some(count) => Some(count),
            None => u32::try_from(self.count).ok().filter(|count| *count > 1),
        };
        if let Some(count) = number_of_frames
            && is_absent(NUMBER_OF_FRAMES)
        {
            completed.text(NUMBER_OF_FRAMES, &count.to_string());
        }
        if let Some(milliseconds) = self.first.frame_time_ms
            && is_absent(FRAME_TIME)
            && is_absent(FRAME_INCREMENT_POINTER)
        {
            completed.text(FRAME_TIME, &format!("{milliseconds:.3}"));
            completed.value(FRAME_INCREMENT_POINTER, *b"AT", &[0x18, 0, 0x63, 0x10]);
        }
        if let Some(size) = self.first.size {
            let mut described = vec![
                (SAMPLES_PER_PIXEL, size.samples),
                (ROWS, size.rows),
                (COLUMNS, size.columns),
                (BITS_ALLOCATED, if size.bits > 8 { 16 } else { 8 }),
                (BITS_STORED, size.bits),
                (HIGH_BIT, size.bits.saturating_sub(1)),
                (PIXEL_REPRESENTATION, 0),
            ];
            if size.samples > 1 {
                described.push((PLANAR_CONFIGURATION, 0));
            }
            for (tag, value) in described.into_iter().filter(|(tag, _)| is_absent(*tag)) {
                completed.us(tag, value);
            }
        }
        if let Some(term) = self.first.photometric_interpretation
            && is_absent(PHOTOMETRIC_INTERPRETATION)
        {
            completed.text(PHOTOMETRIC_INTERPRETATION, term);
        }
        if media::is_lossy(&self.transfer_syntax) && is_absent(LOSSY_IMAGE_COMPRESSION) {
            self.complete_loss(stated, completed);
        }
    }

    /// What was lost before it came (PS3.3 C.7.6.1.1.5).
    fn complete_loss(&self, stated: &Attributes, completed: &mut Builder) {
        let is_absent = |tag| stated.get(tag).is_none_or(|element| element.value.is_empty());
        completed.text(LOSSY_IMAGE_COMPRESSION, "01");
        let native = self.first.size.map(|size| {
            let bytes = u64::from(size.bits.div_ceil(8)) * u64::from(size.samples);
            let pixels = u64::from(size.rows) * u64::from(size.columns);
            let frames = self.first.number_of_frames.unwrap_or(1).max(1);
            bytes * pixels * u64::from(frames) * self.count as u64
        });
        if let Some(native) = native
            && self.compressed_bytes > 0
            && is_absent(LOSSY_IMAGE_COMPRESSION_RATIO)
        {
            let ratio = native as f64 / self.compressed_bytes as f64;
            completed.text(LOSSY_IMAGE_COMPRESSION_RATIO, &format!("{ratio:.2}"));
        }
        if let Some(method) = method(&self.transfer_syntax)
            && is_absent(LOSSY_IMAGE_COMPRESSION_METHOD)
        {
            completed.text(LOSSY_IMAGE_COMPRESSION_METHOD, method);
        }
    }
}

/// (0028,2114) of a lossy transfer syntax (PS3.3 C.7.6.1.1.5.1).
fn method(transfer_syntax: &str) -> Option<&'static str> {
    Some(match media::media_type(transfer_syntax) {
        "image/jpeg" => "ISO_10918_1",
        "image/jls" => "ISO_14495_1",
        "image/jp2" | "image/jpx" => "ISO_15444_1",
        "image/jphc" => "ISO_15444_15",
        "image/jxl" => "ISO_18181_1",
        "video/mpeg" => "ISO_13818_2",
        "video/mp4" => "ISO_14496_10",
        "video/H265" => "ISO_23008_2",
        _ => return None,
    })
}
