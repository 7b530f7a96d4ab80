use proptest::prelude::*;

use super::*;

/// A value for one of some attributes of different kinds.
fn an_element() -> impl Strategy<Value = (u32, [u8; 2], Vec<u8>)> {
    let text = |tag: u32, vr: &'static [u8; 2], pattern: &'static str| {
        pattern
            .prop_map(move |text| (tag, *vr, text.trim_end().as_bytes().to_vec()))
            .boxed()
    };
    let words = |tag: u32, vr: &'static [u8; 2], size: usize| {
        prop::collection::vec(any::<u8>(), 0..40)
            .prop_map(move |bytes| (tag, *vr, bytes[..bytes.len() / size * size].to_vec()))
            .boxed()
    };
    prop_oneof![
        text(0x0010_0010, b"PN", "[A-Za-zéü^=山田\\\\]{0,20}"),
        text(0x0008_1030, b"LO", "[A-Za-z0-9äöüß ]{0,20}"),
        text(0x0010_4000, b"LT", "[ -~\r\n]{0,60}"),
        text(0x0020_0032, b"DS", "[0-9.\\\\-]{0,16}"),
        text(0x0008_0020, b"DA", "(20[0-9]{6})?"),
        words(0x0028_0010, b"US", 2),
        words(0x0018_605A, b"FL", 4),
        words(0x0018_6020, b"SL", 4),
        words(0x0018_9073, b"FD", 8),
        words(0x0028_0009, b"AT", 4),
        words(0x7FE0_0010, b"OW", 2),
        words(0x0042_0011, b"OB", 2),
    ]
}

fn a_data_set() -> impl Strategy<Value = Attributes> {
    let leaf = prop::collection::vec(an_element(), 0..6).prop_map(|elements| {
        let mut builder = Builder::new();
        for (tag, vr, value) in elements {
            builder.value(tag, vr, &value);
        }
        builder.build()
    });
    leaf.prop_recursive(4, 24, 3, |inner| {
        (prop::collection::vec(inner.clone(), 0..3), inner).prop_map(|(items, around)| {
            let mut builder = Builder::from_attributes(&around);
            builder.sequence(0x0040_A730, &items).build()
        })
    })
}

/// Without (0008,0005), which belongs to the encoding.
fn content(attributes: &Attributes) -> serde_json::Value {
    fn strip(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(members) => {
                members.remove("00080005");
                members.values_mut().for_each(strip);
            }
            serde_json::Value::Array(values) => values.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value = json(attributes);
    strip(&mut value);
    value
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reads_what_it_encodes(data_set in a_data_set(), latin: bool) {
        let character_set = if latin { CharacterSet::Terms("ISO_IR 100".into()) } else { CharacterSet::Utf8 };
        for uid in [IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED] {
            let bytes = encode(&data_set, &syntax(uid), &character_set).unwrap();
            let read = parse(&bytes, &syntax(uid), 1 << 20).unwrap();
            prop_assert_eq!(content(&read), content(&data_set), "{}", uid);
        }
    }
}

#[test]
fn answers_in_the_askers_character_set() {
    let mut builder = Builder::new();
    builder.text(0x0008_0052, "STUDY").text(0x0010_0010, "Müller^Jürgen");
    let built = builder.build();
    let latin = encode(&built, &syntax(EXPLICIT), &CharacterSet::Terms("ISO_IR 100".into())).unwrap();
    assert!(latin.windows(10).any(|window| window == b"ISO_IR 100"));
    assert!(latin.windows(6).any(|window| window == b"M\xfcller"));
    // Falls back where the set has not all characters.
    let built = builder.text(0x0010_0010, "山田").build();
    let utf8 = encode(&built, &syntax(EXPLICIT), &CharacterSet::Terms("ISO_IR 100".into())).unwrap();
    assert!(utf8.windows(10).any(|window| window == b"ISO_IR 192"));
    // Says nothing where there is nothing to say.
    let plain = Builder::new().text(0x0010_0010, "DOE").build();
    let bytes = encode(&plain, &syntax(EXPLICIT), &CharacterSet::Terms("ISO_IR 100".into())).unwrap();
    assert_eq!(bytes, plain.as_bytes());
}

#[test]
fn refuses_to_parse_more_than_allowed() {
    let bytes = Builder::new()
        .text(0x0010_4000, &"x".repeat(100_000))
        .build()
        .as_bytes()
        .clone();
    assert_eq!(
        parse(&bytes, &syntax(EXPLICIT), 1000),
        Err(DataSetError::Limit("the length that is allowed here"))
    );
    let deflated = encode(
        &Attributes::from_normal_form(bytes),
        &syntax(DEFLATED),
        &CharacterSet::Utf8,
    )
    .unwrap();
    assert!(deflated.len() < 1000);
    assert!(matches!(
        parse(&deflated, &syntax(DEFLATED), 1000),
        Err(DataSetError::Limit(_))
    ));
}
