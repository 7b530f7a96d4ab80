//! The byte forms of the index's rows and of the intake log's entries: variable-length integers and counted strings.
//!
//! Decoding checks every length against what remains, so that a damaged row is an error and never a wrong allocation.

/// Bytes that do not decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} does not decode")]
pub(crate) struct Undecodable(pub(crate) &'static str);

/// Appends values to a row.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(capacity),
        }
    }

    pub(crate) fn byte(&mut self, value: u8) -> &mut Self {
        self.bytes.push(value);
        self
    }

    /// Seven bits a byte, lowest first.
    pub(crate) fn number(&mut self, mut value: u64) -> &mut Self {
        while value >= 0x80 {
            self.bytes.push((value & 0x7F) as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
        self
    }

    /// Small absolute values take few bytes.
    pub(crate) fn signed(&mut self, value: i64) -> &mut Self {
        self.number(((value << 1) ^ (value >> 63)) as u64)
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    pub(crate) fn counted(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64).raw(bytes)
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.counted(text.as_bytes())
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads values from a row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decoder<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Decoder<'a> {
    /// `what` names the row in errors.
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    pub(crate) fn fail<T>(&self) -> Result<T, Undecodable> {
        Err(Undecodable(self.what))
    }

    pub(crate) fn raw(&mut self, length: usize) -> Result<&'a [u8], Undecodable> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Undecodable(self.what))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Undecodable> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Undecodable(self.what))?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Undecodable> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn number(&mut self) -> Result<u64, Undecodable> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        self.fail()
    }

    pub(crate) fn number_u32(&mut self) -> Result<u32, Undecodable> {
        u32::try_from(self.number()?).or_else(|_| self.fail())
    }

    /// A count of things that each take at least one byte of what remains.
    pub(crate) fn count(&mut self) -> Result<usize, Undecodable> {
        match usize::try_from(self.number()?) {
            Ok(count) if count <= self.rest.len() => Ok(count),
            _ => self.fail(),
        }
    }

    pub(crate) fn signed(&mut self) -> Result<i64, Undecodable> {
        let value = self.number()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    pub(crate) fn counted(&mut self) -> Result<&'a [u8], Undecodable> {
        let length = self.count()?;
        self.raw(length)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Undecodable> {
        std::str::from_utf8(self.counted()?).or_else(|_| self.fail())
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(value: u64, signed: i64, text: String) {
            let mut encoder = Encoder::default();
            encoder.number(value).signed(signed).text(&text);
            let bytes = encoder.finish();
            let mut decoder = Decoder::new(&bytes, "row");
            prop_assert_eq!(decoder.number().unwrap(), value);
            prop_assert_eq!(decoder.signed().unwrap(), signed);
            prop_assert_eq!(decoder.text().unwrap(), text);
            prop_assert!(decoder.is_at_end());
        }

        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let mut decoder = Decoder::new(&bytes, "row");
            let _ = decoder.counted();
            let _ = decoder.signed();
            let _ = decoder.text();
            let _ = decoder.count();
        }
    }
}
