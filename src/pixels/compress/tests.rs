//! What is compressed comes back, and what is damaged does no harm.

use bytes::Bytes;
use proptest::prelude::*;

use super::{
    jpeg_lossless, jpeg_ls,
    jpeg2000::{self, BlockCoding},
    rle,
};
use crate::{
    decode::{DecodeError, Frame, Reduction, Samples, decode},
    pixel_description::{Photometric, PixelDescription, Planes, Representation},
};

const RLE: &str = "1.2.840.10008.1.2.5";
const JPEG_LOSSLESS: &str = "1.2.840.10008.1.2.4.70";
const JPEG_2000: &str = "1.2.840.10008.1.2.4.90";
const HTJ2K: &str = "1.2.840.10008.1.2.4.202";
const JPEG_LS: &str = "1.2.840.10008.1.2.4.80";

fn description(frame: &Frame) -> PixelDescription {
    PixelDescription {
        rows: frame.rows,
        columns: frame.columns,
        samples_per_pixel: frame.samples_per_pixel,
        bits_allocated: frame.bits_allocated(),
        bits_stored: frame.bits_stored,
        high_bit: frame.bits_stored - 1,
        representation: if frame.signed {
            Representation::Signed
        } else {
            Representation::Unsigned
        },
        photometric: frame.photometric,
        planes: Planes::Interleaved,
    }
}

/// Frames like pictures are: smooth, with flat parts and noise; of any size, depth and number of components.
pub(crate) fn frames() -> impl Strategy<Value = Frame> {
    let shape = (
        1u32..40,
        1u32..40,
        prop::sample::select(vec![1u32, 3]),
        2u32..=16,
        any::<bool>(),
        0u16..3,
    );
    shape.prop_flat_map(|(rows, columns, samples, bits, signed, kind)| {
        let count = (rows * columns * samples) as usize;
        prop::collection::vec(any::<u16>(), count).prop_map(move |noise| {
            let cut = ((1u32 << bits) - 1) as u16;
            let cells: Vec<u16> = noise
                .iter()
                .enumerate()
                .map(|(index, noise)| match kind {
                    0 => noise & cut,
                    1 => ((index / 7) as u16).wrapping_mul(3).wrapping_add(noise & 3) & cut,
                    _ => u16::from(noise % 11 == 0) * (noise & cut),
                })
                .collect();
            let samples_of = if bits <= 8 {
                Samples::U8(cells.iter().map(|&cell| cell as u8).collect::<Vec<u8>>().into())
            } else {
                Samples::U16(cells)
            };
            Frame {
                rows,
                columns,
                samples_per_pixel: samples,
                samples: samples_of,
                bits_stored: bits,
                low_bit: 0,
                signed: signed && samples == 1,
                photometric: if samples == 3 {
                    Photometric::Rgb
                } else {
                    Photometric::Monochrome2
                },
            }
        })
    })
}

fn values(frame: &Frame) -> Vec<f64> {
    (0..frame.samples.len()).map(|index| frame.value(index)).collect()
}

fn back(bytes: Vec<u8>, transfer_syntax: &str, frame: &Frame) -> Result<Vec<f64>, DecodeError> {
    decode(
        &Bytes::from(bytes),
        transfer_syntax,
        &description(frame),
        Reduction::None,
    )
    .map(|frame| values(&frame))
}

/// Bytes with a few of them changed, cut off or doubled.
fn damaged(bytes: Vec<u8>, changes: &[(usize, u8)], keep: usize) -> Vec<u8> {
    let mut bytes = bytes;
    for (at, value) in changes {
        let length = bytes.len();
        bytes[at % length] = *value;
    }
    let keep = 1 + keep % bytes.len();
    bytes.truncate(keep);
    bytes
}

fn changes() -> impl Strategy<Value = Vec<(usize, u8)>> {
    prop::collection::vec((any::<usize>(), any::<u8>()), 0..6)
}

