//! The high-throughput block coder (ISO 15444-15 Clause 7): one cleanup pass that codes all bit-planes of a block, in quads
//! of 2 × 2 coefficients, into three streams: magnitudes and signs, run lengths of what is empty, and significance patterns.
#![expect(
    clippy::indexing_slicing,
    reason = "tables are indexed by bit patterns of their width; columns stay within lines with a margin on both sides"
)]

use std::sync::LazyLock;

use super::{Block, vlc_tables};

/// By context, pattern and which exponents reach the largest: codeword (8 bits), length (4), E^k (4).
static CODES: LazyLock<[Box<[u16; 2048]>; 2]> =
    LazyLock::new(|| [codes(&vlc_tables::FIRST_ROW), codes(&vlc_tables::OTHER_ROWS)]);

/// Encodes a block of `width` × `height` coefficients, at least one of them not zero.
pub fn encode(coefficients: &[i32], width: usize, height: usize) -> Block {
    let mut streams = Streams::default();
    // Exponents of the line above the quads, with a margin of one before and three behind.
    let mut above = vec![0u32; width + 4];
    let mut below = vec![0u32; width + 4];
    debug_assert_eq!(coefficients.len(), width * height);
    for (index, rows) in coefficients.chunks(width * 2).enumerate() {
        let row = QuadRow {
            upper: &rows[..width],
            lower: rows.get(width..).unwrap_or_default(),
            is_first: index == 0,
        };
        row.encode(width, &above, &mut below, &mut streams);
        std::mem::swap(&mut above, &mut below);
    }
    Block {
        bytes: streams.finish(),
        passes: 1,
        planes: 1,
    }
}

struct QuadRow<'a> {
    upper: &'a [i32],
    lower: &'a [i32],
    is_first: bool,
}

/// One quad: exponents and what the magnitude stream takes of each sample, in the order of the standard: down, then right.
#[derive(Default, Clone, Copy)]
struct Quad {
    significant: u32,
    exponents: [u32; 4],
    values: [u32; 4],
}

impl QuadRow<'_> {
    fn encode(&self, width: usize, above: &[u32], below: &mut [u32], streams: &mut Streams) {
        let table = &CODES[usize::from(!self.is_first)];
        let mut left = 0;
        for pair in (0..width).step_by(4) {
            let mut offsets = [0u32; 2];
            for (which, offset) in offsets.iter_mut().enumerate() {
                let column = pair + 2 * which;
                if column >= width {
                    break;
                }
                let quad = self.quad(column);
                below[column + 1] = quad.exponents[1];
                below[column + 2] = quad.exponents[3];
                // The line above, from the column before the quad to the one behind it.
                let line = [above[column], above[column + 1], above[column + 2], above[column + 3]];
                let context = if self.is_first {
                    (left >> 1) | (left & 1)
                } else {
                    u32::from((line[0] | line[1]) != 0)
                        | (u32::from(left & 0b1100 != 0) << 1)
                        | (u32::from((line[2] | line[3]) != 0) << 2)
                };
                let largest = quad.exponents.into_iter().max().unwrap_or_default();
                let expected = if !self.is_first && quad.significant.count_ones() > 1 {
                    line.into_iter().max().unwrap_or_default().max(2) - 1
                } else {
                    1
                };
                let bound = largest.max(expected);
                *offset = bound - expected;
                let mut reaching = 0;
                if *offset > 0 {
                    for (bit, exponent) in quad.exponents.iter().enumerate() {
                        reaching |= u32::from(*exponent == largest) << bit;
                    }
                }
                let code = u32::from(table[((context << 8) | (quad.significant << 4) | reaching) as usize]);
                streams.patterns.put(code >> 8, (code >> 4) & 7);
                if context == 0 {
                    streams.runs.put(quad.significant != 0);
                }
                for (bit, value) in quad.values.iter().enumerate() {
                    if (quad.significant >> bit) & 1 == 1 {
                        let count = bound - ((code >> bit) & 1);
                        streams.magnitudes.put(value & ((1 << count) - 1), count);
                    }
                }
                left = quad.significant;
            }
            self.offsets(offsets, streams);
        }
        below[width + 1..].fill(0);
    }

    fn quad(&self, column: usize) -> Quad {
        let mut quad = Quad::default();
        let samples = [
            self.upper.get(column),
            self.lower.get(column),
            self.upper.get(column + 1),
            self.lower.get(column + 1),
        ];
        for (index, sample) in samples.into_iter().enumerate() {
            let sample = sample.copied().unwrap_or_default();
            let magnitude = sample.unsigned_abs();
            if magnitude != 0 {
                quad.significant |= 1 << index;
                quad.exponents[index] = 32 - (2 * magnitude - 1).leading_zeros();
                quad.values[index] = 2 * (magnitude - 1) + u32::from(sample < 0);
            }
        }
        quad
    }

    /// The offsets of the exponent bounds of a pair of quads (Clause 7.3.6).
    fn offsets(&self, [first, second]: [u32; 2], streams: &mut Streams) {
        if !self.is_first {
            return streams.offsets(offset_code(first), offset_code(second));
        }
        if first > 0 && second > 0 {
            streams.runs.put(first.min(second) > 2);
        }
        if first > 2 && second > 2 {
            streams.offsets(offset_code(first - 2), offset_code(second - 2));
        } else if first > 2 && second > 0 {
            streams.offsets(offset_code(first), [(second - 1, 1), (0, 0)]);
        } else {
            streams.offsets(offset_code(first), offset_code(second));
        }
    }
}

