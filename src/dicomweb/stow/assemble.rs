//! Puts a described data set and its bulk data together: Explicit VR Little Endian, pixel data encapsulated where they came
//! compressed (PS3.18 §10.5.1.1.2, PS3.5 §A.4).

use std::{collections::HashMap, ops::Range};

use filmroom_storage::model::{Attributes, Element, Elements, TransferSyntaxUid, has_long_length};

use super::{
    codestream::{self, Codestream},
    instance::Named,
    spool::Spooled,
};
use crate::{
    multipart::ContentType,
    wado::media::{self, EXPLICIT_VR_LITTLE_ENDIAN},
};
use filmroom_dataset::{Builder, BulkReference, Items, ReadDataSet, items};

const TRANSFER_SYNTAX_UID: u32 = 0x0002_0010;
const SOP_CLASS_UID: u32 = 0x0008_0016;
const SOP_INSTANCE_UID: u32 = 0x0008_0018;
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
const ENCAPSULATED_DOCUMENT: u32 = 0x0042_0011;
const MIME_TYPE: u32 = 0x0042_0012;
const ENCAPSULATED_DOCUMENT_LENGTH: u32 = 0x0042_0015;
const PIXEL_DATA: u32 = 0x7FE0_0010;
const UNDEFINED: u32 = u32::MAX;

/// Bytes of a compressed image that are looked at.
const HEAD_BYTES: u64 = 64 << 10;
/// What one element or fragment can hold.
const VALUE_MAX_BYTES: u64 = 0xFFFF_FFFE;

/// A part that is bulk data.
pub(super) struct BulkPart {
    pub(super) content_type: Option<ContentType>,
    pub(super) content: Spooled,
}

/// Bulk parts by the URI that names them; several of one name are the frames of pixel data, in order.
pub(super) type BulkParts = HashMap<String, Vec<BulkPart>>;

/// A data set as a row of pieces to be written.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) transfer_syntax_uid: TransferSyntaxUid,
    pub(super) segments: Vec<Segment>,
}

/// Bytes at hand, or a range of a bulk part.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Segment {
    Bytes(Vec<u8>),
    Bulk {
        uri: String,
        index: usize,
        range: Range<u64>,
    },
}

/// What the data set is called, for answers about what was not stored.
pub(super) fn named(data_set: &ReadDataSet) -> Named {
    Named {
        sop_class_uid: data_set.attributes.text(SOP_CLASS_UID).to_owned(),
        sop_instance_uid: data_set.attributes.text(SOP_INSTANCE_UID).to_owned(),
    }
}

/// Plans the data set.
///
/// # Errors
/// One sentence on what is missing or cannot be encoded.
pub(super) async fn plan(data_set: &ReadDataSet, parts: &BulkParts) -> Result<Plan, String> {
    let stated = &data_set.attributes;
    let declared = Some(stated.text(TRANSFER_SYNTAX_UID)).filter(|uid| !uid.is_empty());
    let mut completed = Builder::from_attributes(stated);
    for element in stated.iter().take_while(|element| element.tag >> 16 <= 0x0002) {
        completed.remove(element.tag);
    }
    complete_document(data_set, &mut completed, parts)?;
    let frames = compressed_frames(data_set, parts, declared).await?;
    let mut writer = Writer {
        parts,
        references: data_set
            .bulk
            .iter()
            .map(|reference| (reference.path.as_str(), reference))
            .collect(),
        path: String::new(),
        segments: Vec::new(),
        bytes: Vec::new(),
        frames: None,
    };
    let transfer_syntax = match frames {
        None => EXPLICIT_VR_LITTLE_ENDIAN.to_owned(),
        Some(frames) => {
            complete_image(stated, &mut completed, &frames);
            writer.frames = Some(frames.streams);
            frames.transfer_syntax
        }
    };
    writer.data_set(&completed.build())?;
    writer.flush();
    Ok(Plan {
        transfer_syntax_uid: TransferSyntaxUid::new(&transfer_syntax).map_err(|error| error.to_string())?,
        segments: writer.segments,
    })
}

/// The reference that stands for a value of the data set itself.
fn referred(data_set: &ReadDataSet, tag: u32) -> Option<&str> {
    let path = format!("{tag:08X}");
    let reference = data_set.bulk.iter().find(|reference| reference.path == path)?;
    Some(&reference.uri)
}

/// The parts that a reference names.
fn find<'a>(parts: &'a BulkParts, uri: &'a str) -> Result<(&'a str, &'a [BulkPart]), String> {
    let plain = uri.strip_prefix("cid:").unwrap_or(uri);
    let exact = parts.get_key_value(uri).or_else(|| parts.get_key_value(plain));
    // A client may write one of both as a path and the other as a URL of it.
    let found = exact.or_else(|| {
        let last = |path: &str| path.rsplit('/').next().map(str::to_owned);
        let mut alike = parts.iter().filter(|(name, _)| last(name) == last(plain));
        alike.next().filter(|_| alike.next().is_none())
    });
    found
        .map(|(name, parts)| (name.as_str(), parts.as_slice()))
        .ok_or_else(|| {
            let shown: String = uri.chars().take(100).collect();
            format!("no part has the Content-Location {shown:?} that the metadata refer to")
        })
}

