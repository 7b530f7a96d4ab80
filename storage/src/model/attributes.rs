//! A data set in the archive's one normal form.

use bytes::Bytes;

/// An attribute tag, group in the upper half: Patient's Name is `0x0010_0010`.
pub type Tag = u32;

/// A data set in **normal form**: Explicit VR Little Endian (PS3.5 §7.1.2), elements in ascending order of tag, every text
/// in UTF-8 with (0008,0005) `ISO_IR 192`, sequences and items with explicit lengths, no group lengths, padding kept to
/// even lengths. Values longer than the describer's limit (bulk data) are left out.
///
/// Records of the index, headers and query answers all are data sets in this form, so that one reader serves them all.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Attributes(Bytes);

/// One element of [`Attributes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element<'a> {
    /// The tag.
    pub tag: Tag,
    /// The two letters of the value representation (PS3.5 §6.2).
    pub vr: [u8; 2],
    /// The value as it stands, padding included; for `SQ` the items with their headers.
    pub value: &'a [u8],
}

impl<'a> Element<'a> {
    /// The value as text without trailing padding (spaces and NUL).
    /// Empty when the bytes are not UTF-8, which normal form excludes.
    #[must_use]
    pub fn text(&self) -> &'a str {
        std::str::from_utf8(self.value)
            .unwrap_or_default()
            .trim_end_matches([' ', '\0'])
    }
}

impl Attributes {
    /// Takes bytes that are in normal form; whoever makes them answers for that (`dataset` in the archive).
    #[must_use]
    pub fn from_normal_form(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The encoded bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// True when there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The top-level elements in ascending order of tag. Ends at the first byte that is not in normal form.
    #[must_use]
    pub fn iter(&self) -> Elements<'_> {
        Elements(&self.0)
    }

    /// One top-level element.
    #[must_use]
    pub fn get(&self, tag: Tag) -> Option<Element<'_>> {
        self.iter()
            .take_while(|element| element.tag <= tag)
            .find(|element| element.tag == tag)
    }

    /// The text of one top-level element; empty when it is absent.
    #[must_use]
    pub fn text(&self, tag: Tag) -> &str {
        self.get(tag).map(|element| element.text()).unwrap_or_default()
    }
}

impl std::fmt::Debug for Attributes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Attributes({} bytes)", self.0.len())
    }
}

/// Iterates over elements in normal form; also serves the inside of one item.
#[derive(Debug, Clone)]
pub struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    /// Reads elements from bytes in normal form.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

/// Value representations with a 4-byte length field (PS3.5 table 7.1-1).
#[must_use]
pub fn has_long_length(vr: [u8; 2]) -> bool {
    matches!(
        &vr,
        b"OB" | b"OD" | b"OF" | b"OL" | b"OV" | b"OW" | b"SQ" | b"SV" | b"UC" | b"UN" | b"UR" | b"UT" | b"UV"
    )
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let (head, rest) = self.0.split_first_chunk::<8>()?;
        let [g0, g1, e0, e1, v0, v1, l0, l1] = *head;
        let tag = u32::from(u16::from_le_bytes([g0, g1])) << 16 | u32::from(u16::from_le_bytes([e0, e1]));
        let vr = [v0, v1];
        let (length, rest) = if has_long_length(vr) {
            let (length, rest) = rest.split_first_chunk::<4>()?;
            (u32::from_le_bytes(*length) as usize, rest)
        } else {
            (usize::from(u16::from_le_bytes([l0, l1])), rest)
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(Element { tag, vr, value })
    }
}
