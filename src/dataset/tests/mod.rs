//! Whole ways through the module: what is written is read back, what is odd is let pass, what is mutated does no harm.

mod mutated;
mod odd;
mod round_trip;

use bytes::Bytes;
use filmroom_storage::model::{Attributes, TransferSyntaxUid};

use super::*;

pub(super) const IMPLICIT: &str = "1.2.840.10008.1.2";
pub(super) const EXPLICIT: &str = "1.2.840.10008.1.2.1";
pub(super) const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";
pub(super) const DEFLATED: &str = "1.2.840.10008.1.2.1.99";
pub(super) const JPEG: &str = "1.2.840.10008.1.2.4.50";

pub(super) fn syntax(uid: &str) -> TransferSyntaxUid {
    TransferSyntaxUid::new(uid).unwrap()
}

/// The four UIDs that every instance needs.
pub(super) fn identified() -> Builder {
    let mut builder = Builder::new();
    builder
        .text(0x0008_0016, "1.2.840.10008.5.1.4.1.1.7")
        .text(0x0008_0018, "1.2.3.4")
        .text(0x0010_0020, "ID-1")
        .text(0x0020_000D, "1.2.3")
        .text(0x0020_000E, "1.2.3.5");
    builder
}

/// Elements of an explicit little endian data set, written by hand.
pub(super) fn element(tag: u32, vr: &[u8; 2], value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    builder::push_element(&mut out, tag, *vr, value);
    out
}

/// An explicit little endian data set with `middle` between (0020,000E) and the end.
pub(super) fn with_tail(middle: &[u8]) -> Bytes {
    let mut bytes = identified().build().as_bytes().to_vec();
    bytes.extend_from_slice(middle);
    bytes.into()
}

pub(super) fn item(length: u32) -> Vec<u8> {
    let mut out = vec![0xFE, 0xFF, 0x00, 0xE0];
    out.extend_from_slice(&length.to_le_bytes());
    out
}

pub(super) const ITEM_DELIMITER: [u8; 8] = [0xFE, 0xFF, 0x0D, 0xE0, 0, 0, 0, 0];
pub(super) const SEQUENCE_DELIMITER: [u8; 8] = [0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0];

pub(super) fn json(attributes: &Attributes) -> serde_json::Value {
    let mut out = Vec::new();
    write_json_attributes(&mut out, attributes);
    serde_json::from_slice(&out).unwrap()
}
