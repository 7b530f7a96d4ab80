//! The scanner: walks through an encoded data set without recursion and checks every length before anything is done with it.
//!
//! It accepts what real devices send, notes what was odd, and refuses what cannot be a whole data set.

use filmroom_storage::{model::has_long_length, source::ReadAt};

use super::{
    DataSetError,
    dictionary::{self, Entry},
    feed::Feed,
    quirks::Quirks,
    transfer_syntax::Encoding,
    vr::{self, Vr},
};

/// Sequences within sequences (each with an item) beyond this are refused; the deepest of the standard have some ten.
const MAX_NESTING: usize = 64;
/// More elements and items than this are refused.
const MAX_ELEMENTS: u64 = 16 << 20;
/// More fragments than this in one value are refused.
const MAX_FRAGMENTS: usize = 4 << 20;
/// A UN value is looked into, to see whether it holds items, up to this length.
const MAX_PROBED_BYTES: u64 = 1 << 20;

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

/// One element's header.
struct Head {
    vr: Vr,
    /// As written, before the dictionary had a say.
    written: Option<Vr>,
    length: u32,
    head_length: u64,
    explicit: bool,
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

    fn end_of_element_list(&mut self, level: Option<Level>) -> Result<Option<Token>, DataSetError> {
        let Some(level) = level else {
            return Ok(Some(Token::End));
        };
        if level.undefined {
            if self.feed.length() == Some(self.position) {
                return Err(truncated(level.tag));
            }
            self.quirks.note("no item delimiter in", level.tag);
        }
        self.levels.pop();
        Ok(Some(Token::ItemEnd))
    }

    /// Fewer than eight bytes are left: too few for an element.
    fn short_rest(&mut self, level: Option<Level>) -> Result<Option<Token>, DataSetError> {
        match level {
            Some(level) => {
                if level.end == u64::MAX || self.feed.length() == Some(level.end) {
                    return Err(truncated(level.tag));
                }
                self.quirks.note("stray bytes at the end of an item of", level.tag);
                self.position = level.end;
                Ok(None)
            }
            None => {
                let rest = self.feed.view(self.position, 8)?;
                let (length, zeros) = (rest.len() as u64, rest.iter().all(|byte| *byte == 0));
                if length > 0 {
                    if !zeros && self.last_root_tag < PIXEL_DATA {
                        return Err(truncated(self.last_root_tag));
                    }
                    self.quirks.note_whole("stray bytes after the last element");
                } else if self.feed.length().is_some_and(|total| self.position > total) {
                    return Err(truncated(self.last_root_tag));
                }
                self.position += length;
                Ok(Some(Token::End))
            }
        }
    }

    /// The encoding of the element whose head this is; the first element of a data set shows its byte order.
    fn encoding_here(&mut self, head: [u8; 8], at_root: bool) -> Encoding {
        let Some(level) = self.levels.last() else {
            let [g0, g1, e0, e1, ..] = head;
            if self.root_fresh && at_root {
                let declared = self.root.read_u16([g0, g1]);
                let swapped = declared.swap_bytes();
                let other = Encoding {
                    big_endian: !self.root.big_endian,
                    ..self.root
                };
                if declared > 0x0100
                    && declared & 0xFF == 0
                    && swapped <= 0x0040
                    && other.read_tag([g0, g1, e0, e1]) != 0
                {
                    self.quirks.note_whole("byte order is not the transfer syntax's");
                    self.root = other;
                }
            }
            return self.root;
        };
        level.encoding
    }

