//! Look-ups in the standard's data dictionary (PS3.6).

use std::sync::atomic::{AtomicU64, Ordering};

use dicom::core::dictionary::{DataDictionary, VirtualVr};
use dicom_dictionary_std::StandardDataDictionary;

use super::vr::Vr;

/// What the dictionary says of an attribute's value representation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// One value representation.
    Exact(Vr),
    /// US or SS, by Pixel Representation.
    UsOrSs,
    /// US or OW, by the number of entries of a lookup table.
    UsOrOw,
    /// OB or OW.
    ObOrOw,
    /// Private, not a private creator.
    Private,
    /// Not in the dictionary.
    Unknown,
}

impl Entry {
    const fn code(self) -> u64 {
        match self {
            Self::Exact([a, b]) => (a as u64) << 8 | b as u64,
            Self::UsOrSs => 1,
            Self::UsOrOw => 2,
            Self::ObOrOw => 3,
            Self::Private => 4,
            Self::Unknown => 5,
        }
    }

    const fn from_code(code: u64) -> Self {
        match code & 0xFFFF {
            1 => Self::UsOrSs,
            2 => Self::UsOrOw,
            3 => Self::ObOrOw,
            4 => Self::Private,
            5 => Self::Unknown,
            vr => Self::Exact([(vr >> 8) as u8, vr as u8]),
        }
    }

    /// One value representation where context says nothing.
    pub(crate) const fn relaxed(self) -> Vr {
        match self {
            Self::Exact(vr) => vr,
            Self::UsOrSs => *b"US",
            Self::UsOrOw | Self::ObOrOw => *b"OW",
            Self::Private | Self::Unknown => *b"UN",
        }
    }
}

const SLOTS: usize = 4096;

/// A direct-mapped cache before the dictionary's hash map: tag in the upper half, [`Entry::code`] and a mark below. Slots
/// are independent words, so that relaxed loads and stores are enough.
static CACHE: [AtomicU64; SLOTS] = [const { AtomicU64::new(0) }; SLOTS];
const FILLED: u64 = 1 << 31;

/// What the dictionary says of a tag.
pub(crate) fn entry(tag: u32) -> Entry {
    let slot = CACHE.get((tag.wrapping_mul(0x9E37_79B1) >> 20) as usize % SLOTS);
    if let Some(slot) = slot {
        let cached = slot.load(Ordering::Relaxed);
        if cached >> 32 == u64::from(tag) && cached & FILLED != 0 {
            return Entry::from_code(cached);
        }
    }
    let found = look_up(tag);
    if let Some(slot) = slot {
        slot.store(u64::from(tag) << 32 | FILLED | found.code(), Ordering::Relaxed);
    }
    found
}

fn look_up(tag: u32) -> Entry {
    let [g0, g1, e0, e1] = tag.to_be_bytes();
    let (group, element) = (u16::from_be_bytes([g0, g1]), u16::from_be_bytes([e0, e1]));
    if element == 0 {
        return Entry::Exact(*b"UL");
    }
    if group % 2 == 1 {
        return if (0x10..=0xFF).contains(&element) {
            Entry::Exact(*b"LO")
        } else {
            Entry::Private
        };
    }
    // Waveform samples are written OB or OW by their own bits allocated (PS3.3 §C.10.9.1); the dictionary names one.
    if matches!(tag, 0x5400_0110 | 0x5400_0112 | 0x5400_100A | 0x5400_1010) {
        return Entry::ObOrOw;
    }
    match StandardDataDictionary.by_tag(dicom::core::Tag(group, element)) {
        None => Entry::Unknown,
        Some(found) => match found.vr {
            VirtualVr::Exact(vr) => {
                let mut letters = vr.to_string().bytes().collect::<Vec<_>>().into_iter();
                Entry::Exact([letters.next().unwrap_or(b'U'), letters.next().unwrap_or(b'N')])
            }
            VirtualVr::Xs => Entry::UsOrSs,
            VirtualVr::Lt => Entry::UsOrOw,
            _ => Entry::ObOrOw,
        },
    }
}

/// The keyword of an attribute; `None` for private and unknown ones.
#[must_use]
pub fn keyword(tag: u32) -> Option<&'static str> {
    let [g0, g1, e0, e1] = tag.to_be_bytes();
    let (group, element) = (u16::from_be_bytes([g0, g1]), u16::from_be_bytes([e0, e1]));
    if group % 2 == 1 || element == 0 {
        return None;
    }
    StandardDataDictionary
        .by_tag(dicom::core::Tag(group, element))
        .map(|found| found.alias)
}

/// Tag and VR of an attribute by keyword or by eight hexadecimal digits (any case). A well-formed tag that the dictionary
/// does not know has VR `UN`.
#[must_use]
pub fn attribute_by_name(keyword_or_tag: &str) -> Option<(u32, [u8; 2])> {
    if keyword_or_tag.len() == 8 && keyword_or_tag.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let tag = u32::from_str_radix(keyword_or_tag, 16).ok()?;
        return Some((tag, entry(tag).relaxed()));
    }
    let found = StandardDataDictionary.by_name(keyword_or_tag)?;
    let dicom::core::Tag(group, element) = found.tag.inner();
    let tag = u32::from(group) << 16 | u32::from(element);
    (tag != 0).then(|| (tag, entry(tag).relaxed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_by_keyword_and_by_tag() {
        assert_eq!(attribute_by_name("PatientName"), Some((0x0010_0010, *b"PN")));
        assert_eq!(attribute_by_name("0020000d"), Some((0x0020_000D, *b"UI")));
        assert_eq!(attribute_by_name("7FE00010"), Some((0x7FE0_0010, *b"OW")));
        assert_eq!(attribute_by_name("00091001"), Some((0x0009_1001, *b"UN")));
        assert_eq!(attribute_by_name("NoSuchThing"), None);
    }

    #[test]
    fn knows_what_depends_on_context() {
        assert_eq!(entry(0x0028_0106), Entry::UsOrSs);
        assert_eq!(entry(0x0028_3006), Entry::UsOrOw);
        assert_eq!(entry(0x6000_3000), Entry::ObOrOw);
        assert_eq!(entry(0x6002_3000), Entry::ObOrOw);
        assert_eq!(entry(0x0009_0010), Entry::Exact(*b"LO"));
        assert_eq!(entry(0x0009_1010), Entry::Private);
        assert_eq!(entry(0x0009_1010), Entry::Private);
        assert_eq!(keyword(0x0008_0018), Some("SOPInstanceUID"));
    }
}
