//! From normal form into the encodings that peers ask for.

use std::io::Write;

use bytes::Bytes;
use filmroom_storage::model::{Attributes, Elements, Tag, TransferSyntaxUid, has_long_length};
use flate2::{Compression, write::DeflateEncoder};

use super::{
    DataSetError,
    charset::Encoder,
    items::{Items, items},
    normal::{is_ascii, push_swapped},
    transfer_syntax::{Encoding, is_deflated_uid, is_native},
    vr::{self, Shape},
};

/// The character sets that an answer can be encoded in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CharacterSet {
    /// `ISO_IR 192`.
    Utf8,
    /// What the data set's own text was in, or another defined term list of (0008,0005), such as `ISO_IR 100` or
    /// `\ISO 2022 IR 87`. Falls back to UTF-8 for a data set that cannot be written in it.
    Terms(String),
}

const SPECIFIC_CHARACTER_SET: Tag = 0x0008_0005;

/// Encodes normal form in an uncompressed transfer syntax (implicit or explicit little endian, explicit big endian, or
/// deflated).
///
/// (0008,0005) says the character set that was used; it is added where a text is beyond ASCII, and left out of items.
///
/// # Errors
/// [`DataSetError::Malformed`] for a transfer syntax that is none of these.
pub fn encode(
    attributes: &Attributes,
    transfer_syntax: &TransferSyntaxUid,
    character_set: &CharacterSet,
) -> Result<Bytes, DataSetError> {
    let syntax = transfer_syntax.as_str();
    if !is_native(syntax) {
        return Err(DataSetError::Malformed(format!(
            "a data set cannot be encoded in {syntax}"
        )));
    }
    let encoding = Encoding::of(syntax);
    let plain = is_ascii(attributes.as_bytes());
    let wanted = match character_set {
        CharacterSet::Terms(terms) => Encoder::new(terms).map(|encoder| (terms.as_str(), encoder)),
        CharacterSet::Utf8 => None,
    };
    let in_wanted = wanted.and_then(|(terms, encoder)| {
        // ASCII escapes nothing: a data set without any other text is the same in all of them.
        write(attributes, encoding, plain, terms, Some(&encoder))
    });
    let out = match in_wanted {
        Some(out) => out,
        None => write(attributes, encoding, plain, "ISO_IR 192", None).unwrap_or_default(),
    };
    if !is_deflated_uid(syntax) {
        return Ok(out.into());
    }
    let mut encoder = DeflateEncoder::new(Vec::with_capacity(out.len() / 2), Compression::default());
    let deflated = encoder.write_all(&out).and_then(|()| encoder.finish());
    let mut deflated = deflated.map_err(|error| DataSetError::Malformed(error.to_string()))?;
    if deflated.len() % 2 == 1 {
        deflated.push(0);
    }
    Ok(deflated.into())
}

/// What is open while the inside of a sequence is written.
struct OpenSequence<'a> {
    items: Items<'a>,
    elements_after: Elements<'a>,
    /// Where the lengths of sequence and item are to be filled in: the first byte behind each field.
    sequence_start: usize,
    item_start: usize,
}

