//! Huffman tables (ISO 10918-1 Annex C and §F.2.2.3).
#![expect(
    clippy::indexing_slicing,
    reason = "codes and symbols are bounded by the checks of `read`, and look-ups masked to the length of the table"
)]

use super::super::DecodeError;
use super::bit_reader::BitReader;

/// Codes no longer than this are found by one look-up.
const LOOKAHEAD: u32 = 10;

/// A decoding table.
#[derive(Clone)]
pub struct Table {
    /// Symbol and length of the code that the next bits begin with; length 0 for longer codes.
    fast: Box<[(u8, u8); 1 << LOOKAHEAD]>,
    /// Largest code of each length, left-aligned to 16 bits, plus one.
    limit: [u32; 18],
    /// Index of the first symbol of a length minus its first code.
    offset: [i32; 17],
    symbols: Vec<u8>,
}

/// The tables that are defined at a point of the stream.
#[derive(Default, Clone)]
pub struct Tables {
    /// For DC coefficients and lossless differences.
    pub dc: [Option<Table>; 4],
    /// For AC coefficients.
    pub ac: [Option<Table>; 4],
}

impl Tables {
    /// Takes a DHT segment.
    ///
    /// # Errors
    /// [`DecodeError::Damaged`] for codes that do not fit.
    pub fn define(&mut self, body: &[u8]) -> Result<(), DecodeError> {
        let mut rest = body;
        while let Some((&kind, after)) = rest.split_first() {
            let (counts, after) = after.split_first_chunk::<16>().ok_or(DecodeError::Truncated)?;
            let total = counts.iter().map(|&count| usize::from(count)).sum::<usize>();
            let (symbols, after) = after.split_at_checked(total).ok_or(DecodeError::Truncated)?;
            let table = Table::read(counts, symbols)?;
            let place = if kind >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            place[usize::from(kind & 3)] = Some(table);
            rest = after;
        }
        Ok(())
    }
}

impl Table {
    fn read(counts: &[u8; 16], symbols: &[u8]) -> Result<Self, DecodeError> {
        if symbols.len() > 256 {
            return Err(DecodeError::Damaged("a Huffman table of more than 256 codes".into()));
        }
        let mut fast = Box::new([(0u8, 0u8); 1 << LOOKAHEAD]);
        let (mut limit, mut offset) = ([0u32; 18], [0i32; 17]);
        let (mut code, mut index) = (0u32, 0usize);
        for length in 1..=16u32 {
            offset[length as usize] = index as i32 - code as i32;
            for _ in 0..counts[length as usize - 1] {
                if code >= 1 << length {
                    return Err(DecodeError::Damaged("Huffman codes that do not fit".into()));
                }
                if length <= LOOKAHEAD {
                    let first = (code << (LOOKAHEAD - length)) as usize;
                    fast[first..first + (1 << (LOOKAHEAD - length))].fill((symbols[index], length as u8));
                }
                code += 1;
                index += 1;
            }
            limit[length as usize] = code << (16 - length);
            code <<= 1;
        }
        limit[17] = u32::MAX;
        Ok(Self {
            fast,
            limit,
            offset,
            symbols: symbols.to_vec(),
        })
    }

    /// Decodes one symbol; `None` for bits that begin no code.
    #[inline(always)]
    pub fn symbol(&self, bits: &mut BitReader<'_>) -> Option<u8> {
        let ahead = bits.peek16();
        let (symbol, length) = self.fast[(ahead >> (16 - LOOKAHEAD)) as usize & ((1 << LOOKAHEAD) - 1)];
        if length != 0 {
            bits.skip(u32::from(length));
            return Some(symbol);
        }
        self.long_symbol(bits, ahead)
    }

    #[cold]
    fn long_symbol(&self, bits: &mut BitReader<'_>, ahead: u32) -> Option<u8> {
        let length = (LOOKAHEAD + 1..=16).find(|&length| ahead < self.limit[length as usize])?;
        bits.skip(length);
        let index = (ahead >> (16 - length)) as i32 + self.offset[length as usize];
        self.symbols.get(usize::try_from(index).ok()?).copied()
    }
}

/// The value of `count` additional bits (ISO 10918-1 §F.2.2.1, EXTEND).
#[inline(always)]
pub fn extend(value: u32, count: u32) -> i32 {
    if count == 0 {
        return 0;
    }
    let value = value as i32;
    if value < 1 << (count - 1) {
        value - (1 << count) + 1
    } else {
        value
    }
}
