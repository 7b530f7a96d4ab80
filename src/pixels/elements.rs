//! Values of a header in normal form, with the bulk values that rendering needs put back.

use std::collections::HashMap;

use bytes::Bytes;
use filmroom_storage::model::{Elements as Iter, Header, Tag};

/// The elements of a data set or of an item.
#[derive(Clone, Copy)]
pub struct Elements<'a> {
    bytes: &'a [u8],
    bulk: Option<&'a HashMap<String, Bytes>>,
    /// Path of this item as [`filmroom_storage::model::BulkValue::path`] has it; empty at the top.
    path: Path,
}

/// At most two sequences deep, which is all that rendering reads of bulk values.
#[derive(Clone, Copy, Default)]
struct Path([(Tag, usize); 4], usize);

/// A header and the bulk values fetched for it.
#[derive(Default)]
pub struct DataSet {
    /// The header.
    pub header: Header,
    /// Values by path.
    pub bulk: HashMap<String, Bytes>,
}

impl DataSet {
    /// Memory that it holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let bulk: usize = self
            .bulk
            .iter()
            .map(|(path, value)| path.len() + value.len() + 64)
            .sum();
        self.header.attributes.as_bytes().len() + self.header.bulk.len() * 96 + bulk
    }

    /// The top level.
    #[must_use]
    pub fn elements(&self) -> Elements<'_> {
        Elements {
            bytes: self.header.attributes.as_bytes(),
            bulk: Some(&self.bulk),
            path: Path::default(),
        }
    }
}

impl<'a> Elements<'a> {
    /// The top level of a header without its bulk values.
    #[must_use]
    pub fn of(header: &'a Header) -> Self {
        Self {
            bytes: header.attributes.as_bytes(),
            bulk: None,
            path: Path::default(),
        }
    }

    /// The value of an element: from the bulk values when it was left out of the header. `None` when absent.
    #[must_use]
    pub fn value(&self, tag: Tag) -> Option<&'a [u8]> {
        let element = Iter::new(self.bytes)
            .take_while(|element| element.tag <= tag)
            .find(|element| element.tag == tag)?;
        if element.value.is_empty()
            && let Some(bulk) = self.bulk.filter(|bulk| !bulk.is_empty())
            && let Some(value) = bulk.get(&self.path.name(tag))
        {
            return Some(value);
        }
        Some(element.value)
    }

    /// Value representation of an element.
    #[must_use]
    pub fn vr(&self, tag: Tag) -> Option<[u8; 2]> {
        Iter::new(self.bytes)
            .find(|element| element.tag == tag)
            .map(|element| element.vr)
    }

    /// Text without padding; empty when absent.
    #[must_use]
    pub fn text(&self, tag: Tag) -> &'a str {
        let value = self.value(tag).unwrap_or_default();
        std::str::from_utf8(value).unwrap_or_default().trim_matches([' ', '\0'])
    }

    /// The numbers of a decimal or integer string; what is no number is left out.
    #[must_use]
    pub fn decimals(&self, tag: Tag) -> Vec<f64> {
        match self.vr(tag) {
            Some([b'D', b'S'] | [b'I', b'S'] | [b'U', b'N'] | [b'L', b'O'] | [b'S', b'H']) => self
                .text(tag)
                .split('\\')
                .filter_map(|part| part.trim_matches([' ', '\0']).parse::<f64>().ok())
                .filter(|number| number.is_finite())
                .collect(),
            Some([b'F', b'D']) => self
                .value(tag)
                .unwrap_or_default()
                .as_chunks::<8>()
                .0
                .iter()
                .map(|cell| f64::from_le_bytes(*cell))
                .collect(),
            Some([b'F', b'L']) => self
                .value(tag)
                .unwrap_or_default()
                .as_chunks::<4>()
                .0
                .iter()
                .map(|cell| f64::from(f32::from_le_bytes(*cell)))
                .collect(),
            Some([b'U', b'S']) => self.words(tag).into_iter().map(f64::from).collect(),
            Some([b'S', b'S']) => self.words(tag).into_iter().map(|word| f64::from(word as i16)).collect(),
            _ => Vec::new(),
        }
    }

    /// The first number of [`Elements::decimals`].
    #[must_use]
    pub fn decimal(&self, tag: Tag) -> Option<f64> {
        self.decimals(tag).first().copied()
    }

    /// An unsigned integer of 16 or 32 bits, or an integer string.
    #[must_use]
    pub fn unsigned(&self, tag: Tag) -> Option<u32> {
        match (self.vr(tag)?, self.value(tag)?) {
            ([b'U', b'L'] | [b'S', b'L'], &[a, b, c, d, ..]) => Some(u32::from_le_bytes([a, b, c, d])),
            ([b'I', b'S'] | [b'D', b'S'], _) => self
                .text(tag)
                .split('\\')
                .next()?
                .trim()
                .parse::<f64>()
                .ok()
                .map(|n| n as u32),
            (_, &[low, high, ..]) => Some(u32::from(u16::from_le_bytes([low, high]))),
            _ => None,
        }
    }

    /// 16-bit words, whatever the value representation.
    #[must_use]
    pub fn words(&self, tag: Tag) -> Vec<u16> {
        self.value(tag)
            .unwrap_or_default()
            .as_chunks::<2>()
            .0
            .iter()
            .map(|cell| u16::from_le_bytes(*cell))
            .collect()
    }

    /// Item `index` of a sequence.
    #[must_use]
    pub fn item(&self, tag: Tag, index: usize) -> Option<Elements<'a>> {
        self.items(tag).nth(index)
    }

    /// The items of a sequence.
    pub fn items(&self, tag: Tag) -> impl Iterator<Item = Elements<'a>> + use<'a> {
        let mut rest = self.value(tag).unwrap_or_default();
        let (bulk, path) = (self.bulk, self.path);
        let mut index = 0;
        std::iter::from_fn(move || {
            let (head, after) = rest.split_first_chunk::<8>()?;
            let [0xFE, 0xFF, 0x00, 0xE0, l0, l1, l2, l3] = *head else {
                return None;
            };
            let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
            let (bytes, after) = after.split_at_checked(length)?;
            rest = after;
            let item = Elements {
                bytes,
                bulk,
                path: path.join(tag, index),
            };
            index += 1;
            Some(item)
        })
    }

    /// All elements in order.
    #[must_use]
    pub fn iter(&self) -> Iter<'a> {
        Iter::new(self.bytes)
    }
}

impl Path {
    fn join(self, tag: Tag, index: usize) -> Self {
        let Self(mut steps, length) = self;
        if let Some(step) = steps.get_mut(length) {
            *step = (tag, index);
        }
        Self(steps, length + 1)
    }

    fn name(self, tag: Tag) -> String {
        use std::fmt::Write as _;
        let mut name = String::new();
        for (tag, index) in self.0.iter().take(self.1) {
            let _ = write!(name, "{tag:08X}.{index}.");
        }
        let _ = write!(name, "{tag:08X}");
        name
    }
}
