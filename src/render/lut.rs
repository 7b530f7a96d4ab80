//! Look-up tables as objects carry them (PS3.3 C.11.1.1, C.11.2.1.1, C.7.6.3.1.5, C.7.9.2).

use filmroom_pixels::elements::Elements;

/// A table from stored or modality values to output values.
#[derive(Debug, Clone, PartialEq)]
pub struct Lut {
    /// First value mapped: what is below takes the first entry.
    pub first: i32,
    /// Bits of an entry.
    pub bits: u32,
    /// The entries; never empty.
    pub entries: Vec<u16>,
}

impl Lut {
    /// The entry for a value; values outside take the nearest end.
    #[inline]
    #[must_use]
    pub fn get(&self, value: f64) -> u16 {
        let index = (value.round() - f64::from(self.first)).clamp(0.0, (self.entries.len() - 1) as f64);
        self.entries.get(index as usize).copied().unwrap_or_default()
    }

    /// Largest value of its range of output.
    #[must_use]
    pub fn most(&self) -> f64 {
        f64::from((1u32 << self.bits) - 1)
    }

    /// Reads an item of a Modality or VOI LUT Sequence. `signed`: the values that go in may be negative.
    #[must_use]
    pub fn read(item: &Elements<'_>, signed: bool) -> Option<Self> {
        let (count, first, bits) = descriptor(item, 0x0028_3002, signed)?;
        let entries = entries(item.value(0x0028_3006)?, count, bits)?;
        Some(Self {
            first,
            bits: real_bits(bits, &entries),
            entries,
        })
    }
}

/// Number of entries, first value mapped, bits of an entry.
fn descriptor(item: &Elements<'_>, tag: u32, signed: bool) -> Option<(usize, i32, u32)> {
    let words = item.words(tag);
    let (&[count, first, bits], _) = words.split_first_chunk::<3>()?;
    let count = if count == 0 { 65_536 } else { usize::from(count) };
    let negative = item.vr(tag) == Some(*b"SS") || signed;
    let first = if negative {
        i32::from(first as i16)
    } else {
        i32::from(first)
    };
    Some((count, first, u32::from(bits)))
}

/// Entries of 16 bits, or of 8 bits two to a word. A table that is a little short is taken as it is.
fn entries(data: &[u8], count: usize, bits: u32) -> Option<Vec<u16>> {
    let entries: Vec<u16> = if bits <= 8 && data.len() < count * 2 {
        data.iter().take(count).map(|&byte| u16::from(byte)).collect()
    } else {
        data.as_chunks::<2>()
            .0
            .iter()
            .take(count)
            .map(|word| u16::from_le_bytes(*word))
            .collect()
    };
    (!entries.is_empty()).then_some(entries)
}

/// Bits as described, unless entries need more.
fn real_bits(bits: u32, entries: &[u16]) -> u32 {
    let most = entries.iter().copied().max().unwrap_or_default();
    bits.clamp(1, 16)
        .max(16 - u32::from(most).leading_zeros().saturating_sub(16).min(15))
}

/// Red, green and blue of a palette, each entry brought to 8 bits.
#[derive(Debug, Clone, PartialEq)]
pub struct Palette {
    first: i32,
    colours: Vec<[u8; 3]>,
}

impl Palette {
    /// Reads the Palette Color Lookup Table Module, segmented or not (PS3.3 C.7.9).
    #[must_use]
    pub fn read(elements: &Elements<'_>, signed: bool) -> Option<Self> {
        let mut first_mapped = 0;
        let mut channels: Vec<Vec<u8>> = Vec::with_capacity(3);
        for channel in 0..3 {
            let (count, first, bits) = descriptor(elements, 0x0028_1101 + channel, signed)?;
            if channel == 0 {
                first_mapped = first;
            }
            let values = match elements.value(0x0028_1201 + channel).filter(|data| !data.is_empty()) {
                Some(data) => entries(data, count, bits)?,
                None => segmented(elements.value(0x0028_1221 + channel)?, count, bits)?,
            };
            channels.push(eight_bits(&values));
        }
        let (Some(red), Some(green), Some(blue)) = (channels.first(), channels.get(1), channels.get(2)) else {
            return None;
        };
        let colours = red
            .iter()
            .zip(green)
            .zip(blue)
            .map(|((&red, &green), &blue)| [red, green, blue])
            .collect();
        Some(Self {
            first: first_mapped,
            colours,
        })
    }

