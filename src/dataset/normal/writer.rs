//! Writing normal form, a token at a time.

use std::collections::HashMap;

use bytes::Bytes;
use filmroom_storage::model::{BulkValue, Elements, Tag, has_long_length};

use super::{
    super::{
        DataSetError,
        builder::{push_element, push_tag},
        charset::{Decoder, Fidelity},
        dictionary::{self, Entry},
        scan::{Place, Scanner},
        vr::{self, Shape, Vr},
    },
    Keep, PixelPlace, SPECIFIC_CHARACTER_SET, push_swapped, with_character_set,
};

const PIXEL_REPRESENTATION: Tag = 0x0028_0103;
const LUT_DESCRIPTOR: Tag = 0x0028_3002;
const LUT_DATA: Tag = 0x0028_3006;
const TRAILING_PADDING: Tag = 0xFFFC_FFFC;
const PIXEL_DATA: Tag = 0x7FE0_0010;

/// More left-out values than this are refused.
const BULK_VALUES_MAX: usize = 1 << 16;

/// A list of elements being written: the data set or an item.
struct List {
    /// Where its bytes begin in the output.
    start: usize,
    last_tag: Option<Tag>,
    unordered: bool,
    /// Its own character sets; `None` for those of what is around it.
    decoder: Option<Decoder>,
    /// (0028,0103) is 1; `None` when absent.
    signed: Option<bool>,
    /// Entries of (0028,3002), to tell the VR of LUT Data.
    lut_entries: Option<u16>,
}

impl List {
    fn new(start: usize) -> Self {
        Self {
            start,
            last_tag: None,
            unordered: false,
            decoder: None,
            signed: None,
            lut_entries: None,
        }
    }
}

/// A sequence being written.
struct Sequence {
    tag: Tag,
    /// Where its bytes begin in the output; its length field ends there.
    start: usize,
    items: u32,
    /// Left out of the output, with all its items.
    dropped: bool,
}

pub(super) struct Writer {
    keep: Keep,
    pub(super) out: Vec<u8>,
    lists: Vec<List>,
    sequences: Vec<Sequence>,
    decoder: Decoder,
    pub(super) bulk: Vec<BulkValue>,
    pub(super) pixel_data: Option<PixelPlace>,
    has_character_set: bool,
    beyond_ascii: bool,
    pub(super) wrong_character_set: bool,
    pub(super) unknown_character_set: bool,
    pub(super) unordered: bool,
}

impl Writer {
    pub(super) fn new(keep: Keep) -> Self {
        Self {
            keep,
            out: Vec::with_capacity(8 << 10),
            lists: vec![List::new(0)],
            sequences: Vec::new(),
            decoder: Decoder::undeclared(),
            bulk: Vec::new(),
            pixel_data: None,
            has_character_set: false,
            beyond_ascii: false,
            wrong_character_set: false,
            unknown_character_set: false,
            unordered: false,
        }
    }

    /// Notes that an element is about to be written.
    fn begin(&mut self, tag: Tag) {
        if let Some(list) = self.lists.last_mut() {
            if list.last_tag.is_some_and(|last| last >= tag) {
                list.unordered = true;
                self.unordered = true;
            } else {
                list.last_tag = Some(tag);
            }
        }
    }

    pub(super) fn value(&mut self, scanner: &mut Scanner<'_>, place: &Place) -> Result<(), DataSetError> {
        let tag = place.tag;
        if tag & 0xFFFF == 0 || tag == TRAILING_PADDING {
            return Ok(());
        }
        if tag < 0x0004_0000 && self.sequences.is_empty() && !self.keep.command_and_meta {
            scanner
                .quirks
                .note("a command or file meta element in the data set:", tag);
            return Ok(());
        }
        let vr = self.vr_of(place);
        self.begin(tag);
        let is_pixel_data = matches!(tag, PIXEL_DATA | 0x7FE0_0008 | 0x7FE0_0009);
        if is_pixel_data && self.sequences.is_empty() && place.length > 0 {
            self.pixel_data = Some(PixelPlace {
                place: Place { vr, ..*place },
                fragments: None,
            });
        }
        let too_long = place.length > self.keep.value_max_bytes
            || (vr::is_bulk(vr) && place.length > self.keep.binary_max_bytes)
            || (is_pixel_data && !self.keep.pixel_data);
        if too_long && place.length > 0 {
            return self.leave_out(place, vr, false);
        }
        let value = scanner.value(place)?;
        match vr::shape(vr) {
            Shape::Words(size) => {
                self.remember(tag, value, place.big_endian);
                let from = self.open_value(tag, vr, value.len());
                if place.big_endian {
                    push_swapped(&mut self.out, value, usize::from(size));
                } else {
                    self.out.extend_from_slice(value);
                }
                self.close_value(vr, from);
            }
            Shape::Bytes | Shape::Sequence => {
                let from = self.open_value(tag, vr, value.len());
                self.out.extend_from_slice(value);
                self.close_value(vr, from);
            }
            shape => self.text(tag, vr, shape, value),
        }
        Ok(())
    }

