//! The inverse cosine transform of 8 × 8 blocks, by the factorization of Loeffler, Ligtenberg and Moschytz in fixed point:
//! accurate enough for ISO 10918-2 at 8 and at 12 bits.
#![expect(
    clippy::indexing_slicing,
    reason = "places in arrays of 64 by loops over 8; rows were allocated by the caller"
)]

use std::num::Wrapping as W;

const FRACTION: u32 = 13;

const fn fixed(value: f64) -> W<i32> {
    W((value * (1 << FRACTION) as f64 + 0.5) as i32)
}

const C0_298: W<i32> = fixed(0.298_631_336);
const C0_390: W<i32> = fixed(0.390_180_644);
const C0_541: W<i32> = fixed(0.541_196_100);
const C0_765: W<i32> = fixed(0.765_366_865);
const C0_899: W<i32> = fixed(0.899_976_223);
const C1_175: W<i32> = fixed(1.175_875_602);
const C1_501: W<i32> = fixed(1.501_321_110);
const C1_847: W<i32> = fixed(1.847_759_065);
const C1_961: W<i32> = fixed(1.961_570_560);
const C2_053: W<i32> = fixed(2.053_119_869);
const C2_562: W<i32> = fixed(2.562_915_447);
const C3_072: W<i32> = fixed(3.072_711_026);

/// Transforms eight values; the result is scaled by 2^13 and by the square root of 8.
#[inline(always)]
fn eight(v: [W<i32>; 8]) -> [W<i32>; 8] {
    let z = (v[2] + v[6]) * C0_541;
    let (even2, even3) = (z - v[6] * C1_847, z + v[2] * C0_765);
    let (even0, even1) = ((v[0] + v[4]) << FRACTION as usize, (v[0] - v[4]) << FRACTION as usize);
    let (t10, t13, t11, t12) = (even0 + even3, even0 - even3, even1 + even2, even1 - even2);

    let (z1, z2, z3, z4) = (v[7] + v[1], v[5] + v[3], v[7] + v[3], v[5] + v[1]);
    let z5 = (z3 + z4) * C1_175;
    let (z1, z2) = (z1 * C0_899, z2 * C2_562);
    let (z3, z4) = (z5 - z3 * C1_961, z5 - z4 * C0_390);
    let o0 = v[7] * C0_298 - z1 + z3;
    let o1 = v[5] * C2_053 - z2 + z4;
    let o2 = v[3] * C3_072 - z2 + z3;
    let o3 = v[1] * C1_501 - z1 + z4;
    [
        t10 + o3,
        t11 + o2,
        t12 + o1,
        t13 + o0,
        t13 - o0,
        t12 - o1,
        t11 - o2,
        t10 - o3,
    ]
}

/// Dequantizes and transforms a block, and writes eight rows of eight samples, 0 to 2^precision − 1.
pub fn transform(block: &[i16; 64], quantization: &[u16; 64], precision: u8, out: &mut [u16], stride: usize) {
    // One bit less is kept between the passes at 12 bits, for the room in 32 bits.
    let kept = if precision > 8 { 1 } else { 2 };
    let mut work = [W(0i32); 64];
    for column in 0..8 {
        let at = |row: usize| {
            let place = row * 8 + column;
            W(i32::from(block[place]).wrapping_mul(i32::from(quantization[place])))
        };
        let shift = FRACTION - kept;
        let rounding = W(1 << (shift - 1));
        let done = eight([at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7)]);
        for (row, value) in done.into_iter().enumerate() {
            work[row * 8 + column] = (value + rounding) >> shift as usize;
        }
    }
    let shift = FRACTION + kept + 3;
    let rounding = W(1 << (shift - 1));
    let (centre, most) = (1i32 << (precision - 1), (1i32 << precision) - 1);
    for (row, values) in work.as_chunks::<8>().0.iter().enumerate() {
        let done = eight(*values);
        let line = &mut out[row * stride..row * stride + 8];
        for (cell, value) in line.iter_mut().zip(done) {
            *cell = ((value + rounding) >> shift as usize)
                .0
                .wrapping_add(centre)
                .clamp(0, most) as u16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_block_is_flat() {
        let mut block = [0i16; 64];
        block[0] = 80;
        let mut out = [0u16; 64];
        transform(&block, &[1; 64], 8, &mut out, 8);
        assert_eq!(out, [138; 64]);
        transform(&block, &[1; 64], 12, &mut out, 8);
        assert_eq!(out, [2058; 64]);
    }

    #[test]
    fn agrees_with_the_definition() {
        let mut block = [0i16; 64];
        for (place, value) in block.iter_mut().enumerate().take(20) {
            *value = (place as i16 * 37 % 91) - 45;
        }
        let mut out = [0u16; 64];
        transform(&block, &[3; 64], 12, &mut out, 8);
        for y in 0..8 {
            for x in 0..8 {
                let mut sum = 0.0;
                for v in 0..8 {
                    for u in 0..8 {
                        let scale = |k: usize| if k == 0 { std::f64::consts::FRAC_1_SQRT_2 } else { 1.0 };
                        let angle =
                            |p: usize, k: usize| ((2 * p + 1) as f64 * k as f64 * std::f64::consts::PI / 16.0).cos();
                        sum +=
                            scale(u) * scale(v) * f64::from(block[v * 8 + u]) * 3.0 * angle(x, u) * angle(y, v) / 4.0;
                    }
                }
                assert!((f64::from(out[y * 8 + x]) - 2048.0 - sum).abs() <= 1.0, "{x} {y}");
            }
        }
    }
}