/// What goes with an encapsulated document (PS3.3 §C.24.2).
fn complete_document(data_set: &ReadDataSet, completed: &mut Builder, parts: &BulkParts) -> Result<(), String> {
    let Some(uri) = referred(data_set, ENCAPSULATED_DOCUMENT) else {
        return Ok(());
    };
    let (_, parts) = find(parts, uri)?;
    let length = parts.iter().map(|part| part.content.length()).sum::<u64>();
    let media_type = parts.first().and_then(|part| part.content_type.as_ref());
    let media_type = media_type.map(|content_type| content_type.media_type.as_str());
    let stated = &data_set.attributes;
    if let Some(media_type) = media_type.filter(|media_type| *media_type != media::OCTET_STREAM)
        && stated.text(MIME_TYPE).is_empty()
    {
        completed.text(MIME_TYPE, media_type);
    }
    if let Ok(length) = u32::try_from(length)
        && stated.get(ENCAPSULATED_DOCUMENT_LENGTH).is_none()
    {
        completed.value(ENCAPSULATED_DOCUMENT_LENGTH, *b"UL", &length.to_le_bytes());
    }
    Ok(())
}

/// Pixel data that came compressed.
struct Frames {
    transfer_syntax: String,
    /// Part and place of each frame.
    streams: Vec<(String, usize, Range<u64>)>,
    first: Codestream,
}

