//! The scanner: walks through an encoded data set without recursion and checks every length before anything is done with it.
//!
//! It accepts what real devices send, notes what was odd, and refuses what cannot be a whole data set.

mod head;
mod sequences;
mod stray;

use filmroom_storage::source::ReadAt;

use self::head::Head;
use super::{
    DataSetError,
    feed::Feed,
    quirks::Quirks,
    transfer_syntax::Encoding,
    vr::{self, Vr},
};

/// More elements and items than this are refused.
const MAX_ELEMENTS: u64 = 16 << 20;

const ITEM: u32 = 0xFFFE_E000;
const ITEM_DELIMITER: u32 = 0xFFFE_E00D;
const SEQUENCE_DELIMITER: u32 = 0xFFFE_E0DD;
const PIXEL_DATA: u32 = 0x7FE0_0010;
const TRAILING_PADDING: u32 = 0xFFFC_FFFC;
const UNDEFINED: u32 = u32::MAX;

/// What stands at a place of the data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// An element with a value that is no sequence.
    Value(Place),
    /// An element whose value is a sequence of items.
    SequenceStart(u32),
    /// The next item of the innermost sequence.
    ItemStart,
    /// The end of the innermost item.
    ItemEnd,
    /// The end of the innermost sequence.
    SequenceEnd,
    /// Encapsulated pixel data, or another value in fragments: they are in [`Scanner::fragments`].
    Fragments(Place),
    /// The end of the data set.
    End,
}

/// Where a value lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) tag: u32,
    pub(crate) vr: Vr,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) big_endian: bool,
    /// The VR was not written, but comes from the dictionary.
    pub(crate) implicit: bool,
}

/// One fragment: where its item header begins, and the length of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fragment {
    pub(crate) offset: u64,
    pub(crate) length: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sequence,
    Item,
}

#[derive(Debug, Clone, Copy)]
struct Level {
    kind: Kind,
    tag: u32,
    /// First byte behind; the end of what is around it where the length is undefined.
    end: u64,
    undefined: bool,
    encoding: Encoding,
    fresh: bool,
}

