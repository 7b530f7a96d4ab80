//! Frames in every coding (PS3.5 §8.2, annexes A.4 and G).

use bytes::Bytes;
use filmroom_pixels::{
    decode::{self, Reduction},
    pixel_description::{Photometric, PixelDescription, Planes, Representation},
};

/// Transfer syntaxes, one a coding.
pub(super) const SYNTAXES: [&str; 9] = [
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.201",
    "1.2.840.10008.1.2.4.110",
    "1.2.840.10008.1.2.8.1",
];

/// Decodes a frame. Four bytes say how it is described: transfer syntax, kind of samples, rows, columns.
pub(super) fn decode(bytes: &[u8]) {
    let Some(([syntax, kind, rows, columns], frame)) = bytes.split_first_chunk::<4>() else {
        return;
    };
    let Some(syntax) = SYNTAXES.get(usize::from(*syntax) % SYNTAXES.len()) else {
        return;
    };
    let description = describe(*kind, *rows, *columns);
    let reduction = match kind >> 6 & 1 {
        0 => Reduction::None,
        _ => Reduction::AtLeast { columns: 8, rows: 8 },
    };
    if let Ok(frame) = decode::decode(&Bytes::copy_from_slice(frame), syntax, &description, reduction) {
        let cells = u64::from(frame.rows) * u64::from(frame.columns) * u64::from(frame.samples_per_pixel);
        assert_eq!(frame.samples.len() as u64, cells, "as many samples as the frame says");
        for index in [0, frame.samples.len().saturating_sub(1)] {
            if !frame.samples.is_empty() {
                let _ = frame.value(index);
            }
        }
    }
}

/// The description that three bytes stand for.
fn describe(kind: u8, rows: u8, columns: u8) -> PixelDescription {
    let (bits_allocated, bits_stored) = match kind & 7 {
        0 => (1, 1),
        1 => (8, 8),
        2 => (16, 12),
        3 => (16, 16),
        4 => (12, 12),
        5 => (32, 32),
        6 => (64, 64),
        _ => (8, 3),
    };
    let photometric = match kind >> 3 & 3 {
        0 => Photometric::Monochrome2,
        1 => Photometric::Rgb,
        2 => Photometric::YbrFull422,
        _ => Photometric::PaletteColor,
    };
    let representation = match (kind & 7, kind >> 7) {
        (6, _) => Representation::Float,
        (_, 1) => Representation::Signed,
        _ => Representation::Unsigned,
    };
    PixelDescription {
        rows: u32::from(rows),
        columns: u32::from(columns),
        samples_per_pixel: if matches!(kind >> 3 & 3, 1 | 2) { 3 } else { 1 },
        bits_allocated,
        bits_stored,
        high_bit: bits_stored - 1,
        representation,
        photometric,
        planes: if kind >> 5 & 1 == 1 {
            Planes::Separate
        } else {
            Planes::Interleaved
        },
    }
}
