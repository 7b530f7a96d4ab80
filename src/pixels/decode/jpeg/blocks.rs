//! Blocks of coefficients out of Huffman codes (ISO 10918-1 Annexes F.2.2 and G.2).
#![expect(
    clippy::indexing_slicing,
    reason = "a block has 64 cells and places in it are bounded; tables are picked by two bits; a panic would be caught"
)]

use super::bit_reader::BitReader;
use super::huffman::{Table, Tables, extend};
use super::markers::{Process, Scan};

/// Order in which coefficients are coded (figure 5).
pub const ZIGZAG: [u8; 80] = {
    let order: [u8; 64] = [
        0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14,
        21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60,
        61, 54, 47, 55, 62, 63,
    ];
    // Places beyond the end, which damaged runs reach, all are the last coefficient.
    let mut padded = [63u8; 80];
    let mut at = 0;
    while at < 64 {
        padded[at] = order[at];
        at += 1;
    }
    padded
};

/// Decodes the blocks of one scan in turn.
pub struct BlockDecoder<'a> {
    tables: &'a Tables,
    scan: &'a Scan,
    predictions: [i32; 4],
    end_of_band_run: u32,
    progressive: bool,
}

impl<'a> BlockDecoder<'a> {
    /// At the beginning of a scan.
    pub fn new(tables: &'a Tables, scan: &'a Scan, process: Process) -> Self {
        Self {
            tables,
            scan,
            predictions: [0; 4],
            end_of_band_run: 0,
            progressive: process == Process::Progressive,
        }
    }

    /// Behind a restart marker.
    pub fn restart(&mut self) {
        self.predictions = [0; 4];
        self.end_of_band_run = 0;
    }

    fn dc_table(&self, place: usize) -> Option<&'a Table> {
        self.tables.dc[self.scan.components[place].dc].as_ref()
    }

    fn ac_table(&self, place: usize) -> Option<&'a Table> {
        self.tables.ac[self.scan.components[place].ac].as_ref()
    }

    /// Decodes one block of the component at `place` of the scan.
    pub fn decode(&mut self, bits: &mut BitReader<'_>, place: usize, block: &mut [i16]) -> Option<()> {
        if !self.progressive {
            block[0] = self.dc(bits, place)? as i16;
            return self.ac_sequential(bits, place, block);
        }
        match (self.scan.spectral_start, self.scan.high) {
            (0, 0) => block[0] = (self.dc(bits, place)? << self.scan.low) as i16,
            (0, _) => block[0] |= (bits.bit() as i16) << self.scan.low,
            (_, 0) => self.ac_first(bits, place, block)?,
            _ => self.ac_refine(bits, place, block)?,
        }
        Some(())
    }

    fn dc(&mut self, bits: &mut BitReader<'_>, place: usize) -> Option<i32> {
        let count = u32::from(self.dc_table(place)?.symbol(bits)?);
        if count > 16 {
            return None;
        }
        let difference = extend(bits.take_after_symbol(count), count);
        self.predictions[place] = self.predictions[place].wrapping_add(difference);
        Some(self.predictions[place])
    }

    fn ac_sequential(&mut self, bits: &mut BitReader<'_>, place: usize, block: &mut [i16]) -> Option<()> {
        let table = self.ac_table(place)?;
        let mut at = 1usize;
        while at < 64 {
            let symbol = table.symbol(bits)?;
            let (run, count) = (usize::from(symbol >> 4), u32::from(symbol & 15));
            if count == 0 {
                if run != 15 {
                    break;
                }
                at += 16;
                continue;
            }
            at += run;
            block[usize::from(ZIGZAG[at.min(79)])] = extend(bits.take_after_symbol(count), count) as i16;
            at += 1;
        }
        Some(())
    }

    fn ac_first(&mut self, bits: &mut BitReader<'_>, place: usize, block: &mut [i16]) -> Option<()> {
        if self.end_of_band_run > 0 {
            self.end_of_band_run -= 1;
            return Some(());
        }
        let table = self.ac_table(place)?;
        let (mut at, end) = (
            usize::from(self.scan.spectral_start),
            usize::from(self.scan.spectral_end),
        );
        while at <= end {
            let symbol = table.symbol(bits)?;
            let (run, count) = (u32::from(symbol >> 4), u32::from(symbol & 15));
            if count == 0 {
                if run < 15 {
                    self.end_of_band_run = (1 << run) - 1 + bits.take(run);
                    break;
                }
                at += 16;
                continue;
            }
            at += run as usize;
            let value = extend(bits.take_after_symbol(count), count) << self.scan.low;
            block[usize::from(ZIGZAG[at.min(79)])] = value as i16;
            at += 1;
        }
        Some(())
    }

    fn ac_refine(&mut self, bits: &mut BitReader<'_>, place: usize, block: &mut [i16]) -> Option<()> {
        let plus = 1i16 << self.scan.low;
        let minus = -plus;
        let table = self.ac_table(place)?;
        let (mut at, end) = (
            usize::from(self.scan.spectral_start),
            usize::from(self.scan.spectral_end),
        );
        if self.end_of_band_run == 0 {
            while at <= end {
                let symbol = table.symbol(bits)?;
                let (mut run, count) = (u32::from(symbol >> 4), symbol & 15);
                let mut value = 0;
                if count != 0 {
                    value = if bits.bit() == 1 { plus } else { minus };
                } else if run < 15 {
                    self.end_of_band_run = (1 << run) + bits.take(run);
                    break;
                }
                while at <= end {
                    let cell = &mut block[usize::from(ZIGZAG[at])];
                    if *cell != 0 {
                        refine(bits, cell, plus, minus);
                    } else {
                        if run == 0 {
                            break;
                        }
                        run -= 1;
                    }
                    at += 1;
                }
                if value != 0 && at <= end {
                    block[usize::from(ZIGZAG[at])] = value;
                }
                at += 1;
            }
        }
        if self.end_of_band_run > 0 {
            while at <= end {
                let cell = &mut block[usize::from(ZIGZAG[at])];
                if *cell != 0 {
                    refine(bits, cell, plus, minus);
                }
                at += 1;
            }
            self.end_of_band_run -= 1;
        }
        Some(())
    }
}

fn refine(bits: &mut BitReader<'_>, cell: &mut i16, plus: i16, minus: i16) {
    if bits.bit() == 1 && *cell & plus == 0 {
        *cell = cell.wrapping_add(if *cell >= 0 { plus } else { minus });
    }
}