    /// A text, decoded, its trailing padding made as little as can be.
    fn text(&mut self, tag: Tag, vr: Vr, shape: Shape, value: &[u8]) {
        let end = value
            .iter()
            .rposition(|byte| !matches!(byte, b' ' | 0))
            .map_or(0, |place| place + 1);
        let value = value.get(..end).unwrap_or_default();
        if tag == SPECIFIC_CHARACTER_SET {
            self.character_set(value);
            return;
        }
        let from = self.open_value(tag, vr, value.len());
        let decoder = self
            .lists
            .iter()
            .rev()
            .find_map(|list| list.decoder.as_ref())
            .unwrap_or(&self.decoder);
        let fidelity = decoder.decode(value, shape, &mut self.out);
        if fidelity == Fidelity::Guessed {
            self.wrong_character_set = true;
        }
        if !self.beyond_ascii && !self.out.get(from..).unwrap_or_default().is_ascii() {
            self.beyond_ascii = true;
        }
        self.close_value(vr, from);
    }

    fn character_set(&mut self, value: &[u8]) {
        let (decoder, known) = Decoder::declared(value);
        if !known {
            self.unknown_character_set = true;
        }
        if let Some(list) = self.lists.last_mut() {
            list.decoder = Some(decoder);
        }
        if self.sequences.is_empty() {
            self.has_character_set = true;
        }
        let value: &[u8] = if value.is_empty() { b"" } else { b"ISO_IR 192" };
        push_element(&mut self.out, SPECIFIC_CHARACTER_SET, *b"CS", value);
    }

    /// Keeps what the VRs of later elements depend on.
    fn remember(&mut self, tag: Tag, value: &[u8], big_endian: bool) {
        let Some(list) = self.lists.last_mut() else { return };
        if !matches!(tag, PIXEL_REPRESENTATION | LUT_DESCRIPTOR) {
            return;
        }
        let Some(first) = value.first_chunk::<2>().copied() else {
            return;
        };
        let first = if big_endian {
            u16::from_be_bytes(first)
        } else {
            u16::from_le_bytes(first)
        };
        match tag {
            PIXEL_REPRESENTATION => list.signed = Some(first == 1),
            _ => list.lut_entries = Some(first),
        }
    }

    /// The VR, with what context says where it was not written.
    fn vr_of(&self, place: &Place) -> Vr {
        if !place.implicit {
            return place.vr;
        }
        match dictionary::entry(place.tag) {
            Entry::UsOrSs => {
                let signed = self.lists.iter().rev().find_map(|list| list.signed).unwrap_or(false);
                if signed { *b"SS" } else { *b"US" }
            }
            Entry::UsOrOw if place.tag == LUT_DATA => match self.lists.last().and_then(|list| list.lut_entries) {
                Some(1) => *b"US",
                _ => *b"OW",
            },
            _ => place.vr,
        }
    }

    /// Writes head and room for the length; gives the place where the value begins.
    fn open_value(&mut self, tag: Tag, vr: Vr, length: usize) -> usize {
        self.out.reserve(length + 14);
        push_tag(&mut self.out, tag);
        self.out.extend_from_slice(&vr);
        let room: &[u8] = if has_long_length(vr) { &[0; 6] } else { &[0; 2] };
        self.out.extend_from_slice(room);
        self.out.len()
    }

    /// Pads the value and fills in its length.
    fn close_value(&mut self, vr: Vr, from: usize) {
        if (self.out.len() - from) % 2 == 1 {
            self.out.push(vr::padding(vr));
        }
        let length = self.out.len() - from;
        if has_long_length(vr) {
            self.fill_length(from, length);
            return;
        }
        if let Ok(short) = u16::try_from(length).map(u16::to_le_bytes)
            && let Some(field) = self.out.get_mut(from - 2..from)
        {
            field.copy_from_slice(&short);
            return;
        }
        // Too long for its VR's length field: once more, with the VR of its kind that has a longer one.
        let value = self.out.split_off(from);
        let head = self.out.split_off(from.saturating_sub(8));
        if let Some([g0, g1, e0, e1]) = head.first_chunk::<4>() {
            let tag = u32::from_be_bytes([*g1, *g0, *e1, *e0]);
            push_element(&mut self.out, tag, vr, &value);
        }
    }

    fn fill_length(&mut self, from: usize, length: usize) {
        let length = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
        if let Some(field) = self.out.get_mut(from.saturating_sub(4)..from) {
            field.copy_from_slice(&length);
        }
    }

