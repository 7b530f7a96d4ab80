//! DCT processes (ISO 10918-1 Annexes F and G): sequential and progressive Huffman coding of 8 and 12 bits.
#![expect(
    clippy::indexing_slicing,
    reason = "block places are bounded by the block counts that the buffers were allocated to; a panic would be caught"
)]

use super::super::{DecodeError, FRAME_MAX_BYTES};
use super::bit_reader::BitReader;
use super::blocks::{BlockDecoder, ZIGZAG};
use super::huffman::Tables;
use super::idct;
use super::markers::{Head, Process, Scan, next_segment, read_scan};

/// One decoded component.
pub struct Plane {
    /// Samples of a row, whole blocks.
    pub stride: usize,
    /// Width that means something, in samples of the component.
    pub columns: usize,
    /// Height that means something.
    pub rows: usize,
    /// The samples, 0 to 2^precision − 1.
    pub samples: Vec<u16>,
}

struct Coefficients {
    blocks_across: usize,
    blocks_down: usize,
    /// Blocks in a scan of this component alone.
    own_across: usize,
    own_down: usize,
    values: Vec<i16>,
    quantization: Option<[u16; 64]>,
}

/// Decodes all scans and transforms them back.
///
/// # Errors
/// [`DecodeError`].
pub fn decode(stream: &[u8], head: &Head) -> Result<Vec<Plane>, DecodeError> {
    let h_max = head
        .components
        .iter()
        .map(|component| component.h)
        .max()
        .map_or(1, usize::from);
    let v_max = head
        .components
        .iter()
        .map(|component| component.v)
        .max()
        .map_or(1, usize::from);
    let (columns, rows) = (usize::from(head.columns), usize::from(head.rows));
    let (mcus_across, mcus_down) = (columns.div_ceil(8 * h_max), rows.div_ceil(8 * v_max));
    let total: usize = head
        .components
        .iter()
        .map(|component| mcus_across * mcus_down * usize::from(component.h) * usize::from(component.v) * 64)
        .sum();
    if total > FRAME_MAX_BYTES / 2 {
        return Err(DecodeError::TooLarge(total as u64 * 2));
    }
    let mut components: Vec<Coefficients> = head
        .components
        .iter()
        .map(|component| {
            let (h, v) = (usize::from(component.h), usize::from(component.v));
            Coefficients {
                blocks_across: mcus_across * h,
                blocks_down: mcus_down * v,
                own_across: (columns * h).div_ceil(h_max).div_ceil(8),
                own_down: (rows * v).div_ceil(v_max).div_ceil(8),
                values: vec![0; mcus_across * h * mcus_down * v * 64],
                quantization: None,
            }
        })
        .collect();
    let mut state = State {
        tables: Tables::default(),
        quantization: [None; 4],
        restart_interval: 0,
    };
    let mut at = head.start + 2;
    let mut scans = 0usize;
    loop {
        let segment = match next_segment(stream, at) {
            Ok(segment) => segment,
            // The end marker is often missing.
            Err(DecodeError::Truncated) if scans > 0 => break,
            Err(error) => return Err(error),
        };
        at = segment.end;
        match segment.marker {
            0xC4 => state.tables.define(segment.body)?,
            0xDB => state.define_quantization(segment.body)?,
            0xDD => {
                if let Some(&[high, low]) = segment.body.get(..2) {
                    state.restart_interval = usize::from(u16::from_be_bytes([high, low]));
                }
            }
            0xDA => {
                scans += 1;
                // A bound on work: a progressive stream has at most a few scans a coefficient and component.
                if scans > 1000 {
                    return Err(DecodeError::Damaged("more than 1000 scans".into()));
                }
                let scan = read_scan(segment.body, head)?;
                for component in &scan.components {
                    let table = head.components[component.index].table;
                    let latched = &mut components[component.index].quantization;
                    *latched = latched.or(state.quantization[usize::from(table)]);
                }
                let mut bits = BitReader::new(stream, at);
                state.scan(&mut bits, &scan, head, &mut components)?;
                at = bits.position();
            }
            0xD9 => break,
            _ => {}
        }
    }
    let size = |component: usize| {
        let (h, v) = (
            usize::from(head.components[component].h),
            usize::from(head.components[component].v),
        );
        ((columns * h).div_ceil(h_max), (rows * v).div_ceil(v_max))
    };
    components
        .iter()
        .enumerate()
        .map(|(index, component)| component.plane(head.precision, size(index)))
        .collect()
}

