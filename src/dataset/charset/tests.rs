use proptest::prelude::*;

use super::{super::vr::Shape, Decoder, Encoder, Fidelity};

#[track_caller]
fn check(terms: &str, bytes: &[u8], shape: Shape, expected: &str) {
    let (decoder, known) = Decoder::declared(terms.as_bytes());
    assert!(known, "{terms}");
    let mut out = Vec::new();
    let fidelity = decoder.decode(bytes, shape, &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), expected, "{terms}");
    assert_eq!(fidelity, Fidelity::Declared);
    assert_eq!(
        Encoder::new(terms).unwrap().encode(expected, shape).unwrap(),
        bytes,
        "back into {terms}"
    );
}

// The examples of PS3.5 annexes H, I, J and K, and one name for each single-byte set.
#[test]
fn reads_and_writes_the_standards_examples() {
    check(
        "\\ISO 2022 IR 87",
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        Shape::PersonNames,
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
    );
    check(
        "ISO 2022 IR 13\\ISO 2022 IR 87",
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
        Shape::PersonNames,
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    );
    check(
        "\\ISO 2022 IR 149",
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
        Shape::PersonNames,
        "Hong^Gildong=洪^吉洞=홍^길동",
    );
    check(
        "\\ISO 2022 IR 58",
        b"Wang^XiaoDong=\x1b$)A\xcd\xf5^\x1b$)A\xd0\xa1\xb6\xab",
        Shape::PersonNames,
        "Wang^XiaoDong=王^小东",
    );
    check(
        "GB18030",
        b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=",
        Shape::PersonNames,
        "Wang^XiaoDong=王^小东=",
    );
    check(
        "ISO_IR 192",
        "Wang^XiaoDong=王^小東=".as_bytes(),
        Shape::PersonNames,
        "Wang^XiaoDong=王^小東=",
    );
    check("ISO_IR 100", b"Buc^J\xe9r\xf4me", Shape::PersonNames, "Buc^Jérôme");
    check("ISO_IR 101", b"W\xb3a\xb6", Shape::Texts, "Właś");
    check("ISO_IR 109", b"\xc4\xa1", Shape::Texts, "ÄĦ");
    check("ISO_IR 110", b"\xe0", Shape::Texts, "ā");
    check(
        "ISO_IR 126",
        b"\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2",
        Shape::PersonNames,
        "Διονυσιος",
    );
    check(
        "ISO_IR 127",
        b"\xe2\xc8\xc7\xe6\xea^\xe4\xe6\xd2\xc7\xd1",
        Shape::PersonNames,
        "قباني^لنزار",
    );
    check(
        "ISO_IR 138",
        b"\xf9\xf8\xe5\xef^\xe3\xe1\xe5\xf8\xe4",
        Shape::PersonNames,
        "שרון^דבורה",
    );
    check(
        "ISO_IR 144",
        b"\xbb\xee\xdace\xdc\xd1yp\xd3",
        Shape::PersonNames,
        "Люкceмбypг",
    );
    check("ISO_IR 148", b"\xc7avu\xfeo\xf0lu", Shape::PersonNames, "Çavuşoğlu");
    check("ISO_IR 166", b"\xca\xc1\xaa\xd2\xc2", Shape::PersonNames, "สมชาย");
    check("ISO_IR 203", b"\xa4", Shape::Texts, "€");
    check("ISO_IR 13", b"\xd4\xcf\xc0\xde", Shape::PersonNames, "ﾔﾏﾀﾞ");
    check("ISO_IR 13", b"\\100 ~ \xd4", Shape::Text, "\\100 ~ ﾔ");
    check("\\ISO 2022 IR 159", b"\x1b$(D\x30\x21\x1b(B", Shape::Texts, "丂");
    check(
        "ISO 2022 IR 100\\ISO 2022 IR 144\\ISO 2022 IR 126",
        b"Dionysios is \x1b-F\xc4\xe9\xef and \x1b-L\xbb\xee\xda^\xe9",
        Shape::PersonNames,
        "Dionysios is Διο and Люк^é",
    );
}

#[test]
fn splits_only_at_real_delimiters() {
    // 0x5C as a trail byte of GBK and inside JIS X 0208.
    check("GBK", b"\x81\x5c\\A", Shape::Texts, "乗\\A");
}

