//! Writes a data set in another uncompressed encoding as it is scanned, value by value: text stays in its character set,
//! nothing is held but the piece being written.

use std::collections::BTreeMap;

use bytes::Bytes;
use filmroom_storage::{
    model::{TransferSyntaxUid, has_long_length},
    source::ReadAt,
};

use super::{
    DataSetError,
    dictionary::{self, Entry},
    scan::{Place, Scanner, Token},
    transfer_syntax::{Encoding, is_deflated},
    vr::{self, Shape, Vr},
};

const PIXEL_DATA: u32 = 0x7FE0_0010;
const EXTENDED_OFFSET_TABLE: u32 = 0x7FE0_0001;
const ENCAPSULATED_TOTAL_LENGTH: u32 = 0x7FE0_0003;
const BITS_ALLOCATED: u32 = 0x0028_0100;
const PIXEL_REPRESENTATION: u32 = 0x0028_0103;
const ITEM: u32 = 0xFFFE_E000;
const ITEM_DELIMITER: u32 = 0xFFFE_E00D;
const SEQUENCE_DELIMITER: u32 = 0xFFFE_E0DD;
const UNDEFINED: u32 = u32::MAX;

/// Pieces are about this long. A multiple of every word.
const PIECE_BYTES: usize = 256 << 10;

/// What stands next in the new encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Encoded elements, or a part of them.
    Bytes(Bytes),
    /// The place of the data set's own pixel data, which the caller writes.
    PixelData,
}

/// What is to become of the data set's own pixel data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PixelDataIs {
    /// It stays as it is; words of native samples are turned with the byte order.
    Kept,
    /// The caller writes it: [`Piece::PixelData`]. The offset tables that stand beside it are left out.
    Replaced,
}

/// A data set on its way from one encoding into another.
pub struct Reencoder<'a> {
    scanner: Scanner<'a>,
    explicit: bool,
    pixel_data: PixelDataIs,
    /// Elements of the data set itself that are put over those it has.
    changed: BTreeMap<u32, (Vr, Vec<u8>)>,
    depth: usize,
    bits_allocated: u16,
    is_signed: bool,
    out: Vec<u8>,
    /// A value of which a part is written.
    copying: Option<Copying>,
    is_at_pixel_data: bool,
    is_done: bool,
}

struct Copying {
    place: Place,
    word: usize,
    written: u64,
    /// The byte that makes an odd length even, where one is needed.
    padding: Option<u8>,
    /// What closes a value in fragments.
    is_fragments: bool,
}

impl<'a> Reencoder<'a> {
    /// Begins. `data_set`: as stored in `from`; `to_explicit`: Explicit VR Little Endian, else Implicit VR Little Endian;
    /// `changed`: tag, value representation and little endian value of elements to set, of even length and below 64 kB.
    ///
    /// # Errors
    /// [`DataSetError`].
    pub fn new(
        data_set: &'a dyn ReadAt,
        from: &TransferSyntaxUid,
        to_explicit: bool,
        pixel_data: PixelDataIs,
        changed: Vec<(u32, Vr, Vec<u8>)>,
    ) -> Result<Self, DataSetError> {
        Ok(Self {
            scanner: Scanner::new(data_set, Encoding::of(from.as_str()), is_deflated(from))?,
            explicit: to_explicit,
            pixel_data,
            changed: changed.into_iter().map(|(tag, vr, value)| (tag, (vr, value))).collect(),
            depth: 0,
            bits_allocated: 0,
            is_signed: false,
            out: Vec::with_capacity(PIECE_BYTES + 4096),
            copying: None,
            is_at_pixel_data: false,
            is_done: false,
        })
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// [`DataSetError`]: the pieces so far are not a whole data set.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, DataSetError> {
        loop {
            let is_at_border = self.copying.is_none() && (self.is_done || self.is_at_pixel_data);
            if self.out.len() >= PIECE_BYTES || (is_at_border && !self.out.is_empty()) {
                let piece = std::mem::replace(&mut self.out, Vec::with_capacity(PIECE_BYTES + 4096));
                return Ok(Some(Piece::Bytes(piece.into())));
            }
            if let Some(copying) = self.copying.take() {
                self.copy(copying)?;
            } else if std::mem::take(&mut self.is_at_pixel_data) {
                return Ok(Some(Piece::PixelData));
            } else if self.is_done {
                return Ok(None);
            } else {
                self.step()?;
            }
        }
    }

