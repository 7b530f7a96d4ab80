//! Attributes of an instance, compressed with what such attributes have in common.
//!
//! Records are read one by one and have some 300 bytes, mostly tags and the same few values: zstd makes little of that alone, and
//! a sixth of it with a dictionary of typical ones. The dictionary is part of the schema: rows do not read with another.

use std::sync::{LazyLock, Mutex, PoisonError};

use zstd::{
    bulk::{Compressor, Decompressor},
    dict::{DecoderDictionary, EncoderDictionary},
};

/// Typical elements: documents, ultrasound, projection radiography, MR, CT. What is used most stands last.
const TYPICAL: &[(u32, &[u8; 2], &[u8])] = &[
    (0x0008_0012, b"DA", b"20230817"),
    (0x0008_0013, b"TM", b"093145"),
    (0x0008_0023, b"DA", b"20230817"),
    (0x0008_0033, b"TM", b"093145"),
    (0x0020_0013, b"IS", b"1 "),
    (0x0040_A491, b"CS", b"COMPLETE"),
    (0x0040_A493, b"CS", b"UNVERIFIED"),
    (0x0040_A493, b"CS", b"VERIFIED"),
    (0x0042_0010, b"ST", b"Report"),
    (0x0042_0012, b"LO", b"application/pdf "),
    (0x0070_0080, b"CS", b"PRESENTATION"),
    (0x0070_0081, b"LO", b"Presentation state"),
    (0x0070_0082, b"DA", b"20230817"),
    (0x0070_0083, b"TM", b"093145"),
    (0x0008_0008, b"CS", b"DERIVED\\SECONDARY\\REFORMATTED\\AVERAGE "),
    (0x0008_0008, b"CS", b"ORIGINAL\\PRIMARY\\LOCALIZER "),
    (0x0008_0008, b"CS", b"ORIGINAL\\PRIMARY\\\\0001"),
    (0x0008_0023, b"DA", b"20231104"),
    (0x0008_002A, b"DT", b"20231104101530.250000 "),
    (0x0008_0033, b"TM", b"101530"),
    (0x0020_0013, b"IS", b"12"),
    (0x0028_0002, b"US", &[3, 0]),
    (0x0028_0004, b"CS", b"RGB "),
    (0x0028_0004, b"CS", b"PALETTE COLOR "),
    (0x0028_0004, b"CS", b"YBR_FULL_422"),
    (0x0028_0008, b"IS", b"60"),
    (0x0028_0010, b"US", &[0, 3]),
    (0x0028_0011, b"US", &[0, 4]),
    (0x0028_0100, b"US", &[8, 0]),
    (0x0028_0101, b"US", &[8, 0]),
    (0x0028_0102, b"US", &[7, 0]),
    (0x0028_0103, b"US", &[0, 0]),
    (0x0028_2110, b"CS", b"01"),
    (0x0008_0008, b"CS", b"DERIVED\\PRIMARY\\"),
    (0x0008_0008, b"CS", b"ORIGINAL\\PRIMARY"),
    (0x0028_0002, b"US", &[1, 0]),
    (0x0028_0004, b"CS", b"MONOCHROME1 "),
    (0x0028_0010, b"US", &[0xB8, 0x0B]),
    (0x0028_0011, b"US", &[0xC4, 0x09]),
    (0x0028_0030, b"DS", b"0.14\\0.14 "),
    (0x0028_0100, b"US", &[16, 0]),
    (0x0028_0101, b"US", &[14, 0]),
    (0x0028_0102, b"US", &[13, 0]),
    (0x0028_0103, b"US", &[0, 0]),
    (0x0028_0301, b"CS", b"NO"),
    (0x0028_1050, b"DS", b"2048"),
    (0x0028_1051, b"DS", b"4096"),
    (0x0028_2110, b"CS", b"00"),
    (0x0008_0008, b"CS", b"ORIGINAL\\PRIMARY\\M\\ND\\NORM "),
    (0x0020_0012, b"IS", b"1 "),
    (0x0020_0013, b"IS", b"24"),
    (0x0020_0032, b"DS", b"-112.34123\\-98.125\\45.75"),
    (0x0020_1041, b"DS", b"45.75 "),
    (0x0028_0002, b"US", &[1, 0]),
    (0x0028_0004, b"CS", b"MONOCHROME2 "),
    (0x0028_0010, b"US", &[0, 1]),
    (0x0028_0011, b"US", &[0, 1]),
    (0x0028_0030, b"DS", b"0.9375\\0.9375 "),
    (0x0028_0100, b"US", &[16, 0]),
    (0x0028_0101, b"US", &[12, 0]),
    (0x0028_0102, b"US", &[11, 0]),
    (0x0028_0103, b"US", &[0, 0]),
    (0x0028_1050, b"DS", b"500 "),
    (0x0028_1051, b"DS", b"1000"),
    (0x0028_0101, b"US", &[16, 0]),
    (0x0028_0102, b"US", &[15, 0]),
    (0x0028_0103, b"US", &[1, 0]),
    (0x0008_0008, b"CS", b"ORIGINAL\\PRIMARY\\AXIAL "),
    (0x0008_0012, b"DA", b"20240115"),
    (0x0008_0013, b"TM", b"101530.250000 "),
    (0x0008_0022, b"DA", b"20240115"),
    (0x0008_0023, b"DA", b"20240115"),
    (0x0008_0032, b"TM", b"101530.250000 "),
    (0x0008_0033, b"TM", b"101530.250000 "),
    (0x0020_0012, b"IS", b"1 "),
    (0x0020_0013, b"IS", b"101 "),
    (0x0020_0032, b"DS", b"-180.000\\-180.000\\-100.500"),
    (0x0020_1041, b"DS", b"-100.500"),
    (0x0028_0002, b"US", &[1, 0]),
    (0x0028_0004, b"CS", b"MONOCHROME2 "),
    (0x0028_0010, b"US", &[0, 2]),
    (0x0028_0011, b"US", &[0, 2]),
    (0x0028_0030, b"DS", b"0.703125\\0.703125 "),
    (0x0028_0100, b"US", &[16, 0]),
    (0x0028_0101, b"US", &[12, 0]),
    (0x0028_0102, b"US", &[11, 0]),
    (0x0028_0103, b"US", &[0, 0]),
    (0x0028_1050, b"DS", b"40\\-600 "),
    (0x0028_1051, b"DS", b"400\\1500"),
];

