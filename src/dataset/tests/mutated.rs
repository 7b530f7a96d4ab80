use proptest::prelude::*;

use filmroom_storage::store::Describer;

use super::*;

/// A data set with something of everything.
fn rich(uid: &str) -> Vec<u8> {
    let code = Builder::new()
        .text(0x0008_0100, "T-D1100")
        .text(0x0008_0104, "Kopf")
        .build();
    let deep = Builder::new()
        .sequence(0x0040_A730, &[code.clone(), code.clone()])
        .build();
    let mut builder = identified();
    builder
        .text(0x0008_0005, "ISO_IR 192")
        .text(0x0010_0010, "Müller^Jürgen=山田")
        .sequence(0x0008_2218, &[code])
        .sequence(0x0040_A730, &[deep.clone(), deep])
        .us(0x0028_0010, 4)
        .us(0x0028_0011, 4)
        .us(0x0028_0100, 8)
        .text(0x0028_0008, "2")
        .value(0x0009_1001, *b"UN", &[1; 40])
        .value(0x5400_1010, *b"OW", &[2; 1100]);
    let encoded = if uid == JPEG { EXPLICIT } else { uid };
    let mut bytes = encode(&builder.build(), &syntax(encoded), &CharacterSet::Utf8)
        .unwrap()
        .to_vec();
    if uid == JPEG {
        bytes.extend([0xE0, 0x7F, 0x10, 0x00, b'O', b'B', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
        for fragment in [
            &[][..],
            &[0xFF, 0xD8, 0xFF, 0],
            &[1, 2],
            &[0xFF, 0xD8, 0xFF, 0],
            &[0xFF, 0xD9],
        ] {
            bytes.extend(item(fragment.len() as u32));
            bytes.extend(fragment);
        }
        bytes.extend(SEQUENCE_DELIMITER);
    }
    bytes
}

/// Runs everything that a peer's bytes go through; gives the length of what was kept.
fn run(bytes: &Bytes, uid: &str) -> usize {
    let mut kept = 0;
    let strict = describe(bytes, &syntax(uid)).ok();
    let stored = DataSetDescriber.describe(bytes, &syntax(uid)).ok();
    if let Some(description) = &strict {
        let stored = stored.as_ref().expect("what may come in can be described again");
        assert_eq!(stored.header, description.header);
    }
    for description in strict.into_iter().chain(stored) {
        let mut out = Vec::new();
        write_json(&mut out, &description.header, "bulk");
        serde_json::from_slice::<serde_json::Value>(&out).expect("JSON");
        out.clear();
        write_xml(&mut out, &description.header, "bulk");
        kept = description.header.attributes.as_bytes().len();
        let again = Attributes::from_normal_form(description.header.attributes.as_bytes().clone());
        let tags: Vec<u32> = again.iter().map(|element| element.tag).collect();
        assert!(tags.windows(2).all(|pair| pair[0] < pair[1]), "in order, each once");
        for level in [&description.study, &description.series, &description.instance] {
            assert!(level.as_bytes().len() < 1 << 20);
        }
    }
    let _ = parse(bytes, &syntax(uid), 1 << 20);
    let _ = identify(bytes, &syntax(uid));
    let _ = read_file_head(bytes);
    kept
}

const SYNTAXES: [&str; 5] = [IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED, JPEG];

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutations_do_no_harm(
        place in 0..SYNTAXES.len(),
        told in 0..SYNTAXES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in any::<prop::sample::Index>(),
        keep_whole: bool,
        as_told: bool,
    ) {
        let mut bytes = rich(SYNTAXES[place]);
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        if !keep_whole {
            bytes.truncate(cut.index(bytes.len()));
        }
        let length = bytes.len();
        let kept = run(&bytes.into(), SYNTAXES[if as_told { place } else { told }]);
        prop_assert!(kept <= 4 * length + 64 || SYNTAXES[place] == DEFLATED);
    }

    #[test]
    fn random_bytes_do_no_harm(bytes: Vec<u8>, told in 0..SYNTAXES.len()) {
        run(&bytes.into(), SYNTAXES[told]);
    }

    /// Bytes that look like parts of a data set, put together at random.
    #[test]
    fn random_structure_does_no_harm(
        parts in prop::collection::vec((0..14usize, any::<u32>()), 0..60),
        told in 0..SYNTAXES.len(),
    ) {
        let mut bytes = Vec::new();
        for (part, number) in parts {
            let length = [0, 2, 8, 40, u32::MAX, number][number as usize % 6];
            match part {
                0 => bytes.extend(item(length)),
                1 => bytes.extend(ITEM_DELIMITER),
                2 => bytes.extend(SEQUENCE_DELIMITER),
                3 => bytes.extend([0x40, 0, 0x30, 0xA7, b'S', b'Q', 0, 0]),
                4 => bytes.extend([0x40, 0, 0x30, 0xA7]),
                5 => bytes.extend([0xE0, 0x7F, 0x10, 0, b'O', b'B', 0, 0]),
                6 => bytes.extend(length.to_le_bytes()),
                7 => bytes.extend([0x09, 0, 0x01, 0x10, b'U', b'N', 0, 0]),
                8 => bytes.extend(element(0x0010_0010, b"PN", b"A^B ")),
                9 => bytes.extend_from_slice(identified().build().as_bytes()),
                10 => bytes.extend(item(u32::MAX)),
                11 => bytes.extend([0xFF; 4]),
                12 => bytes.extend(number.to_be_bytes()),
                _ => bytes.extend([0; 8]),
            }
        }
        run(&bytes.into(), SYNTAXES[told]);
    }
}

/// A source that says it is long and fails the test when more is asked of it than a window.
struct Endless;

impl filmroom_storage::source::ReadAt for Endless {
    fn len(&self) -> u64 {
        1 << 40
    }

    fn read_at(&self, offset: u64, length: usize) -> std::io::Result<Bytes> {
        assert!(length <= 1 << 20, "{length} bytes at {offset}");
        Ok(Bytes::from(vec![0; length]))
    }
}

#[test]
fn reads_no_more_than_windows_of_a_long_instance() {
    assert!(describe(&Endless, &syntax(IMPLICIT)).is_err());
    let mut bytes = identified().build().as_bytes().to_vec();
    bytes.extend([0xE0, 0x7F, 0x10, 0x00, b'O', b'W', 0, 0, 0xF0, 0xFF, 0xFF, 0xFF]);
    struct Long(Vec<u8>);
    impl filmroom_storage::source::ReadAt for Long {
        fn len(&self) -> u64 {
            self.0.len() as u64 + 0xFFFF_FFF0
        }
        fn read_at(&self, offset: u64, length: usize) -> std::io::Result<Bytes> {
            assert!(length <= 1 << 20);
            let mut out: Vec<u8> = self.0.iter().copied().skip(offset as usize).take(length).collect();
            let wanted = (length as u64).min(self.len().saturating_sub(offset));
            out.resize(wanted as usize, 0);
            Ok(out.into())
        }
    }
    let description = describe(&Long(bytes), &syntax(EXPLICIT)).unwrap();
    assert_eq!(description.pixel_data.unwrap().length, 0xFFFF_FFF0);
}
