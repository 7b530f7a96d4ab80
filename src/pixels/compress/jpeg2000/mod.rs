//! JPEG 2000 (ISO 15444-1) and High-Throughput JPEG 2000 (ISO 15444-15), reversible: the 5/3 wavelet, the reversible colour
//! transform, one layer, resolution by resolution, so that viewers can show the front of a frame while the rest comes.
#![expect(
    clippy::indexing_slicing,
    reason = "bands lie within the plane that they were cut from"
)]

mod bit_planes;
mod high_throughput;
mod mq;
mod packet;
mod vlc_tables;
mod wavelet;

use super::{CompressError, cells};
use crate::{decode::Frame, pixel_description::Photometric};
use bit_planes::Orientation;
use packet::Band;

/// Side of a code-block.
const BLOCK_SIDE: usize = 64;
/// Side of a tile: a precinct, of which a resolution has one here, reaches no further.
const TILE_SIDE: usize = 1 << 15;
/// PS3.5 §10.18: a side of the smallest resolution that viewers show as a thumbnail.
const SMALLEST_SIDE: usize = 64;

/// How blocks are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockCoding {
    /// ISO 15444-1: smaller.
    BitPlanes,
    /// ISO 15444-15: ten times as fast.
    HighThroughput,
}

/// What a coder made of a block.
pub struct Block {
    bytes: Vec<u8>,
    passes: u32,
    /// Bit-planes that are not told to be missing.
    planes: u32,
}

/// Compresses a frame of up to 16 bits without loss. RGB goes through the reversible colour transform: what the object then
/// says its photometric interpretation is, YBR_RCT, is [`photometric`].
///
/// # Errors
/// [`CompressError::Unsupported`].
pub fn compress(frame: &Frame, coding: BlockCoding) -> Result<Vec<u8>, CompressError> {
    let unsupported = |what: &str| CompressError::Unsupported("JPEG 2000", what.to_owned());
    let cells = cells(frame).ok_or_else(|| unsupported("samples of more than 16 bits"))?;
    let (columns, rows) = (frame.columns as usize, frame.rows as usize);
    let count = frame.samples_per_pixel as usize;
    if columns == 0 || rows == 0 || count == 0 || cells.len() < columns * rows * count {
        return Err(unsupported("a frame without samples"));
    }
    let image = Image {
        cells: &cells,
        columns,
        rows,
        components: count,
        bits: frame.bits_stored.clamp(1, 16),
        signed: frame.signed,
        transformed: photometric(frame) == Photometric::YbrRct,
        levels: levels(columns.min(TILE_SIDE), rows.min(TILE_SIDE)),
        coding,
    };
    Ok(image.codestream())
}

/// The photometric interpretation that goes with the compressed frame (PS3.5 §8.2.4).
#[must_use]
pub fn photometric(frame: &Frame) -> Photometric {
    if frame.photometric == Photometric::Rgb && frame.samples_per_pixel == 3 && !frame.signed {
        Photometric::YbrRct
    } else {
        frame.photometric
    }
}

/// Halvings: five where the sides allow, more until the smaller side is no more than 64.
fn levels(columns: usize, rows: usize) -> u32 {
    let side = columns.min(rows).max(1);
    let wanted = side.div_ceil(SMALLEST_SIDE).next_power_of_two().ilog2();
    wanted.max(side.ilog2().min(5))
}

struct Image<'a> {
    cells: &'a [u16],
    columns: usize,
    rows: usize,
    components: usize,
    bits: u32,
    signed: bool,
    transformed: bool,
    levels: u32,
    coding: BlockCoding,
}

