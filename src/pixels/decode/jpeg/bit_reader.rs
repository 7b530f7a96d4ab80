//! Bits of entropy-coded data, stuffed bytes removed (ISO 10918-1 §F.2.2.5).

use super::super::DecodeError;

/// Reads bits, most significant first. Beyond the data, or at a marker, zeros come; [`BitReader::check`] tells of it.
pub struct BitReader<'a> {
    data: &'a [u8],
    at: usize,
    held: u64,
    count: u32,
    /// Bits of `held` that no data stood behind.
    invented: u32,
}

impl<'a> BitReader<'a> {
    /// Reads from `at`.
    pub fn new(data: &'a [u8], at: usize) -> Self {
        Self {
            data,
            at,
            held: 0,
            count: 0,
            invented: 0,
        }
    }

    #[inline(always)]
    fn refill(&mut self) {
        if let Some(next) = self.data.get(self.at..).and_then(|rest| rest.first_chunk::<4>()) {
            let word = u32::from_be_bytes(*next);
            // No byte is FF when the complement has no zero byte.
            let complement = !word;
            if complement.wrapping_sub(0x0101_0101) & !complement & 0x8080_8080 == 0 {
                self.held |= u64::from(word) << (32 - self.count);
                self.count += 32;
                self.at += 4;
                return;
            }
        }
        self.refill_slowly();
    }

    #[cold]
    fn refill_slowly(&mut self) {
        while self.count <= 32 {
            let byte = match self.data.get(self.at) {
                Some(0xFF) => match self.data.get(self.at + 1) {
                    Some(0) => {
                        self.at += 2;
                        0xFF
                    }
                    _ => {
                        self.invented += 8;
                        0
                    }
                },
                Some(&byte) => {
                    self.at += 1;
                    byte
                }
                None => {
                    self.invented += 8;
                    0
                }
            };
            self.held |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    /// The next 16 bits, not taken. At least 32 bits are at hand afterwards.
    #[inline(always)]
    pub fn peek16(&mut self) -> u32 {
        if self.count < 32 {
            self.refill();
        }
        (self.held >> 48) as u32
    }

    /// Takes up to 16 bits of those peeked.
    #[inline(always)]
    pub fn skip(&mut self, count: u32) {
        self.held <<= count;
        self.count -= count;
    }

    /// Takes up to 16 bits.
    #[inline(always)]
    pub fn take(&mut self, count: u32) -> u32 {
        if self.count < count {
            self.refill();
        }
        let value = (self.held >> 32 >> (32 - count)) as u32;
        self.skip(count);
        value
    }

    /// Takes up to 16 bits right after a symbol, when at least 16 are at hand.
    #[inline(always)]
    pub fn take_after_symbol(&mut self, count: u32) -> u32 {
        let value = (self.held >> 32 >> (32 - count)) as u32;
        self.skip(count);
        value
    }

    /// Takes one bit.
    #[inline(always)]
    pub fn bit(&mut self) -> u32 {
        self.take(1)
    }

    /// Refuses when bits were taken that no data stood behind.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn check(&self) -> Result<(), DecodeError> {
        if self.invented > self.count {
            Err(DecodeError::Truncated)
        } else {
            Ok(())
        }
    }

    /// Drops what is left of this interval and goes on after the next restart marker.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when another marker, or the end, comes first.
    pub fn restart(&mut self) -> Result<(), DecodeError> {
        self.check()?;
        (self.held, self.count, self.invented) = (0, 0, 0);
        loop {
            match (self.data.get(self.at), self.data.get(self.at + 1)) {
                (Some(0xFF), Some(0xD0..=0xD7)) => {
                    self.at += 2;
                    return Ok(());
                }
                (Some(0xFF), Some(0 | 0xFF)) | (Some(0..=0xFE), Some(_)) => self.at += 1,
                _ => return Err(DecodeError::Truncated),
            }
        }
    }

    /// Where the data that were not yet taken into the buffer begin: the place from which to look for the next marker.
    pub fn position(&self) -> usize {
        // Whole bytes may have been read ahead, but never past a marker.
        self.at
    }
}
