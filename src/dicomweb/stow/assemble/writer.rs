//! Writes a data set as segments.

use std::{collections::HashMap, ops::Range};

use filmroom_storage::model::{Attributes, Element, Elements, has_long_length};

use super::{BulkParts, PIXEL_DATA, Segment, find};
use filmroom_dataset::{BulkReference, Items, ReadDataSet, items};

const UNDEFINED: u32 = u32::MAX;
/// What one element or fragment can hold.
const VALUE_MAX_BYTES: u64 = 0xFFFF_FFFE;

/// Writes elements as segments. Sequences that bulk data are referred to in have undefined lengths, so that nothing is
/// measured ahead; others stay as they are.
pub(super) struct Writer<'a> {
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

impl<'a> Writer<'a> {
    /// `frames`: part and place of each frame of pixel data that are to be encapsulated.
    pub(super) fn new(
        data_set: &'a ReadDataSet,
        parts: &'a BulkParts,
        frames: Option<Vec<(String, usize, Range<u64>)>>,
    ) -> Self {
        Self {
            parts,
            references: data_set
                .bulk
                .iter()
                .map(|reference| (reference.path.as_str(), reference))
                .collect(),
            path: String::new(),
            segments: Vec::new(),
            bytes: Vec::new(),
            frames,
        }
    }

    /// # Errors
    /// One sentence on what is missing or cannot be encoded.
    pub(super) fn write(mut self, attributes: &Attributes) -> Result<Vec<Segment>, String> {
        self.data_set(attributes)?;
        self.flush();
        Ok(self.segments)
    }

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
