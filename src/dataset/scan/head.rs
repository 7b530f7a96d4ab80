//! Reading the head of an element: VR and length, also where they are not as the encoding has them.

use bytes::Bytes;
use filmroom_storage::model::has_long_length;

use super::{
    super::{
        DataSetError,
        dictionary::{self, Entry},
        transfer_syntax::Encoding,
        vr::{self, Vr},
    },
    ITEM, ITEM_DELIMITER, Kind, Level, SEQUENCE_DELIMITER, Scanner, TRAILING_PADDING, Token, UNDEFINED, truncated,
};

/// A UN value is looked into, to see whether it holds items, up to this length.
const MAX_PROBED_BYTES: u64 = 1 << 20;

/// One element's header.
pub(super) struct Head {
    pub(super) vr: Vr,
    /// As written, before the dictionary had a say.
    pub(super) written: Option<Vr>,
    pub(super) length: u32,
    pub(super) head_length: u64,
    pub(super) explicit: bool,
}

impl Scanner<'_> {
    /// Reads VR and length; tells what was meant where they are not as the encoding has them.
    pub(super) fn read_head(
        &mut self,
        tag: u32,
        [a, b, c, d]: [u8; 4],
        long: Option<[u8; 4]>,
        encoding: Encoding,
        end: u64,
    ) -> Result<Head, DataSetError> {
        let letters = [a, b];
        if encoding.explicit {
            if has_long_length(letters) {
                let Some(long) = long else { return Err(truncated(tag)) };
                return Ok(self.resolve_un(tag, explicit(letters, encoding.read_u32(long), 12)));
            }
            if vr::is_known(letters) {
                return Ok(explicit(letters, u32::from(encoding.read_u16([c, d])), 8));
            }
            return Ok(self.odd_vr(tag, [a, b, c, d], long, encoding, end));
        }
        let length = encoding.read_u32([a, b, c, d]);
        if vr::is_known(letters) && length != UNDEFINED && !self.fits(tag, 8, length, encoding, end) {
            // Explicit VR where implicit VR was announced: the letters are the low half of an impossible length.
            let written = if has_long_length(letters) {
                long.map(|long| explicit(letters, encoding.read_u32(long), 12))
            } else {
                Some(explicit(letters, u32::from(encoding.read_u16([c, d])), 8))
            };
            if let Some(head) = written
                && (head.length == UNDEFINED || self.fits(tag, head.head_length, head.length, encoding, end))
            {
                self.quirks.note("explicit VR among implicit from", tag);
                return Ok(head);
            }
        }
        Ok(implicit(tag, length))
    }

    /// An explicit VR that is none: another form of the head, whichever makes the next element plausible.
    fn odd_vr(&mut self, tag: u32, [a, b, c, d]: [u8; 4], long: Option<[u8; 4]>, encoding: Encoding, end: u64) -> Head {
        let by_dictionary = dictionary::entry(tag).relaxed();
        let as_implicit = implicit(tag, encoding.read_u32([a, b, c, d]));
        let as_short = explicit(by_dictionary, u32::from(encoding.read_u16([c, d])), 8);
        let as_long = long
            .map(|long| explicit(by_dictionary, encoding.read_u32(long), 12))
            .filter(|_| [c, d] == [0, 0]);
        let letters = a.is_ascii_uppercase() && b.is_ascii_uppercase();
        let printable = letters || matches!([a, b], [b'?', b'?'] | [b' ', b' '] | [b'-', b'-'] | [0, 0]);
        // PS3.5 §6.2: VRs to come have a 4-byte length.
        let order: [Option<Head>; 3] = if letters {
            [as_long, Some(as_short), Some(as_implicit)]
        } else if printable {
            [Some(as_short), as_long, Some(as_implicit)]
        } else {
            [Some(as_implicit), Some(as_short), as_long]
        };
        let mut first = None;
        for head in order.into_iter().flatten() {
            let open = head.length == UNDEFINED && (!head.explicit || head.head_length == 12);
            if open || self.fits(tag, head.head_length, head.length, encoding, end) {
                self.quirks.note(
                    if head.explicit {
                        "unknown VR of"
                    } else {
                        "implicit VR among explicit from"
                    },
                    tag,
                );
                return head;
            }
            first.get_or_insert(head);
        }
        self.quirks.note("unknown VR of", tag);
        first.unwrap_or_else(|| implicit(tag, encoding.read_u32([a, b, c, d])))
    }

    /// Whether a value of this length would end where the list of elements ends or another element begins.
    pub(super) fn fits(&self, tag: u32, head_length: u64, length: u32, encoding: Encoding, end: u64) -> bool {
        let next = self.position + head_length + u64::from(length);
        if next == end {
            return true;
        }
        if next.saturating_add(8) > end {
            return false;
        }
        match self.feed.peek(next) {
            // A deflated data set cannot be looked ahead into: plausible as long as the value is not absurd.
            None => self.feed.length().is_none() && length < 1 << 16,
            Some(bytes) => {
                let next_tag = encoding.read_tag(bytes);
                match next_tag {
                    ITEM_DELIMITER | SEQUENCE_DELIMITER | ITEM => !self.levels.is_empty(),
                    _ => next_tag > tag && next_tag >> 16 <= 0x7FE1 || next_tag == TRAILING_PADDING,
                }
            }
        }
    }

    /// A UN of known length whose tag is in the dictionary: its value is in implicit VR little endian (PS3.5 §6.2.2 note 2).
    fn resolve_un(&mut self, tag: u32, head: Head) -> Head {
        if &head.vr != b"UN" || head.length == UNDEFINED {
            return head;
        }
        let vr = match dictionary::entry(tag) {
            Entry::Exact(vr) => vr,
            Entry::UsOrSs => *b"US",
            _ => return head,
        };
        let whole = match vr::shape(vr) {
            vr::Shape::Words(size) => head.length.is_multiple_of(u32::from(size)) && !vr::is_bulk(vr),
            vr::Shape::Sequence => self.holds_items(self.position + head.head_length, head.length),
            vr::Shape::Bytes => false,
            _ => true,
        };
        if whole { Head { vr, ..head } } else { head }
    }

    /// Whether a value can be read as a sequence of items in implicit VR to its very end.
    fn holds_items(&mut self, offset: u64, length: u32) -> bool {
        if length == 0 || u64::from(length) > MAX_PROBED_BYTES {
            return length == 0;
        }
        let Ok(value) = self.feed.view(offset, length as usize) else {
            return false;
        };
        if value.len() < length as usize {
            return false;
        }
        let value = Bytes::copy_from_slice(value);
        let Ok(mut probe) = Scanner::new(&value, Encoding::IMPLICIT_LITTLE, false) else {
            return false;
        };
        probe.levels.push(Level {
            kind: Kind::Sequence,
            tag: 0,
            end: u64::from(length),
            undefined: false,
            encoding: Encoding::IMPLICIT_LITTLE,
            fresh: false,
        });
        loop {
            match probe.next() {
                Ok(Token::End) => return probe.quirks.into_phrases().is_empty(),
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }
}

fn explicit(vr: Vr, length: u32, head_length: u64) -> Head {
    Head {
        vr,
        written: Some(vr),
        length,
        head_length,
        explicit: true,
    }
}

fn implicit(tag: u32, length: u32) -> Head {
    Head {
        vr: dictionary::entry(tag).relaxed(),
        written: None,
        length,
        head_length: 8,
        explicit: false,
    }
}
