//! What a compressed image says of itself: its transfer syntax and the attributes that describe its pixels (PS3.18
//! §10.5.1.1.2: the server derives them where the metadata do not say).

use std::ops::Range;

/// A compressed image, as far as its head tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Codestream {
    /// Where the codestream lies, without a wrapping; open where it ends with the bytes.
    pub(crate) place: (u64, Option<u64>),
    /// (0002,0010).
    pub(crate) transfer_syntax_uid: Option<&'static str>,
    /// Rows, columns, samples a pixel and bits a sample.
    pub(crate) size: Option<Size>,
    /// (0028,0004).
    pub(crate) photometric_interpretation: Option<&'static str>,
}

/// The shape of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) rows: u16,
    pub(crate) columns: u16,
    pub(crate) samples: u16,
    pub(crate) bits: u16,
}

impl Codestream {
    /// The bytes of the codestream within so many.
    pub(crate) fn range(&self, length: u64) -> Range<u64> {
        let (from, bytes) = self.place;
        let to = bytes.map_or(length, |bytes| from.saturating_add(bytes).min(length));
        from.min(to)..to
    }
}

/// Reads the head of a compressed image; nothing where it is not understood.
pub(crate) fn read(head: &[u8]) -> Codestream {
    match head {
        [0xFF, 0xD8, ..] => jpeg(head).unwrap_or_default(),
        [0xFF, 0x4F, ..] => jpeg2000(head).unwrap_or_default(),
        [0, 0, 0, 0x0C, b'j', b'P', b' ', b' ', ..] => boxed(head).unwrap_or_default(),
        _ => Codestream::default(),
    }
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
}

/// JPEG (ISO 10918-1 annex B) and JPEG-LS (ISO 14495-1 annex C).
fn jpeg(head: &[u8]) -> Option<Codestream> {
    let mut at = 2;
    let mut frame = None;
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
                frame = Some((marker, size));
            }
            0xDA => {
                let (process, size) = frame?;
                let components = usize::from(*segment.first()?);
                let parameter = *segment.get(1 + 2 * components)?;
                return Some(of_jpeg(process, parameter, size));
            }
            _ => {}
        }
        at += 2 + usize::from(be16(head, at + 2)?);
    }
}

/// `parameter`: the predictor of lossless JPEG, the error that JPEG-LS allows.
fn of_jpeg(process: u8, parameter: u8, size: Size) -> Codestream {
    let transfer_syntax_uid = match (process, parameter) {
        (0xC0, _) => Some("1.2.840.10008.1.2.4.50"),
        (0xC1, _) => Some("1.2.840.10008.1.2.4.51"),
        (0xC3, 1) => Some("1.2.840.10008.1.2.4.70"),
        (0xC3, _) => Some("1.2.840.10008.1.2.4.57"),
        (0xF7, 0) => Some("1.2.840.10008.1.2.4.80"),
        (0xF7, _) => Some("1.2.840.10008.1.2.4.81"),
        _ => None,
    };
    let photometric_interpretation = match (size.samples, process) {
        (1, _) => Some("MONOCHROME2"),
        (3, 0xC0 | 0xC1) => Some("YBR_FULL_422"),
        (3, _) => Some("RGB"),
        _ => None,
    };
    Codestream {
        place: (0, None),
        transfer_syntax_uid,
        size: Some(size),
        photometric_interpretation,
    }
}

/// JPEG 2000 (ISO 15444-1 annex A) and High-Throughput JPEG 2000 (ISO 15444-15).
fn jpeg2000(head: &[u8]) -> Option<Codestream> {
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
                    place: (0, None),
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
                });
            }
            _ => {}
        }
        at += 2 + usize::from(be16(head, at + 2)?);
    }
}

/// A JP2 file: DICOM keeps the codestream alone (PS3.5 §A.4.4).
fn boxed(head: &[u8]) -> Option<Codestream> {
    let mut at = 0_usize;
    loop {
        let length = be32(head, at)? as usize;
        if head.get(at + 4..at + 8)? == b"jp2c" {
            let inside = jpeg2000(head.get(at + 8..)?)?;
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SOF: [u8; 13] = [0xFF, 0xC0, 0, 11, 8, 0, 5, 0, 7, 1, 1, 0x11, 0];
    const SOS: [u8; 10] = [0xFF, 0xDA, 0, 8, 1, 1, 0, 1, 0, 0];

    fn jpeg_of(process: u8) -> Vec<u8> {
        let mut frame = SOF;
        frame[1] = process;
        [&[0xFF, 0xD8, 0xFF, 0xE0, 0, 4, 1, 2][..], &frame, &SOS].concat()
    }

    #[test]
    fn a_jpeg_tells_its_process_and_size() {
        let baseline = read(&jpeg_of(0xC0));
        assert_eq!(baseline.transfer_syntax_uid, Some("1.2.840.10008.1.2.4.50"));
        let size = Size {
            rows: 5,
            columns: 7,
            samples: 1,
            bits: 8,
        };
        assert_eq!(baseline.size, Some(size));
        assert_eq!(read(&jpeg_of(0xC3)).transfer_syntax_uid, Some("1.2.840.10008.1.2.4.70"));
        assert_eq!(read(&jpeg_of(0xF7)).transfer_syntax_uid, Some("1.2.840.10008.1.2.4.81"));
        assert_eq!(read(b"GIF89a"), Codestream::default());
    }

    #[test]
    fn a_box_is_taken_off() {
        let mut codestream = vec![0xFF, 0x4F, 0xFF, 0x51, 0, 41, 0, 0];
        for value in [7_u32, 5, 0, 0, 7, 5, 0, 0] {
            codestream.extend_from_slice(&value.to_be_bytes());
        }
        codestream.extend_from_slice(&[0, 1, 11, 1, 1]);
        codestream.extend_from_slice(&[0xFF, 0x52, 0, 12, 0, 0, 0, 1, 0, 5, 4, 4, 0, 1]);
        let plain = read(&codestream);
        assert_eq!(plain.transfer_syntax_uid, Some("1.2.840.10008.1.2.4.90"));
        assert_eq!(plain.size.unwrap().bits, 12);
        let mut file = vec![0, 0, 0, 12, b'j', b'P', b' ', b' ', 13, 10, 0x87, 10];
        file.extend_from_slice(&(codestream.len() as u32 + 8).to_be_bytes());
        file.extend_from_slice(b"jp2c");
        file.extend_from_slice(&codestream);
        let boxed = read(&file);
        assert_eq!(boxed.range(file.len() as u64), 20..file.len() as u64);
        assert_eq!(boxed.size, plain.size);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(mut bytes in proptest::collection::vec(any::<u8>(), 2..200), kind in 0..3) {
            let start: &[u8] = match kind {
                0 => &[0xFF, 0xD8],
                1 => &[0xFF, 0x4F],
                _ => b"\0\0\0\x0cjP  ",
            };
            bytes.splice(0..2, start.iter().copied());
            let range = read(&bytes).range(bytes.len() as u64);
            prop_assert!(range.end <= bytes.len() as u64);
        }
    }
}
