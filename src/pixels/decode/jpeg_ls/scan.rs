//! Decoding of a scan (ISO 14495-1 Annex A, §A.8 run backwards).
#![expect(
    clippy::indexing_slicing,
    reason = "columns stay below the width of lines that were allocated with a margin of one on both sides, contexts are \
              below 365 by construction; a panic would be caught"
)]

use super::super::DecodeError;
use super::bit_reader::BitReader;
use super::context::{RUN_ORDER, RegularContext, RunContext, Thresholds};
use super::markers::Head;

/// How the components of a scan follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interleave {
    /// One component a scan.
    None,
    /// Line by line.
    Line,
    /// Sample by sample.
    Sample,
}

/// What a scan header says.
pub struct ScanPlan {
    /// Places in the frame header.
    pub components: Vec<usize>,
    /// ILV.
    pub interleave: Interleave,
    /// Point transform.
    pub shift: u32,
    /// The coding parameters.
    pub parameters: Thresholds,
    /// Lines between restart markers, 0 for none.
    pub restart_interval: usize,
}

struct Model {
    parameters: Thresholds,
    regions: Vec<i8>,
    regular: Vec<RegularContext>,
    run: [RunContext; 2],
    damaged: bool,
}

/// Decodes one scan into interleaved cells.
///
/// # Errors
/// [`DecodeError::Damaged`], [`DecodeError::Truncated`].
pub fn decode_scan(
    bits: &mut BitReader<'_>,
    plan: &ScanPlan,
    head: &Head,
    cells: &mut [u16],
) -> Result<(), DecodeError> {
    let (columns, stride, count) = (head.columns, head.components.len(), plan.components.len());
    let mut model = Model::new(plan.parameters);
    // A line has a sample before its first and one after its last column.
    let mut above = vec![vec![0i32; columns + 2]; count];
    let mut current = vec![vec![0i32; columns + 2]; count];
    let mut run_index = vec![0usize; count];
    for row in 0..head.rows {
        if plan.restart_interval > 0 && row > 0 && row % plan.restart_interval == 0 {
            bits.restart()?;
            model = Model::new(plan.parameters);
            above.iter_mut().chain(&mut current).for_each(|line| line.fill(0));
            run_index.fill(0);
        }
        for (above, current) in above.iter_mut().zip(&mut current) {
            above[columns + 1] = above[columns];
            current[0] = above[1];
        }
        if plan.interleave == Interleave::Sample {
            model.samples(bits, &above, &mut current, &mut run_index[0], columns);
        } else {
            for ((above, current), run_index) in above.iter().zip(&mut current).zip(&mut run_index) {
                model.line(bits, above, current, run_index, columns);
            }
        }
        if model.damaged {
            return Err(DecodeError::Damaged("a code that is too long".into()));
        }
        bits.check()?;
        let out = &mut cells[row * columns * stride..(row + 1) * columns * stride];
        for (line, component) in current.iter().zip(&plan.components) {
            for (cell, value) in out.iter_mut().skip(*component).step_by(stride).zip(&line[1..]) {
                *cell = (*value << plan.shift) as u16;
            }
        }
        std::mem::swap(&mut above, &mut current);
    }
    Ok(())
}

impl Model {
    fn new(parameters: Thresholds) -> Self {
        let a = parameters.initial_magnitude();
        Self {
            regions: parameters.regions(),
            regular: vec![RegularContext { a, b: 0, c: 0, n: 1 }; 365],
            run: [0, 1].map(|kind| RunContext {
                a,
                n: 1,
                negative: 0,
                kind,
            }),
            parameters,
            damaged: false,
        }
    }

    /// Signed context of three gradients; 0 is run mode.
    #[inline(always)]
    fn context(&self, ra: i32, rb: i32, rc: i32, rd: i32) -> i32 {
        let t3 = self.parameters.gradients[2];
        let region = |gradient: i32| i32::from(self.regions[(gradient.clamp(-t3, t3) + t3) as usize]);
        region(rd - rb) * 81 + region(rb - rc) * 9 + region(rc - ra)
    }

    fn line(
        &mut self,
        bits: &mut BitReader<'_>,
        above: &[i32],
        current: &mut [i32],
        run_index: &mut usize,
        columns: usize,
    ) {
        let (above, current) = (&above[..columns + 2], &mut current[..columns + 2]);
        let mut column = 1;
        let mut rb = above[0];
        let mut rd = above[1];
        let mut ra = current[0];
        while column <= columns {
            let rc = rb;
            rb = rd;
            rd = above[column + 1];
            let context = self.context(ra, rb, rc, rd);
            if context != 0 {
                ra = self.regular(bits, context, ra, rb, rc);
                current[column] = ra;
                column += 1;
                continue;
            }
            let run = self.run_length(bits, run_index, columns + 1 - column);
            current[column..column + run].fill(ra);
            column += run;
            if column > columns {
                break;
            }
            let up = above[column];
            let kind = usize::from((ra - up).abs() <= self.parameters.near);
            let error = self.interruption(bits, kind, *run_index);
            ra = if kind == 1 {
                self.reconstruct(ra, error)
            } else {
                self.reconstruct(up, if ra > up { -error } else { error })
            };
            *run_index = run_index.saturating_sub(1);
            current[column] = ra;
            rb = up;
            rd = above[column + 1];
            column += 1;
        }
    }