/// Prefix and suffix of an offset, each with its length; offsets stay below 33 for samples of 16 bits.
fn offset_code(offset: u32) -> [(u32, u32); 2] {
    match offset {
        0 => [(0, 0), (0, 0)],
        1 => [(1, 1), (0, 0)],
        2 => [(2, 2), (0, 0)],
        3 | 4 => [(4, 3), (offset - 3, 1)],
        _ => [(0, 3), (offset - 5, 5)],
    }
}

/// Where several codes fit, the one that says most of the exponents.
fn codes(source: &[u32]) -> Box<[u16; 2048]> {
    let mut table = Box::new([0u16; 2048]);
    for (index, place) in table.iter_mut().enumerate() {
        let (context, pattern, reaching) = (index as u32 >> 8, (index as u32 >> 4) & 15, index as u32 & 15);
        let best = source
            .iter()
            .filter(|&entry| {
                let (known, ones) = ((entry >> 14) & 15, (entry >> 10) & 15);
                let has_offset = (entry >> 18) & 1 == 1;
                (entry >> 23, (entry >> 19) & 15, has_offset) == (context, pattern, reaching != 0)
                    && reaching & known == ones
            })
            .max_by_key(|&entry| ((entry >> 14) & 15).count_ones());
        if let Some(entry) = best {
            *place = ((((entry >> 3) & 127) << 8) | ((entry & 7) << 4) | ((entry >> 14) & 15)) as u16;
        }
    }
    table
}

#[derive(Default)]
struct Streams {
    magnitudes: Magnitudes,
    runs: Runs,
    patterns: Patterns,
}

impl Streams {
    fn offsets(&mut self, first: [(u32, u32); 2], second: [(u32, u32); 2]) {
        for part in 0..2 {
            self.patterns.put(first[part].0, first[part].1);
            self.patterns.put(second[part].0, second[part].1);
        }
    }

