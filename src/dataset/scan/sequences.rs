//! Sequences, items and fragments (PS3.5 §7.5 and annex A.4).

use super::{
    super::{DataSetError, transfer_syntax::Encoding},
    Fragment, ITEM, ITEM_DELIMITER, Kind, Level, PIXEL_DATA, Place, SEQUENCE_DELIMITER, Scanner, Token, UNDEFINED,
    head::Head,
    name, truncated,
};

/// Sequences within sequences (each with an item) beyond this are refused; the deepest of the standard have some ten.
const MAX_NESTING: usize = 64;
/// More fragments than this in one value are refused.
const MAX_FRAGMENTS: usize = 2 << 20;

impl Scanner<'_> {
    pub(super) fn undefined_length(
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
    pub(super) fn sequence_of_length(
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
    pub(super) fn next_item(&mut self) -> Result<Option<Token>, DataSetError> {
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
            // A value whose end is not told may have been cut between two fragments.
            let Some([t0, t1, t2, t3, l0, l1, l2, l3]) = bytes.first_chunk::<8>().copied() else {
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
                return Err(DataSetError::Limit("2 097 152 fragments"));
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

    fn push(&mut self, level: Level) -> Result<(), DataSetError> {
        if self.levels.len() >= 2 * MAX_NESTING {
            return Err(DataSetError::Limit("64 sequences within each other"));
        }
        self.levels.push(level);
        Ok(())
    }
}