/// Larger than a code-block in both directions, with empty blocks among full ones, and as wild as samples can be.
#[test]
fn many_blocks_come_back() {
    let (rows, columns) = (150u32, 333u32);
    for (samples_per_pixel, bits) in [(1u32, 16u32), (3, 8), (3, 16)] {
        let most = ((1u32 << bits) - 1) as u16;
        let mut noise = 1u32;
        let cells: Vec<u16> = (0..rows * columns * samples_per_pixel)
            .map(|index| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let (row, column) = (index / samples_per_pixel / columns, index / samples_per_pixel % columns);
                match (column / 70, row / 50) {
                    (0, _) => most * ((row + column + index % samples_per_pixel) % 2) as u16,
                    (1, 1) => (noise >> 16) as u16 & most,
                    (2, _) => 0,
                    (3, 0) => (row * 7 + column * 3) as u16 & most,
                    _ => most * u16::from(noise >> 28 == 0),
                }
            })
            .collect();
        let frame = Frame {
            rows,
            columns,
            samples_per_pixel,
            samples: if bits == 8 {
                Samples::U8(cells.iter().map(|&cell| cell as u8).collect::<Vec<u8>>().into())
            } else {
                Samples::U16(cells)
            },
            bits_stored: bits,
            low_bit: 0,
            signed: false,
            photometric: if samples_per_pixel == 3 {
                Photometric::Rgb
            } else {
                Photometric::Monochrome2
            },
        };
        let before = values(&frame);
        for (coding, transfer_syntax) in [
            (BlockCoding::BitPlanes, JPEG_2000),
            (BlockCoding::HighThroughput, HTJ2K),
        ] {
            let bytes = jpeg2000::compress(&frame, coding).unwrap();
            assert!(
                back(bytes, transfer_syntax, &frame).unwrap() == before,
                "{coding:?} {bits} bits"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn lossless_codings_lose_nothing(frame in frames()) {
        let before = values(&frame);
        prop_assert_eq!(&back(rle::compress(&frame).unwrap(), RLE, &frame), &Ok(before.clone()));
        prop_assert_eq!(&back(jpeg_lossless::compress(&frame).unwrap(), JPEG_LOSSLESS, &frame), &Ok(before.clone()));
        for (coding, transfer_syntax) in [(BlockCoding::BitPlanes, JPEG_2000), (BlockCoding::HighThroughput, HTJ2K)] {
            let bytes = jpeg2000::compress(&frame, coding).unwrap();
            prop_assert_eq!(&back(bytes, transfer_syntax, &frame), &Ok(before.clone()));
        }
        for order in [jpeg_ls::Order::Apart, jpeg_ls::Order::Line, jpeg_ls::Order::Sample] {
            prop_assert_eq!(&back(jpeg_ls::compress(&frame, 0, order).unwrap(), JPEG_LS, &frame), &Ok(before.clone()));
        }
    }

    #[test]
    fn near_lossless_stays_near(frame in frames(), near in 1u8..4) {
        prop_assume!(frame.bits_stored >= 4 && !frame.signed);
        for order in [jpeg_ls::Order::Apart, jpeg_ls::Order::Line, jpeg_ls::Order::Sample] {
            let after = back(jpeg_ls::compress(&frame, near, order).unwrap(), JPEG_LS, &frame).unwrap();
            for (before, after) in values(&frame).iter().zip(&after) {
                prop_assert!((before - after).abs() <= f64::from(near), "{} became {}", before, after);
            }
        }
    }

    #[test]
    fn damage_does_no_harm(frame in frames(), changes in changes(), keep in prop::option::of(any::<usize>())) {
        let streams = [
            (rle::compress(&frame).unwrap(), RLE),
            (jpeg_lossless::compress(&frame).unwrap(), JPEG_LOSSLESS),
            (jpeg_ls::compress(&frame, 0, jpeg_ls::Order::Sample).unwrap(), JPEG_LS),
            (jpeg_ls::compress(&frame, 0, jpeg_ls::Order::Line).unwrap(), JPEG_LS),
        ];
        for (bytes, transfer_syntax) in streams {
            let keep = keep.unwrap_or(bytes.len() - 1);
            if let Ok(samples) = back(damaged(bytes, &changes, keep), transfer_syntax, &frame) {
                prop_assert_eq!(samples.len(), frame.samples.len());
            }
        }
    }

    #[test]
    fn noise_does_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..400), frame in frames()) {
        for transfer_syntax in ["1.2.840.10008.1.2.1", RLE, "1.2.840.10008.1.2.4.50", JPEG_LS, "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.8.1"] {
            let _ = back(bytes.clone(), transfer_syntax, &frame);
        }
    }
}