    /// A line of all components, sample by sample: a run runs in all of them.
    fn samples(
        &mut self,
        bits: &mut BitReader<'_>,
        above: &[Vec<i32>],
        current: &mut [Vec<i32>],
        run_index: &mut usize,
        columns: usize,
    ) {
        let mut column = 1;
        let mut contexts = [0i32; 4];
        while column <= columns {
            for (context, (above, current)) in contexts.iter_mut().zip(above.iter().zip(current.iter())) {
                *context = self.context(current[column - 1], above[column], above[column - 1], above[column + 1]);
            }
            if contexts.iter().take(current.len()).any(|&context| context != 0) {
                for (&context, (above, current)) in contexts.iter().zip(above.iter().zip(current.iter_mut())) {
                    current[column] =
                        self.regular(bits, context, current[column - 1], above[column], above[column - 1]);
                }
                column += 1;
                continue;
            }
            let run = self.run_length(bits, run_index, columns + 1 - column);
            for current in current.iter_mut() {
                let value = current[column - 1];
                current[column..column + run].fill(value);
            }
            column += run;
            if column > columns {
                break;
            }
            for (above, current) in above.iter().zip(current.iter_mut()) {
                let (ra, rb) = (current[column - 1], above[column]);
                let error = self.interruption(bits, 0, *run_index);
                current[column] = self.reconstruct(rb, if ra > rb { -error } else { error });
            }
            *run_index = run_index.saturating_sub(1);
            column += 1;
        }
    }

    /// §A.4 to §A.6.
    #[inline(always)]
    fn regular(&mut self, bits: &mut BitReader<'_>, context: i32, ra: i32, rb: i32, rc: i32) -> i32 {
        let sign = if context < 0 { -1 } else { 1 };
        let entry = self.regular[context.unsigned_abs() as usize];
        let order = entry.order();
        let prediction = if rc >= ra.max(rb) {
            ra.min(rb)
        } else if rc <= ra.min(rb) {
            ra.max(rb)
        } else {
            ra + rb - rc
        };
        let prediction = (prediction + sign * entry.c).clamp(0, self.parameters.maximum);
        let mapped = self.golomb(bits, order, self.parameters.limit);
        let mut error = (mapped >> 1) ^ -(mapped & 1);
        if self.parameters.near == 0 && order == 0 && 2 * entry.b <= -entry.n {
            error = !error;
        }
        self.regular[context.unsigned_abs() as usize].update(error, &self.parameters);
        self.reconstruct(prediction, sign * error)
    }

    /// §A.4.5 undone.
    #[inline(always)]
    fn reconstruct(&self, prediction: i32, error: i32) -> i32 {
        let Thresholds {
            near, range, maximum, ..
        } = self.parameters;
        let step = 2 * near + 1;
        let mut value = prediction + error * step;
        if value < -near {
            value += range * step;
        } else if value > maximum + near {
            value -= range * step;
        }
        value.clamp(0, maximum)
    }

    /// §A.5.3: a mapped error. An impossible code marks the model damaged.
    #[inline(always)]
    fn golomb(&mut self, bits: &mut BitReader<'_>, order: u32, limit: u32) -> i32 {
        let longest = limit - self.parameters.bits - 1;
        let mapped = match bits.zeros(longest) {
            Some(zeros) if zeros < longest => ((zeros << order) + bits.take(order)) as i32,
            Some(_) => bits.take(self.parameters.bits) as i32 + 1,
            None => i32::MAX,
        };
        if mapped > 2 * self.parameters.range {
            self.damaged = true;
            return 0;
        }
        mapped
    }

    /// §A.7.1: how many samples a run has, at most `left`.
    fn run_length(&mut self, bits: &mut BitReader<'_>, run_index: &mut usize, left: usize) -> usize {
        let mut length = 0;
        while bits.take(1) == 1 {
            let segment = 1usize << RUN_ORDER[*run_index & 31];
            let step = segment.min(left - length);
            length += step;
            if step == segment && *run_index < 31 {
                *run_index += 1;
            }
            if length == left {
                return length;
            }
        }
        length += bits.take(u32::from(RUN_ORDER[*run_index & 31])) as usize;
        if length > left {
            self.damaged = true;
        }
        // A run that is broken off ends before the end of the line.
        if length == left {
            self.damaged = true;
        }
        length.min(left)
    }

    /// §A.7.2: the error of the sample that ends a run.
    fn interruption(&mut self, bits: &mut BitReader<'_>, kind: usize, run_index: usize) -> i32 {
        let entry = self.run[kind];
        let order = entry.order();
        let limit = self.parameters.limit - u32::from(RUN_ORDER[run_index & 31]) - 1;
        let mapped = self.golomb(bits, order, limit);
        let error = entry.error_of(mapped + entry.kind, order);
        self.run[kind].update(error, mapped, self.parameters.reset);
        error
    }
}
