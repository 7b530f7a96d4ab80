use filmroom_storage::model::{Attributes, Header};
use proptest::prelude::*;

use super::*;
use crate::{Builder, DataSetError, write_json_attributes, write_xml};

fn rich() -> Attributes {
    let code = Builder::new()
        .text(0x0008_0100, "T-D1100")
        .text(0x0008_0104, "Schädel <1>")
        .build();
    let deep = Builder::new()
        .sequence(0x0040_A730, &[code.clone(), Attributes::default()])
        .build();
    let floats: Vec<u8> = [0.1f32, -1e30, f32::INFINITY]
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let mut builder = Builder::new();
    builder
        .text(0x0008_0005, "ISO_IR 192")
        .text(0x0008_0008, "ORIGINAL\\\\AXIAL")
        .text(0x0008_0020, "20260101")
        .sequence(0x0008_1140, &[])
        .sequence(0x0008_2218, &[code])
        .value(0x0009_0010, *b"LO", b"ACME 1")
        .value(0x0009_1002, *b"UN", &[1, 2, 3, 4])
        .text(0x0010_0010, "Müller^Jürgen=山田^太郎=やまだ\\DOE^JOHN")
        .empty(0x0010_0030)
        .text(0x0010_4000, "a \\ b\r\n\"c\"")
        .value(0x0018_605A, *b"FL", &floats)
        .text(0x0020_0032, "-1.5\\2\\1e3")
        .text(0x0028_0009, "00181063")
        .us(0x0028_0010, 512)
        .sequence(0x0040_A730, &[deep.clone(), deep])
        .value(0x0042_0011, *b"OB", &[9; 10])
        .value(0x0018_9073, *b"FD", &1e-9f64.to_le_bytes())
        .value(0x0008_040C, *b"UV", &u64::MAX.to_le_bytes());
    builder.build()
}

#[test]
fn reads_the_json_it_writes() {
    let mut document = Vec::new();
    write_json_attributes(&mut document, &rich());
    let read = read_json(&document).unwrap();
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].attributes.as_bytes(), rich().as_bytes());
}

#[test]
fn reads_the_xml_it_writes() {
    let mut document = Vec::new();
    write_xml(
        &mut document,
        &Header {
            attributes: rich(),
            bulk: Vec::new(),
        },
        "",
    );
    let read = read_xml(&document).unwrap();
    assert_eq!(read.attributes.as_bytes(), rich().as_bytes());
}

#[track_caller]
fn one(document: &str) -> ReadDataSet {
    let mut read = read_json(document.as_bytes()).unwrap();
    assert_eq!(read.len(), 1);
    read.remove(0)
}

#[test]
fn reads_what_other_writers_write() {
    assert_eq!(read_json(b"[]").unwrap(), []);
    assert_eq!(read_json(b" [ {} , {} ] ").unwrap().len(), 2);
    // Members in another order, null for nothing, numbers as strings, unknown members.
    let read = one(
        r#"{"00280010":{"Value":["512"],"vr":"US"},"PatientName":{"vr":"PN","Value":[null]},"00080060":{"vr":"CS","Value":null},
            "00200013":{"vr":"IS","Value":[7.0]},"00080050":{"vr":"SH","x":[{"y":[1,{}]}],"Value":["\u00e4\ud83d\ude00"]},
            "00081140":{"vr":"SQ","Value":[null,{}]}}"#,
    );
    let attributes = read.attributes;
    assert_eq!(attributes.get(0x0028_0010).unwrap().value, [0, 2]);
    assert_eq!(attributes.text(0x0008_0050), "ä😀");
    assert_eq!(attributes.text(0x0020_0013), "7.0");
    assert_eq!(attributes.get(0x0008_0060).unwrap().value, b"");
    assert_eq!(attributes.get(0x0008_1140).unwrap().value.len(), 16);
    assert_eq!(
        one(r#"{"00180050":{"vr":"DS","Value":[0.30000000000000004]}}"#)
            .attributes
            .text(0x0018_0050),
        "3.00000000000e-1"
    );
}

