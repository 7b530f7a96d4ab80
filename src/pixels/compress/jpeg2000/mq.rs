//! The arithmetic encoder of JPEG 2000 (ISO 15444-1 Annex C.2).
#![expect(
    clippy::indexing_slicing,
    reason = "states are below 47 and contexts below 19 by construction"
)]

/// Number of contexts of the bit-plane coder.
pub const CONTEXTS: usize = 19;
/// The context of run lengths.
pub const RUN: usize = 17;
/// The context of bits that are as often one as zero.
pub const UNIFORM: usize = 18;

/// Probability estimate, next state after the more and after the less probable symbol, and whether the two change places
/// (Table C.2).
#[rustfmt::skip]
const STATES: [(u16, u8, u8, bool); 47] = [
    (0x5601, 1, 1, true), (0x3401, 2, 6, false), (0x1801, 3, 9, false), (0x0AC1, 4, 12, false), (0x0521, 5, 29, false),
    (0x0221, 38, 33, false), (0x5601, 7, 6, true), (0x5401, 8, 14, false), (0x4801, 9, 14, false), (0x3801, 10, 14, false),
    (0x3001, 11, 17, false), (0x2401, 12, 18, false), (0x1C01, 13, 20, false), (0x1601, 29, 21, false),
    (0x5601, 15, 14, true), (0x5401, 16, 14, false), (0x5101, 17, 15, false), (0x4801, 18, 16, false),
    (0x3801, 19, 17, false), (0x3401, 20, 18, false), (0x3001, 21, 19, false), (0x2801, 22, 19, false),
    (0x2401, 23, 20, false), (0x2201, 24, 21, false), (0x1C01, 25, 22, false), (0x1801, 26, 23, false),
    (0x1601, 27, 24, false), (0x1401, 28, 25, false), (0x1201, 29, 26, false), (0x1101, 30, 27, false),
    (0x0AC1, 31, 28, false), (0x09C1, 32, 29, false), (0x08A1, 33, 30, false), (0x0521, 34, 31, false),
    (0x0441, 35, 32, false), (0x02A1, 36, 33, false), (0x0221, 37, 34, false), (0x0141, 38, 35, false),
    (0x0111, 39, 36, false), (0x0085, 40, 37, false), (0x0049, 41, 38, false), (0x0025, 42, 39, false),
    (0x0015, 43, 40, false), (0x0009, 44, 41, false), (0x0005, 45, 42, false), (0x0001, 45, 43, false),
    (0x5601, 46, 46, false),
];

/// Writes decisions.
pub struct Encoder {
    out: Vec<u8>,
    interval: u32,
    code: u32,
    shifts: u32,
    /// State and more probable symbol of each context.
    contexts: [(u8, bool); CONTEXTS],
}

impl Encoder {
    /// Begins a segment with the contexts as Table D.7 says.
    pub fn new() -> Self {
        let mut contexts = [(0, false); CONTEXTS];
        contexts[0].0 = 4;
        contexts[RUN].0 = 3;
        contexts[UNIFORM].0 = 46;
        Self {
            // The place before the first byte, where a carry may not go.
            out: vec![0],
            interval: 0x8000,
            code: 0,
            shifts: 12,
            contexts,
        }
    }

    /// Encodes one decision.
    #[inline]
    pub fn put(&mut self, context: usize, bit: bool) {
        let (state, more_probable) = self.contexts[context];
        let (estimate, next_more, next_less, change) = STATES[usize::from(state)];
        let estimate = u32::from(estimate);
        self.interval -= estimate;
        if bit == more_probable {
            if self.interval & 0x8000 != 0 {
                self.code += estimate;
                return;
            }
            if self.interval < estimate {
                self.interval = estimate;
            } else {
                self.code += estimate;
            }
            self.contexts[context].0 = next_more;
        } else {
            if self.interval < estimate {
                self.code += estimate;
            } else {
                self.interval = estimate;
            }
            self.contexts[context] = (next_less, more_probable ^ change);
        }
        // As many shifts as bring the interval back to half, a byte each time that enough are together.
        let mut shifts = self.interval.leading_zeros() - 16;
        self.interval <<= shifts;
        while shifts >= self.shifts {
            self.code <<= self.shifts;
            shifts -= self.shifts;
            self.byte();
        }
        self.code <<= shifts;
        self.shifts -= shifts;
    }

    fn byte(&mut self) {
        let last = self.out.len() - 1;
        // A carry never goes beyond the first byte: twelve shifts come before it.
        if self.out[last] != 0xFF && self.code >= 0x800_0000 {
            self.out[last] += 1;
            self.code &= 0x7FF_FFFF;
        }
        if self.out[last] == 0xFF {
            self.out.push((self.code >> 20) as u8);
            self.code &= 0xF_FFFF;
            self.shifts = 7;
        } else {
            self.out.push((self.code >> 19) as u8);
            self.code &= 0x7_FFFF;
            self.shifts = 8;
        }
    }

    /// Ends the segment; no FF stands at its end.
    pub fn finish(mut self) -> Vec<u8> {
        let end = self.code + self.interval;
        self.code |= 0xFFFF;
        if self.code >= end {
            self.code -= 0x8000;
        }
        self.code <<= self.shifts;
        self.byte();
        self.code <<= self.shifts;
        self.byte();
        if self.out.last() == Some(&0xFF) {
            self.out.pop();
        }
        self.out.remove(0);
        self.out
    }
}
