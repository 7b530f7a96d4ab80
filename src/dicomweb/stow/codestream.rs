//! What a compressed image says of itself: its transfer syntax and the attributes that describe its pixels (PS3.18
//! §10.5.1.1.2: the server derives them where the metadata do not say).

use std::ops::Range;

use filmroom_pixels::decode::jpeg_xl;

mod film;
mod jpeg;
mod jpeg2000;

pub(super) use film::read as film;

/// A compressed image or film, as far as its head tells.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Codestream {
    /// Where the codestream lies, without a wrapping; open where it ends with the bytes.
    pub(crate) place: (u64, Option<u64>),
    /// (0002,0010).
    pub(crate) transfer_syntax_uid: Option<&'static str>,
    /// Rows, columns, samples a pixel and bits a sample.
    pub(crate) size: Option<Size>,
    /// (0028,0004).
    pub(crate) photometric_interpretation: Option<&'static str>,
    /// Pictures of a film.
    pub(crate) number_of_frames: Option<u32>,
    /// Milliseconds from one picture of a film to the next.
    pub(crate) frame_time_ms: Option<f64>,
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
        [0xFF, 0xD8, ..] => jpeg::read(head).unwrap_or_default(),
        [0xFF, 0x4F, ..] => jpeg2000::read(head).unwrap_or_default(),
        [0, 0, 0, 0x0C, b'j', b'P', b' ', b' ', ..] => jpeg2000::boxed(head).unwrap_or_default(),
        _ => jpeg_xl(head).unwrap_or_default(),
    }
}

/// JPEG XL (ISO 18181): lossless, lossy, or JPEG packed anew.
fn jpeg_xl(head: &[u8]) -> Option<Codestream> {
    let told = jpeg_xl::head(head)?;
    Some(Codestream {
        transfer_syntax_uid: Some(match told.coding {
            jpeg_xl::Coding::Lossless => "1.2.840.10008.1.2.4.110",
            jpeg_xl::Coding::JpegRecompressed => "1.2.840.10008.1.2.4.111",
            jpeg_xl::Coding::Lossy => "1.2.840.10008.1.2.4.112",
        }),
        size: Some(Size {
            rows: u16::try_from(told.rows).ok()?,
            columns: u16::try_from(told.columns).ok()?,
            samples: if told.is_grey { 1 } else { 3 },
            bits: u16::try_from(told.bits).ok()?,
        }),
        photometric_interpretation: Some(if told.is_grey { "MONOCHROME2" } else { "RGB" }),
        ..Codestream::default()
    })
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
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
        assert_eq!(read(&jpeg_of(0xC2)).transfer_syntax_uid, Some("1.2.840.10008.1.2.4.55"));
        assert_eq!(read(b"GIF89a"), Codestream::default());
    }

    #[test]
    fn a_jpeg_tells_its_colours() {
        let colours = |names: [u8; 3], adobe: &[u8]| {
            let mut frame = vec![0xFF, 0xC0, 0, 17, 8, 0, 5, 0, 7, 3];
            frame.extend(names.iter().flat_map(|name| [*name, 0x11, 0]));
            let bytes = [&[0xFF, 0xD8][..], adobe, &frame, &SOS].concat();
            read(&bytes).photometric_interpretation
        };
        let adobe = |transform: u8| [b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0".as_slice(), &[transform]].concat();
        assert_eq!(colours([1, 2, 3], b""), Some("YBR_FULL_422"));
        assert_eq!(colours([1, 2, 3], &adobe(1)), Some("YBR_FULL_422"));
        assert_eq!(colours([1, 2, 3], &adobe(0)), Some("RGB"));
        assert_eq!(colours(*b"RGB", b""), Some("RGB"));
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