    /// Takes one token.
    fn step(&mut self) -> Result<(), DataSetError> {
        match self.scanner.next()? {
            Token::Value(place) => self.value(place),
            Token::Fragments(place) => {
                self.fragments(place);
                Ok(())
            }
            Token::SequenceStart(tag) => {
                self.put_changed_before(tag);
                self.depth += 1;
                self.head(tag, *b"SQ", UNDEFINED);
                Ok(())
            }
            Token::SequenceEnd => {
                self.depth = self.depth.saturating_sub(1);
                self.delimiter(SEQUENCE_DELIMITER, 0);
                Ok(())
            }
            Token::ItemStart => {
                self.delimiter(ITEM, UNDEFINED);
                Ok(())
            }
            Token::ItemEnd => {
                self.delimiter(ITEM_DELIMITER, 0);
                Ok(())
            }
            Token::End => {
                self.put_changed_before(UNDEFINED);
                self.is_done = true;
                Ok(())
            }
        }
    }

    fn value(&mut self, place: Place) -> Result<(), DataSetError> {
        // A group length counts bytes of the encoding that is left behind.
        if place.tag & 0xFFFF == 0 {
            return Ok(());
        }
        if self.depth == 0 {
            self.put_changed_before(place.tag);
            if let Some((vr, value)) = self.changed.remove(&place.tag) {
                self.put(place.tag, vr, &value);
                return Ok(());
            }
            let is_offset_table = (EXTENDED_OFFSET_TABLE..=ENCAPSULATED_TOTAL_LENGTH).contains(&place.tag);
            if self.pixel_data == PixelDataIs::Replaced && is_offset_table {
                return Ok(());
            }
            if place.tag == PIXEL_DATA && self.pixel_data == PixelDataIs::Replaced {
                self.is_at_pixel_data = true;
                return Ok(());
            }
            self.remember(&place)?;
        }
        let length = place.length + place.length % 2;
        let vr = self.written_vr(&place, length);
        self.head(
            place.tag,
            vr,
            u32::try_from(length).map_err(|_| DataSetError::Limit("4 GiB in one value"))?,
        );
        self.copying = Some(Copying {
            word: if place.big_endian { self.word(&place) } else { 1 },
            padding: (place.length % 2 == 1).then(|| vr::padding(vr)),
            written: 0,
            is_fragments: false,
            place,
        });
        Ok(())
    }

    fn fragments(&mut self, place: Place) {
        if self.depth == 0 && place.tag == PIXEL_DATA && self.pixel_data == PixelDataIs::Replaced {
            self.put_changed_before(place.tag);
            self.is_at_pixel_data = true;
            return;
        }
        self.head(place.tag, if &place.vr == b"OW" { *b"OB" } else { place.vr }, UNDEFINED);
        self.copying = Some(Copying {
            place,
            word: 1,
            written: 0,
            padding: None,
            is_fragments: true,
        });
    }

    /// Keeps what later values are judged by.
    fn remember(&mut self, place: &Place) -> Result<(), DataSetError> {
        if !matches!(place.tag, BITS_ALLOCATED | PIXEL_REPRESENTATION) || place.length < 2 {
            return Ok(());
        }
        let bytes = self
            .scanner
            .value(place)?
            .first_chunk::<2>()
            .copied()
            .unwrap_or_default();
        let number = if place.big_endian {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        };
        match place.tag {
            BITS_ALLOCATED => self.bits_allocated = number,
            _ => self.is_signed = number == 1,
        }
        Ok(())
    }

    /// The value representation to write: that of the dictionary has a choice where none was written, and a value may be
    /// too long for its own (PS3.5 §6.2.2).
    fn written_vr(&self, place: &Place, length: u64) -> Vr {
        let vr = match dictionary::entry(place.tag) {
            Entry::UsOrSs if place.implicit && self.is_signed => *b"SS",
            _ => place.vr,
        };
        if length > 0xFFFF && !has_long_length(vr) {
            vr::long_form(vr)
        } else {
            vr
        }
    }

