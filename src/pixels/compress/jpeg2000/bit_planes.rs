//! The embedded block coder of JPEG 2000 (ISO 15444-1 Annex D): bit-planes in three passes, by context.
#![expect(
    clippy::indexing_slicing,
    reason = "places stay within a block that has a margin of one on every side"
)]

use super::Block;
use super::mq::{Encoder, RUN, UNIFORM};

const SIGNIFICANT: u8 = 1;
const NEGATIVE: u8 = 2;
const VISITED: u8 = 4;
const REFINED: u8 = 8;

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
    /// A margin of one on every side.
    flags: Vec<u8>,
    width: usize,
    height: usize,
    stride: usize,
    zero_contexts: [u8; 45],
    mq: Encoder,
}

/// Encodes a block of `width` × `height` coefficients, at least one of them not zero.
pub fn encode(coefficients: &[i32], width: usize, height: usize, orientation: Orientation) -> Block {
    let stride = width + 2;
    let mut flags = vec![0u8; stride * (height + 2)];
    for (index, &coefficient) in coefficients.iter().enumerate() {
        if coefficient < 0 {
            flags[(index / width + 1) * stride + index % width + 1] = NEGATIVE;
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
        zero_contexts: zero_contexts(orientation),
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
                    if self.flags[at] & SIGNIFICANT != 0 {
                        continue;
                    }
                    let context = self.zero_context(at);
                    if context == 0 {
                        continue;
                    }
                    let bit = self.bit(row, column, plane);
                    self.mq.put(context, bit);
                    if bit {
                        self.sign(at);
                        self.flags[at] |= SIGNIFICANT;
                    }
                    self.flags[at] |= VISITED;
                }
            }
        }
    }

    fn refinement(&mut self, plane: u32) {
        for top in (0..self.height).step_by(4) {
            for column in 0..self.width {
                for row in top..(top + 4).min(self.height) {
                    let at = self.at(row, column);
                    if self.flags[at] & (SIGNIFICANT | VISITED) != SIGNIFICANT {
                        continue;
                    }
                    let context = if self.flags[at] & REFINED != 0 {
                        16
                    } else if self.zero_context(at) != 0 {
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

    fn cleanup(&mut self, plane: u32) {
        for top in (0..self.height).step_by(4) {
            for column in 0..self.width {
                let mut row = top;
                let end = (top + 4).min(self.height);
                if end - top == 4 && (top..end).all(|row| self.is_quiet(row, column)) {
                    let first = (top..end).position(|row| self.bit(row, column, plane));
                    self.mq.put(RUN, first.is_some());
                    let Some(first) = first else { continue };
                    self.mq.put(UNIFORM, first & 2 != 0);
                    self.mq.put(UNIFORM, first & 1 != 0);
                    row = top + first;
                    let at = self.at(row, column);
                    self.sign(at);
                    self.flags[at] |= SIGNIFICANT;
                    row += 1;
                }
                while row < end {
                    let at = self.at(row, column);
                    if self.flags[at] & (SIGNIFICANT | VISITED) == 0 {
                        let context = self.zero_context(at);
                        let bit = self.bit(row, column, plane);
                        self.mq.put(context, bit);
                        if bit {
                            self.sign(at);
                            self.flags[at] |= SIGNIFICANT;
                        }
                    }
                    row += 1;
                }
            }
        }
        for flags in &mut self.flags {
            *flags &= !VISITED;
        }
    }

    fn at(&self, row: usize, column: usize) -> usize {
        (row + 1) * self.stride + column + 1
    }

    fn bit(&self, row: usize, column: usize, plane: u32) -> bool {
        self.magnitudes[row * self.width + column] >> plane & 1 == 1
    }

    /// Neither coded in this plane nor next to anything significant.
    fn is_quiet(&self, row: usize, column: usize) -> bool {
        let at = self.at(row, column);
        self.flags[at] & (SIGNIFICANT | VISITED) == 0 && self.zero_context(at) == 0
    }

    fn significant(&self, at: usize) -> usize {
        usize::from(self.flags[at] & SIGNIFICANT)
    }

    #[inline(always)]
    fn zero_context(&self, at: usize) -> usize {
        let (up, down) = (at - self.stride, at + self.stride);
        let across = self.significant(at - 1) + self.significant(at + 1);
        let along = self.significant(up) + self.significant(down);
        let diagonal = self.significant(up - 1)
            + self.significant(up + 1)
            + self.significant(down - 1)
            + self.significant(down + 1);
        usize::from(self.zero_contexts[(across * 3 + along) * 5 + diagonal])
    }

    /// Encodes the sign (Tables D.2 and D.3).
    fn sign(&mut self, at: usize) {
        let contribution = |one: usize, other: usize| {
            let of = |at: usize| match self.flags[at] & (SIGNIFICANT | NEGATIVE) {
                SIGNIFICANT => 1i32,
                0 | NEGATIVE => 0,
                _ => -1,
            };
            (of(one) + of(other)).signum()
        };
        let across = contribution(at - 1, at + 1);
        let along = contribution(at - self.stride, at + self.stride);
        let (context, flip) = match (across, along) {
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
    }
}

/// The contexts of Table D.1, by the significant neighbours across (0–2), along (0–2) and diagonal (0–4).
fn zero_contexts(orientation: Orientation) -> [u8; 45] {
    let mut contexts = [0; 45];
    for (index, context) in contexts.iter_mut().enumerate() {
        let (across, along, diagonal) = (index / 15, index / 5 % 3, index % 5);
        let (first, second) = match orientation {
            Orientation::Horizontal => (along, across),
            _ => (across, along),
        };
        *context = match (orientation, first, second, diagonal) {
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
    }
    contexts
}
