//! What the head of a JPEG 2000 image says.

use super::{Codestream, Size, be16, be32};

/// JPEG 2000 (ISO 15444-1 annex A) and High-Throughput JPEG 2000 (ISO 15444-15).
pub(super) fn read(head: &[u8]) -> Option<Codestream> {
    let mut at = 2;
    let (mut size, mut is_high_throughput) = (None, false);
    loop {
        let marker = be16(head, at)?;
        let segment = head.get(at + 4..)?;
        match marker {
            0xFF51 => {
                let extent = |end: usize, begin: usize| {
                    let length = be32(segment, end)?.checked_sub(be32(segment, begin)?)?;
                    u16::try_from(length).ok()
                };
                size = Some(Size {
                    columns: extent(2, 10)?,
                    rows: extent(6, 14)?,
                    samples: be16(segment, 34)?,
                    bits: u16::from(segment.get(36)? & 0x7F) + 1,
                });
            }
            0xFF50 => is_high_throughput = true,
            0xFF52 => {
                let size = size?;
                let has_colour_transform = *segment.get(4)? == 1;
                let is_reversible = *segment.get(9)? == 1;
                return Some(Codestream {
                    transfer_syntax_uid: Some(match (is_high_throughput, is_reversible) {
                        (false, true) => "1.2.840.10008.1.2.4.90",
                        (false, false) => "1.2.840.10008.1.2.4.91",
                        (true, true) => "1.2.840.10008.1.2.4.201",
                        (true, false) => "1.2.840.10008.1.2.4.203",
                    }),
                    size: Some(size),
                    photometric_interpretation: match (size.samples, has_colour_transform, is_reversible) {
                        (1, ..) => Some("MONOCHROME2"),
                        (3, true, true) => Some("YBR_RCT"),
                        (3, true, false) => Some("YBR_ICT"),
                        (3, false, _) => Some("RGB"),
                        _ => None,
                    },
                    ..Codestream::default()
                });
            }
            _ => {}
        }
        at += 2 + usize::from(be16(head, at + 2)?);
    }
}

/// A JP2 file: DICOM keeps the codestream alone (PS3.5 §A.4.4).
pub(super) fn boxed(head: &[u8]) -> Option<Codestream> {
    let mut at = 0_usize;
    loop {
        let length = be32(head, at)? as usize;
        if head.get(at + 4..at + 8)? == b"jp2c" {
            let inside = read(head.get(at + 8..)?)?;
            let bytes = length.checked_sub(8).map(|bytes| bytes as u64);
            return Some(Codestream {
                place: (at as u64 + 8, bytes),
                ..inside
            });
        }
        if length < 8 {
            return None;
        }
        at = at.checked_add(length)?;
    }
}