    fn delimiter_among_elements(&mut self, tag: u32, level: Option<Level>) -> Result<Option<Token>, DataSetError> {
        match (tag, level) {
            (ITEM_DELIMITER, Some(level)) => {
                if !level.undefined {
                    self.quirks
                        .note("item delimiter in an item of known length in", level.tag);
                }
                self.position += 8;
                self.levels.pop();
                Ok(Some(Token::ItemEnd))
            }
            (ITEM | SEQUENCE_DELIMITER, Some(level)) => {
                self.quirks.note("no item delimiter in", level.tag);
                self.levels.pop();
                Ok(Some(Token::ItemEnd))
            }
            (ITEM_DELIMITER | SEQUENCE_DELIMITER, None) => {
                self.quirks.note_whole("a delimiter outside of any sequence");
                self.count()?;
                self.position += 8;
                Ok(None)
            }
            (ITEM, None) => self.item_without_sequence().map(|()| None),
            _ => Err(DataSetError::Malformed(format!(
                "{} stands where an element should",
                name(tag)
            ))),
        }
    }

    /// An item among the elements of the data set, its sequence's own element missing: nobody can tell what it belongs to.
    fn item_without_sequence(&mut self) -> Result<(), DataSetError> {
        self.quirks.note_whole("an item outside of any sequence is passed over");
        self.count()?;
        let bytes = self.feed.view(self.position, 8)?.first_chunk::<8>().copied();
        let Some([.., l0, l1, l2, l3]) = bytes else {
            return Err(truncated(ITEM));
        };
        let length = self.root.read_u32([l0, l1, l2, l3]);
        self.position += 8;
        if length != UNDEFINED {
            self.position += u64::from(length);
        }
        if self.position > self.source_end() {
            Err(truncated(ITEM))
        } else {
            Ok(())
        }
    }

    /// A value points behind the end of its item. Where the data set itself goes on that far, the item's length is what is
    /// wrong. False when the data set is to be ended here.
    fn reaches_beyond(&mut self, tag: u32, value_end: u64, in_item: bool) -> Result<bool, DataSetError> {
        let source_end = self.source_end();
        if value_end <= source_end {
            if in_item {
                self.quirks.note("an item is shorter than its element", tag);
            }
            for level in &mut self.levels {
                level.end = level.end.max(value_end);
            }
            return Ok(true);
        }
        if !in_item && tag == TRAILING_PADDING {
            self.quirks.note("cut value of", tag);
            self.position = source_end;
            return Ok(false);
        }
        Err(truncated(tag))
    }

    /// What follows the pixel data and is no element is garbage.
    fn stray_rest(&mut self) -> Token {
        self.quirks.note_whole("stray bytes after the last element");
        if let Some(total) = self.feed.length() {
            self.position = total;
        }
        Token::End
    }

    fn only_zeros_follow(&mut self) -> Result<bool, DataSetError> {
        let mut position = self.position;
        loop {
            let bytes = self.feed.view(position, 4096)?;
            if bytes.is_empty() {
                return Ok(true);
            }
            if bytes.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            position += bytes.len() as u64;
        }
    }

    fn push(&mut self, level: Level) -> Result<(), DataSetError> {
        if self.levels.len() >= 2 * MAX_NESTING {
            return Err(DataSetError::Limit("64 sequences within each other"));
        }
        self.levels.push(level);
        Ok(())
    }

    fn undefined_length(
        &mut self,
        tag: u32,
        head: &Head,
        offset: u64,
        encoding: Encoding,
    ) -> Result<Token, DataSetError> {
        let binary = matches!(&head.vr, b"OB" | b"OD" | b"OF" | b"OL" | b"OV" | b"OW") || tag == PIXEL_DATA;
        self.position = offset;
        if binary {
            return self.read_fragments(tag, head, offset, encoding);
        }
        if !matches!(&head.vr, b"SQ" | b"UN") {
            self.quirks.note("undefined length of", tag);
        }
        // PS3.5 §6.2.2 note 4: the inside of a UN of undefined length is implicit VR little endian.
        let inside = if head.written == Some(*b"UN") {
            Encoding::IMPLICIT_LITTLE
        } else {
            encoding
        };
        let end = self.levels.last().map_or_else(|| self.source_end(), |level| level.end);
        self.push(Level {
            kind: Kind::Sequence,
            tag,
            end,
            undefined: true,
            encoding: inside,
            fresh: false,
        })?;
        Ok(Token::SequenceStart(tag))
    }

