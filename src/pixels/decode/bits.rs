//! Samples that are not whole bytes (PS3.5 §8.1.1).

use super::DecodeError;

/// Unpacks `count` samples of one bit, the first in the least significant bit of the first byte.
#[must_use]
pub fn unpack(packed: &[u8], count: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(count.div_ceil(8) * 8);
    for byte in packed.iter().take(count.div_ceil(8)) {
        for bit in 0..8 {
            out.push(byte >> bit & 1);
        }
    }
    out.resize(count, 0);
    out
}

/// Packs samples of one bit, the first into the least significant bit of the first byte.
#[must_use]
pub fn pack(samples: &[u8]) -> Vec<u8> {
    samples
        .chunks(8)
        .map(|eight| {
            eight
                .iter()
                .enumerate()
                .fold(0, |byte, (bit, sample)| byte | (sample & 1) << bit)
        })
        .collect()
}

/// Unpacks `count` samples of 2 to 15 bits that follow each other without gaps (retired, yet seen as 12 of 12).
///
/// # Errors
/// [`DecodeError::Description`] for other widths, [`DecodeError::Truncated`].
pub fn unpack_packed(packed: &[u8], count: usize, width: u32) -> Result<Vec<u16>, DecodeError> {
    if !(2..16).contains(&width) {
        return Err(DecodeError::Description(format!("{width} bits allocated")));
    }
    if packed.len() < (count * width as usize).div_ceil(8) {
        return Err(DecodeError::Truncated);
    }
    let mut out = Vec::with_capacity(count);
    let (mut held, mut bits) = (0u32, 0u32);
    let mut bytes = packed.iter();
    for _ in 0..count {
        while bits < width {
            held |= u32::from(bytes.next().copied().unwrap_or_default()) << bits;
            bits += 8;
        }
        out.push((held & ((1 << width) - 1)) as u16);
        held >>= width;
        bits -= width;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpacks_the_lowest_bit_first() {
        assert_eq!(unpack(&[0b0000_0101, 1], 9), [1, 0, 1, 0, 0, 0, 0, 0, 1]);
        assert_eq!(pack(&[1, 0, 1, 0, 0, 0, 0, 0, 1]), [0b0000_0101, 1]);
    }

    #[test]
    fn unpacks_twelve_of_twelve_bits() {
        assert_eq!(unpack_packed(&[0xBC, 0x3A, 0x12], 2, 12), Ok(vec![0xABC, 0x123]));
        assert_eq!(unpack_packed(&[0xBC, 0x3A], 2, 12), Err(DecodeError::Truncated));
    }
}
