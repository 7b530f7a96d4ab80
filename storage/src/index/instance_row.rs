//! The row of an instance: kept short, since there are millions.

use time::OffsetDateTime;

use super::{
    codec::{Decoder, Encoder, Undecodable},
    place_in_row::{decode_start, encode_start},
    rows::{attributes, decode_time, encode_time},
    typical,
};
use crate::model::{Attributes, FrameRange, FrameTable, Location, PixelData, has_long_length};

const SOP_CLASS_UID: u32 = 0x0008_0016;
const SOP_INSTANCE_UID: u32 = 0x0008_0018;

/// An instance without what its key and its series tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InstanceRow {
    pub(crate) location: Location,
    /// Interned.
    pub(crate) sop_class: u32,
    /// Interned.
    pub(crate) transfer_syntax: u32,
    pub(crate) length: u64,
    pub(crate) data_set_offset: u64,
    /// CRC-32 of the Part 10 file.
    pub(crate) crc32: u32,
    /// Of the data set; `None` until it is known.
    pub(crate) sha256: Option<[u8; 32]>,
    pub(crate) received_at: OffsetDateTime,
    pub(crate) pixel_data: Option<PixelData>,
    pub(crate) attributes: Attributes,
}

impl InstanceRow {
    /// `sop_class_uid` and `sop_instance_uid` are left out of the attributes where they are just that.
    pub(crate) fn encode(&self, sop_class_uid: &str, sop_instance_uid: &str) -> Vec<u8> {
        let mut row = Encoder::with_capacity(96 + self.attributes.as_bytes().len());
        encode_start(&mut row, &self.location, self.sha256.as_ref());
        row.number(self.sop_class.into()).number(self.transfer_syntax.into());
        row.number(self.length).number(self.data_set_offset);
        row.raw(&self.crc32.to_le_bytes());
        if let Some(sha256) = &self.sha256 {
            row.raw(sha256);
        }
        encode_time(&mut row, self.received_at);
        encode_pixel_data(&mut row, self.pixel_data.as_ref());
        strip(&mut row, &self.attributes, sop_class_uid, sop_instance_uid);
        row.finish()
    }

    /// `sop_class_uid` looks an interned UID up.
    pub(crate) fn decode<E: From<Undecodable>>(
        bytes: &[u8],
        sop_instance_uid: &str,
        sop_class_uid: impl FnOnce(u32) -> Result<String, E>,
    ) -> Result<Self, E> {
        let mut row = Decoder::new(bytes, "an instance");
        let (location, has_sha256) = decode_start(&mut row)?;
        let sop_class = row.number_u32()?;
        let transfer_syntax = row.number_u32()?;
        let length = row.number()?;
        let data_set_offset = row.number()?;
        let crc32 = u32::from_le_bytes(row.array()?);
        let sha256 = if has_sha256 { Some(row.array()?) } else { None };
        let received_at = decode_time(&mut row)?;
        let pixel_data = decode_pixel_data(&mut row)?;
        let stripped = row.byte()?;
        let plain;
        let elements = if stripped & COMPRESSED == 0 {
            row.rest()
        } else {
            let length = usize::try_from(row.number()?).unwrap_or(usize::MAX);
            plain = typical::decompress(row.rest(), length).ok_or(Undecodable("the attributes of an instance"))?;
            &plain
        };
        let attributes = if stripped & !COMPRESSED == 0 {
            attributes(elements)
        } else {
            restore(elements, stripped, &sop_class_uid(sop_class)?, sop_instance_uid)
        };
        Ok(Self {
            location,
            sop_class,
            transfer_syntax,
            length,
            data_set_offset,
            crc32,
            sha256,
            received_at,
            pixel_data,
            attributes,
        })
    }
}

const NO_PIXEL_DATA: u8 = 0;
const NATIVE: u8 = 1;
const ENCAPSULATED: u8 = 2;

fn encode_pixel_data(row: &mut Encoder, pixel_data: Option<&PixelData>) {
    let Some(pixel_data) = pixel_data else {
        row.byte(NO_PIXEL_DATA);
        return;
    };
    row.byte(match pixel_data.frames {
        FrameTable::Native { .. } => NATIVE,
        FrameTable::Encapsulated(_) => ENCAPSULATED,
    });
    // Three tags are in use; the lowest byte tells them apart and one more keeps any other.
    row.number(u64::from(pixel_data.tag ^ 0x7FE0_0010));
    row.number(pixel_data.offset)
        .number(pixel_data.length)
        .number(pixel_data.number_of_frames.into());
    match &pixel_data.frames {
        FrameTable::Native { frame_length_bits } => {
            row.number(*frame_length_bits);
        }
        FrameTable::Encapsulated(ranges) => {
            row.number(ranges.len() as u64);
            let mut expected = pixel_data.offset;
            for range in ranges {
                // Frames mostly follow each other in one fragment each: then a length is all there is to say.
                let plain = range.offset == expected && range.fragments == 1;
                row.number(range.length << 1 | u64::from(!plain));
                if !plain {
                    row.signed(range.offset.wrapping_sub(expected).cast_signed())
                        .number(range.fragments.into());
                }
                expected = range.offset.wrapping_add(range.length);
            }
        }
    }
}

