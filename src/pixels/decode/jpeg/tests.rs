//! The processes of the cosine transform against each other, and against damage.

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use proptest::prelude::*;

use super::*;
use crate::{
    compress::bit_writer::{BitWriter, Stuffing},
    pixel_description::Planes,
};

fn description(rows: u32, columns: u32, samples: u32, bits: u32) -> PixelDescription {
    PixelDescription {
        rows,
        columns,
        samples_per_pixel: samples,
        bits_allocated: bits.next_multiple_of(8),
        bits_stored: bits,
        high_bit: bits - 1,
        representation: Representation::Unsigned,
        photometric: if samples == 3 {
            Photometric::YbrFull422
        } else {
            Photometric::Monochrome2
        },
        planes: Planes::Interleaved,
    }
}

fn picture(rows: u32, columns: u32, samples: u32) -> Vec<u8> {
    (0..rows * columns * samples)
        .map(|index| {
            let (pixel, sample) = (index / samples, index % samples);
            let (x, y) = (pixel % columns, pixel / columns);
            ((x * (3 + sample) + y * 2) % 200 + (x ^ y) % 20) as u8
        })
        .collect()
}

#[derive(Clone, Copy)]
enum Scans {
    Sequential,
    Progressive,
    Restarted,
}

fn encoded(rows: u32, columns: u32, samples: u32, scans: Scans, sampling: SamplingFactor) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, 92);
    encoder.set_sampling_factor(sampling);
    encoder.set_progressive(matches!(scans, Scans::Progressive));
    if matches!(scans, Scans::Restarted) {
        encoder.set_restart_interval(3);
    }
    let kind = if samples == 3 { ColorType::Rgb } else { ColorType::Luma };
    encoder
        .encode(&picture(rows, columns, samples), columns as u16, rows as u16, kind)
        .unwrap();
    out
}

fn own(stream: &[u8], transformed: bool) -> Result<Samples, DecodeError> {
    let head = read_head(stream)?;
    planes::interleave(coefficients::decode(stream, &head)?, &head, transformed)
}

#[track_caller]
fn check(rows: u32, columns: u32, samples: u32, scans: Scans, sampling: SamplingFactor, within: u8) {
    let stream = Bytes::from(encoded(rows, columns, samples, scans, sampling));
    let head = read_head(&stream).unwrap();
    let transformed = is_transformed(&head, &description(rows, columns, samples, 8));
    assert_eq!(transformed, samples == 3);
    let Some(Samples::U8(fast)) = decode_fast(&stream, &head, transformed) else {
        panic!("not taken")
    };
    let Ok(Samples::U8(slow)) = own(&stream, transformed) else {
        panic!("not decoded")
    };
    let most = fast.iter().zip(slow.iter()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
    assert!(most <= within, "differs by {most}");
}

#[test]
fn agrees_with_the_fast_decoder() {
    for scans in [Scans::Sequential, Scans::Progressive, Scans::Restarted] {
        check(33, 47, 1, scans, SamplingFactor::F_1_1, 1);
        check(33, 47, 3, scans, SamplingFactor::F_1_1, 3);
        check(40, 64, 3, scans, SamplingFactor::F_2_1, 8);
        check(40, 64, 3, scans, SamplingFactor::F_2_2, 12);
    }
}

/// Blocks of one value each, 12 bits deep.
fn twelve_bits(rows: u16, columns: u16, values: &[u16]) -> Vec<u8> {
    let mut out = vec![0xFF, 0xD8, 0xFF, 0xDB, 0, 67, 0];
    out.extend([1u8; 64]);
    out.extend([0xFF, 0xC1, 0, 11, 12]);
    out.extend(rows.to_be_bytes());
    out.extend(columns.to_be_bytes());
    out.extend([1, 1, 0x11, 0]);
    // DC categories 0 to 15 in codes of five bits; AC: end of block alone.
    out.extend([0xFF, 0xC4, 0, 19 + 16, 0]);
    out.extend([0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    out.extend(0..16u8);
    out.extend([0xFF, 0xC4, 0, 20, 0x10]);
    out.extend([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    out.extend([0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0]);
    let mut bits = BitWriter::new(&mut out, Stuffing::Byte);
    let mut before = 0i32;
    for value in values {
        let coefficient = (i32::from(*value) - 2048) * 8;
        let difference = coefficient - before;
        before = coefficient;
        let category = 32 - difference.unsigned_abs().leading_zeros();
        bits.put(category, 5);
        bits.put(
            if difference < 0 { difference - 1 } else { difference } as u32,
            category,
        );
        bits.put(0, 1);
    }
    bits.finish();
    out.extend([0xFF, 0xD9]);
    out
}

#[test]
fn decodes_twelve_bits() {
    let stream = Bytes::from(twelve_bits(8, 24, &[0, 4095, 1234]));
    let frame = decode(&stream, &description(8, 24, 1, 12)).unwrap();
    let Samples::U16(samples) = frame.samples else {
        panic!("not 16 bits")
    };
    assert_eq!((samples[0], samples[8], samples[23]), (0, 4095, 1234));
    assert_eq!(frame.bits_stored, 12);
}

#[test]
fn refuses_another_size_than_described() {
    let stream = Bytes::from(twelve_bits(8, 24, &[0, 4095, 1234]));
    assert!(matches!(
        decode(&stream, &description(8, 16, 1, 12)),
        Err(DecodeError::Damaged(_))
    ));
    assert!(matches!(
        decode(&stream.slice(..stream.len() - 6), &description(8, 24, 1, 12)),
        Err(DecodeError::Truncated)
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn damage_does_no_harm(
        kind in 0usize..4,
        changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..8),
        keep in prop::option::of(any::<usize>()),
    ) {
        let (mut stream, description) = match kind {
            0 => (twelve_bits(8, 24, &[0, 4095, 1234]), description(8, 24, 1, 12)),
            1 => (encoded(17, 23, 3, Scans::Progressive, SamplingFactor::F_2_2), description(17, 23, 3, 8)),
            2 => (encoded(17, 23, 3, Scans::Restarted, SamplingFactor::F_2_1), description(17, 23, 3, 8)),
            _ => (encoded(17, 23, 1, Scans::Progressive, SamplingFactor::F_1_1), description(17, 23, 1, 8)),
        };
        for (at, value) in changes {
            let length = stream.len();
            stream[at % length] = value;
        }
        if let Some(keep) = keep {
            stream.truncate(keep % stream.len());
        }
        let _ = own(&stream, true);
        if let Ok(frame) = decode(&stream.into(), &description) {
            prop_assert_eq!(frame.samples.len(), description.sample_count().unwrap());
        }
    }
}
