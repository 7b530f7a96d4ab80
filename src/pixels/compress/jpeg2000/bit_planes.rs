//! The embedded block coder of JPEG 2000 (ISO 15444-1 Annex D): bit-planes in three passes, by context.
#![expect(
    clippy::indexing_slicing,
    reason = "places stay within a block that has a margin of one on every side"
)]

use super::Block;
use super::mq::{Encoder, RUN, UNIFORM};

/// The lower byte of a flag word: which of the neighbours are significant, in this order.
const LEFT: u16 = 1;
const RIGHT: u16 = 2;
const UP: u16 = 4;
const DOWN: u16 = 8;
const UP_LEFT: u16 = 16;
const UP_RIGHT: u16 = 32;
const DOWN_LEFT: u16 = 64;
const DOWN_RIGHT: u16 = 128;
const NEIGHBOURS: u16 = 0xFF;
const SIGNIFICANT: u16 = 0x100;
const NEGATIVE: u16 = 0x200;
const VISITED: u16 = 0x400;
const REFINED: u16 = 0x800;

/// What a subband is high in, which decides what its neighbours say (Table D.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orientation {
    /// LL and LH.
    Vertical,
    /// HL.
    Horizontal,
    /// HH.
    Diagonal,
}

/// A block of coefficients on its way through the passes.
struct Coder<'a> {
    magnitudes: &'a [u32],
    /// A margin of one on every side. What is significant is told to the neighbours when it becomes so, which is rarer than that
    /// they are asked.
    flags: Vec<u16>,
    width: usize,
    height: usize,
    stride: usize,
    zero_contexts: &'static [u8; 256],
    mq: Encoder,
}

/// Encodes a block of `width` × `height` coefficients, at least one of them not zero.
pub fn encode(coefficients: &[i32], width: usize, height: usize, orientation: Orientation) -> Block {
    let stride = width + 2;
    let mut flags = vec![0u16; stride * (height + 2)];
    for (line, row) in flags
        .chunks_exact_mut(stride)
        .skip(1)
        .zip(coefficients.chunks_exact(width))
    {
        for (flag, &coefficient) in line.iter_mut().skip(1).zip(row) {
            if coefficient < 0 {
                *flag = NEGATIVE;
            }
        }
    }
    let magnitudes: Vec<u32> = coefficients.iter().map(|value| value.unsigned_abs()).collect();
    let planes = 32
        - magnitudes
            .iter()
            .fold(0, |all, magnitude| all | magnitude)
            .leading_zeros();
    let mut coder = Coder {
        magnitudes: &magnitudes,
        flags,
        width,
        height,
        stride,
        zero_contexts: match orientation {
            Orientation::Vertical => &VERTICAL,
            Orientation::Horizontal => &HORIZONTAL,
            Orientation::Diagonal => &DIAGONAL,
        },
        mq: Encoder::new(),
    };
    for plane in (0..planes).rev() {
        if plane + 1 < planes {
            coder.significance(plane);
            coder.refinement(plane);
        }
        coder.cleanup(plane);
    }
    Block {
        bytes: coder.mq.finish(),
        passes: planes * 3 - 2,
        planes,
    }
}

