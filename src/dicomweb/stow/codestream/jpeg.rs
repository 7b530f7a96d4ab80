//! What the head of a JPEG or JPEG-LS image says.

use super::{Codestream, Size, be16};

/// JPEG (ISO 10918-1 annex B) and JPEG-LS (ISO 14495-1 annex C).
pub(super) fn read(head: &[u8]) -> Option<Codestream> {
    let mut at = 2;
    let mut frame = None;
    let mut adobe_transform = None;
    loop {
        let (0xFF, marker) = (*head.get(at)?, *head.get(at + 1)?) else {
            return None;
        };
        if marker == 0xFF {
            at += 1;
            continue;
        }
        let segment = head.get(at + 4..)?;
        match marker {
            0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF | 0xF7 => {
                let size = Size {
                    bits: u16::from(*segment.first()?),
                    rows: be16(segment, 1)?,
                    columns: be16(segment, 3)?,
                    samples: u16::from(*segment.get(5)?),
                };
                // Components that are called R, G and B are these.
                let is_named_rgb = segment
                    .get(6..15)
                    .is_some_and(|components| components.iter().step_by(3).eq(b"RGB".iter()) && size.samples == 3);
                frame = Some((marker, size, is_named_rgb));
            }
            0xEE if segment.starts_with(b"Adobe") => adobe_transform = segment.get(11).copied(),
            0xDA => {
                let (process, size, is_named_rgb) = frame?;
                let components = usize::from(*segment.first()?);
                let parameter = *segment.get(1 + 2 * components)?;
                let is_rgb = adobe_transform.map_or(is_named_rgb, |transform| transform == 0);
                return Some(of_process(process, parameter, size, is_rgb));
            }
            _ => {}
        }
        at += 2 + usize::from(be16(head, at + 2)?);
    }
}

/// `parameter`: the predictor of lossless JPEG, the error that JPEG-LS allows.
fn of_process(process: u8, parameter: u8, size: Size, is_rgb: bool) -> Codestream {
    let transfer_syntax_uid = match (process, parameter) {
        (0xC0, _) => Some("1.2.840.10008.1.2.4.50"),
        (0xC1, _) => Some("1.2.840.10008.1.2.4.51"),
        // Retired, and the only name that progressive JPEG has.
        (0xC2, _) => Some("1.2.840.10008.1.2.4.55"),
        (0xC3, 1) => Some("1.2.840.10008.1.2.4.70"),
        (0xC3, _) => Some("1.2.840.10008.1.2.4.57"),
        (0xF7, 0) => Some("1.2.840.10008.1.2.4.80"),
        (0xF7, _) => Some("1.2.840.10008.1.2.4.81"),
        _ => None,
    };
    let photometric_interpretation = match (size.samples, process) {
        (1, _) => Some("MONOCHROME2"),
        (3, 0xC0..=0xC2) if !is_rgb => Some("YBR_FULL_422"),
        (3, _) => Some("RGB"),
        _ => None,
    };
    Codestream {
        transfer_syntax_uid,
        size: Some(size),
        photometric_interpretation,
        ..Codestream::default()
    }
}