/// The data set's own pixel data where they are sent compressed.
async fn compressed_frames(
    data_set: &ReadDataSet,
    parts: &BulkParts,
    declared: Option<&str>,
) -> Result<Option<Frames>, String> {
    let Some(uri) = referred(data_set, PIXEL_DATA) else {
        return Ok(None);
    };
    let (name, parts) = find(parts, uri)?;
    let content_type = parts.first().and_then(|part| part.content_type.as_ref());
    let media_type = content_type.map_or(media::OCTET_STREAM, |content_type| content_type.media_type.as_str());
    let labelled = content_type.and_then(|content_type| content_type.parameter("transfer-syntax"));
    let named = labelled
        .or(declared)
        .filter(|uid| !media::is_native(uid) && *uid != "*");
    if media_type == media::OCTET_STREAM && named.is_none() {
        return Ok(None);
    }
    let mut streams = Vec::new();
    let mut first = None;
    for (index, part) in parts.iter().enumerate() {
        let head = part
            .content
            .read(0..HEAD_BYTES)
            .await
            .map_err(|error| error.to_string())?;
        let stream = codestream::read(&head);
        streams.push((name.to_owned(), index, stream.range(part.content.length())));
        first.get_or_insert(stream);
    }
    let first = first.unwrap_or_default();
    // What is named holds as long as it is of the same kind as the part; the codestream itself knows best which process
    // it is of.
    let of_media_type = default_of(media_type);
    let named = named.filter(|uid| of_media_type.is_none() || media::media_type(uid) == media_type);
    let transfer_syntax = named.or(first.transfer_syntax_uid).or(of_media_type);
    let transfer_syntax = transfer_syntax
        .ok_or_else(|| format!("pixel data of media type {media_type} are not taken"))?
        .to_owned();
    Ok(Some(Frames {
        transfer_syntax,
        streams,
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
        "video/h265" => "1.2.840.10008.1.2.4.107",
        _ => return None,
    })
}

/// The attributes of the pixels that the metadata do not have, as the codestream says.
fn complete_image(stated: &Attributes, completed: &mut Builder, frames: &Frames) {
    let is_absent = |tag| stated.get(tag).is_none_or(|element| element.value.is_empty());
    if frames.streams.len() > 1 && is_absent(NUMBER_OF_FRAMES) {
        completed.text(NUMBER_OF_FRAMES, &frames.streams.len().to_string());
    }
    if let Some(size) = frames.first.size {
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
    if let Some(term) = frames.first.photometric_interpretation
        && is_absent(PHOTOMETRIC_INTERPRETATION)
    {
        completed.text(PHOTOMETRIC_INTERPRETATION, term);
    }
}

/// Writes elements as segments. Sequences that bulk data are referred to in have undefined lengths, so that nothing is
/// measured ahead; others stay as they are.
struct Writer<'a> {
    parts: &'a BulkParts,
    /// By path.
    references: HashMap<&'a str, &'a BulkReference>,
    /// Of the list of elements being written, with a dot at its end where it is not empty.
    path: String,
    segments: Vec<Segment>,
    bytes: Vec<u8>,
    frames: Option<Vec<(String, usize, Range<u64>)>>,
}

/// What is left to be written, innermost last.
enum Open<'e> {
    Elements(Elements<'e>),
    Items {
        items: Items<'e>,
        index: usize,
        path_before: usize,
    },
}

impl Writer<'_> {
    fn data_set(&mut self, attributes: &Attributes) -> Result<(), String> {
        let mut open = vec![Open::Elements(attributes.iter())];
        while let Some(innermost) = open.last_mut() {
            match innermost {
                Open::Elements(elements) => match elements.next() {
                    Some(element) if &element.vr == b"SQ" && self.refers_into(element.tag) => {
                        self.head(element.tag, *b"SQ", UNDEFINED);
                        let path_before = self.path.len();
                        self.path.push_str(&format!("{:08X}.", element.tag));
                        open.push(Open::Items {
                            items: items(element.value),
                            index: 0,
                            path_before,
                        });
                    }
                    Some(element) => self.element(&element)?,
                    None => {
                        open.pop();
                        if let Some(Open::Items { path_before, .. }) = open.last() {
                            self.delimiter(0xE00D, 0);
                            self.path.truncate(path_before + "00000000.".len());
                        }
                    }
                },
                Open::Items {
                    items,
                    index,
                    path_before,
                } => match items.next() {
                    Some(item) => {
                        self.delimiter(0xE000, UNDEFINED);
                        self.path.push_str(&format!("{index}."));
                        *index += 1;
                        open.push(Open::Elements(Elements::new(item)));
                    }
                    None => {
                        self.path.truncate(*path_before);
                        open.pop();
                        self.delimiter(0xE0DD, 0);
                    }
                },
            }
        }
        Ok(())
    }

    /// True when a value within the sequence is sent as bulk data.
    fn refers_into(&self, tag: u32) -> bool {
        let prefix = format!("{}{tag:08X}.", self.path);
        self.references.keys().any(|path| path.starts_with(&prefix))
    }

    fn element(&mut self, element: &Element<'_>) -> Result<(), String> {
        let path = format!("{}{:08X}", self.path, element.tag);
        if let Some(reference) = self.references.get(path.as_str()) {
            return if path == "7FE00010" && self.frames.is_some() {
                self.encapsulated()
            } else {
                let (vr, uri) = (reference.vr, reference.uri.clone());
                self.bulk(element.tag, vr, &uri)
            };
        }
        let length = u32::try_from(element.value.len()).map_err(|_| "a value is longer than 4 GiB".to_owned())?;
        self.head(element.tag, element.vr, length);
        self.bytes.extend_from_slice(element.value);
        Ok(())
    }

    fn bulk(&mut self, tag: u32, vr: [u8; 2], uri: &str) -> Result<(), String> {
        let (name, parts) = find(self.parts, uri)?;
        let length: u64 = parts.iter().map(|part| part.content.length()).sum();
        if length > VALUE_MAX_BYTES {
            return Err(format!("a value of {length} bytes is more than one element can hold"));
        }
        let vr = if has_long_length(vr) { vr } else { *b"UN" };
        self.head(tag, vr, (length + length % 2) as u32);
        for (index, part) in parts.iter().enumerate() {
            self.range(name, index, 0..part.content.length());
        }
        if length % 2 == 1 {
            self.bytes.push(0);
        }
        Ok(())
    }

    fn encapsulated(&mut self) -> Result<(), String> {
        self.head(PIXEL_DATA, *b"OB", UNDEFINED);
        // An empty Basic Offset Table: there is one fragment a frame.
        self.delimiter(0xE000, 0);
        for (name, index, range) in self.frames.take().unwrap_or_default() {
            let length = range.end - range.start;
            if length > VALUE_MAX_BYTES {
                return Err(format!("a frame of {length} bytes is more than one fragment can hold"));
            }
            self.delimiter(0xE000, (length + length % 2) as u32);
            self.range(&name, index, range);
            if length % 2 == 1 {
                self.bytes.push(0);
            }
        }
        self.delimiter(0xE0DD, 0);
        Ok(())
    }

    fn range(&mut self, uri: &str, index: usize, range: Range<u64>) {
        self.flush();
        self.segments.push(Segment::Bulk {
            uri: uri.to_owned(),
            index,
            range,
        });
    }

    fn flush(&mut self) {
        if !self.bytes.is_empty() {
            self.segments.push(Segment::Bytes(std::mem::take(&mut self.bytes)));
        }
    }

    fn head(&mut self, tag: u32, vr: [u8; 2], length: u32) {
        self.tag(tag);
        self.bytes.extend_from_slice(&vr);
        if has_long_length(vr) {
            self.bytes.extend_from_slice(&[0, 0]);
            self.bytes.extend_from_slice(&length.to_le_bytes());
        } else {
            self.bytes.extend_from_slice(&(length as u16).to_le_bytes());
        }
    }

    fn delimiter(&mut self, element: u32, length: u32) {
        self.tag(0xFFFE_0000 | element);
        self.bytes.extend_from_slice(&length.to_le_bytes());
    }

    fn tag(&mut self, tag: u32) {
        self.bytes.extend_from_slice(&((tag >> 16) as u16).to_le_bytes());
        self.bytes.extend_from_slice(&(tag as u16).to_le_bytes());
    }
}

#[cfg(test)]
mod tests;