/// Walks through one data set.
pub(crate) struct Scanner<'a> {
    feed: Feed<'a>,
    position: u64,
    root: Encoding,
    root_fresh: bool,
    levels: Vec<Level>,
    elements: u64,
    last_root_tag: u32,
    /// The fragments of the value that was last met.
    pub(crate) fragments: Vec<Fragment>,
    /// What was odd.
    pub(crate) quirks: Quirks,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(source: &'a dyn ReadAt, encoding: Encoding, deflated: bool) -> Result<Self, DataSetError> {
        let feed = if deflated {
            Feed::deflated(source)?
        } else {
            Feed::plain(source)
        };
        Ok(Self {
            feed,
            position: 0,
            root: encoding,
            root_fresh: true,
            levels: Vec::new(),
            elements: 0,
            last_root_tag: 0,
            fragments: Vec::new(),
            quirks: Quirks::default(),
        })
    }

    /// The bytes of a value that the last token told of; only for lengths that the caller is ready to hold.
    #[inline]
    pub(crate) fn value(&mut self, place: &Place) -> Result<&[u8], DataSetError> {
        let length = usize::try_from(place.length).unwrap_or(usize::MAX);
        let value = self.feed.view(place.offset, length)?;
        if value.len() < length {
            Err(truncated(place.tag))
        } else {
            Ok(value)
        }
    }

    /// The next token.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Token, DataSetError> {
        loop {
            let token = match self.levels.last() {
                Some(level) if level.kind == Kind::Sequence => self.next_item()?,
                _ => self.next_element()?,
            };
            if let Some(token) = token {
                return Ok(token);
            }
        }
    }

    fn source_end(&self) -> u64 {
        self.feed.length().unwrap_or(u64::MAX)
    }

    fn count(&mut self) -> Result<(), DataSetError> {
        self.elements += 1;
        if self.elements > MAX_ELEMENTS {
            Err(DataSetError::Limit("16 777 216 elements"))
        } else {
            Ok(())
        }
    }

    /// One step of the inside of an item, or of the whole data set; `None` when only something without meaning was passed.
    fn next_element(&mut self) -> Result<Option<Token>, DataSetError> {
        let level = self.levels.last().copied();
        let end = level.map_or_else(|| self.source_end(), |level| level.end);
        if self.position >= end && (level.is_some() || self.feed.length().is_some()) {
            return self.end_of_element_list(level);
        }
        let head = self.feed.view(self.position, 12)?;
        let Some((&[t0, t1, t2, t3, v0, v1, l0, l1], rest)) = head.split_first_chunk::<8>() else {
            return self.short_rest(level);
        };
        if end - self.position < 8 {
            return self.short_rest(level);
        }
        let long = rest.first_chunk::<4>().copied();
        let encoding = self.encoding_here([t0, t1, t2, t3, v0, v1, l0, l1], level.is_none());
        let tag = encoding.read_tag([t0, t1, t2, t3]);
        if tag >> 16 == 0xFFFE {
            return self.delimiter_among_elements(tag, level);
        }
        if level.is_none() && tag < self.last_root_tag {
            if tag == 0 && self.only_zeros_follow()? {
                self.quirks.note_whole("zeros after the last element");
                self.position = self.source_end();
                return Ok(Some(Token::End));
            }
            let whole = match encoding.explicit {
                true => vr::is_known([v0, v1]),
                false => self.fits(tag, 8, encoding.read_u32([v0, v1, l0, l1]), encoding, end),
            };
            if self.last_root_tag >= PIXEL_DATA && !whole {
                return Ok(Some(self.stray_rest()));
            }
            self.quirks.note("elements out of order from", tag);
        }
        self.count()?;
        let head = self.read_head(tag, [v0, v1, l0, l1], long, encoding, end)?;
        self.mark_seen(tag, &head, encoding);
        let offset = self.position + head.head_length;
        if head.length == UNDEFINED {
            return self.undefined_length(tag, &head, offset, encoding).map(Some);
        }
        let length = u64::from(head.length);
        let value_end = offset + length;
        if value_end > end && !self.reaches_beyond(tag, value_end, level.is_some())? {
            return Ok(Some(Token::End));
        }
        if head.length % 2 == 1 {
            self.quirks.note("odd value length of", tag);
        }
        if &head.vr == b"SQ"
            && let Some(token) = self.sequence_of_length(tag, &head, offset, length, encoding)?
        {
            return Ok(Some(token));
        }
        self.position = value_end;
        let vr = if &head.vr == b"SQ" { *b"UN" } else { head.vr };
        let big_endian = encoding.big_endian && head.written != Some(*b"UN");
        let place = Place {
            tag,
            vr,
            offset,
            length,
            big_endian,
            implicit: !head.explicit,
        };
        Ok(Some(Token::Value(place)))
    }

    /// Remembers what later elements are judged by.
    fn mark_seen(&mut self, tag: u32, head: &Head, encoding: Encoding) {
        match self.levels.last_mut() {
            None => {
                self.last_root_tag = self.last_root_tag.max(tag);
                if std::mem::take(&mut self.root_fresh) {
                    self.root = Encoding {
                        explicit: head.explicit,
                        ..encoding
                    };
                }
            }
            Some(level) => {
                if std::mem::take(&mut level.fresh) {
                    level.encoding = Encoding {
                        explicit: head.explicit,
                        ..encoding
                    };
                }
            }
        }
    }
}

/// A tag as the standard prints it.
pub(crate) fn name(tag: u32) -> String {
    format!("({:04X},{:04X})", tag >> 16, tag & 0xFFFF)
}

fn truncated(tag: u32) -> DataSetError {
    DataSetError::Truncated(name(tag))
}
