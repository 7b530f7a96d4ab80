//! Puts a described data set and its bulk data together: Explicit VR Little Endian, pixel data encapsulated where they came
//! compressed (PS3.18 §10.5.1.1.2, PS3.5 §A.4).

use std::{collections::HashMap, ops::Range};

use filmroom_storage::model::{TransferSyntaxUid, has_long_length};

use super::{
    codestream::{self, Codestream},
    element::{Element, Value},
    instance::Named,
    spool::Spooled,
};
use crate::dicomweb::{
    multipart::ContentType,
    wado::media::{self, EXPLICIT_VR_LITTLE_ENDIAN},
};

const TRANSFER_SYNTAX_UID: u32 = 0x0002_0010;
const SPECIFIC_CHARACTER_SET: u32 = 0x0008_0005;
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
pub(super) fn named(elements: &[Element]) -> Named {
    let uid = |tag| text(elements, tag).unwrap_or_default().to_owned();
    Named {
        sop_class_uid: uid(SOP_CLASS_UID),
        sop_instance_uid: uid(SOP_INSTANCE_UID),
    }
}

fn text(elements: &[Element], tag: u32) -> Option<&str> {
    let element = elements.iter().find(|element| element.tag == tag)?;
    match &element.value {
        Value::Bytes(bytes) => std::str::from_utf8(bytes)
            .ok()
            .map(|text| text.trim_end_matches(['\0', ' '])),
        _ => None,
    }
}

/// Plans the data set.
///
/// # Errors
/// One sentence on what is missing or cannot be encoded.
pub(super) async fn plan(mut elements: Vec<Element>, parts: &BulkParts) -> Result<Plan, String> {
    let declared = text(&elements, TRANSFER_SYNTAX_UID)
        .filter(|uid| !uid.is_empty())
        .map(str::to_owned);
    elements.retain(|element| element.tag >> 16 != 0x0002 && element.tag & 0xFFFF != 0);
    set(&mut elements, SPECIFIC_CHARACTER_SET, *b"CS", b"ISO_IR 192".to_vec());
    complete_document(&mut elements, parts)?;
    let frames = compressed_frames(&elements, parts, declared.as_deref()).await?;
    let mut writer = Writer {
        parts,
        segments: Vec::new(),
        bytes: Vec::new(),
        frames: None,
    };
    let transfer_syntax = match frames {
        None => EXPLICIT_VR_LITTLE_ENDIAN.to_owned(),
        Some(frames) => {
            complete_image(&mut elements, &frames);
            writer.frames = Some(frames.streams);
            frames.transfer_syntax
        }
    };
    writer.data_set(&elements)?;
    writer.flush();
    Ok(Plan {
        transfer_syntax_uid: TransferSyntaxUid::new(&transfer_syntax).map_err(|error| error.to_string())?,
        segments: writer.segments,
    })
}

/// Sets an element of the data set.
fn set(elements: &mut Vec<Element>, tag: u32, vr: [u8; 2], mut value: Vec<u8>) {
    if value.len() % 2 == 1 {
        value.push(b' ');
    }
    let element = Element {
        tag,
        vr,
        value: Value::Bytes(value),
    };
    match elements.binary_search_by_key(&tag, |element| element.tag) {
        Ok(at) => elements.splice(at..=at, [element]).for_each(drop),
        Err(at) => elements.insert(at, element),
    }
}

