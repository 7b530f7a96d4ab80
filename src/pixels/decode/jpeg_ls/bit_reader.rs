//! Bits of JPEG-LS data: after a byte of FF the next byte holds seven (ISO 14495-1 §A.1).

use super::super::DecodeError;

/// Reads bits, most significant first. Beyond the data zeros come; [`BitReader::check`] tells of it.
pub struct BitReader<'a> {
    data: &'a [u8],
    at: usize,
    held: u64,
    count: u32,
    invented: u32,
    after_ff: bool,
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
            after_ff: false,
        }
    }

    /// Brings at least 32 bits to hand.
    #[inline(always)]
    fn refill(&mut self) {
        if !self.after_ff
            && let Some(next) = self.data.get(self.at..).and_then(|rest| rest.first_chunk::<4>())
        {
            let word = u32::from_be_bytes(*next);
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
        while self.count <= 48 {
            let (byte, bits) = match (self.data.get(self.at), self.data.get(self.at + 1)) {
                // A set bit after FF is a marker: the data end before the FF.
                (Some(0xFF), Some(0x80..)) | (Some(0xFF), None) | (None, _) => {
                    self.invented += 8;
                    (0, 8)
                }
                (Some(&byte), _) => {
                    self.at += 1;
                    (byte, if self.after_ff { 7 } else { 8 })
                }
            };
            self.after_ff = byte == 0xFF;
            self.held |= u64::from(byte) << (64 - bits) >> self.count;
            self.count += bits;
        }
    }

    /// Takes up to 32 bits.
    #[inline(always)]
    pub fn take(&mut self, count: u32) -> u32 {
        if self.count < count {
            self.refill();
        }
        let value = (self.held >> 32 >> (32 - count)) as u32;
        self.held <<= count;
        self.count -= count;
        value
    }

    /// Counts zeros up to a one, which is taken too; `None` beyond `limit`.
    #[inline(always)]
    pub fn zeros(&mut self, limit: u32) -> Option<u32> {
        let mut zeros = 0;
        loop {
            if self.count < 32 {
                self.refill();
            }
            let leading = self.held.leading_zeros();
            if leading < self.count {
                // Up to 63 places, in two shifts since the last may be the 64th.
                self.held = self.held << leading << 1;
                self.count -= leading + 1;
                zeros += leading;
                return (zeros <= limit).then_some(zeros);
            }
            zeros += self.count;
            (self.held, self.count) = (0, 0);
            if zeros > limit {
                return None;
            }
        }
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
    /// [`DecodeError::Truncated`].
    pub fn restart(&mut self) -> Result<(), DecodeError> {
        self.check()?;
        (self.held, self.count, self.invented, self.after_ff) = (0, 0, 0, false);
        loop {
            match (self.data.get(self.at), self.data.get(self.at + 1)) {
                (Some(0xFF), Some(0xD0..=0xD7)) => {
                    self.at += 2;
                    return Ok(());
                }
                (Some(0xFF), Some(0x80..=0xCF | 0xD8..=0xFE)) | (_, None) | (None, _) => {
                    return Err(DecodeError::Truncated);
                }
                _ => self.at += 1,
            }
        }
    }

    /// Where to look for the next marker.
    pub fn position(&self) -> usize {
        self.at
    }
}