    /// A sequence of known length; `None` when its value begins with no item, so that it is none.
    fn sequence_of_length(
        &mut self,
        tag: u32,
        head: &Head,
        offset: u64,
        length: u64,
        encoding: Encoding,
    ) -> Result<Option<Token>, DataSetError> {
        let inside = if head.written == Some(*b"UN") {
            Encoding::IMPLICIT_LITTLE
        } else {
            encoding
        };
        if length > 0 {
            let begins_with_item = match self.feed.view(offset, 4)?.first_chunk::<4>() {
                Some(first) => {
                    let little = Encoding::IMPLICIT_LITTLE.read_tag(*first);
                    let big = Encoding::EXPLICIT_BIG.read_tag(*first);
                    [little, big]
                        .iter()
                        .any(|tag| matches!(*tag, ITEM | SEQUENCE_DELIMITER))
                }
                None => return Err(truncated(tag)),
            };
            if !begins_with_item {
                self.quirks.note("a sequence without items is kept as bytes:", tag);
                return Ok(None);
            }
        }
        self.position = offset;
        let level = Level {
            kind: Kind::Sequence,
            tag,
            end: offset + length,
            undefined: false,
            encoding: inside,
            fresh: false,
        };
        self.push(level)?;
        Ok(Some(Token::SequenceStart(tag)))
    }

    /// One step of the inside of a sequence.
    fn next_item(&mut self) -> Result<Option<Token>, DataSetError> {
        let Some(level) = self.levels.last().copied() else {
            return Ok(None);
        };
        if self.position >= level.end {
            if level.undefined {
                if self.feed.length() == Some(self.position) {
                    return Err(truncated(level.tag));
                }
                self.quirks.note("no sequence delimiter in", level.tag);
            }
            self.levels.pop();
            return Ok(Some(Token::SequenceEnd));
        }
        let head = self.feed.view(self.position, 8)?.first_chunk::<8>().copied();
        let Some([t0, t1, t2, t3, l0, l1, l2, l3]) = head.filter(|_| level.end - self.position >= 8) else {
            if level.undefined || head.is_none() {
                return Err(truncated(level.tag));
            }
            self.quirks.note("stray bytes at the end of", level.tag);
            self.position = level.end;
            return Ok(None);
        };
        let mut encoding = level.encoding;
        let mut tag = encoding.read_tag([t0, t1, t2, t3]);
        let swapped = Encoding {
            big_endian: !encoding.big_endian,
            ..encoding
        };
        if tag >> 16 != 0xFFFE
            && matches!(
                swapped.read_tag([t0, t1, t2, t3]),
                ITEM | SEQUENCE_DELIMITER | ITEM_DELIMITER
            )
        {
            self.quirks.note("other byte order inside", level.tag);
            encoding = swapped;
            tag = encoding.read_tag([t0, t1, t2, t3]);
            if let Some(level) = self.levels.last_mut() {
                level.encoding = encoding;
            }
        }
        match tag {
            ITEM => {
                self.count()?;
                self.position += 8;
                self.start_item(&level, encoding, encoding.read_u32([l0, l1, l2, l3]))
                    .map(Some)
            }
            SEQUENCE_DELIMITER => {
                if !level.undefined {
                    self.quirks
                        .note("sequence delimiter in a sequence of known length in", level.tag);
                }
                self.position += 8;
                if !level.undefined && self.position < level.end {
                    self.position = level.end;
                }
                self.levels.pop();
                Ok(Some(Token::SequenceEnd))
            }
            ITEM_DELIMITER => {
                self.quirks.note("an item delimiter outside of an item in", level.tag);
                self.count()?;
                self.position += 8;
                Ok(None)
            }
            _ if level.undefined => {
                self.quirks.note("no sequence delimiter in", level.tag);
                self.levels.pop();
                Ok(Some(Token::SequenceEnd))
            }
            _ => {
                self.quirks.note("stray bytes at the end of", level.tag);
                self.position = level.end;
                Ok(None)
            }
        }
    }

