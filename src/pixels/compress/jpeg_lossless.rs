//! JPEG lossless, process 14, selection value 1 (ISO 10918-1 Annex H): every difference by one optimal Huffman table.
#![expect(
    clippy::indexing_slicing,
    reason = "categories are at most 16 and tables have 17 places; columns stay below the width of a row"
)]

use super::bit_writer::{BitWriter, Stuffing};
use super::{CompressError, cells};
use crate::decode::Frame;

/// Compresses a frame of up to 16 bits; components are interleaved.
///
/// # Errors
/// [`CompressError::Unsupported`].
pub fn compress(frame: &Frame) -> Result<Vec<u8>, CompressError> {
    let unsupported = |what: &str| CompressError::Unsupported("JPEG", what.to_owned());
    let cells = cells(frame).ok_or_else(|| unsupported("samples of more than 16 bits"))?;
    let (Ok(rows), Ok(columns)) = (u16::try_from(frame.rows), u16::try_from(frame.columns)) else {
        return Err(unsupported("more than 65535 rows or columns"));
    };
    let components = frame.samples_per_pixel as usize;
    let precision = frame.bits_stored.clamp(2, 16);
    let differences = differences(&cells, usize::from(columns), components, precision);
    let mut counts = [0u32; 17];
    for difference in &differences {
        counts[category(*difference)] += 1;
    }
    let lengths = code_lengths(counts);
    let codes = codes(&lengths);

    let mut out = Vec::with_capacity(cells.len());
    out.extend_from_slice(&[0xFF, 0xD8, 0xFF, 0xC3]);
    out.extend_from_slice(&(8 + 3 * components as u16).to_be_bytes());
    out.push(precision as u8);
    out.extend_from_slice(&rows.to_be_bytes());
    out.extend_from_slice(&columns.to_be_bytes());
    out.push(components as u8);
    (1..=components as u8).for_each(|id| out.extend_from_slice(&[id, 0x11, 0]));
    define_table(&lengths, &mut out);
    out.extend_from_slice(&[0xFF, 0xDA]);
    out.extend_from_slice(&(6 + 2 * components as u16).to_be_bytes());
    out.push(components as u8);
    (1..=components as u8).for_each(|id| out.extend_from_slice(&[id, 0]));
    out.extend_from_slice(&[1, 0, 0]);
    let mut bits = BitWriter::new(&mut out, Stuffing::Byte);
    for difference in differences {
        let category = category(difference);
        let (code, length) = codes[category];
        bits.put(code, length);
        if category > 0 && category < 16 {
            let value = i32::from(difference);
            bits.put((if value < 0 { value - 1 } else { value }) as u32, category as u32);
        }
    }
    bits.finish();
    out.extend_from_slice(&[0xFF, 0xD9]);
    if out.len() % 2 == 1 {
        out.push(0);
    }
    Ok(out)
}

/// Differences modulo 2^16 to the left neighbour, in the first column to the one above.
fn differences(cells: &[u16], columns: usize, components: usize, precision: u32) -> Vec<i16> {
    let stride = columns * components;
    cells
        .iter()
        .enumerate()
        .map(|(index, &cell)| {
            let prediction = if index % stride >= components {
                cells[index - components]
            } else if index >= stride {
                cells[index - stride]
            } else {
                1 << (precision - 1)
            };
            cell.wrapping_sub(prediction) as i16
        })
        .collect()
}

/// SSSS: 16 for −32768 alone.
fn category(difference: i16) -> usize {
    (32 - u32::from(difference.unsigned_abs()).leading_zeros()) as usize
}

/// Lengths of an optimal code of at most 16 bits that leaves the code of all ones free (ISO 10918-1 §K.2).
fn code_lengths(counts: [u32; 17]) -> [u8; 17] {
    let mut lengths = [0u8; 17];
    // Each tree: its weight and its leaves; leaf 17 takes the code of all ones.
    let mut trees: Vec<(u64, Vec<usize>)> = counts
        .iter()
        .enumerate()
        .filter(|(_, count)| **count > 0)
        .map(|(symbol, count)| (u64::from(*count) << 8, vec![symbol]))
        .collect();
    trees.push((1, vec![17]));
    while trees.len() > 1 {
        trees.sort_by_key(|tree| std::cmp::Reverse(tree.0));
        let (Some(last), Some(other)) = (trees.pop(), trees.pop()) else {
            break;
        };
        let joined: Vec<usize> = last.1.into_iter().chain(other.1).collect();
        for leaf in &joined {
            if let Some(length) = lengths.get_mut(*leaf) {
                *length += 1;
            }
        }
        trees.push((last.0 + other.0, joined));
    }
    lengths
}

/// Canonical codes in the order of length, then of symbol.
fn codes(lengths: &[u8; 17]) -> [(u32, u32); 17] {
    let mut codes = [(0u32, 0u32); 17];
    let mut code = 0;
    for length in 1..=17u8 {
        for (symbol, _) in lengths.iter().enumerate().filter(|(_, other)| **other == length) {
            codes[symbol] = (code, u32::from(length));
            code += 1;
        }
        code <<= 1;
    }
    codes
}

fn define_table(lengths: &[u8; 17], out: &mut Vec<u8>) {
    let mut symbols = Vec::with_capacity(17);
    let mut counts = [0u8; 16];
    for length in 1..=16u8 {
        for (symbol, _) in lengths.iter().enumerate().filter(|(_, other)| **other == length) {
            symbols.push(symbol as u8);
            counts[usize::from(length) - 1] += 1;
        }
    }
    out.extend_from_slice(&[0xFF, 0xC4]);
    out.extend_from_slice(&(19 + symbols.len() as u16).to_be_bytes());
    out.push(0);
    out.extend_from_slice(&counts);
    out.extend_from_slice(&symbols);
}