    /// Joins the streams: magnitudes, runs, patterns backwards; the last two bytes say where the runs begin (Clause 7.1.2).
    fn finish(mut self) -> Vec<u8> {
        self.runs.end();
        let runs_mask = (0xFFu32 << self.runs.left) & 0xFF;
        let runs_byte = (u32::from(self.runs.byte) << self.runs.left) & 0xFF;
        let patterns_mask = 0xFFu32 >> (8 - self.patterns.count);
        let patterns_byte = self.patterns.byte;
        if runs_mask | patterns_mask != 0 {
            let both = runs_byte | patterns_byte;
            let fits = (((both ^ runs_byte) & runs_mask) | ((both ^ patterns_byte) & patterns_mask)) == 0;
            self.runs
                .out
                .push(if fits && both != 0xFF && self.patterns.out.len() > 1 {
                    both as u8
                } else {
                    self.patterns.out.push(patterns_byte as u8);
                    runs_byte as u8
                });
        }
        let mut out = self.magnitudes.finish();
        let tail = self.runs.out.len() + self.patterns.out.len();
        out.extend_from_slice(&self.runs.out);
        out.extend(self.patterns.out.iter().rev());
        let length = out.len();
        out[length - 1] = (tail >> 4) as u8;
        out[length - 2] = (out[length - 2] & 0xF0) | (tail & 15) as u8;
        out
    }
}

/// Lowest bit first; behind FF comes a byte of seven bits.
#[derive(Default)]
struct Magnitudes {
    out: Vec<u8>,
    held: u64,
    count: u32,
}

impl Magnitudes {
    #[inline(always)]
    fn put(&mut self, value: u32, count: u32) {
        self.held |= u64::from(value) << self.count;
        self.count += count;
        while self.count >= self.room() {
            self.byte();
        }
    }

    fn room(&self) -> u32 {
        if self.out.last() == Some(&0xFF) { 7 } else { 8 }
    }

    fn byte(&mut self) {
        let room = self.room();
        self.out.push((self.held & ((1 << room) - 1)) as u8);
        self.held >>= room;
        self.count = self.count.saturating_sub(room);
    }

    /// Fills with ones; no FF stands at the end, a reader takes it for granted.
    fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.held |= u64::MAX << self.count;
            self.byte();
        }
        if self.out.last() == Some(&0xFF) {
            self.out.pop();
        }
        self.out
    }
}

/// Adaptive run lengths (Clause 7.3.3).
struct Runs {
    out: Vec<u8>,
    byte: u8,
    left: u32,
    run: u32,
    state: usize,
}

impl Default for Runs {
    fn default() -> Self {
        Self {
            out: Vec::new(),
            byte: 0,
            left: 8,
            run: 0,
            state: 0,
        }
    }
}

impl Runs {
    /// Bits of a run, by state.
    const EXPONENTS: [u32; 13] = [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5];

    fn put(&mut self, event: bool) {
        let exponent = Self::EXPONENTS[self.state];
        if event {
            self.bit(0);
            for bit in (0..exponent).rev() {
                self.bit(((self.run >> bit) & 1) as u8);
            }
            self.run = 0;
            self.state = self.state.saturating_sub(1);
            return;
        }
        self.run += 1;
        if self.run == 1 << exponent {
            self.bit(1);
            self.run = 0;
            self.state = (self.state + 1).min(12);
        }
    }

    fn bit(&mut self, bit: u8) {
        self.byte = (self.byte << 1) | bit;
        self.left -= 1;
        if self.left == 0 {
            self.left = if self.byte == 0xFF { 7 } else { 8 };
            self.out.push(self.byte);
            self.byte = 0;
        }
    }

    fn end(&mut self) {
        if self.run > 0 {
            self.bit(1);
        }
    }
}

/// Written backwards, lowest bit first; a byte of which seven bits are one, before one above 8F, has no eighth.
struct Patterns {
    out: Vec<u8>,
    byte: u32,
    count: u32,
    above_8f: bool,
}

impl Default for Patterns {
    fn default() -> Self {
        Self {
            out: vec![0xFF],
            byte: 0x0F,
            count: 4,
            above_8f: true,
        }
    }
}

impl Patterns {
    fn put(&mut self, value: u32, count: u32) {
        for index in 0..count {
            self.byte |= ((value >> index) & 1) << self.count;
            self.count += 1;
            if self.count == 8 || (self.count == 7 && self.above_8f && self.byte == 0x7F) {
                self.out.push(self.byte as u8);
                self.above_8f = self.byte > 0x8F;
                self.byte = 0;
                self.count = 0;
            }
        }
    }
}