/// `None` when a text cannot be written in the character set.
fn write(
    attributes: &Attributes,
    encoding: Encoding,
    plain: bool,
    terms: &str,
    encoder: Option<&Encoder>,
) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(attributes.as_bytes().len() + 32);
    let mut open: Vec<OpenSequence<'_>> = Vec::new();
    let mut elements = attributes.iter();
    let mut character_set_due = !plain;
    loop {
        let Some(element) = elements.next() else {
            if open.is_empty() && character_set_due {
                push(
                    &mut out,
                    SPECIFIC_CHARACTER_SET,
                    *b"CS",
                    &padded(terms.as_bytes(), b' '),
                    encoding,
                );
            }
            let Some(mut sequence) = open.pop() else {
                return Some(out);
            };
            fill_length(&mut out, sequence.item_start, encoding);
            match sequence.items.next() {
                Some(item) => {
                    elements = Elements::new(item);
                    sequence.item_start = push_item(&mut out, encoding);
                    open.push(sequence);
                }
                None => {
                    fill_length(&mut out, sequence.sequence_start, encoding);
                    elements = sequence.elements_after;
                }
            }
            continue;
        };
        if open.is_empty() && character_set_due && element.tag >= SPECIFIC_CHARACTER_SET {
            character_set_due = false;
            push(
                &mut out,
                SPECIFIC_CHARACTER_SET,
                *b"CS",
                &padded(terms.as_bytes(), b' '),
                encoding,
            );
            if element.tag == SPECIFIC_CHARACTER_SET {
                continue;
            }
        }
        if element.tag == SPECIFIC_CHARACTER_SET {
            if open.is_empty() {
                let value = if element.value.is_empty() {
                    Vec::new()
                } else {
                    padded(terms.as_bytes(), b' ')
                };
                push(&mut out, element.tag, *b"CS", &value, encoding);
            }
            continue;
        }
        match vr::shape(element.vr) {
            Shape::Sequence => {
                push(&mut out, element.tag, element.vr, &[], encoding);
                let mut inside = items(element.value);
                let sequence_start = out.len();
                if let Some(item) = inside.next() {
                    let elements_after = std::mem::replace(&mut elements, Elements::new(item));
                    let item_start = push_item(&mut out, encoding);
                    open.push(OpenSequence {
                        items: inside,
                        elements_after,
                        sequence_start,
                        item_start,
                    });
                }
            }
            Shape::Words(size) if encoding.big_endian => {
                let mut swapped = Vec::with_capacity(element.value.len());
                push_swapped(&mut swapped, element.value, usize::from(size));
                push(&mut out, element.tag, element.vr, &swapped, encoding);
            }
            shape @ (Shape::Texts | Shape::PersonNames | Shape::Text) if !element.value.is_ascii() => match encoder {
                Some(encoder) => {
                    let value = padded(&encoder.encode(element.text(), shape)?, b' ');
                    push(&mut out, element.tag, element.vr, &value, encoding);
                }
                None => push(&mut out, element.tag, element.vr, element.value, encoding),
            },
            _ => push(&mut out, element.tag, element.vr, element.value, encoding),
        }
    }
}

fn padded(value: &[u8], padding: u8) -> Vec<u8> {
    let mut value = value.to_vec();
    if value.len() % 2 == 1 {
        value.push(padding);
    }
    value
}

fn push_item(out: &mut Vec<u8>, encoding: Encoding) -> usize {
    push_tag(out, 0xFFFE_E000, encoding);
    out.extend_from_slice(&[0; 4]);
    out.len()
}

fn push_tag(out: &mut Vec<u8>, tag: Tag, encoding: Encoding) {
    let [g0, g1, e0, e1] = tag.to_be_bytes();
    out.extend_from_slice(&if encoding.big_endian {
        [g0, g1, e0, e1]
    } else {
        [g1, g0, e1, e0]
    });
}

fn length_bytes(length: usize, encoding: Encoding) -> [u8; 4] {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    if encoding.big_endian {
        length.to_be_bytes()
    } else {
        length.to_le_bytes()
    }
}

fn fill_length(out: &mut [u8], start: usize, encoding: Encoding) {
    let length = length_bytes(out.len().saturating_sub(start), encoding);
    if let Some(field) = out.get_mut(start.saturating_sub(4)..start) {
        field.copy_from_slice(&length);
    }
}

fn push(out: &mut Vec<u8>, tag: Tag, vr: [u8; 2], value: &[u8], encoding: Encoding) {
    push_tag(out, tag, encoding);
    if encoding.explicit {
        let vr = if value.len() > 0xFFFE && !has_long_length(vr) {
            *b"UN"
        } else {
            vr
        };
        out.extend_from_slice(&vr);
        if has_long_length(vr) {
            out.extend_from_slice(&[0, 0]);
            out.extend_from_slice(&length_bytes(value.len(), encoding));
        } else {
            let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
            out.extend_from_slice(&if encoding.big_endian {
                length.to_be_bytes()
            } else {
                length.to_le_bytes()
            });
        }
    } else {
        out.extend_from_slice(&length_bytes(value.len(), encoding));
    }
    out.extend_from_slice(value);
}