impl Coefficients {
    fn plane(&self, precision: u8, (columns, rows): (usize, usize)) -> Result<Plane, DecodeError> {
        let quantization = self
            .quantization
            .ok_or_else(|| DecodeError::Damaged("a component without scan or quantization".into()))?;
        let stride = self.blocks_across * 8;
        let mut samples = vec![0u16; stride * self.blocks_down * 8];
        for (index, block) in self.values.as_chunks::<64>().0.iter().enumerate() {
            let (across, down) = (index % self.blocks_across, index / self.blocks_across);
            let first = down * 8 * stride + across * 8;
            idct::transform(block, &quantization, precision, &mut samples[first..], stride);
        }
        Ok(Plane {
            stride,
            columns,
            rows,
            samples,
        })
    }
}

struct State {
    tables: Tables,
    quantization: [Option<[u16; 64]>; 4],
    restart_interval: usize,
}

impl State {
    fn define_quantization(&mut self, body: &[u8]) -> Result<(), DecodeError> {
        let mut rest = body;
        while let Some((&kind, after)) = rest.split_first() {
            let mut table = [0u16; 64];
            let width = if kind >> 4 == 0 { 1 } else { 2 };
            let (values, after) = after.split_at_checked(64 * width).ok_or(DecodeError::Truncated)?;
            for (place, value) in ZIGZAG.iter().zip(values.chunks_exact(width)) {
                table[usize::from(*place)] = value.iter().fold(0, |sum, byte| sum << 8 | u16::from(*byte));
            }
            self.quantization[usize::from(kind & 3)] = Some(table);
            rest = after;
        }
        Ok(())
    }

    fn scan(
        &self,
        bits: &mut BitReader<'_>,
        scan: &Scan,
        head: &Head,
        components: &mut [Coefficients],
    ) -> Result<(), DecodeError> {
        let progressive = head.process == Process::Progressive;
        if progressive
            && (scan.spectral_end > 63
                || scan.spectral_start > scan.spectral_end
                || (scan.spectral_start == 0) != (scan.spectral_end == 0)
                || scan.low > 13
                || (scan.spectral_start > 0 && scan.components.len() > 1))
        {
            return Err(DecodeError::Damaged("an unusable progressive scan".into()));
        }
        let mut blocks = BlockDecoder::new(&self.tables, scan, head.process);
        // Units that restarts count: blocks of the only component, or whole MCUs.
        let alone = scan.components.len() == 1;
        let (across, down) = match scan.components.as_slice() {
            [only] => (components[only.index].own_across, components[only.index].own_down),
            _ => {
                let first = scan.components[0].index;
                (
                    components[first].blocks_across / usize::from(head.components[first].h),
                    components[first].blocks_down / usize::from(head.components[first].v),
                )
            }
        };
        let mut until_restart = self.restart_interval;
        for y in 0..down {
            for x in 0..across {
                if self.restart_interval > 0 {
                    if until_restart == 0 {
                        bits.restart()?;
                        blocks.restart();
                        until_restart = self.restart_interval;
                    }
                    until_restart -= 1;
                }
                for (place, component) in scan.components.iter().enumerate() {
                    let (h, v) = if alone {
                        (1, 1)
                    } else {
                        let of = &head.components[component.index];
                        (usize::from(of.h), usize::from(of.v))
                    };
                    let coefficients = &mut components[component.index];
                    for block_y in 0..v {
                        for block_x in 0..h {
                            let block = (y * v + block_y) * coefficients.blocks_across + x * h + block_x;
                            let values = &mut coefficients.values[block * 64..block * 64 + 64];
                            blocks
                                .decode(bits, place, values)
                                .ok_or_else(|| DecodeError::Damaged("bits that are no Huffman code".into()))?;
                        }
                    }
                }
            }
            bits.check()?;
        }
        Ok(())
    }
}
