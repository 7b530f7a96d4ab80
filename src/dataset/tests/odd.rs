use super::*;
use filmroom_storage::model::{Description, FrameTable};

#[track_caller]
fn describes(bytes: &Bytes, uid: &str) -> Description {
    describe(bytes, &syntax(uid)).unwrap()
}

#[track_caller]
fn quirk(description: &Description, phrase: &str) {
    assert!(
        description.quirks.iter().any(|quirk| quirk.contains(phrase)),
        "{:?}",
        description.quirks
    );
}

#[track_caller]
fn refuses(bytes: &[u8], uid: &str, expected: &str) {
    let error = describe(&Bytes::copy_from_slice(bytes), &syntax(uid)).unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
}

fn concat(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn undefined(tag: u32, vr: &[u8; 2]) -> Vec<u8> {
    let mut out = element(tag, vr, b"");
    let end = out.len();
    out[end - 4..].copy_from_slice(&[0xFF; 4]);
    out
}

#[test]
fn reads_undefined_lengths() {
    let inside = element(0x0040_A170, b"LO", b"ab");
    let bytes = with_tail(&concat(&[
        &undefined(0x0040_A730, b"SQ"),
        &item(u32::MAX),
        &inside,
        &ITEM_DELIMITER,
        &item(inside.len() as u32),
        &inside,
        &SEQUENCE_DELIMITER,
        &element(0x0040_A990, b"LO", b"cd"),
    ]));
    let description = describes(&bytes, EXPLICIT);
    assert_eq!(
        items(description.header.attributes.get(0x0040_A730).unwrap().value).count(),
        2
    );
    assert_eq!(description.header.attributes.text(0x0040_A990), "cd");
    assert!(description.quirks.is_empty(), "{:?}", description.quirks);
}

#[test]
fn reads_un_of_undefined_length_as_implicit() {
    let bytes = with_tail(&concat(&[
        &undefined(0x0041_1001, b"UN"),
        &item(u32::MAX),
        &[0x08, 0x00, 0x04, 0x01, 2, 0, 0, 0, b'x', b'y'],
        &ITEM_DELIMITER,
        &SEQUENCE_DELIMITER,
    ]));
    let description = describes(&bytes, EXPLICIT);
    let sequence = description.header.attributes.get(0x0041_1001).unwrap();
    assert_eq!(&sequence.vr, b"SQ");
    let item = items(sequence.value).next().unwrap();
    assert_eq!(
        Attributes::from_normal_form(Bytes::copy_from_slice(item)).text(0x0008_0104),
        "xy"
    );
}

#[test]
fn knows_what_un_stands_for() {
    let bytes = with_tail(&concat(&[
        &element(0x0028_0010, b"UN", &[2, 0]),
        &element(
            0x0040_0275,
            b"UN",
            &concat(&[&item(10), &[0x08, 0x00, 0x04, 0x01, 2, 0, 0, 0, b'x', b'y']]),
        ),
        &element(0x0040_A730, b"UN", b"no items"),
    ]));
    let header = describes(&bytes, EXPLICIT).header.attributes;
    assert_eq!(&header.get(0x0028_0010).unwrap().vr, b"US");
    assert_eq!(&header.get(0x0040_0275).unwrap().vr, b"SQ");
    assert_eq!(&header.get(0x0040_A730).unwrap().vr, b"UN");
}

#[test]
fn tolerates_missing_delimiters() {
    let inside = element(0x0040_A170, b"LO", b"ab");
    let bytes = with_tail(&concat(&[
        &undefined(0x0040_A730, b"SQ"),
        &item(u32::MAX),
        &inside,
        &item(u32::MAX),
        &inside,
        &SEQUENCE_DELIMITER,
        &undefined(0x0040_B020, b"SQ"),
        &item(inside.len() as u32),
        &inside,
        &element(0x0042_0010, b"ST", b"title "),
    ]));
    let description = describes(&bytes, EXPLICIT);
    quirk(&description, "no item delimiter");
    quirk(&description, "no sequence delimiter");
    assert_eq!(description.header.attributes.text(0x0042_0010), "title");
    assert_eq!(
        items(description.header.attributes.get(0x0040_A730).unwrap().value).count(),
        2
    );
}

#[test]
fn tolerates_lengths_of_items_that_are_too_short() {
    let inside = element(0x0040_A170, b"LO", b"abcdefgh");
    let bytes = with_tail(&concat(&[
        &element(0x0040_A730, b"SQ", &concat(&[&item(inside.len() as u32 - 4), &inside])),
        &element(0x0042_0010, b"ST", b"title "),
    ]));
    let description = describes(&bytes, EXPLICIT);
    quirk(&description, "an item is shorter");
    assert_eq!(description.header.attributes.text(0x0042_0010), "title");
}

#[test]
fn tolerates_vrs_that_are_none() {
    for vr in [b"??", b"  ", b"\0\0", b"ZZ"] {
        let mut odd = element(0x0028_0120, b"US", &[1, 0]);
        odd[4..6].copy_from_slice(vr);
        let bytes = with_tail(&concat(&[&odd, &element(0x0028_1050, b"DS", b"40")]));
        let description = describes(&bytes, EXPLICIT);
        quirk(&description, "unknown VR");
        assert_eq!(description.header.attributes.get(0x0028_0120).unwrap().value, [1, 0]);
        assert_eq!(description.header.attributes.text(0x0028_1050), "40");
    }
}

#[test]
fn tolerates_the_other_kind_of_vr() {
    // An element in implicit VR among explicit ones.
    let bytes = with_tail(&concat(&[
        &[0x28, 0x00, 0x10, 0x00, 2, 0, 0, 0, 7, 0],
        &element(0x0028_1050, b"DS", b"40"),
    ]));
    let description = describes(&bytes, EXPLICIT);
    quirk(&description, "implicit VR among explicit");
    assert_eq!(description.header.attributes.get(0x0028_0010).unwrap().value, [7, 0]);
    // A whole data set in the other.
    let explicit = with_tail(&element(0x0028_1050, b"DS", b"40"));
    let description = describes(&explicit, IMPLICIT);
    quirk(&description, "explicit VR among implicit");
    assert_eq!(description.header.attributes.text(0x0028_1050), "40");
    let implicit = encode(&identified().build(), &syntax(IMPLICIT), &CharacterSet::Utf8).unwrap();
    quirk(&describes(&implicit, EXPLICIT), "implicit VR among explicit");
    let big = encode(&identified().build(), &syntax(BIG_ENDIAN), &CharacterSet::Utf8).unwrap();
    quirk(&describes(&big, EXPLICIT), "byte order");
}

#[test]
fn tolerates_private_sequences_in_the_other_byte_order() {
    let inside = [
        0xFF, 0xFE, 0xE0, 0x00, 0, 0, 0, 10, 0, 0x29, 0x10, 1, b'L', b'O', 0, 2, b'x', b'y',
    ];
    let bytes = with_tail(&element(0x0029_1010, b"SQ", &inside));
    let description = describes(&bytes, EXPLICIT);
    quirk(&description, "other byte order inside");
    let sequence = description.header.attributes.get(0x0029_1010).unwrap();
    let item = items(sequence.value).next().unwrap();
    assert_eq!(
        Attributes::from_normal_form(Bytes::copy_from_slice(item)).text(0x0029_1001),
        "xy"
    );
}

#[test]
fn tolerates_disorder_padding_and_foreign_groups() {
    let mut bytes = element(0x0002_0010, b"UI", b"1.2.840.10008.1.2.1\0");
    bytes.extend(element(0x0008_0000, b"UL", &[0, 0, 0, 0]));
    bytes.extend_from_slice(identified().build().as_bytes());
    bytes.extend(element(0x0018_0050, b"DS", b"1.5"));
    bytes.extend(element(0x0028_0010, b"US", &[1, 0]));
    bytes.extend(element(0xFFFC_FFFC, b"OB", &[0; 64]));
    bytes.extend([0; 13]);
    let description = describes(&bytes.into(), EXPLICIT);
    for phrase in ["file meta element", "out of order", "odd value length", "stray bytes"] {
        if phrase != "stray bytes" {
            quirk(&description, phrase);
        }
    }
    let tags: Vec<_> = description
        .header
        .attributes
        .iter()
        .map(|element| element.tag)
        .collect();
    assert!(tags.is_sorted());
    assert!(!tags.contains(&0x0002_0010) && !tags.contains(&0xFFFC_FFFC) && !tags.contains(&0x0008_0000));
    assert_eq!(description.header.attributes.text(0x0018_0050), "1.5");
}

#[test]
fn refuses_what_is_cut() {
    let whole = with_tail(&element(0x7FE0_0010, b"OW", &[0; 64]));
    refuses(&whole[..whole.len() - 1], EXPLICIT, "ends inside (7FE0,0010)");
    refuses(&whole[..whole.len() - 70], EXPLICIT, "ends inside");
    let inside = element(0x0040_A170, b"LO", b"ab");
    let open = with_tail(&concat(&[&undefined(0x0040_A730, b"SQ"), &item(u32::MAX), &inside]));
    refuses(&open, EXPLICIT, "ends inside (0040,A730)");
    let huge = with_tail(&[0x40, 0, 0x43, 0xA0, b'U', b'T', 0, 0, 0xF0, 0xFF, 0xFF, 0xFF]);
    refuses(&huge, EXPLICIT, "ends inside (0040,A043)");
    let fragments = with_tail(&concat(&[&undefined(0x7FE0_0010, b"OB"), &item(0), &item(10), &[0; 4]]));
    refuses(&fragments, JPEG, "ends inside (7FE0,0010)");
    let no_end = with_tail(&concat(&[&undefined(0x7FE0_0010, b"OB"), &item(0), &item(4), &[0; 4]]));
    refuses(&no_end, JPEG, "ends inside (7FE0,0010)");
}

#[test]
fn refuses_what_is_too_deep() {
    let mut deep = Vec::new();
    for _ in 0..2000 {
        deep.extend(undefined(0x0040_A730, b"SQ"));
        deep.extend(item(u32::MAX));
    }
    refuses(&with_tail(&deep), EXPLICIT, "64 sequences");
}

#[test]
fn refuses_an_instance_without_identity() {
    for tag in [0x0008_0016, 0x0008_0018, 0x0020_000D, 0x0020_000E] {
        let mut builder = identified();
        refuses(builder.remove(tag).build().as_bytes(), EXPLICIT, "is missing");
        refuses(builder.text(tag, "1..2/x").build().as_bytes(), EXPLICIT, "is unusable");
    }
}

#[test]
fn collects_quirks_of_values() {
    let mut builder = identified();
    builder
        .text(0x0008_0020, "1999-1-1")
        .text(0x0018_0050, "thick")
        .text(0x0020_0013, "1.5")
        .text(0x0010_0020, "");
    let description = describes(builder.build().as_bytes(), EXPLICIT);
    for phrase in ["illegal date", "illegal decimal", "illegal integer", "no patient ID"] {
        quirk(&description, phrase);
    }
    let mut bytes = element(0x0008_0005, b"CS", b"ISO_IR 192");
    bytes.extend_from_slice(identified().build().as_bytes());
    bytes.extend(element(0x0032_1060, b"LO", b"Sch\xe4del "));
    let description = describes(&bytes.into(), EXPLICIT);
    quirk(&description, "another character set");
    assert_eq!(description.header.attributes.text(0x0032_1060), "Schädel");
    assert_eq!(description.header.attributes.text(0x0008_0005), "ISO_IR 192");
}

fn encapsulated(frames: &str, fragments: &[&[u8]], offsets: &[u32]) -> Vec<(u64, u32)> {
    let mut builder = identified();
    builder.text(0x0028_0008, frames);
    let mut bytes = builder.build().as_bytes().to_vec();
    bytes.extend(undefined(0x7FE0_0010, b"OB"));
    bytes.extend(item(offsets.len() as u32 * 4));
    bytes.extend(offsets.iter().flat_map(|offset| offset.to_le_bytes()));
    let base = bytes.len() as u64;
    for fragment in fragments {
        bytes.extend(item(fragment.len() as u32));
        bytes.extend_from_slice(fragment);
    }
    bytes.extend(SEQUENCE_DELIMITER);
    let description = describes(&bytes.into(), JPEG);
    let pixel_data = description.pixel_data.unwrap();
    assert!(
        description
            .header
            .bulk
            .iter()
            .any(|value| value.path == "7FE00010" && value.encapsulated)
    );
    let FrameTable::Encapsulated(ranges) = pixel_data.frames else {
        panic!("native")
    };
    ranges
        .iter()
        .map(|range| (range.offset - base, range.fragments))
        .collect()
}

#[test]
fn finds_the_frames_of_encapsulated_pixel_data() {
    let start = [0xFF, 0xD8, 0xFF, 0xE0, 1, 2];
    let end = [1, 2, 3, 4, 0xFF, 0xD9];
    let middle = [9; 6];
    assert_eq!(encapsulated("1", &[&start, &middle, &end], &[]), [(0, 3)]);
    assert_eq!(encapsulated("2", &[&start, &end], &[]), [(0, 1), (14, 1)]);
    assert_eq!(
        encapsulated("2", &[&middle, &middle, &middle], &[0, 28]),
        [(0, 2), (28, 1)]
    );
    // No offset table, or one that points nowhere: the codestreams tell.
    assert_eq!(
        encapsulated("2", &[&start, &end, &start, &middle, &end], &[]),
        [(0, 2), (28, 3)]
    );
    assert_eq!(
        encapsulated("2", &[&start, &end, &start, &middle, &end], &[0, 5]),
        [(0, 2), (28, 3)]
    );
    assert_eq!(
        encapsulated("2", &[&middle, &end, &middle, &end], &[]),
        [(0, 2), (28, 2)]
    );
    assert_eq!(encapsulated("2", &[&middle, &middle, &middle], &[]), []);
    assert_eq!(encapsulated("3", &[&middle, &middle], &[]), [(0, 1), (14, 1)]);
}

#[track_caller]
fn native(photometric: &str, samples: u16, bits: u16, length: usize, expected: u64) {
    let mut builder = identified();
    builder
        .us(0x0028_0002, samples)
        .text(0x0028_0004, photometric)
        .us(0x0028_0010, 4)
        .us(0x0028_0011, 6)
        .us(0x0028_0100, bits)
        .value(0x7FE0_0010, *b"OW", &vec![0; length]);
    let frames = describes(builder.build().as_bytes(), EXPLICIT)
        .pixel_data
        .unwrap()
        .frames;
    assert_eq!(
        frames,
        FrameTable::Native {
            frame_length_bits: expected
        }
    );
}

#[test]
fn knows_the_length_of_native_frames() {
    native("MONOCHROME2", 1, 16, 48, 24 * 16);
    native("MONOCHROME2", 1, 1, 4, 24);
    native("RGB", 3, 8, 72, 24 * 24);
    native("YBR_FULL_422", 3, 8, 48, 24 * 16);
    native("YBR_FULL_422", 3, 8, 72, 24 * 24);
}

#[test]
fn leaves_bulk_out_and_says_where_it_lies() {
    let inside = Builder::new().value(0x5400_1010, *b"OW", &[5; 2000]).build();
    let mut builder = identified();
    builder
        .sequence(0x5400_0100, &[Attributes::default(), inside])
        .value(0x0009_1001, *b"OB", &[6; 1000]);
    let bytes = builder.build().as_bytes().clone();
    let header = describes(&bytes, EXPLICIT).header;
    assert_eq!(header.bulk.len(), 1);
    assert_eq!(header.bulk[0].path, "54000100.1.54001010");
    let offset = header.bulk[0].offset as usize;
    assert_eq!(bytes[offset..offset + 2000], [5; 2000]);
    assert_eq!(header.attributes.get(0x0009_1001).unwrap().value.len(), 1000);
}

#[test]
fn describes_what_was_acknowledged_as_far_as_it_reads() {
    use filmroom_storage::store::Describer;
    let stored = |bytes: &[u8], uid| {
        let bytes = Bytes::copy_from_slice(bytes);
        DataSetDescriber.describe(&bytes, &syntax(uid)).unwrap()
    };
    let cut_fragments = with_tail(&concat(&[&undefined(0x7FE0_0010, b"OB"), &item(0), &item(4), &[0; 4]]));
    let cut_sequence = with_tail(&concat(&[
        &undefined(0x0040_A730, b"SQ"),
        &item(u32::MAX),
        &element(0x0040_A170, b"LO", b"ab"),
        &undefined(0x0040_A043, b"SQ"),
    ]));
    for (bytes, uid, tag) in [
        (cut_fragments, JPEG, 0x7FE0_0010),
        (cut_sequence, EXPLICIT, 0x0040_A730),
    ] {
        refuses(&bytes, uid, "ends inside");
        let description = stored(&bytes, uid);
        quirk(&description, "cannot be read to its end");
        let header = description.header.attributes;
        let read: usize = header
            .iter()
            .map(|element| element.tag as usize)
            .filter(|found| *found == tag)
            .count();
        assert_eq!(read, usize::from(tag == 0x0040_A730));
        // Normal form holds to its last byte.
        let again = parse(header.as_bytes(), &syntax(EXPLICIT), 1 << 20).unwrap();
        assert_eq!(again.iter().count(), header.iter().count());
    }
}
