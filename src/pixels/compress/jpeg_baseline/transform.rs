//! The forward cosine transform, in the form of Arai, Agui and Nakajima whose scale factors go into quantization.
#![expect(
    clippy::indexing_slicing,
    reason = "arrays of eight by eight, by constants below eight"
)]

use super::tables::ZIGZAG;

/// Eight numbers of a row, one a column: the compiler's vector.
type Row = [f32; 8];

/// What the transform leaves each frequency multiplied by: 1, then √2 · cos(kπ/16).
const SCALES: Row = [
    1.0,
    1.387_039_8,
    1.306_563,
    1.175_875_6,
    1.0,
    0.785_694_96,
    0.541_196_1,
    0.275_899_38,
];

/// Added to a small number, this leaves it rounded in the lowest bits.
const ROUND: f32 = 12_582_912.0;

/// Steps of one component.
pub struct Quantizer {
    /// Row by row.
    pub steps: [u8; 64],
    /// What transformed coefficients are multiplied by; column by column, as they come.
    factors: [Row; 8],
}

impl Quantizer {
    /// A table for a quality from 1 to 100.
    pub fn new(table: &[u8; 64], quality: u8) -> Self {
        let quality = u32::from(quality.clamp(1, 100));
        let percent = if quality < 50 {
            5000 / quality
        } else {
            200 - 2 * quality
        };
        let steps = table.map(|step| ((u32::from(step) * percent + 50) / 100).clamp(1, 255) as u8);
        let factors = std::array::from_fn(|across| {
            std::array::from_fn(|down| {
                1.0 / (f32::from(steps[down * 8 + across]) * SCALES[down] * SCALES[across] * 8.0)
            })
        });
        Self { steps, factors }
    }

    /// The quantized coefficients of a block in the order in which they are coded.
    ///
    /// Not inlined, nor is [`transform`]: in small functions of plain loops the compiler finds the vectors, in one large one it does
    /// not, and takes twice the time.
    #[inline(never)]
    pub fn coefficients(&self, block: &[[u8; 8]; 8]) -> [i16; 64] {
        let mut rows = [[0f32; 8]; 8];
        for (row, samples) in rows.iter_mut().zip(block) {
            for (value, &sample) in row.iter_mut().zip(samples) {
                *value = f32::from(sample) - 128.0;
            }
        }
        transform(&mut rows);
        let mut columns = [[0f32; 8]; 8];
        for (down, row) in rows.iter().enumerate() {
            for (column, &value) in columns.iter_mut().zip(row) {
                column[down] = value;
            }
        }
        transform(&mut columns);
        let mut quantized = [0i16; 64];
        for ((out, column), factors) in quantized
            .as_chunks_mut::<8>()
            .0
            .iter_mut()
            .zip(&columns)
            .zip(&self.factors)
        {
            for ((out, coefficient), factor) in out.iter_mut().zip(column).zip(factors) {
                *out = ((coefficient * factor + ROUND).to_bits() as i32 - ROUND.to_bits() as i32) as i16;
            }
        }
        let mut ordered = [0i16; 64];
        for (out, place) in ordered.iter_mut().zip(&ORDER) {
            *out = quantized[usize::from(place & 63)];
        }
        ordered
    }
}

/// The zigzag order of a block that lies column by column.
const ORDER: [u8; 64] = {
    let mut order = [0; 64];
    let mut at = 0;
    while at < 64 {
        order[at] = ZIGZAG[at] % 8 * 8 + ZIGZAG[at] / 8;
        at += 1;
    }
    order
};

#[inline(always)]
fn add(one: Row, other: Row) -> Row {
    std::array::from_fn(|index| one[index] + other[index])
}

#[inline(always)]
fn subtract(one: Row, other: Row) -> Row {
    std::array::from_fn(|index| one[index] - other[index])
}

#[inline(always)]
fn times(row: Row, factor: f32) -> Row {
    row.map(|value| value * factor)
}

/// Down every column at once.
#[inline(never)]
fn transform(rows: &mut [Row; 8]) {
    let [r0, r1, r2, r3, r4, r5, r6, r7] = *rows;
    let (sum07, difference07) = (add(r0, r7), subtract(r0, r7));
    let (sum16, difference16) = (add(r1, r6), subtract(r1, r6));
    let (sum25, difference25) = (add(r2, r5), subtract(r2, r5));
    let (sum34, difference34) = (add(r3, r4), subtract(r3, r4));
    // Even frequencies.
    let (outer, outer_difference) = (add(sum07, sum34), subtract(sum07, sum34));
    let (inner, inner_difference) = (add(sum16, sum25), subtract(sum16, sum25));
    rows[0] = add(outer, inner);
    rows[4] = subtract(outer, inner);
    let turned = times(add(inner_difference, outer_difference), std::f32::consts::FRAC_1_SQRT_2);
    rows[2] = add(outer_difference, turned);
    rows[6] = subtract(outer_difference, turned);
    // Odd ones.
    let low = add(difference34, difference25);
    let middle = times(add(difference25, difference16), std::f32::consts::FRAC_1_SQRT_2);
    let high = add(difference16, difference07);
    let shared = times(subtract(low, high), 0.382_683_43);
    let low = add(times(low, 0.541_196_1), shared);
    let high = add(times(high, 1.306_563), shared);
    let (near, far) = (add(difference07, middle), subtract(difference07, middle));
    rows[5] = add(far, low);
    rows[3] = subtract(far, low);
    rows[1] = add(near, high);
    rows[7] = subtract(near, high);
}
