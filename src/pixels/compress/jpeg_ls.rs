//! JPEG-LS (ISO 14495-1, Annex A): lossless and near-lossless, one component a scan, by line or by sample.
#![expect(
    clippy::indexing_slicing,
    reason = "columns stay below the width of lines that were allocated with a margin of one on both sides, contexts are \
              below 365 by construction"
)]

use super::bit_writer::{BitWriter, Stuffing};
use super::{CompressError, cells};
use crate::decode::{
    Frame,
    jpeg_ls::{Presets, RUN_ORDER, RegularContext, RunContext, Thresholds},
};

/// How components follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// One component a scan.
    Apart,
    /// Line by line.
    Line,
    /// Sample by sample.
    Sample,
}

/// Compresses a frame of 2 to 16 bits. `near`: how far a sample may come out from what it was; 0 loses nothing.
///
/// # Errors
/// [`CompressError::Unsupported`].
pub fn compress(frame: &Frame, near: u8, order: Order) -> Result<Vec<u8>, CompressError> {
    let unsupported = |what: &str| CompressError::Unsupported("JPEG-LS", what.to_owned());
    let cells = cells(frame).ok_or_else(|| unsupported("samples of more than 16 bits"))?;
    let (Ok(rows), Ok(columns)) = (u16::try_from(frame.rows), u16::try_from(frame.columns)) else {
        return Err(unsupported("more than 65535 rows or columns"));
    };
    let components = frame.samples_per_pixel as usize;
    let precision = frame.bits_stored.clamp(2, 16) as u8;
    let parameters =
        Thresholds::new(precision, near, Presets::default()).map_err(|error| unsupported(&error.to_string()))?;
    let mut out = Vec::with_capacity(cells.len());
    out.extend_from_slice(&[0xFF, 0xD8, 0xFF, 0xF7]);
    out.extend_from_slice(&(8 + 3 * components as u16).to_be_bytes());
    out.push(precision);
    out.extend_from_slice(&rows.to_be_bytes());
    out.extend_from_slice(&columns.to_be_bytes());
    out.push(components as u8);
    (1..=components as u8).for_each(|id| out.extend_from_slice(&[id, 0x11, 0]));
    let all: Vec<usize> = (0..components).collect();
    let scans: Vec<&[usize]> = if order == Order::Apart || components == 1 {
        all.chunks(1).collect()
    } else {
        vec![&all]
    };
    for scan in scans {
        let interleave = match order {
            _ if scan.len() == 1 => 0,
            Order::Line => 1,
            _ => 2,
        };
        out.extend_from_slice(&[0xFF, 0xDA]);
        out.extend_from_slice(&(6 + 2 * scan.len() as u16).to_be_bytes());
        out.push(scan.len() as u8);
        scan.iter()
            .for_each(|component| out.extend_from_slice(&[*component as u8 + 1, 0]));
        out.extend_from_slice(&[near, interleave, 0]);
        let mut model = Model::new(parameters);
        let mut bits = BitWriter::new(&mut out, Stuffing::Bit);
        model.scan(
            &mut bits,
            &cells,
            usize::from(columns),
            components,
            scan,
            interleave == 2,
        );
        bits.finish();
    }
    out.extend_from_slice(&[0xFF, 0xD9]);
    if out.len() % 2 == 1 {
        out.push(0);
    }
    Ok(out)
}