impl Coder<'_> {
    fn significance(&mut self, plane: u32) {
        for top in (0..self.height).step_by(4) {
            for column in 0..self.width {
                for row in top..(top + 4).min(self.height) {
                    let at = self.at(row, column);
                    let flags = self.flags[at];
                    if flags & SIGNIFICANT != 0 || flags & NEIGHBOURS == 0 {
                        continue;
                    }
                    let bit = self.bit(row, column, plane);
                    self.mq.put(self.zero_context(flags), bit);
                    self.flags[at] |= VISITED;
                    if bit {
                        self.becomes_significant(at);
                    }
                }
            }
        }
    }

    fn refinement(&mut self, plane: u32) {
        for top in (0..self.height).step_by(4) {
            for column in 0..self.width {
                for row in top..(top + 4).min(self.height) {
                    let at = self.at(row, column);
                    let flags = self.flags[at];
                    if flags & (SIGNIFICANT | VISITED) != SIGNIFICANT {
                        continue;
                    }
                    let context = if flags & REFINED != 0 {
                        16
                    } else if flags & NEIGHBOURS != 0 {
                        15
                    } else {
                        14
                    };
                    let bit = self.bit(row, column, plane);
                    self.mq.put(context, bit);
                    self.flags[at] |= REFINED;
                }
            }
        }
    }

    /// Also ends the plane: what was visited in it is so no more.
    fn cleanup(&mut self, plane: u32) {
        for top in (0..self.height).step_by(4) {
            for column in 0..self.width {
                let mut row = top;
                let end = (top + 4).min(self.height);
                if end - top == 4 && (top..end).all(|row| self.is_quiet(self.at(row, column))) {
                    let first = (top..end).position(|row| self.bit(row, column, plane));
                    self.mq.put(RUN, first.is_some());
                    let Some(first) = first else { continue };
                    self.mq.put(UNIFORM, first & 2 != 0);
                    self.mq.put(UNIFORM, first & 1 != 0);
                    row = top + first;
                    self.becomes_significant(self.at(row, column));
                    row += 1;
                }
                while row < end {
                    let at = self.at(row, column);
                    let flags = self.flags[at];
                    if flags & (SIGNIFICANT | VISITED) == 0 {
                        let bit = self.bit(row, column, plane);
                        self.mq.put(self.zero_context(flags), bit);
                        if bit {
                            self.becomes_significant(at);
                        }
                    }
                    self.flags[at] &= !VISITED;
                    row += 1;
                }
            }
        }
    }

    #[inline(always)]
    fn at(&self, row: usize, column: usize) -> usize {
        (row + 1) * self.stride + column + 1
    }

    #[inline(always)]
    fn bit(&self, row: usize, column: usize, plane: u32) -> bool {
        self.magnitudes[row * self.width + column] >> plane & 1 == 1
    }

    /// Neither significant, nor coded in this plane, nor next to anything significant.
    #[inline(always)]
    fn is_quiet(&self, at: usize) -> bool {
        self.flags[at] & (SIGNIFICANT | VISITED | NEIGHBOURS) == 0
    }

    #[inline(always)]
    fn zero_context(&self, flags: u16) -> usize {
        usize::from(self.zero_contexts[usize::from(flags & NEIGHBOURS)])
    }

    /// Encodes the sign (Tables D.2 and D.3) and tells the neighbours.
    fn becomes_significant(&mut self, at: usize) {
        let (up, down) = (at - self.stride, at + self.stride);
        let contribution = |one: usize, other: usize| {
            let of = |at: usize| match self.flags[at] & (SIGNIFICANT | NEGATIVE) {
                SIGNIFICANT => 1i32,
                0 | NEGATIVE => 0,
                _ => -1,
            };
            (of(one) + of(other)).signum()
        };
        let (context, flip) = match (contribution(at - 1, at + 1), contribution(up, down)) {
            (1, 1) => (13, false),
            (1, 0) => (12, false),
            (1, _) => (11, false),
            (0, 1) => (10, false),
            (0, 0) => (9, false),
            (0, _) => (10, true),
            (_, 1) => (11, true),
            (_, 0) => (12, true),
            _ => (13, true),
        };
        let negative = self.flags[at] & NEGATIVE != 0;
        self.mq.put(context, negative ^ flip);
        self.flags[at] |= SIGNIFICANT;
        for (neighbour, of_it) in [
            (at - 1, RIGHT),
            (at + 1, LEFT),
            (up, DOWN),
            (down, UP),
            (up - 1, DOWN_RIGHT),
            (up + 1, DOWN_LEFT),
            (down - 1, UP_RIGHT),
            (down + 1, UP_LEFT),
        ] {
            self.flags[neighbour] |= of_it;
        }
    }
}

static VERTICAL: [u8; 256] = zero_contexts(Orientation::Vertical);
static HORIZONTAL: [u8; 256] = zero_contexts(Orientation::Horizontal);
static DIAGONAL: [u8; 256] = zero_contexts(Orientation::Diagonal);

/// The contexts of Table D.1, by the significant neighbours.
const fn zero_contexts(orientation: Orientation) -> [u8; 256] {
    let mut contexts = [0; 256];
    let mut neighbours = 0u16;
    while neighbours < 256 {
        let across = (neighbours & (LEFT | RIGHT)).count_ones();
        let along = (neighbours & (UP | DOWN)).count_ones();
        let diagonal = (neighbours & (UP_LEFT | UP_RIGHT | DOWN_LEFT | DOWN_RIGHT)).count_ones();
        let (first, second) = match orientation {
            Orientation::Horizontal => (along, across),
            _ => (across, along),
        };
        contexts[neighbours as usize] = match (orientation, first, second, diagonal) {
            (Orientation::Diagonal, ..) => match (diagonal, across + along) {
                (3.., _) => 8,
                (2, 1..) => 7,
                (2, _) => 6,
                (1, 2..) => 5,
                (1, 1) => 4,
                (1, _) => 3,
                (_, 2..) => 2,
                (_, 1) => 1,
                _ => 0,
            },
            (_, 2, _, _) => 8,
            (_, 1, 1.., _) => 7,
            (_, 1, _, 1..) => 6,
            (_, 1, _, _) => 5,
            (_, _, 2, _) => 4,
            (_, _, 1, _) => 3,
            (_, _, _, 2..) => 2,
            (_, _, _, 1) => 1,
            _ => 0,
        };
        neighbours += 1;
    }
    contexts
}
