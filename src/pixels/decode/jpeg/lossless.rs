//! The lossless process (ISO 10918-1 Annex H): 2 to 16 bits, predictors 1 to 7, point transform, restarts.
#![expect(
    clippy::indexing_slicing,
    reason = "every index is a column below the width of rows that were allocated to it; a panic would be caught"
)]

use super::super::{DecodeError, Samples};
use super::bit_reader::BitReader;
use super::huffman::{Table, Tables, extend};
use super::markers::{Head, Scan, next_segment, read_scan};

/// Decodes all scans. Components come out interleaved.
///
/// # Errors
/// [`DecodeError`].
pub fn decode(stream: &[u8], head: &Head) -> Result<Samples, DecodeError> {
    if head
        .components
        .iter()
        .any(|component| component.h != 1 || component.v != 1)
        && head.components.len() > 1
    {
        return Err(DecodeError::Unsupported(
            "lossless JPEG with subsampled components".into(),
        ));
    }
    let (columns, rows, components) = (usize::from(head.columns), usize::from(head.rows), head.components.len());
    let mut cells = vec![0u16; columns * rows * components];
    let mut tables = Tables::default();
    let mut restart_interval = 0usize;
    let mut at = head.start + 2;
    let mut decoded = 0usize;
    while decoded < components {
        let segment = next_segment(stream, at)?;
        at = segment.end;
        match segment.marker {
            0xC4 => tables.define(segment.body)?,
            0xDD => {
                if let Some(&[high, low]) = segment.body.get(..2) {
                    restart_interval = usize::from(u16::from_be_bytes([high, low]));
                }
            }
            0xDA => {
                let scan = read_scan(segment.body, head)?;
                let mut bits = BitReader::new(stream, at);
                decode_scan(&mut bits, &scan, &tables, head, restart_interval, &mut cells)?;
                decoded += scan.components.len();
                at = bits.position();
            }
            0xD9 => return Err(DecodeError::Truncated),
            _ => {}
        }
    }
    if head.precision <= 8 {
        return Ok(Samples::U8(
            cells.iter().map(|&cell| cell as u8).collect::<Vec<u8>>().into(),
        ));
    }
    Ok(Samples::U16(cells))
}

fn decode_scan(
    bits: &mut BitReader<'_>,
    scan: &Scan,
    tables: &Tables,
    head: &Head,
    restart_interval: usize,
    cells: &mut [u16],
) -> Result<(), DecodeError> {
    let (columns, stride) = (usize::from(head.columns), head.components.len());
    let (predictor, shift) = (scan.spectral_start, u32::from(scan.low));
    if !(1..=7).contains(&predictor) || shift >= u32::from(head.precision) {
        return Err(DecodeError::Damaged(format!(
            "predictor {predictor}, point transform {shift}"
        )));
    }
    if !restart_interval.is_multiple_of(columns) {
        return Err(DecodeError::Unsupported(
            "restart intervals that are not whole lines".into(),
        ));
    }
    let restart_rows = restart_interval / columns;
    let start = 1i32 << (u32::from(head.precision) - shift - 1);
    let wanted: Vec<(&Table, usize)> = scan
        .components
        .iter()
        .map(|component| {
            tables.dc[component.dc]
                .as_ref()
                .map(|table| (table, component.index))
                .ok_or_else(|| DecodeError::Damaged("a scan without its Huffman table".into()))
        })
        .collect::<Result<_, _>>()?;
    let mut above = vec![vec![0i32; columns]; wanted.len()];
    let mut current = vec![vec![0i32; columns]; wanted.len()];
    for row in 0..usize::from(head.rows) {
        let begins = row == 0 || (restart_rows > 0 && row % restart_rows == 0);
        if begins && row > 0 {
            bits.restart()?;
        }
        if let ([(table, _)], [above], [current]) = (wanted.as_slice(), above.as_mut_slice(), current.as_mut_slice()) {
            decode_row(bits, table, above, current, if begins { 0 } else { predictor }, start)?;
        } else {
            for column in 0..columns {
                for ((table, _), (above, current)) in wanted.iter().zip(above.iter().zip(&mut current)) {
                    let prediction = predict(above, current, column, if begins { 0 } else { predictor }, start);
                    current[column] = prediction.wrapping_add(difference(bits, table)?) & 0xFFFF;
                }
            }
        }
        bits.check()?;
        let line = &mut cells[row * columns * stride..(row + 1) * columns * stride];
        for ((_, index), current) in wanted.iter().zip(&current) {
            for (cell, value) in line.iter_mut().skip(*index).step_by(stride).zip(current) {
                *cell = (value << shift) as u16;
            }
        }
        std::mem::swap(&mut above, &mut current);
    }
    Ok(())
}

/// One row of the only component of a scan.
fn decode_row(
    bits: &mut BitReader<'_>,
    table: &Table,
    above: &[i32],
    current: &mut [i32],
    predictor: u8,
    start: i32,
) -> Result<(), DecodeError> {
    let mut left = if predictor == 0 { start } else { above[0] };
    left = left.wrapping_add(difference(bits, table)?) & 0xFFFF;
    current[0] = left;
    let mut corner = above[0];
    for (cell, &up) in current.iter_mut().zip(above).skip(1) {
        let prediction = match predictor {
            0 | 1 => left,
            2 => up,
            3 => corner,
            4 => left + up - corner,
            5 => left + ((up - corner) >> 1),
            6 => up + ((left - corner) >> 1),
            _ => (left + up) >> 1,
        };
        left = prediction.wrapping_add(difference(bits, table)?) & 0xFFFF;
        *cell = left;
        corner = up;
    }
    Ok(())
}

/// Table H.1; predictor 0 stands for the first row of a scan or of a restart interval.
fn predict(above: &[i32], current: &[i32], column: usize, predictor: u8, start: i32) -> i32 {
    if column == 0 {
        return if predictor == 0 { start } else { above[0] };
    }
    let (left, up, corner) = (current[column - 1], above[column], above[column - 1]);
    match predictor {
        0 | 1 => left,
        2 => up,
        3 => corner,
        4 => left + up - corner,
        5 => left + ((up - corner) >> 1),
        6 => up + ((left - corner) >> 1),
        _ => (left + up) >> 1,
    }
}

#[inline(always)]
fn difference(bits: &mut BitReader<'_>, table: &Table) -> Result<i32, DecodeError> {
    match table.symbol(bits) {
        Some(16) => Ok(32768),
        Some(count @ 0..=15) => Ok(extend(bits.take_after_symbol(u32::from(count)), u32::from(count))),
        _ => Err(DecodeError::Damaged("bits that are no Huffman code".into())),
    }
}
