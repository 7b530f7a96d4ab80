//! Puts a described data set and its bulk data together: Explicit VR Little Endian, pixel data encapsulated where they came
//! compressed (PS3.18 §10.5.1.1.2, PS3.5 §A.4).

use std::{collections::HashMap, ops::Range};

use filmroom_storage::model::TransferSyntaxUid;

use super::{codestream::Codestream, instance::Named, spool::Spooled};
use crate::{
    multipart::ContentType,
    wado::media::{self, EXPLICIT_VR_LITTLE_ENDIAN},
};
use filmroom_dataset::{Builder, ReadDataSet};

mod image;
mod writer;

use writer::Writer;

const TRANSFER_SYNTAX_UID: u32 = 0x0002_0010;
const SOP_CLASS_UID: u32 = 0x0008_0016;
const SOP_INSTANCE_UID: u32 = 0x0008_0018;
const ENCAPSULATED_DOCUMENT: u32 = 0x0042_0011;
const MIME_TYPE: u32 = 0x0042_0012;
const ENCAPSULATED_DOCUMENT_LENGTH: u32 = 0x0042_0015;
const PIXEL_DATA: u32 = 0x7FE0_0010;

/// A part that is bulk data.
pub(super) struct BulkPart {
    pub(super) content_type: Option<ContentType>,
    pub(super) content: Spooled,
    /// What samples are that were unpacked from a picture of another kind.
    pub(super) unpacked: Option<Codestream>,
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
    let (transfer_syntax, streams) = match image::frames(data_set, parts, declared).await? {
        None => (EXPLICIT_VR_LITTLE_ENDIAN.to_owned(), None),
        Some(frames) => {
            frames.complete(stated, &mut completed);
            (frames.transfer_syntax, frames.streams)
        }
    };
    let writer = Writer::new(data_set, parts, streams);
    Ok(Plan {
        transfer_syntax_uid: TransferSyntaxUid::new(&transfer_syntax).map_err(|error| error.to_string())?,
        segments: writer.write(&completed.build())?,
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

/// The parts that hold the data set's own pixels.
pub(super) fn pixel_parts<'a>(data_set: &ReadDataSet, parts: &'a mut BulkParts) -> Option<&'a mut Vec<BulkPart>> {
    let (name, _) = find(parts, referred(data_set, PIXEL_DATA)?).ok()?;
    let name = name.to_owned();
    parts.get_mut(&name)
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

#[cfg(test)]
mod tests;
