//! Huffman coding of blocks (ISO 10918-1 Annex F.1.2).
#![expect(
    clippy::indexing_slicing,
    reason = "tables have an entry for every value that their index is cut to"
)]

use super::tables::Kind;

/// A code and its length in bits.
type Code = (u32, u32);

/// The codes of a kind of component.
pub struct Codes {
    dc: [Code; 16],
    ac: [Code; 256],
}

impl Codes {
    /// As Annex C makes them of lengths and symbols.
    pub fn of(kind: &Kind) -> Self {
        let mut codes = Self {
            dc: [(0, 0); 16],
            ac: [(0, 0); 256],
        };
        assign(&kind.dc_lengths, &kind.dc_symbols(), &mut codes.dc);
        assign(&kind.ac_lengths, &kind.ac_symbols(), &mut codes.ac);
        codes
    }
}

fn assign(lengths: &[u8; 16], symbols: &[u8], codes: &mut [Code]) {
    let (mut code, mut symbols) = (0, symbols.iter());
    for (length, &count) in (1u32..).zip(lengths) {
        for &symbol in symbols.by_ref().take(usize::from(count)) {
            codes[usize::from(symbol)] = (code, length);
            code += 1;
        }
        code <<= 1;
    }
}

/// Writes codes, most significant bit first, eight bytes at a time.
pub struct Writer {
    out: Vec<u8>,
    /// The lowest `64 - free` bits wait.
    waiting: u64,
    free: u32,
}

impl Writer {
    /// Writes behind what is there.
    pub fn new(out: Vec<u8>) -> Self {
        Self {
            out,
            waiting: 0,
            free: 64,
        }
    }

    /// At most 32 bits.
    #[inline(always)]
    fn put(&mut self, bits: u32, length: u32) {
        if length < self.free {
            self.waiting = self.waiting << length | u64::from(bits);
            self.free -= length;
            return;
        }
        let over = length - self.free;
        // Between one and 32 bits are free here.
        let full = self.waiting << self.free | u64::from(bits >> over);
        self.eight(full);
        // What has left already is shifted out by what comes.
        self.waiting = u64::from(bits);
        self.free = 64 - over;
    }

    #[inline(always)]
    fn eight(&mut self, bytes: u64) {
        let has_ff = bytes & 0x8080_8080_8080_8080 & !bytes.wrapping_add(0x0101_0101_0101_0101) != 0;
        if has_ff {
            bytes.to_be_bytes().into_iter().for_each(|byte| self.byte(byte));
        } else {
            self.out.extend_from_slice(&bytes.to_be_bytes());
        }
    }

    /// A zero is stuffed behind what would be a marker.
    fn byte(&mut self, byte: u8) {
        self.out.push(byte);
        if byte == 0xFF {
            self.out.push(0);
        }
    }

    /// A coefficient or difference of a size: its code, then its bits, of a negative one those of one less.
    #[inline(always)]
    fn value(&mut self, (code, length): Code, value: i32, size: u32) {
        let bits = (value + (value >> 31)) as u32 & ((1 << size) - 1);
        self.put(code << size | bits, length + size);
    }

    /// Writes a block in the order of coding; `before` is the first coefficient of the component's last block. Gives its own.
    #[inline(never)]
    pub fn block(&mut self, coefficients: &[i16; 64], before: i32, codes: &Codes) -> i32 {
        let first = i32::from(coefficients[0]);
        let size = size(first - before);
        self.value(codes.dc[size as usize & 15], first - before, size);
        let mut left = 0u64;
        for (group, eight) in coefficients.as_chunks::<8>().0.iter().enumerate() {
            let mut bits = 0u64;
            for (place, coefficient) in eight.iter().enumerate() {
                bits |= u64::from(*coefficient != 0) << place;
            }
            left |= bits << (group * 8);
        }
        left &= !1;
        let mut last = 0;
        while left != 0 {
            let at = left.trailing_zeros();
            left &= left - 1;
            let mut run = at - last - 1;
            while run > 15 {
                let (code, length) = codes.ac[0xF0];
                self.put(code, length);
                run -= 16;
            }
            let value = i32::from(coefficients[at as usize & 63]);
            let size = self::size(value);
            self.value(codes.ac[(run << 4 | size) as usize & 255], value, size);
            last = at;
        }
        if last < 63 {
            let (code, length) = codes.ac[0];
            self.put(code, length);
        }
        first
    }

    /// Fills the last byte with ones and ends the stream.
    pub fn finish(mut self) -> Vec<u8> {
        let spare = self.free % 8;
        self.put((1 << spare) - 1, spare);
        let waiting = 64 - self.free;
        // Shifted in two steps, since there may be nothing.
        let bytes = (self.waiting << (self.free / 2) << (self.free - self.free / 2)).to_be_bytes();
        bytes
            .into_iter()
            .take(waiting as usize / 8)
            .for_each(|byte| self.byte(byte));
        self.out.extend_from_slice(&[0xFF, 0xD9]);
        self.out
    }
}

/// Bits of a magnitude.
#[inline(always)]
fn size(value: i32) -> u32 {
    32 - value.unsigned_abs().leading_zeros()
}