#[test]
fn collects_references_to_bulk_data() {
    let read = one(r#"{"7FE00010":{"vr":"OW","BulkDataURI":"bulk/1"},
            "54000100":{"vr":"SQ","Value":[{},{"54001010":{"BulkDataURI":"bulk/2","vr":"OW"}}]}}"#);
    assert_eq!(
        read.bulk[0],
        BulkReference {
            path: "7FE00010".into(),
            vr: *b"OW",
            uri: "bulk/1".into()
        }
    );
    assert_eq!(read.bulk[1].path, "54000100.1.54001010");
    let xml = br#"<NativeDicomModel><DicomAttribute tag="7FE00010" vr="OB"><BulkData uri="a&amp;b"/></DicomAttribute></NativeDicomModel>"#;
    assert_eq!(read_xml(xml).unwrap().bulk[0].uri, "a&b");
}

#[test]
fn finds_private_blocks_by_creator() {
    let xml = br#"<NativeDicomModel><DicomAttribute tag="00090002" vr="LO" privateCreator="ACME"><Value number="1">x</Value></DicomAttribute></NativeDicomModel>"#;
    let attributes = read_xml(xml).unwrap().attributes;
    assert_eq!(attributes.text(0x0009_0010), "ACME");
    assert_eq!(attributes.text(0x0009_1002), "x");
}

#[track_caller]
fn refuses(document: &str, expected: &str) {
    let error = read_json(document.as_bytes()).unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn refuses_what_is_no_dicom_json() {
    refuses("", "'{' expected at byte 0");
    refuses("[{}", "']' expected");
    refuses("{} x", "nothing more expected");
    refuses(r#"{"nonsense":{}}"#, "names no attribute");
    refuses(r#"{"00100010":{"vr":"XX"}}"#, "no such VR");
    refuses(r#"{"00280010":{"vr":"US","Value":[65536]}}"#, "cannot have the value");
    refuses(r#"{"00280010":{"vr":"US","Value":[1,{}]}}"#, "cannot have the value");
    refuses(r#"{"00080060":{"vr":"CS","Value":["A\\B"]}}"#, "a backslash");
    refuses(r#"{"00080060":{"vr":"CS","Value":["A]}}"#, "not closed");
    refuses(
        r#"{"00420011":{"vr":"OB","InlineBinary":"$$"}}"#,
        "InlineBinary of (0042,0011)",
    );
    let deep = r#"{"0040A730":{"vr":"SQ","Value":["#.repeat(100);
    refuses(&deep, "64 sequences");
    assert!(matches!(
        read_xml(b"<NativeDicomModel>"),
        Err(DataSetError::Malformed(_))
    ));
    assert!(read_xml(b"<!DOCTYPE x [<!ENTITY a \"b\">]><NativeDicomModel/>").is_err());
    let deep = r#"<DicomAttribute tag="0040A730" vr="SQ"><Item number="1">"#.repeat(100);
    assert!(matches!(
        read_xml(format!("<NativeDicomModel>{deep}").as_bytes()),
        Err(DataSetError::Limit(_))
    ));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutations_do_no_harm(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8), cut in any::<prop::sample::Index>()) {
        let mut json = Vec::new();
        write_json_attributes(&mut json, &rich());
        let mut xml = Vec::new();
        write_xml(&mut xml, &Header { attributes: rich(), bulk: Vec::new() }, "");
        for (index, byte) in changes {
            let at = index.index(json.len());
            json[at] = byte;
            let at = index.index(xml.len());
            xml[at] = byte;
        }
        let _ = read_json(&json);
        let _ = read_xml(&xml);
        json.truncate(cut.index(json.len()));
        xml.truncate(cut.index(xml.len()));
        let _ = read_json(&json);
        let _ = read_xml(&xml);
    }

    #[test]
    fn random_json_does_no_harm(text in "[\\[\\]{}:,\"a-z0-9 nulvrSQValue\\\\]{0,80}") {
        let _ = read_json(text.as_bytes());
        let _ = read_json(format!("{{\"0040A730\":{{{text}").as_bytes());
    }
}
