//! JSON (RFC 8259), a token at a time and without recursion.

use std::borrow::Cow;

use super::super::DataSetError;

/// A position in a JSON text.
pub(super) struct Tokens<'a> {
    bytes: &'a [u8],
    position: usize,
}

/// A value that is no object and no array.
#[derive(Debug, PartialEq)]
pub(super) enum Scalar<'a> {
    Text(Cow<'a, str>),
    /// As it stands.
    Number(&'a str),
    Null,
    Boolean,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        Self { bytes, position: 0 }
    }

    /// The next byte that is no white space, not yet consumed; 0 at the end.
    pub(super) fn peek(&mut self) -> u8 {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.bytes.get(self.position) {
            self.position += 1;
        }
        self.bytes.get(self.position).copied().unwrap_or(0)
    }

    pub(super) fn at_end(&mut self) -> bool {
        self.peek() == 0 && self.position >= self.bytes.len()
    }

    /// Consumes a byte of punctuation where it stands next.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == byte;
        if found {
            self.position += 1;
        }
        found
    }

    /// Consumes a byte of punctuation that must stand next.
    pub(super) fn expect(&mut self, byte: u8) -> Result<(), DataSetError> {
        if self.take(byte) {
            Ok(())
        } else {
            Err(self.error(&format!("'{}' expected", char::from(byte))))
        }
    }

    /// After one member or value: true when another follows, false when the closing byte was consumed.
    pub(super) fn more(&mut self, closing: u8) -> Result<bool, DataSetError> {
        if self.take(b',') {
            return Ok(true);
        }
        self.expect(closing)?;
        Ok(false)
    }

    /// The name of the next member, and its colon.
    pub(super) fn key(&mut self) -> Result<Cow<'a, str>, DataSetError> {
        let key = self.text()?;
        self.expect(b':')?;
        Ok(key)
    }

    pub(super) fn text(&mut self) -> Result<Cow<'a, str>, DataSetError> {
        self.expect(b'"')?;
        let start = self.position;
        let mut escaped = false;
        loop {
            match self.bytes.get(self.position) {
                None => return Err(self.error("a string is not closed")),
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.position += 2;
                }
                Some(0..=0x1F) => return Err(self.error("a control character in a string")),
                Some(_) => self.position += 1,
            }
        }
        let inside = self.bytes.get(start..self.position).unwrap_or_default();
        self.position += 1;
        if escaped {
            let quoted = self.bytes.get(start - 1..self.position).unwrap_or_default();
            return serde_json::from_slice::<String>(quoted)
                .map(Cow::Owned)
                .map_err(|_| self.error("a string is unusable"));
        }
        std::str::from_utf8(inside)
            .map(Cow::Borrowed)
            .map_err(|_| self.error("a string is not UTF-8"))
    }

    pub(super) fn scalar(&mut self) -> Result<Scalar<'a>, DataSetError> {
        match self.peek() {
            b'"' => self.text().map(Scalar::Text),
            b'-' | b'0'..=b'9' => self.number().map(Scalar::Number),
            b'n' => self.word(b"null", Scalar::Null),
            b't' => self.word(b"true", Scalar::Boolean),
            b'f' => self.word(b"false", Scalar::Boolean),
            _ => Err(self.error("a value expected")),
        }
    }

    fn word(&mut self, word: &[u8], scalar: Scalar<'a>) -> Result<Scalar<'a>, DataSetError> {
        if !self.bytes.get(self.position..).unwrap_or_default().starts_with(word) {
            return Err(self.error("a value expected"));
        }
        self.position += word.len();
        Ok(scalar)
    }

    fn number(&mut self) -> Result<&'a str, DataSetError> {
        let start = self.position;
        while let Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9') = self.bytes.get(self.position) {
            self.position += 1;
        }
        let text = self
            .bytes
            .get(start..self.position)
            .and_then(|bytes| std::str::from_utf8(bytes).ok());
        text.filter(|text| text.parse::<f64>().is_ok())
            .ok_or_else(|| self.error("a number is unusable"))
    }

    /// Passes over the next value, whatever it is.
    pub(super) fn skip(&mut self) -> Result<(), DataSetError> {
        let mut depth = 0usize;
        loop {
            match self.peek() {
                b'{' | b'[' => {
                    depth += 1;
                    self.position += 1;
                }
                b'}' | b']' if depth > 0 => {
                    depth -= 1;
                    self.position += 1;
                }
                b',' | b':' if depth > 0 => {
                    self.position += 1;
                    continue;
                }
                _ => {
                    self.scalar()?;
                }
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// The text of the member `name` of the object whose inside begins here, found without moving.
    pub(super) fn look_ahead(&self, name: &str) -> Result<Option<Cow<'a, str>>, DataSetError> {
        let mut ahead = Self {
            bytes: self.bytes,
            position: self.position,
        };
        if ahead.peek() == b'}' {
            return Ok(None);
        }
        loop {
            if ahead.key()? == name {
                return ahead.text().map(Some);
            }
            ahead.skip()?;
            if !ahead.more(b'}')? {
                return Ok(None);
            }
        }
    }

    pub(super) fn error(&self, what: &str) -> DataSetError {
        DataSetError::Malformed(format!("{what} at byte {} of the JSON text", self.position))
    }
}