    fn start_item(&mut self, sequence: &Level, encoding: Encoding, length: u32) -> Result<Token, DataSetError> {
        let undefined = length == UNDEFINED;
        let mut end = if undefined {
            sequence.end
        } else {
            self.position + u64::from(length)
        };
        if end > sequence.end {
            if end > self.source_end() {
                return Err(truncated(sequence.tag));
            }
            self.quirks.note("an item is longer than its sequence", sequence.tag);
            for level in &mut self.levels {
                level.end = level.end.max(end);
            }
            end = end.min(self.source_end());
        }
        self.push(Level {
            kind: Kind::Item,
            tag: sequence.tag,
            end,
            undefined,
            encoding,
            fresh: true,
        })?;
        Ok(Token::ItemStart)
    }

    /// Reads the items of an encapsulated value (PS3.5 §A.4).
    fn read_fragments(
        &mut self,
        tag: u32,
        head: &Head,
        offset: u64,
        encoding: Encoding,
    ) -> Result<Token, DataSetError> {
        self.fragments.clear();
        let end = self.levels.last().map_or_else(|| self.source_end(), |level| level.end);
        let value_end = loop {
            let bytes = self.feed.view(self.position, 8)?;
            let Some([t0, t1, t2, t3, l0, l1, l2, l3]) = bytes.first_chunk::<8>().copied() else {
                let (rest, zeros) = (bytes.len() as u64, bytes.iter().all(|byte| *byte == 0));
                if self.fragments.len() > 1 && zeros {
                    self.quirks.note("no sequence delimiter in", tag);
                    let value_end = self.position;
                    self.position = self.source_end().min(self.position + rest);
                    break value_end;
                }
                return Err(truncated(tag));
            };
            match encoding.read_tag([t0, t1, t2, t3]) {
                ITEM => {}
                SEQUENCE_DELIMITER => {
                    let value_end = self.position;
                    self.position += 8;
                    break value_end;
                }
                _ if self.fragments.len() > 1 => {
                    self.quirks.note("no sequence delimiter in", tag);
                    break self.position;
                }
                other => {
                    return Err(DataSetError::Malformed(format!(
                        "{} among the fragments of {}",
                        name(other),
                        name(tag)
                    )));
                }
            }
            let length = encoding.read_u32([l0, l1, l2, l3]);
            let next = self.position + 8 + u64::from(length);
            if length == UNDEFINED || next > self.source_end() {
                return Err(truncated(tag));
            }
            if self.fragments.len() >= MAX_FRAGMENTS {
                return Err(DataSetError::Limit("4 194 304 fragments"));
            }
            self.fragments.push(Fragment {
                offset: self.position,
                length,
            });
            self.position = next;
        };
        if value_end > end {
            for level in &mut self.levels {
                level.end = level.end.max(value_end);
            }
        }
        let place = Place {
            tag,
            vr: head.vr,
            offset,
            length: value_end - offset,
            big_endian: encoding.big_endian,
            implicit: !head.explicit,
        };
        Ok(Token::Fragments(place))
    }

    /// Reads VR and length; tells what was meant where they are not as the encoding has them.
    fn read_head(
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
    fn fits(&self, tag: u32, head_length: u64, length: u32, encoding: Encoding, end: u64) -> bool {
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
            vr::Shape::Words(size) => head.length % u32::from(size) == 0 && !vr::is_bulk(vr),
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
        let value = bytes::Bytes::copy_from_slice(value);
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

/// A tag as the standard prints it.
pub(crate) fn name(tag: u32) -> String {
    format!("({:04X},{:04X})", tag >> 16, tag & 0xFFFF)
}

fn truncated(tag: u32) -> DataSetError {
    DataSetError::Truncated(name(tag))
}