    /// The colour at a place from 0, the first entry, to 1, the last.
    #[must_use]
    pub fn along(&self, place: f64) -> [u8; 3] {
        let last = self.colours.len().saturating_sub(1) as f64;
        let index = (place.clamp(0.0, 1.0) * last).round() as usize;
        self.colours.get(index).copied().unwrap_or_default()
    }

    /// The colour of a stored value; values outside take the nearest end.
    #[must_use]
    pub fn get(&self, value: f64) -> [u8; 3] {
        let index = (value - f64::from(self.first)).clamp(0.0, self.colours.len().saturating_sub(1) as f64);
        self.colours.get(index as usize).copied().unwrap_or_default()
    }
}

/// Entries of 16 bits give their upper byte; tables whose entries all fit a byte mean that byte, whatever they declare.
fn eight_bits(values: &[u16]) -> Vec<u8> {
    if values.iter().all(|&value| value < 256) {
        values.iter().map(|&value| value as u8).collect()
    } else {
        values.iter().map(|&value| (value >> 8) as u8).collect()
    }
}

/// Expands segments (PS3.3 C.7.9.2.2): discrete, linear, and indirect ones that repeat others.
fn segmented(data: &[u8], count: usize, bits: u32) -> Option<Vec<u16>> {
    // A byte of 8-bit tables stands in a byte, everything of 16-bit tables in a word.
    let units: Vec<u16> = if bits <= 8 {
        data.iter().map(|&byte| u16::from(byte)).collect()
    } else {
        data.as_chunks::<2>()
            .0
            .iter()
            .map(|word| u16::from_le_bytes(*word))
            .collect()
    };
    let mut out: Vec<u16> = Vec::with_capacity(count);
    expand(
        &units,
        0,
        units.len(),
        usize::MAX,
        Indirect::Allowed,
        bits,
        count,
        &mut out,
    )?;
    (!out.is_empty()).then_some(out)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Indirect {
    Allowed,
    Refused,
}

#[expect(
    clippy::too_many_arguments,
    reason = "the state of one small reader, called in two places"
)]
fn expand(
    units: &[u16],
    from: usize,
    to: usize,
    segments: usize,
    indirect: Indirect,
    bits: u32,
    count: usize,
    out: &mut Vec<u16>,
) -> Option<()> {
    let mut at = from;
    let mut left = segments;
    while at + 1 < to && left > 0 && out.len() < count {
        let (opcode, length) = (*units.get(at)?, usize::from(*units.get(at + 1)?));
        at += 2;
        left -= 1;
        match opcode {
            0 => {
                out.extend_from_slice(units.get(at..at + length)?);
                at += length;
            }
            1 => {
                let start = f64::from(*out.last()?);
                let end = f64::from(*units.get(at)?);
                for step in 1..=length {
                    out.push((start + (end - start) * step as f64 / length as f64).round() as u16);
                }
                at += 1;
            }
            2 if indirect == Indirect::Allowed => {
                // A byte offset, least significant unit first.
                let width = if bits <= 8 { 4 } else { 2 };
                let offset = units.get(at..at + width)?.iter().rev().fold(0usize, |sum, &unit| {
                    sum << (if bits <= 8 { 8 } else { 16 }) | usize::from(unit)
                });
                at += width;
                let begin = if bits <= 8 { offset } else { offset / 2 };
                expand(units, begin, units.len(), length, Indirect::Refused, bits, count, out)?;
            }
            _ => return None,
        }
    }
    out.truncate(count);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expands_discrete_linear_and_indirect_segments() {
        let words: Vec<u8> = [0u16, 2, 10, 20, 1, 3, 50, 2, 1, 0, 0]
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        assert_eq!(segmented(&words, 100, 16), Some(vec![10, 20, 30, 40, 50, 10, 20]));
        assert_eq!(segmented(&words, 4, 16), Some(vec![10, 20, 30, 40]));
    }

    #[test]
    fn an_indirect_segment_reaches_no_other_indirect_one() {
        let words: Vec<u8> = [0u16, 1, 7, 2, 1, 6, 0]
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        assert_eq!(segmented(&words, 100, 16), None);
    }

    #[test]
    fn bits_grow_with_what_entries_need() {
        assert_eq!(real_bits(8, &[0, 255]), 8);
        assert_eq!(real_bits(10, &[0, 4095]), 12);
        assert_eq!(real_bits(16, &[0, 4095]), 16);
        assert_eq!(real_bits(12, &[65535]), 16);
    }
}