impl Image<'_> {
    fn codestream(&self) -> Vec<u8> {
        let mut tiles = Vec::new();
        for top in (0..self.rows).step_by(TILE_SIDE) {
            for left in (0..self.columns).step_by(TILE_SIDE) {
                tiles.push(self.tile(left, top));
            }
        }
        let mut out = Vec::with_capacity(tiles.iter().map(Vec::len).sum::<usize>() + 256);
        self.main_header(&tiles, &mut out);
        for (index, tile) in tiles.iter().enumerate() {
            // SOT: tile, length with the marker, tile-part 0 of 1; then SOD.
            out.extend_from_slice(&[0xFF, 0x90, 0, 10]);
            out.extend_from_slice(&(index as u16).to_be_bytes());
            out.extend_from_slice(&(tile.len() as u32 + 14).to_be_bytes());
            out.extend_from_slice(&[0, 1, 0xFF, 0x93]);
            out.extend_from_slice(tile);
        }
        out.extend_from_slice(&[0xFF, 0xD9]);
        if out.len() % 2 == 1 {
            out.push(0);
        }
        out
    }

    fn main_header(&self, tiles: &[Vec<u8>], out: &mut Vec<u8>) {
        let high_throughput = self.coding == BlockCoding::HighThroughput;
        // SOC, SIZ.
        out.extend_from_slice(&[0xFF, 0x4F, 0xFF, 0x51]);
        out.extend_from_slice(&(38 + 3 * self.components as u16).to_be_bytes());
        out.extend_from_slice(&if high_throughput { 0x4000u16 } else { 0 }.to_be_bytes());
        let side = TILE_SIDE as u32;
        let tile = [(self.columns as u32).min(side), (self.rows as u32).min(side)];
        for length in [self.columns as u32, self.rows as u32, 0, 0, tile[0], tile[1], 0, 0] {
            out.extend_from_slice(&length.to_be_bytes());
        }
        out.extend_from_slice(&(self.components as u16).to_be_bytes());
        let depth = (self.bits - 1) as u8 | (u8::from(self.signed) << 7);
        (0..self.components).for_each(|_| out.extend_from_slice(&[depth, 1, 1]));
        if high_throughput {
            // CAP: Part 15, reversible, blocks of high throughput only; how many magnitude bits there can be (A.3.15).
            let most = self.planes_max(Orientation::Diagonal, true);
            let capability = if most <= 8 { 0 } else { (most - 8).min(31) } as u16;
            out.extend_from_slice(&[0xFF, 0x50, 0, 8, 0, 2, 0, 0]);
            out.extend_from_slice(&capability.to_be_bytes());
        }
        // COD: RPCL, one layer, blocks of 64 × 64, the 5/3 wavelet.
        out.extend_from_slice(&[0xFF, 0x52, 0, 12, 0, 2, 0, 1, u8::from(self.transformed)]);
        let style = if high_throughput { 0x40 } else { 0 };
        out.extend_from_slice(&[self.levels as u8, 4, 4, style, 1]);
        // QCD: no quantization; an exponent for each subband.
        out.extend_from_slice(&[0xFF, 0x5C]);
        out.extend_from_slice(&(4 + 3 * self.levels as u16).to_be_bytes());
        out.push((self.guard_bits() as u8) << 5);
        let exponent = |gain: u32| ((self.range_bits() + gain) as u8) << 3;
        out.push(exponent(0));
        (0..self.levels).for_each(|_| out.extend_from_slice(&[exponent(1), exponent(1), exponent(2)]));
        // TLM: the lengths of the tiles, in their order.
        out.extend_from_slice(&[0xFF, 0x55]);
        out.extend_from_slice(&(4 + 4 * tiles.len() as u16).to_be_bytes());
        out.extend_from_slice(&[0, 0x40]);
        for tile in tiles {
            out.extend_from_slice(&(tile.len() as u32 + 14).to_be_bytes());
        }
    }

    /// Bits of a sample behind the colour transform, whose differences take one more.
    fn range_bits(&self) -> u32 {
        self.bits + u32::from(self.transformed)
    }

    /// The 5/3 wavelet at most doubles the lowest band and takes high ones to three and six times the range; a block of high
    /// throughput takes magnitudes up to half of what its bit-planes could hold.
    fn guard_bits(&self) -> u32 {
        match self.coding {
            BlockCoding::BitPlanes => 2,
            BlockCoding::HighThroughput => 3,
        }
    }

    fn planes_max(&self, orientation: Orientation, is_high: bool) -> u32 {
        let gain = match (orientation, is_high) {
            (Orientation::Diagonal, _) => 2,
            (_, true) => 1,
            _ => 0,
        };
        self.guard_bits() + self.range_bits() + gain - 1
    }

    fn tile(&self, left: usize, top: usize) -> Vec<u8> {
        let columns = TILE_SIDE.min(self.columns - left);
        let rows = TILE_SIDE.min(self.rows - top);
        let mut planes = self.planes(left, top, columns, rows);
        for plane in &mut planes {
            wavelet::forward(plane, columns, rows, self.levels);
        }
        let mut out = Vec::new();
        let mut scratch = Vec::new();
        for resolution in 0..=self.levels {
            for plane in &planes {
                let bands = self.bands(plane, columns, rows, resolution, &mut scratch);
                packet::write(&bands, &mut out);
            }
        }
        out
    }

    /// The components of a tile around zero, transformed where that is said.
    fn planes(&self, left: usize, top: usize, columns: usize, rows: usize) -> Vec<Vec<i32>> {
        let sign = 1i32 << (self.bits - 1);
        // Unsigned samples are shifted by half their range, signed ones extended: the same sum of two steps.
        let centred = |cell: u16| {
            let cell = i32::from(cell);
            if self.signed { (cell ^ sign) - sign } else { cell - sign }
        };
        let mut planes = vec![Vec::with_capacity(columns * rows); self.components];
        for row in top..top + rows {
            let from = (row * self.columns + left) * self.components;
            let line = &self.cells[from..from + columns * self.components];
            if let (true, [first, second, third]) = (self.transformed, &mut planes[..]) {
                for &[red, green, blue] in line.as_chunks::<3>().0 {
                    let [red, green, blue] = [red, green, blue].map(centred);
                    first.push((red + 2 * green + blue) >> 2);
                    second.push(blue - green);
                    third.push(red - green);
                }
            } else {
                for (component, plane) in planes.iter_mut().enumerate() {
                    plane.extend(
                        line.iter()
                            .skip(component)
                            .step_by(self.components)
                            .map(|&cell| centred(cell)),
                    );
                }
            }
        }
        planes
    }

    /// The coded subbands that a resolution adds: LL for the lowest, else HL, LH and HH.
    fn bands(&self, plane: &[i32], columns: usize, rows: usize, resolution: u32, scratch: &mut Vec<i32>) -> Vec<Band> {
        let halved = |side: usize, times: u32| (side + (1 << times) - 1) >> times;
        let below = self.levels - resolution;
        let (wide, high) = (halved(columns, below), halved(rows, below));
        if resolution == 0 {
            let planes_max = self.planes_max(Orientation::Vertical, false);
            return vec![self.band(
                plane,
                columns,
                [0, 0, wide, high],
                Orientation::Vertical,
                planes_max,
                scratch,
            )];
        }
        let (low_wide, low_high) = (wide.div_ceil(2), high.div_ceil(2));
        [
            (Orientation::Horizontal, [low_wide, 0, wide - low_wide, low_high]),
            (Orientation::Vertical, [0, low_high, low_wide, high - low_high]),
            (
                Orientation::Diagonal,
                [low_wide, low_high, wide - low_wide, high - low_high],
            ),
        ]
        .into_iter()
        .map(|(orientation, place)| {
            self.band(
                plane,
                columns,
                place,
                orientation,
                self.planes_max(orientation, true),
                scratch,
            )
        })
        .collect()
    }

    fn band(
        &self,
        plane: &[i32],
        stride: usize,
        [left, top, wide, high]: [usize; 4],
        orientation: Orientation,
        planes_max: u32,
        scratch: &mut Vec<i32>,
    ) -> Band {
        let (across, down) = if wide == 0 || high == 0 {
            (0, 0)
        } else {
            (wide.div_ceil(BLOCK_SIDE), high.div_ceil(BLOCK_SIDE))
        };
        let mut blocks = Vec::with_capacity(across * down);
        for y in (0..down).map(|row| row * BLOCK_SIDE) {
            for x in (0..across).map(|column| column * BLOCK_SIDE) {
                let (block_wide, block_high) = (BLOCK_SIDE.min(wide - x), BLOCK_SIDE.min(high - y));
                scratch.clear();
                for row in 0..block_high {
                    let from = (top + y + row) * stride + left + x;
                    scratch.extend_from_slice(&plane[from..from + block_wide]);
                }
                blocks.push(if scratch.iter().all(|coefficient| *coefficient == 0) {
                    None
                } else {
                    Some(match self.coding {
                        BlockCoding::BitPlanes => bit_planes::encode(scratch, block_wide, block_high, orientation),
                        BlockCoding::HighThroughput => high_throughput::encode(scratch, block_wide, block_high),
                    })
                });
            }
        }
        Band {
            across,
            down,
            blocks,
            planes_max,
        }
    }
}