fn decode_pixel_data(row: &mut Decoder<'_>) -> Result<Option<PixelData>, Undecodable> {
    let kind = row.byte()?;
    if kind == NO_PIXEL_DATA {
        return Ok(None);
    }
    let tag = row.number_u32()? ^ 0x7FE0_0010;
    let (offset, length, number_of_frames) = (row.number()?, row.number()?, row.number_u32()?);
    let frames = match kind {
        NATIVE => FrameTable::Native {
            frame_length_bits: row.number()?,
        },
        ENCAPSULATED => {
            let count = row.count()?;
            let mut ranges = Vec::with_capacity(count);
            let mut expected = offset;
            for _ in 0..count {
                let packed = row.number()?;
                let mut range = FrameRange {
                    offset: expected,
                    length: packed >> 1,
                    fragments: 1,
                };
                if packed & 1 == 1 {
                    range.offset = expected.wrapping_add(row.signed()?.cast_unsigned());
                    range.fragments = row.number_u32()?;
                }
                expected = range.offset.wrapping_add(range.length);
                ranges.push(range);
            }
            FrameTable::Encapsulated(ranges)
        }
        _ => return row.fail(),
    };
    Ok(Some(PixelData {
        tag,
        offset,
        length,
        number_of_frames,
        frames,
    }))
}

const STRIPPED_SOP_CLASS: u8 = 1;
const STRIPPED_SOP_INSTANCE: u8 = 2;
/// The length of the plain bytes and compressed ones follow.
const COMPRESSED: u8 = 4;

/// An element of VR UI as normal form writes it.
fn uid_element(tag: u32, uid: &str) -> Vec<u8> {
    let length = uid.len() + uid.len() % 2;
    let mut element = Vec::with_capacity(8 + length);
    element.extend_from_slice(&((tag >> 16) as u16).to_le_bytes());
    element.extend_from_slice(&(tag as u16).to_le_bytes());
    element.extend_from_slice(b"UI");
    element.extend_from_slice(&(length as u16).to_le_bytes());
    element.extend_from_slice(uid.as_bytes());
    element.resize(8 + length, 0);
    element
}

fn strip(row: &mut Encoder, attributes: &Attributes, sop_class_uid: &str, sop_instance_uid: &str) {
    let mut stripped = 0;
    let mut kept: Vec<&[u8]> = Vec::with_capacity(3);
    let mut rest: &[u8] = attributes.as_bytes();
    for (flag, tag, uid) in [
        (STRIPPED_SOP_CLASS, SOP_CLASS_UID, sop_class_uid),
        (STRIPPED_SOP_INSTANCE, SOP_INSTANCE_UID, sop_instance_uid),
    ] {
        let element = uid_element(tag, uid);
        let Some(start) = start_of(rest, tag) else { continue };
        if let Some((before, after)) = rest.split_at_checked(start)
            && let Some(after) = after.strip_prefix(element.as_slice())
        {
            kept.push(before);
            rest = after;
            stripped |= flag;
        }
    }
    kept.push(rest);
    let kept = kept.concat();
    match typical::compress(&kept) {
        Some(compressed) => row
            .byte(stripped | COMPRESSED)
            .number(kept.len() as u64)
            .raw(&compressed),
        None => row.byte(stripped).raw(&kept),
    };
}

/// Where the element `tag` begins among elements in normal form.
fn start_of(elements: &[u8], tag: u32) -> Option<usize> {
    let start = place_of(elements, tag);
    crate::model::Elements::new(elements.get(start..)?)
        .next()
        .filter(|element| element.tag == tag)
        .map(|_| start)
}

/// Where an element `tag` stands, or would stand.
fn place_of(elements: &[u8], tag: u32) -> usize {
    let mut place = 0;
    for element in crate::model::Elements::new(elements) {
        if element.tag >= tag {
            break;
        }
        place += if has_long_length(element.vr) { 12 } else { 8 } + element.value.len();
    }
    place
}