    /// Bytes of one word of a big endian value.
    fn word(&self, place: &Place) -> usize {
        match vr::shape(place.vr) {
            Shape::Words(2) if place.tag == PIXEL_DATA && self.depth == 0 => match self.bits_allocated {
                32 => 4,
                64 => 8,
                _ => 2,
            },
            Shape::Words(bytes) => usize::from(bytes),
            _ => 1,
        }
    }

    /// Writes the next part of a value.
    fn copy(&mut self, mut copying: Copying) -> Result<(), DataSetError> {
        let rest = copying.place.length - copying.written;
        let part = Place {
            offset: copying.place.offset + copying.written,
            length: rest.min(PIECE_BYTES as u64),
            ..copying.place
        };
        let begin = self.out.len();
        self.out.extend_from_slice(self.scanner.value(&part)?);
        if copying.word > 1 {
            let written = self.out.get_mut(begin..).unwrap_or_default();
            written.chunks_exact_mut(copying.word).for_each(<[u8]>::reverse);
        }
        copying.written += part.length;
        if copying.written < copying.place.length {
            self.copying = Some(copying);
            return Ok(());
        }
        self.out.extend(copying.padding);
        if copying.is_fragments {
            self.delimiter(SEQUENCE_DELIMITER, 0);
        }
        Ok(())
    }

    /// Puts the changed elements that belong before a tag of the data set itself.
    fn put_changed_before(&mut self, tag: u32) {
        if self.depth > 0 {
            return;
        }
        while let Some(entry) = self.changed.first_entry() {
            if *entry.key() >= tag {
                return;
            }
            let (tag, (vr, value)) = entry.remove_entry();
            self.put(tag, vr, &value);
        }
    }

    fn put(&mut self, tag: u32, vr: Vr, value: &[u8]) {
        self.head(tag, vr, value.len() as u32);
        self.out.extend_from_slice(value);
    }

    /// The head of an element, for a value that the caller writes.
    #[must_use]
    pub fn element_head(&self, tag: u32, vr: [u8; 2], length: u32) -> Bytes {
        let mut out = Vec::with_capacity(12);
        write_head(&mut out, self.explicit, tag, vr, length);
        out.into()
    }

    fn head(&mut self, tag: u32, vr: Vr, length: u32) {
        write_head(&mut self.out, self.explicit, tag, vr, length);
    }

    fn delimiter(&mut self, tag: u32, length: u32) {
        write_tag(&mut self.out, tag);
        self.out.extend_from_slice(&length.to_le_bytes());
    }
}

fn write_tag(out: &mut Vec<u8>, tag: u32) {
    out.extend_from_slice(&((tag >> 16) as u16).to_le_bytes());
    out.extend_from_slice(&(tag as u16).to_le_bytes());
}