fn set_if_absent(elements: &mut Vec<Element>, tag: u32, vr: [u8; 2], value: Vec<u8>) {
    if !elements.iter().any(|element| element.tag == tag) {
        set(elements, tag, vr, value);
    }
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
fn complete_document(elements: &mut Vec<Element>, parts: &BulkParts) -> Result<(), String> {
    let document = elements.iter().find(|element| element.tag == ENCAPSULATED_DOCUMENT);
    let Some(Value::Bulk(uri)) = document.map(|element| &element.value) else {
        return Ok(());
    };
    let (_, parts) = find(parts, uri)?;
    let length = parts.iter().map(|part| part.content.length()).sum::<u64>();
    let media_type = parts.first().and_then(|part| part.content_type.as_ref());
    if let Some(media_type) = media_type.map(|content_type| content_type.media_type.clone())
        && media_type != media::OCTET_STREAM
    {
        set_if_absent(elements, MIME_TYPE, *b"LO", media_type.into_bytes());
    }
    if let Ok(length) = u32::try_from(length) {
        set_if_absent(
            elements,
            ENCAPSULATED_DOCUMENT_LENGTH,
            *b"UL",
            length.to_le_bytes().to_vec(),
        );
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
    elements: &[Element],
    parts: &BulkParts,
    declared: Option<&str>,
) -> Result<Option<Frames>, String> {
    let pixel_data = elements.iter().find(|element| element.tag == PIXEL_DATA);
    let Some(Value::Bulk(uri)) = pixel_data.map(|element| &element.value) else {
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
fn complete_image(elements: &mut Vec<Element>, frames: &Frames) {
    if frames.streams.len() > 1 {
        set_if_absent(
            elements,
            NUMBER_OF_FRAMES,
            *b"IS",
            frames.streams.len().to_string().into_bytes(),
        );
    }
    if let Some(size) = frames.first.size {
        let allocated = if size.bits > 8 { 16_u16 } else { 8 };
        for (tag, value) in [
            (SAMPLES_PER_PIXEL, size.samples),
            (ROWS, size.rows),
            (COLUMNS, size.columns),
            (BITS_ALLOCATED, allocated),
            (BITS_STORED, size.bits),
            (HIGH_BIT, size.bits.saturating_sub(1)),
            (PIXEL_REPRESENTATION, 0),
        ] {
            set_if_absent(elements, tag, *b"US", value.to_le_bytes().to_vec());
        }
        if size.samples > 1 {
            set_if_absent(elements, PLANAR_CONFIGURATION, *b"US", vec![0, 0]);
        }
    }
    if let Some(term) = frames.first.photometric_interpretation {
        set_if_absent(elements, PHOTOMETRIC_INTERPRETATION, *b"CS", term.as_bytes().to_vec());
    }
}

/// Writes elements as segments. Sequences and items have undefined lengths, so that nothing is measured ahead.
struct Writer<'a> {
    parts: &'a BulkParts,
    segments: Vec<Segment>,
    bytes: Vec<u8>,
    frames: Option<Vec<(String, usize, Range<u64>)>>,
}

/// What is left to be written, innermost last.
enum Open<'e> {
    Elements(std::slice::Iter<'e, Element>),
    Items(std::slice::Iter<'e, Vec<Element>>),
}

impl Writer<'_> {
    fn data_set(&mut self, elements: &[Element]) -> Result<(), String> {
        let mut open = vec![Open::Elements(elements.iter())];
        while let Some(innermost) = open.last_mut() {
            match innermost {
                Open::Elements(elements) => match elements.next() {
                    Some(Element {
                        tag,
                        value: Value::Items(items),
                        ..
                    }) => {
                        self.head(*tag, *b"SQ", UNDEFINED);
                        open.push(Open::Items(items.iter()));
                    }
                    Some(element) => {
                        let is_own = open.len() == 1;
                        self.element(element, is_own)?;
                    }
                    None => {
                        open.pop();
                        if !open.is_empty() {
                            self.delimiter(0xE00D, 0);
                        }
                    }
                },
                Open::Items(items) => match items.next() {
                    Some(item) => {
                        self.delimiter(0xE000, UNDEFINED);
                        open.push(Open::Elements(item.iter()));
                    }
                    None => {
                        open.pop();
                        self.delimiter(0xE0DD, 0);
                    }
                },
            }
        }
        Ok(())
    }

    fn element(&mut self, element: &Element, is_own: bool) -> Result<(), String> {
        match &element.value {
            Value::Items(_) => Ok(()),
            Value::Bytes(bytes) => {
                let length = u32::try_from(bytes.len()).map_err(|_| "a value is longer than 4 GiB".to_owned())?;
                let is_short = !has_long_length(element.vr);
                let vr = if is_short && length > 0xFFFF {
                    *b"UN"
                } else {
                    element.vr
                };
                self.head(element.tag, vr, length);
                self.bytes.extend_from_slice(bytes);
                Ok(())
            }
            Value::Bulk(_) if is_own && element.tag == PIXEL_DATA && self.frames.is_some() => self.encapsulated(),
            Value::Bulk(uri) => self.bulk(element, uri),
        }
    }

    fn bulk(&mut self, element: &Element, uri: &str) -> Result<(), String> {
        let (name, parts) = find(self.parts, uri)?;
        let length: u64 = parts.iter().map(|part| part.content.length()).sum();
        if length > VALUE_MAX_BYTES {
            return Err(format!("a value of {length} bytes is more than one element can hold"));
        }
        let vr = if has_long_length(element.vr) {
            element.vr
        } else {
            *b"UN"
        };
        self.head(element.tag, vr, (length + length % 2) as u32);
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