fn restore(elements: &[u8], stripped: u8, sop_class_uid: &str, sop_instance_uid: &str) -> Attributes {
    let mut out = Vec::with_capacity(elements.len() + 2 * (8 + 64));
    let mut rest = elements;
    for (flag, tag, uid) in [
        (STRIPPED_SOP_CLASS, SOP_CLASS_UID, sop_class_uid),
        (STRIPPED_SOP_INSTANCE, SOP_INSTANCE_UID, sop_instance_uid),
    ] {
        if stripped & flag == 0 {
            continue;
        }
        let (before, after) = rest.split_at_checked(place_of(rest, tag)).unwrap_or((rest, &[]));
        out.extend_from_slice(before);
        out.extend_from_slice(&uid_element(tag, uid));
        rest = after;
    }
    out.extend_from_slice(rest);
    Attributes::from_normal_form(out.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::index::place_in_row::relocate;

    fn element(tag: u32, vr: [u8; 2], value: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&((tag >> 16) as u16).to_le_bytes());
        out.extend_from_slice(&(tag as u16).to_le_bytes());
        out.extend_from_slice(&vr);
        out.extend_from_slice(&(value.len() as u16).to_le_bytes());
        out.extend_from_slice(value);
        out
    }

    fn row(attributes: Vec<u8>, pixel_data: Option<PixelData>) -> InstanceRow {
        InstanceRow {
            location: Location::Intake {
                segment: 3,
                entry: 64,
                offset: 300,
            },
            sop_class: 1,
            transfer_syntax: 2,
            length: 525_000,
            data_set_offset: 340,
            crc32: 77,
            sha256: Some([9; 32]),
            received_at: OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap(),
            pixel_data,
            attributes: Attributes::from_normal_form(attributes.into()),
        }
    }

    #[track_caller]
    fn check(row: &InstanceRow) -> usize {
        let bytes = row.encode("1.2.840.1", "1.2.3.4");
        let back = InstanceRow::decode::<Undecodable>(&bytes, "1.2.3.4", |_| Ok("1.2.840.1".into())).unwrap();
        assert_eq!(&back, row);
        bytes.len()
    }

    #[test]
    fn uids_are_left_out_and_come_back() {
        let mut with = uid_element(SOP_CLASS_UID, "1.2.840.1");
        with.extend(uid_element(SOP_INSTANCE_UID, "1.2.3.4"));
        with.extend(element(0x0020_0013, *b"IS", b"7 "));
        let without = element(0x0020_0013, *b"IS", b"7 ");
        assert_eq!(check(&row(with, None)), check(&row(without, None)));
    }

    #[test]
    fn a_uid_that_differs_stays_as_it_is() {
        let mut odd = element(0x0008_0005, *b"CS", b"ISO_IR 192");
        odd.extend(uid_element(SOP_CLASS_UID, "1.2.840.2"));
        odd.extend(uid_element(SOP_INSTANCE_UID, "1.2.3.4"));
        check(&row(odd, None));
    }

    #[test]
    fn relocating_changes_the_location_and_adds_the_checksum() {
        let place = Location::Pack { pack: 1, offset: 1024 };
        for sha256 in [None, Some([9; 32])] {
            let mut row = row(element(0x0020_0013, *b"IS", b"7 "), None);
            row.sha256 = sha256;
            check(&row);
            let moved = relocate(&row.encode("1.2.840.1", "1.2.3.4"), &place, &[9; 32]).unwrap();
            row.location = place.clone();
            row.sha256 = Some([9; 32]);
            assert_eq!(moved, row.encode("1.2.840.1", "1.2.3.4"));
        }
    }

    proptest! {
        #[test]
        fn frame_tables_come_back(offset in 0..u64::MAX / 4, ranges in proptest::collection::vec((0..1_u64 << 40, 0..1_u64 << 40, 1..9_u32), 0..40)) {
            let ranges = ranges.into_iter().map(|(offset, length, fragments)| FrameRange { offset, length, fragments }).collect();
            let frames = FrameTable::Encapsulated(ranges);
            check(&row(vec![], Some(PixelData { tag: 0x7FE0_0008, offset, length: 9, number_of_frames: 3, frames })));
        }

        #[test]
        fn random_rows_never_panic(bytes: Vec<u8>) {
            let _ = InstanceRow::decode::<Undecodable>(&bytes, "1.2", |_| Ok("1.2".into()));
            let _ = relocate(&bytes, &Location::Staged { file: 1, offset: 0 }, &[0; 32]);
        }
    }

    #[test]
    fn five_hundred_plain_frames_take_little() {
        let ranges = (0..500)
            .map(|n| FrameRange {
                offset: 1000 + n * 40_000,
                length: 40_000,
                fragments: 1,
            })
            .collect();
        let frames = FrameTable::Encapsulated(ranges);
        let pixel_data = PixelData {
            tag: 0x7FE0_0010,
            offset: 900,
            length: 1,
            number_of_frames: 500,
            frames,
        };
        assert!(check(&row(vec![], Some(pixel_data))) < 1700);
    }
}