fn write_head(out: &mut Vec<u8>, explicit: bool, tag: u32, vr: Vr, length: u32) {
    write_tag(out, tag);
    if !explicit {
        out.extend_from_slice(&length.to_le_bytes());
        return;
    }
    out.extend_from_slice(&vr);
    if has_long_length(vr) {
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&length.to_le_bytes());
    } else {
        out.extend_from_slice(&(length as u16).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXPLICIT: &str = "1.2.840.10008.1.2.1";
    const IMPLICIT: &str = "1.2.840.10008.1.2";
    const BIG: &str = "1.2.840.10008.1.2.2";

    fn reencode(bytes: &[u8], from: &str, to_explicit: bool) -> Result<Vec<u8>, DataSetError> {
        let source = Bytes::copy_from_slice(bytes);
        let mut reencoder = Reencoder::new(
            &source,
            &TransferSyntaxUid::new(from).unwrap(),
            to_explicit,
            PixelDataIs::Kept,
            Vec::new(),
        )?;
        let mut out = Vec::new();
        while let Some(piece) = reencoder.next_piece()? {
            match piece {
                Piece::Bytes(piece) => out.extend_from_slice(&piece),
                Piece::PixelData => panic!("the pixel data were to be kept"),
            }
        }
        Ok(out)
    }

    #[test]
    fn implicit_becomes_explicit() {
        let implicit = b"\x08\0\0\0\x04\0\0\0\x0e\0\0\0\x08\0\x05\0\x06\0\0\0ab\\cd \x28\0\x03\x01\x02\0\0\0\x01\0\x28\0\x06\x01\x02\0\0\0\xff\xff";
        let explicit = b"\x08\0\x05\0CS\x06\0ab\\cd \x28\0\x03\x01US\x02\0\x01\0\x28\0\x06\x01SS\x02\0\xff\xff";
        assert_eq!(reencode(implicit, IMPLICIT, true).unwrap(), explicit);
        let back = reencode(explicit, EXPLICIT, false).unwrap();
        assert_eq!(back, &implicit[12..]);
    }

    #[test]
    fn big_endian_words_are_turned() {
        let big = b"\0\x28\x01\0US\0\x02\0\x10\x7f\xe0\0\x10OW\0\0\0\0\0\x04\x01\x02\x03\x04";
        let little = b"\x28\0\0\x01US\x02\0\x10\0\xe0\x7f\x10\0OW\0\0\x04\0\0\0\x02\x01\x04\x03";
        assert_eq!(reencode(big, BIG, true).unwrap(), little);
    }

    #[test]
    fn sequences_get_delimiters() {
        let sequence = b"\x08\0\x40\x11SQ\0\0\x12\0\0\0\xfe\xff\0\xe0\x0a\0\0\0\x08\0\x60\0CS\x02\0MR";
        let expected = b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff\x08\0\x60\0CS\x02\0MR\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0";
        assert_eq!(reencode(sequence, EXPLICIT, true).unwrap(), expected);
        assert_eq!(reencode(expected, EXPLICIT, true).unwrap(), expected);
    }

    #[test]
    fn odd_lengths_become_even() {
        assert_eq!(
            reencode(b"\x08\0\x60\0CS\x01\0M", EXPLICIT, true).unwrap(),
            b"\x08\0\x60\0CS\x02\0M "
        );
    }

    #[test]
    fn changed_elements_and_pixels_are_put_in_their_place() {
        let mut stored = b"\x28\0\x02\0US\x02\0\x01\0\xe0\x7f\x01\0OV\0\0\x08\0\0\0\0\0\0\0\0\0\0\0".to_vec();
        stored.extend_from_slice(b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\0\0\0\0\xfe\xff\0\xe0\x02\0\0\0ab\xfe\xff\xdd\xe0\0\0\0\0");
        stored.extend_from_slice(b"\xfc\xff\xfc\xffOB\0\0\x02\0\0\0\0\0");
        let source = Bytes::from(stored);
        let changed = vec![(0x0028_0004, *b"CS", b"RGB ".to_vec())];
        let mut reencoder = Reencoder::new(
            &source,
            &TransferSyntaxUid::new(EXPLICIT).unwrap(),
            true,
            PixelDataIs::Replaced,
            changed,
        )
        .unwrap();
        let mut out = Vec::new();
        while let Some(piece) = reencoder.next_piece().unwrap() {
            match piece {
                Piece::Bytes(piece) => out.extend_from_slice(&piece),
                Piece::PixelData => out.extend_from_slice(&reencoder.element_head(PIXEL_DATA, *b"OW", 0)),
            }
        }
        assert_eq!(
            out,
            b"\x28\0\x02\0US\x02\0\x01\0\x28\0\x04\0CS\x04\0RGB \xe0\x7f\x10\0OW\0\0\0\0\0\0\xfc\xff\xfc\xffOB\0\0\x02\0\0\0\0\0"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..200), explicit: bool) {
            for from in [EXPLICIT, IMPLICIT, BIG] {
                if let Ok(once) = reencode(&bytes, from, explicit) {
                    prop_assert!(once.len() <= bytes.len() * 16 + 64);
                }
            }
        }
    }
}
