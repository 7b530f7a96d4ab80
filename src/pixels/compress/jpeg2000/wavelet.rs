//! The forward reversible 5/3 wavelet (ISO 15444-1 Annex F.4.8.2).
#![expect(
    clippy::indexing_slicing,
    reason = "rows and columns stay below the sides of a plane that was allocated for them"
)]

/// Columns that go through the vertical steps together: what fits a cache line or two.
const COLUMNS_AT_ONCE: usize = 32;

/// Transforms `plane` (rows × `stride`) in place, `levels` times. Low frequencies end up left and above: after each level the
/// first ⌈columns/2⌉ columns and ⌈rows/2⌉ rows are the next smaller picture.
pub fn forward(plane: &mut [i32], columns: usize, rows: usize, levels: u32) {
    let stride = columns;
    let (mut columns, mut rows) = (columns, rows);
    let mut line = vec![0i32; columns.max(rows)];
    let mut block = vec![0i32; COLUMNS_AT_ONCE * rows];
    for _ in 0..levels {
        vertical(plane, stride, columns, rows, &mut block);
        for row in plane.chunks_mut(stride).take(rows) {
            horizontal(&mut row[..columns], &mut line);
        }
        (columns, rows) = (columns.div_ceil(2), rows.div_ceil(2));
    }
}

fn horizontal(row: &mut [i32], line: &mut [i32]) {
    let count = row.len();
    if count < 2 {
        return;
    }
    let low = count.div_ceil(2);
    let (lows, highs) = line[..count].split_at_mut(low);
    for (index, high) in highs.iter_mut().enumerate() {
        let right = row.get(2 * index + 2).unwrap_or(&row[2 * index]);
        *high = row[2 * index + 1] - ((row[2 * index] + right) >> 1);
    }
    for (index, value) in lows.iter_mut().enumerate() {
        let left = highs[index.saturating_sub(1)];
        let right = highs.get(index).copied().unwrap_or(left);
        *value = row[2 * index] + ((left + right + 2) >> 2);
    }
    row.copy_from_slice(&line[..count]);
}

/// Strips of columns are lifted row by row, so that the compiler can take several columns a step.
fn vertical(plane: &mut [i32], stride: usize, columns: usize, rows: usize, block: &mut [i32]) {
    if rows < 2 {
        return;
    }
    let low = rows.div_ceil(2);
    let mut from = 0;
    while from < columns {
        let wide = COLUMNS_AT_ONCE.min(columns - from);
        // Even rows to the front of the block, odd ones behind them.
        for row in 0..rows {
            let to = if row % 2 == 0 { row / 2 } else { low + row / 2 } * wide;
            let at = row * stride + from;
            block[to..to + wide].copy_from_slice(&plane[at..at + wide]);
        }
        let (lows, highs) = block[..rows * wide].split_at_mut(low * wide);
        for (index, high) in highs.chunks_exact_mut(wide).enumerate() {
            let below = if (index + 1) * wide < lows.len() {
                index + 1
            } else {
                index
            };
            let (above, below) = (&lows[index * wide..][..wide], &lows[below * wide..][..wide]);
            for ((high, above), below) in high.iter_mut().zip(above).zip(below) {
                *high -= (above + below) >> 1;
            }
        }
        for (index, value) in lows.chunks_exact_mut(wide).enumerate() {
            let above = index.saturating_sub(1);
            let below = if (index + 1) * wide <= highs.len() {
                index
            } else {
                above
            };
            let (above, below) = (&highs[above * wide..][..wide], &highs[below * wide..][..wide]);
            for ((value, above), below) in value.iter_mut().zip(above).zip(below) {
                *value += (above + below + 2) >> 2;
            }
        }
        for row in 0..rows {
            let at = row * stride + from;
            plane[at..at + wide].copy_from_slice(&block[row * wide..(row + 1) * wide]);
        }
        from += wide;
    }
}
