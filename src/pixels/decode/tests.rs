//! Streams and descriptions that lie: refused, or decoded within the size of the frame.

use bytes::Bytes;

use super::{DecodeError, FRAME_MAX_BYTES, Frame, Reduction, decode};
use crate::{
    compress::{
        jpeg_baseline::{self, Colour},
        jpeg_lossless, jpeg_ls,
        jpeg2000::{self, BlockCoding},
        rle,
    },
    pixel_description::{Photometric, PixelDescription, Planes, Representation},
};

const NATIVE: &str = "1.2.840.10008.1.2.1";
const RLE: &str = "1.2.840.10008.1.2.5";
const DEFLATED: &str = "1.2.840.10008.1.2.8.1";
const JPEG: &str = "1.2.840.10008.1.2.4.50";
const JPEG_LOSSLESS: &str = "1.2.840.10008.1.2.4.70";
const JPEG_LS: &str = "1.2.840.10008.1.2.4.80";
const JPEG_2000: &str = "1.2.840.10008.1.2.4.90";
const HTJ2K: &str = "1.2.840.10008.1.2.4.202";
const JPEG_XL: &str = "1.2.840.10008.1.2.4.110";
const EVERY: [&str; 9] = [
    NATIVE,
    RLE,
    DEFLATED,
    JPEG,
    JPEG_LOSSLESS,
    JPEG_LS,
    JPEG_2000,
    HTJ2K,
    JPEG_XL,
];

fn grey(columns: u32, rows: u32) -> PixelDescription {
    PixelDescription {
        rows,
        columns,
        samples_per_pixel: 1,
        bits_allocated: 8,
        bits_stored: 8,
        high_bit: 7,
        representation: Representation::Unsigned,
        photometric: Photometric::Monochrome2,
        planes: Planes::Interleaved,
    }
}

/// A small frame in each coding.
fn streams() -> Vec<(&'static str, Vec<u8>)> {
    let samples: Vec<u8> = (0..64 * 48u32)
        .map(|index| (index * 7 + index / 64 * 5) as u8)
        .collect();
    let frame = Frame {
        rows: 48,
        columns: 64,
        samples_per_pixel: 1,
        samples: super::Samples::U8(samples.clone().into()),
        bits_stored: 8,
        low_bit: 0,
        signed: false,
        photometric: Photometric::Monochrome2,
    };
    vec![
        (RLE, rle::compress(&frame).unwrap()),
        (
            JPEG,
            jpeg_baseline::compress(&samples, 64, 48, Colour::Grey, 90, None).unwrap(),
        ),
        (JPEG_LOSSLESS, jpeg_lossless::compress(&frame).unwrap()),
        (JPEG_LS, jpeg_ls::compress(&frame, 0, jpeg_ls::Order::Line).unwrap()),
        (JPEG_2000, jpeg2000::compress(&frame, BlockCoding::BitPlanes).unwrap()),
        (HTJ2K, jpeg2000::compress(&frame, BlockCoding::HighThroughput).unwrap()),
    ]
}

fn decoded(bytes: Vec<u8>, transfer_syntax: &str, description: &PixelDescription) -> Result<Frame, DecodeError> {
    decode(&Bytes::from(bytes), transfer_syntax, description, Reduction::None)
}

#[test]
fn frames_without_rows_or_of_any_size_are_refused_before_they_are_read() {
    for transfer_syntax in EVERY {
        for (columns, rows) in [(0, 8), (8, 0), (0, 0)] {
            let refused = decoded(vec![0; 64], transfer_syntax, &grey(columns, rows));
            assert!(matches!(refused, Err(DecodeError::Description(_))), "{transfer_syntax}");
        }
        for (columns, rows) in [(u32::MAX, u32::MAX), (65_535, 65_535), (FRAME_MAX_BYTES as u32, 2)] {
            let refused = decoded(vec![0; 64], transfer_syntax, &grey(columns, rows));
            assert!(matches!(refused, Err(DecodeError::TooLarge(_))), "{transfer_syntax}");
        }
    }
}

#[test]
fn a_few_bytes_are_no_large_frame() {
    for transfer_syntax in EVERY {
        let refused = decoded(vec![0; 64], transfer_syntax, &grey(20_000, 20_000));
        assert!(refused.is_err(), "{transfer_syntax}");
    }
}