#[track_caller]
fn reads(terms: &[u8], bytes: &[u8], expected: &str) {
    let (decoder, _) = Decoder::declared(terms);
    let mut out = Vec::new();
    decoder.decode(bytes, Shape::PersonNames, &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn reads_what_is_declared_wrongly() {
    for term in [
        "ISO IR 100",
        "ISO-8859-1",
        "iso_ir_100",
        "ISO_IR_100",
        "ISO2022IR100",
        "ISO 2022 IR 100",
        "IR 100",
        " ISO_IR 100\0",
    ] {
        reads(term.as_bytes(), b"M\xfcller", "Müller");
    }
    reads(b"", "Müller".as_bytes(), "Müller");
    reads(b"", b"M\xfcller", "Müller");
    reads(b"ISO 2022 IR 6", b"M\xfcller", "Müller");
    reads(b"NONSENSE", b"M\xfcller", "Müller");
    reads(b"ISO_IR 192", b"M\xfcller", "Müller");
    reads(b"UTF-8", "Müller".as_bytes(), "Müller");
    reads(b"ISO_IR 100\\ISO_IR 192", "Müller".as_bytes(), "Müller");
    // No escape sequence after the delimiter, which the standard asks for.
    reads(
        b"\\ISO 2022 IR 149",
        b"Hong=\x1b$)C\xfb\xf3^\xd1\xce\xd4\xd7",
        "Hong=洪^吉洞",
    );
    reads(b"ISO 2022 IR 149", b"\xfb\xf3^\xd1\xce\xd4\xd7", "洪^吉洞");
    // Shift JIS under the name of JIS X 0201.
    reads(b"ISO_IR 13", b"\x8e\x52\x93\x63", "山田");
    // Escape sequences without any declaration.
    reads(b"", b"\x1b$B;3ED\x1b(B^A", "山田^A");
    // A cut pair and a lonely escape.
    reads(b"\\ISO 2022 IR 87", b"\x1b$B;3E", "山E");
    reads(b"\\ISO 2022 IR 87", b"A\x1b", "A");
}

#[test]
fn does_not_write_what_a_set_has_not() {
    assert_eq!(Encoder::new("ISO_IR 100").unwrap().encode("山", Shape::Texts), None);
    assert_eq!(
        Encoder::new("\\ISO 2022 IR 87").unwrap().encode("é", Shape::Texts),
        None
    );
    assert!(Encoder::new("NONSENSE").is_none());
}

const TERMS: [&str; 9] = [
    "",
    "ISO_IR 100",
    "ISO_IR 192",
    "GB18030",
    "GBK",
    "ISO 2022 IR 13\\ISO 2022 IR 87\\ISO 2022 IR 159",
    "\\ISO 2022 IR 149",
    "\\ISO 2022 IR 58",
    "ISO 2022 IR 100\\ISO 2022 IR 127",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decodes_anything_to_utf8(bytes: Vec<u8>, place in 0..TERMS.len(), escapes: Vec<bool>) {
        let mut bytes = bytes;
        for (byte, escape) in bytes.iter_mut().zip(escapes) {
            if escape { *byte = b"\x1b$(B)C-A\\^="[usize::from(*byte) % 11]; }
        }
        let (decoder, _) = Decoder::declared(TERMS[place].as_bytes());
        for shape in [Shape::PersonNames, Shape::Texts, Shape::Text, Shape::Codes] {
            let mut out = Vec::new();
            decoder.decode(&bytes, shape, &mut out);
            prop_assert!(out.len() <= bytes.len() * 4);
            prop_assert!(String::from_utf8(out).is_ok());
        }
    }

    #[test]
    fn reads_back_what_it_writes(text in "[a-z^=あ-ん一-丂홍길동éßüŁЯﾔﾏ¥~\\\\ ]{0,40}", place in 0..TERMS.len()) {
        let shape = Shape::PersonNames;
        if let Some(bytes) = Encoder::new(TERMS[place]).unwrap().encode(&text, shape) {
            let (decoder, _) = Decoder::declared(TERMS[place].as_bytes());
            let mut out = Vec::new();
            decoder.decode(&bytes, shape, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}