struct Model {
    parameters: Thresholds,
    regions: Vec<i8>,
    regular: Vec<RegularContext>,
    run: [RunContext; 2],
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
        }
    }

    fn scan(
        &mut self,
        bits: &mut BitWriter<'_>,
        cells: &[u16],
        columns: usize,
        stride: usize,
        components: &[usize],
        by_sample: bool,
    ) {
        let count = components.len();
        let mut above = vec![vec![0i32; columns + 2]; count];
        let mut current = vec![vec![0i32; columns + 2]; count];
        let mut run_index = vec![0usize; count];
        for row in cells.chunks_exact(columns * stride) {
            for ((above, current), component) in above.iter_mut().zip(&mut current).zip(components) {
                above[columns + 1] = above[columns];
                current[0] = above[1];
                for (cell, value) in current[1..=columns]
                    .iter_mut()
                    .zip(row.iter().skip(*component).step_by(stride))
                {
                    *cell = i32::from(*value);
                }
            }
            if by_sample {
                self.samples(bits, &above, &mut current, &mut run_index[0], columns);
            } else {
                for ((above, current), run_index) in above.iter().zip(&mut current).zip(&mut run_index) {
                    self.line(bits, above, current, run_index, columns);
                }
            }
            std::mem::swap(&mut above, &mut current);
        }
    }

    fn context(&self, ra: i32, rb: i32, rc: i32, rd: i32) -> i32 {
        let t3 = self.parameters.gradients[2];
        let region = |gradient: i32| i32::from(self.regions[(gradient.clamp(-t3, t3) + t3) as usize]);
        region(rd - rb) * 81 + region(rb - rc) * 9 + region(rc - ra)
    }

    /// A line of one component; `current` holds the samples and, behind the column, what a decoder will have.
    fn line(
        &mut self,
        bits: &mut BitWriter<'_>,
        above: &[i32],
        current: &mut [i32],
        run_index: &mut usize,
        columns: usize,
    ) {
        let near = self.parameters.near;
        let mut column = 1;
        while column <= columns {
            let (ra, rb, rc, rd) = (current[column - 1], above[column], above[column - 1], above[column + 1]);
            let context = self.context(ra, rb, rc, rd);
            if context != 0 {
                current[column] = self.regular(bits, context, current[column], ra, rb, rc);
                column += 1;
                continue;
            }
            let run = current[column..=columns]
                .iter()
                .take_while(|value| (**value - ra).abs() <= near)
                .count();
            current[column..column + run].fill(ra);
            column += run;
            put_run(bits, run, run_index, column > columns);
            if column > columns {
                break;
            }
            let (sample, up) = (current[column], above[column]);
            let kind = usize::from((ra - up).abs() <= near);
            current[column] = self.interruption(bits, kind, *run_index, sample, ra, up);
            *run_index = run_index.saturating_sub(1);
            column += 1;
        }
    }

    fn samples(
        &mut self,
        bits: &mut BitWriter<'_>,
        above: &[Vec<i32>],
        current: &mut [Vec<i32>],
        run_index: &mut usize,
        columns: usize,
    ) {
        let near = self.parameters.near;
        let mut column = 1;
        while column <= columns {
            let contexts: Vec<i32> = above
                .iter()
                .zip(current.iter())
                .map(|(above, current)| {
                    self.context(current[column - 1], above[column], above[column - 1], above[column + 1])
                })
                .collect();
            if contexts.iter().any(|context| *context != 0) {
                for (context, (above, current)) in contexts.iter().zip(above.iter().zip(current.iter_mut())) {
                    let (ra, rb, rc) = (current[column - 1], above[column], above[column - 1]);
                    current[column] = self.regular(bits, *context, current[column], ra, rb, rc);
                }
                column += 1;
                continue;
            }
            let run = (column..=columns)
                .take_while(|place| {
                    current
                        .iter()
                        .all(|line| (line[*place] - line[column - 1]).abs() <= near)
                })
                .count();
            for line in current.iter_mut() {
                let value = line[column - 1];
                line[column..column + run].fill(value);
            }
            column += run;
            put_run(bits, run, run_index, column > columns);
            if column > columns {
                break;
            }
            for (above, line) in above.iter().zip(current.iter_mut()) {
                let (sample, ra, up) = (line[column], line[column - 1], above[column]);
                line[column] = self.interruption(bits, 0, *run_index, sample, ra, up);
            }
            *run_index = run_index.saturating_sub(1);
            column += 1;
        }
    }

    /// §A.4, §A.5; returns what a decoder will have.
    fn regular(&mut self, bits: &mut BitWriter<'_>, context: i32, sample: i32, ra: i32, rb: i32, rc: i32) -> i32 {
        let sign = if context < 0 { -1 } else { 1 };
        let place = context.unsigned_abs() as usize;
        let entry = self.regular[place];
        let order = entry.order();
        let prediction = if rc >= ra.max(rb) {
            ra.min(rb)
        } else if rc <= ra.min(rb) {
            ra.max(rb)
        } else {
            ra + rb - rc
        };
        let prediction = (prediction + sign * entry.c).clamp(0, self.parameters.maximum);
        let (error, value) = self.quantize(sign * (sample - prediction), prediction, sign);
        let inverted = self.parameters.near == 0 && order == 0 && 2 * entry.b <= -entry.n;
        let mapped = match (inverted, error >= 0) {
            (true, true) => 2 * error + 1,
            (true, false) => -2 * (error + 1),
            (false, true) => 2 * error,
            (false, false) => -2 * error - 1,
        };
        self.golomb(bits, mapped, order, self.parameters.limit);
        self.regular[place].update(error, &self.parameters);
        value
    }

    /// An error as it is coded, and the sample that comes of it.
    fn quantize(&self, error: i32, prediction: i32, sign: i32) -> (i32, i32) {
        let Thresholds {
            near, range, maximum, ..
        } = self.parameters;
        let step = 2 * near + 1;
        let quantized = if error > 0 {
            (error + near) / step
        } else {
            -((near - error) / step)
        };
        let value = (prediction + sign * quantized * step).clamp(0, maximum);
        let mut error = quantized;
        if error < 0 {
            error += range;
        }
        if error >= (range + 1) / 2 {
            error -= range;
        }
        (error, value)
    }

    fn golomb(&self, bits: &mut BitWriter<'_>, mapped: i32, order: u32, limit: u32) {
        let longest = limit - self.parameters.bits - 1;
        let mapped = mapped as u32;
        if mapped >> order < longest {
            bits.unary(mapped >> order);
            bits.put(mapped, order);
        } else {
            bits.unary(longest);
            bits.put(mapped - 1, self.parameters.bits);
        }
    }

    /// §A.7.2.
    fn interruption(
        &mut self,
        bits: &mut BitWriter<'_>,
        kind: usize,
        run_index: usize,
        sample: i32,
        ra: i32,
        up: i32,
    ) -> i32 {
        let (prediction, sign) = if kind == 1 {
            (ra, 1)
        } else {
            (up, if ra > up { -1 } else { 1 })
        };
        let (error, value) = self.quantize(sign * (sample - prediction), prediction, sign);
        let entry = self.run[kind];
        let order = entry.order();
        let mostly_negative = 2 * entry.negative >= entry.n;
        let map = (order == 0 && error > 0 && !mostly_negative) || (error < 0 && (mostly_negative || order != 0));
        let mapped = 2 * error.abs() - entry.kind - i32::from(map);
        let limit = self.parameters.limit - u32::from(RUN_ORDER[run_index & 31]) - 1;
        self.golomb(bits, mapped, order, limit);
        self.run[kind].update(error, mapped, self.parameters.reset);
        value
    }
}

/// §A.7.1.
fn put_run(bits: &mut BitWriter<'_>, run: usize, run_index: &mut usize, ends_line: bool) {
    let mut left = run;
    while left >= 1 << RUN_ORDER[*run_index & 31] {
        bits.put(1, 1);
        left -= 1 << RUN_ORDER[*run_index & 31];
        *run_index = (*run_index + 1).min(31);
    }
    if ends_line {
        if left > 0 {
            bits.put(1, 1);
        }
    } else {
        bits.put(0, 1);
        bits.put(left as u32, u32::from(RUN_ORDER[*run_index & 31]));
    }
}