    fn leave_out(&mut self, place: &Place, vr: Vr, encapsulated: bool) -> Result<(), DataSetError> {
        if self.bulk.len() >= BULK_VALUES_MAX {
            return Err(DataSetError::Limit("65 536 values of bulk data"));
        }
        push_element(&mut self.out, place.tag, vr, &[]);
        let mut path = String::with_capacity(8 + 12 * self.sequences.len());
        for sequence in &self.sequences {
            path.push_str(&format!("{:08X}.{}.", sequence.tag, sequence.items.saturating_sub(1)));
        }
        path.push_str(&format!("{:08X}", place.tag));
        self.bulk.push(BulkValue {
            path,
            vr: String::from_utf8_lossy(&vr).into_owned(),
            offset: place.offset,
            length: place.length,
            encapsulated,
        });
        Ok(())
    }

    pub(super) fn fragments(&mut self, scanner: &mut Scanner<'_>, place: &Place) -> Result<(), DataSetError> {
        let fragments = std::mem::take(&mut scanner.fragments);
        let vr = if place.tag == PIXEL_DATA && &place.vr != b"OB" {
            *b"OB"
        } else {
            place.vr
        };
        let place = Place { vr, ..*place };
        self.begin(place.tag);
        if place.tag == PIXEL_DATA && self.sequences.is_empty() {
            self.pixel_data = Some(PixelPlace {
                place,
                fragments: Some(fragments),
            });
        }
        self.leave_out(&place, vr, true)
    }

    pub(super) fn start_sequence(&mut self, tag: Tag) {
        let dropped = self.sequences.last().is_some_and(|outer| outer.dropped)
            || (tag < 0x0004_0000 && self.sequences.is_empty() && !self.keep.command_and_meta);
        if !dropped {
            self.begin(tag);
        }
        let start = self.open_value(tag, *b"SQ", 0);
        self.sequences.push(Sequence {
            tag,
            start,
            items: 0,
            dropped,
        });
    }

    pub(super) fn start_item(&mut self) {
        if let Some(sequence) = self.sequences.last_mut() {
            sequence.items += 1;
        }
        self.out.extend_from_slice(&[0xFE, 0xFF, 0x00, 0xE0, 0, 0, 0, 0]);
        self.lists.push(List::new(self.out.len()));
    }

    pub(super) fn end_item(&mut self) {
        if self.lists.len() < 2 {
            return;
        }
        if let Some(list) = self.lists.pop() {
            if list.unordered {
                self.put_in_order(list.start);
            }
            let length = self.out.len() - list.start;
            self.fill_length(list.start, length);
        }
    }

    pub(super) fn end_sequence(&mut self) {
        if let Some(sequence) = self.sequences.pop() {
            if sequence.dropped {
                self.out.truncate(sequence.start - 12);
                return;
            }
            let length = self.out.len() - sequence.start;
            self.fill_length(sequence.start, length);
        }
    }

    /// Ends the items and sequences that are still open.
    pub(super) fn end_all(&mut self) {
        while !self.sequences.is_empty() {
            // Each sequence holds at most one open item, which was begun after it.
            if self.lists.len() > self.sequences.len() {
                self.end_item();
            }
            self.end_sequence();
        }
    }

    /// Sorts the elements from `start` on by tag; of those with one tag the last stays.
    fn put_in_order(&mut self, start: usize) {
        let written = self.out.split_off(start);
        let mut elements: Vec<_> = Elements::new(&written).enumerate().collect();
        elements.sort_by_key(|(place, element)| (element.tag, *place));
        let mut rest = elements.iter().peekable();
        while let Some((_, element)) = rest.next() {
            if rest.peek().is_none_or(|(_, next)| next.tag != element.tag) {
                push_element(&mut self.out, element.tag, element.vr, element.value);
            }
        }
    }

    /// Of left-out values with one path the last stays, as of elements.
    pub(super) fn drop_replaced_bulk(&mut self) {
        let last: HashMap<String, u64> = self
            .bulk
            .iter()
            .map(|value| (value.path.clone(), value.offset))
            .collect();
        self.bulk.retain(|value| last.get(&value.path) == Some(&value.offset));
    }

    pub(super) fn finish_bytes(&mut self) -> Bytes {
        if self.lists.first().is_some_and(|list| list.unordered) {
            self.put_in_order(0);
        }
        let mut out = std::mem::take(&mut self.out);
        if self.beyond_ascii {
            out = with_character_set(out, self.has_character_set);
        }
        // It is kept for a while, many at a time: most headers are far smaller than the room they were written in.
        out.shrink_to_fit();
        out.into()
    }
}
