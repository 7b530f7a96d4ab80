//! What stands where it should not: ends that come early, delimiters out of place, bytes behind the last element.

use super::{
    super::{DataSetError, transfer_syntax::Encoding},
    ITEM, ITEM_DELIMITER, Level, PIXEL_DATA, SEQUENCE_DELIMITER, Scanner, TRAILING_PADDING, Token, UNDEFINED, name,
    truncated,
};

impl Scanner<'_> {
    pub(super) fn end_of_element_list(&mut self, level: Option<Level>) -> Result<Option<Token>, DataSetError> {
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
    pub(super) fn short_rest(&mut self, level: Option<Level>) -> Result<Option<Token>, DataSetError> {
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

    pub(super) fn delimiter_among_elements(
        &mut self,
        tag: u32,
        level: Option<Level>,
    ) -> Result<Option<Token>, DataSetError> {
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
    pub(super) fn reaches_beyond(&mut self, tag: u32, value_end: u64, in_item: bool) -> Result<bool, DataSetError> {
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
    pub(super) fn stray_rest(&mut self) -> Token {
        self.quirks.note_whole("stray bytes after the last element");
        if let Some(total) = self.feed.length() {
            self.position = total;
        }
        Token::End
    }

    pub(super) fn only_zeros_follow(&mut self) -> Result<bool, DataSetError> {
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

    /// The encoding of the element whose head this is; the first element of a data set shows its byte order.
    pub(super) fn encoding_here(&mut self, head: [u8; 8], at_root: bool) -> Encoding {
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
}