/// What every zstd frame begins with.
const MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();
/// Fast; higher levels gain a byte or two.
const LEVEL: i32 = 1;
/// Attributes of an instance that are longer than this are damage.
const PLAIN_MAX_BYTES: usize = 1 << 20;
/// Compressors that are kept for the next row.
const SPARE_MAX: usize = 16;

static DICTIONARY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut elements = Vec::new();
    for (tag, vr, value) in TYPICAL {
        elements.extend_from_slice(&((tag >> 16) as u16).to_le_bytes());
        elements.extend_from_slice(&(*tag as u16).to_le_bytes());
        elements.extend_from_slice(*vr);
        elements.extend_from_slice(&(value.len() as u16).to_le_bytes());
        elements.extend_from_slice(value);
    }
    elements
});
static ENCODER: LazyLock<EncoderDictionary<'static>> = LazyLock::new(|| EncoderDictionary::copy(&DICTIONARY, LEVEL));
static DECODER: LazyLock<DecoderDictionary<'static>> = LazyLock::new(|| DecoderDictionary::copy(&DICTIONARY));
static COMPRESSORS: Mutex<Vec<Compressor<'static>>> = Mutex::new(Vec::new());
static DECOMPRESSORS: Mutex<Vec<Decompressor<'static>>> = Mutex::new(Vec::new());

fn take<T>(spare: &Mutex<Vec<T>>) -> Option<T> {
    spare.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

fn give_back<T>(spare: &Mutex<Vec<T>>, one: T) {
    let mut spare = spare.lock().unwrap_or_else(PoisonError::into_inner);
    if spare.len() < SPARE_MAX {
        spare.push(one);
    }
}

/// Shorter than what was given, or `None`.
pub(crate) fn compress(plain: &[u8]) -> Option<Vec<u8>> {
    if plain.len() > PLAIN_MAX_BYTES {
        return None;
    }
    let mut compressor = match take(&COMPRESSORS) {
        Some(compressor) => compressor,
        None => Compressor::with_prepared_dictionary(&ENCODER).ok()?,
    };
    let compressed = compressor.compress(plain).ok()?;
    give_back(&COMPRESSORS, compressor);
    let compressed = compressed.strip_prefix(&MAGIC)?;
    (compressed.len() < plain.len()).then(|| compressed.to_vec())
}

/// What was compressed, `length` bytes; `None` when it is damaged.
pub(crate) fn decompress(compressed: &[u8], length: usize) -> Option<Vec<u8>> {
    if length > PLAIN_MAX_BYTES {
        return None;
    }
    let mut decompressor = match take(&DECOMPRESSORS) {
        Some(decompressor) => decompressor,
        None => Decompressor::with_prepared_dictionary(&DECODER).ok()?,
    };
    let frame = [MAGIC.as_slice(), compressed].concat();
    let plain = decompressor.decompress(&frame, length).ok()?;
    give_back(&DECOMPRESSORS, decompressor);
    (plain.len() == length).then_some(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn typical_attributes_become_a_few_bytes() {
        let ct: Vec<u8> = DICTIONARY[DICTIONARY.len() - 300..]
            .iter()
            .map(|byte| if *byte == b'5' { b'7' } else { *byte })
            .collect();
        let compressed = compress(&ct).unwrap();
        assert!(compressed.len() < 100, "{}", compressed.len());
        assert_eq!(decompress(&compressed, ct.len()), Some(ct));
    }

    proptest! {
        #[test]
        fn all_that_is_compressed_comes_back(plain in proptest::collection::vec(prop_oneof![Just(0_u8), Just(b'1'), any::<u8>()], 0..600)) {
            if let Some(compressed) = compress(&plain) {
                prop_assert!(compressed.len() < plain.len());
                prop_assert_eq!(decompress(&compressed, plain.len()), Some(plain));
            }
        }

        #[test]
        fn damaged_bytes_are_an_error(bytes: Vec<u8>, length in 0..3_000_000_usize) {
            if let Some(plain) = decompress(&bytes, length) {
                prop_assert_eq!(plain.len(), length);
            }
        }
    }
}
