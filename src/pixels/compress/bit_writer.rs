//! Bits, most significant first, with the stuffing of JPEG or of JPEG-LS.

/// What follows a byte of FF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stuffing {
    /// A byte of zero (ISO 10918-1 §F.1.2.3).
    Byte,
    /// A bit of zero (ISO 14495-1 §A.1).
    Bit,
}

/// Writes bits behind what is there.
pub struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    held: u64,
    count: u32,
    stuffing: Stuffing,
    after_ff: bool,
}

impl<'a> BitWriter<'a> {
    /// Begins at a byte.
    pub fn new(out: &'a mut Vec<u8>, stuffing: Stuffing) -> Self {
        Self {
            out,
            held: 0,
            count: 0,
            stuffing,
            after_ff: false,
        }
    }

    /// Writes the lowest `count` bits, at most 32.
    #[inline(always)]
    pub fn put(&mut self, value: u32, count: u32) {
        if count == 0 {
            return;
        }
        let value = u64::from(value) & ((1u64 << count) - 1);
        self.held |= value << (64 - self.count - count);
        self.count += count;
        while self.count >= 8 {
            self.byte();
        }
    }

    /// Writes so many zeros and a one.
    pub fn unary(&mut self, zeros: u32) {
        let mut left = zeros;
        while left >= 16 {
            self.put(0, 16);
            left -= 16;
        }
        self.put(1, left + 1);
    }

    fn byte(&mut self) {
        let bits = if self.stuffing == Stuffing::Bit && self.after_ff {
            7
        } else {
            8
        };
        let byte = (self.held >> (64 - bits)) as u8;
        self.held <<= bits;
        self.count = self.count.saturating_sub(bits);
        self.out.push(byte);
        self.after_ff = byte == 0xFF;
        if self.after_ff && self.stuffing == Stuffing::Byte {
            self.out.push(0);
        }
    }

    /// Fills the last byte: with ones in JPEG, with zeros in JPEG-LS, where FF must not end the data.
    pub fn finish(mut self) {
        if self.stuffing == Stuffing::Byte && self.count > 0 {
            self.put(0x7F, 8 - self.count);
            return;
        }
        if self.count > 0 {
            self.byte();
        }
        if self.stuffing == Stuffing::Bit && self.after_ff {
            self.byte();
        }
    }
}