#[test]
fn a_stream_of_another_size_than_its_object_is_refused() {
    for (transfer_syntax, stream) in streams() {
        assert!(
            decoded(stream.clone(), transfer_syntax, &grey(64, 48)).is_ok(),
            "{transfer_syntax}"
        );
        for (columns, rows) in [(64, 4800), (6400, 48), (20_000, 20_000)] {
            let refused = decoded(stream.clone(), transfer_syntax, &grey(columns, rows));
            assert!(refused.is_err(), "{transfer_syntax} {columns} x {rows}");
        }
    }
}

/// The head of the stream and the object agree on a size that the stream has nothing for.
#[test]
fn a_head_that_lies_of_its_size_costs_no_more_than_it_says() {
    for (transfer_syntax, mut stream) in streams() {
        let (columns, rows) = (4_000u16, 4_000u16);
        let place = match transfer_syntax {
            JPEG | JPEG_LOSSLESS => stream
                .windows(2)
                .position(|pair| pair == [0xFF, 0xC0] || pair == [0xFF, 0xC3]),
            JPEG_LS => stream.windows(2).position(|pair| pair == [0xFF, 0xF7]),
            _ => continue,
        };
        let at = place.unwrap() + 5;
        stream[at..at + 2].copy_from_slice(&rows.to_be_bytes());
        stream[at + 2..at + 4].copy_from_slice(&columns.to_be_bytes());
        let refused = decoded(stream, transfer_syntax, &grey(columns.into(), rows.into()));
        assert!(refused.is_err(), "{transfer_syntax}");
    }
}

/// Twenty megabytes of zeros in twenty kilobytes.
#[test]
fn what_inflates_without_end_is_read_as_far_as_the_frame_goes() {
    use flate2::{Compression, write::DeflateEncoder};
    use std::io::Write as _;
    let mut bomb = DeflateEncoder::new(Vec::new(), Compression::best());
    for _ in 0..20 {
        bomb.write_all(&vec![0u8; 1 << 20]).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    let frame = decoded(bomb, DEFLATED, &grey(16, 16)).unwrap();
    assert_eq!(frame.samples.len(), 256);
    // The same of runs.
    let mut runs = vec![0u8; 64];
    runs[0] = 1;
    runs[4] = 64;
    runs.extend([129, 7].repeat(1 << 20));
    let frame = decoded(runs, RLE, &grey(16, 16)).unwrap();
    assert_eq!(frame.samples.len(), 256);
}

#[test]
fn segments_outside_the_frame_are_refused() {
    let header = |count: u32, offsets: &[u32]| {
        let mut bytes = vec![0u8; 64];
        for (place, word) in std::iter::once(&count).chain(offsets).enumerate() {
            bytes[place * 4..place * 4 + 4].copy_from_slice(&word.to_le_bytes());
        }
        bytes.extend([0u8; 64]);
        bytes
    };
    for (count, offsets) in [
        (0, vec![]),
        (16, vec![]),
        (u32::MAX, vec![64]),
        (1, vec![0]),
        (1, vec![63]),
        (1, vec![129]),
        (1, vec![u32::MAX]),
        (2, vec![100, 64]),
    ] {
        let refused = decoded(header(count, &offsets), RLE, &grey(8, 8));
        assert!(refused.is_err(), "{count} {offsets:?}");
    }
}

/// A JPEG 2000 stream of tiles of one pixel, of many components, of no resolution.
#[test]
fn heads_of_jpeg_2000_are_checked_before_the_decoder_sees_them() {
    let (_, stream) = streams().remove(4);
    let at = |offset: usize, bytes: &[u8]| {
        let mut stream = stream.clone();
        stream[offset..offset + bytes.len()].copy_from_slice(bytes);
        stream
    };
    for (what, stream) in [
        ("tiles of one pixel", at(24, &[0, 0, 0, 1, 0, 0, 0, 1])),
        ("tiles without size", at(24, &[0; 8])),
        ("a tile behind the image", at(32, &[0xFF; 8])),
        ("no columns", at(8, &[0; 4])),
        ("components beyond the head", at(40, &[0xFF, 0xFF])),
        ("38 bits", at(42, &[37])),
        ("samples for every second pixel", at(43, &[2, 2])),
    ] {
        assert!(decoded(stream, JPEG_2000, &grey(64, 48)).is_err(), "{what}");
    }
}
