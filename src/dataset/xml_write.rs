//! The Native DICOM Model (PS3.19 §A.1), written straight from normal form.

use base64::{Engine, engine::general_purpose::STANDARD};
use filmroom_storage::model::{BulkValue, Element, Elements, Header, Tag};

use super::{
    bulk_paths::BulkPaths,
    dictionary,
    items::{Items, items},
    number::{push_float_plain, push_integer},
    vr::{self, Shape},
};

/// Appends one data set as a Native DICOM Model document (PS3.19 §A.1). Elements that were left out become `BulkData` with the
/// URI `<bulk_base>/<path>`.
pub fn write_xml(out: &mut Vec<u8>, header: &Header, bulk_base: &str) {
    out.extend_from_slice(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<NativeDicomModel xmlns=\"http://dicom.nema.org/PS3.19/models/NativeDICOM\">");
    let mut paths = BulkPaths::new(&header.bulk);
    let mut creators = Creators::default();
    let mut open: Vec<OpenSequence<'_>> = Vec::new();
    let mut elements = header.attributes.iter();
    loop {
        if let Some(element) = elements.next() {
            creators.note(&element);
            open_attribute(out, &element, creators.of(element.tag));
            if vr::shape(element.vr) == Shape::Sequence {
                let mut inside = items(element.value);
                if let Some(item) = inside.next() {
                    open_item(out, 0);
                    let path_before = paths.enter(element.tag, 0);
                    open.push(OpenSequence {
                        tag: element.tag,
                        items: inside,
                        item_index: 0,
                        path_before,
                        elements_after: std::mem::replace(&mut elements, Elements::new(item)),
                        creators_after: std::mem::take(&mut creators),
                    });
                    continue;
                }
            } else if element.value.is_empty() {
                if let Some(value) = paths.find(element.tag) {
                    push_bulk(out, value, bulk_base);
                }
            } else {
                push_value(out, &element);
            }
            out.extend_from_slice(b"</DicomAttribute>");
            continue;
        }
        let Some(mut sequence) = open.pop() else { break };
        out.extend_from_slice(b"</Item>");
        paths.leave(sequence.path_before);
        if let Some(item) = sequence.items.next() {
            sequence.item_index += 1;
            open_item(out, sequence.item_index);
            sequence.path_before = paths.enter(sequence.tag, sequence.item_index);
            elements = Elements::new(item);
            creators = Creators::default();
            open.push(sequence);
        } else {
            out.extend_from_slice(b"</DicomAttribute>");
            elements = sequence.elements_after;
            creators = sequence.creators_after;
        }
    }
    out.extend_from_slice(b"</NativeDicomModel>");
}

/// A sequence that is being written, to be gone on with after one of its items.
struct OpenSequence<'a> {
    tag: Tag,
    items: Items<'a>,
    item_index: u32,
    path_before: usize,
    elements_after: Elements<'a>,
    creators_after: Creators<'a>,
}

/// The private creators of one list of elements (PS3.5 §7.8.1).
#[derive(Default)]
struct Creators<'a>(Vec<(u32, &'a str)>);

impl<'a> Creators<'a> {
    fn note(&mut self, element: &Element<'a>) {
        let tag = element.tag;
        if (tag >> 16) % 2 == 1 && (0x10..=0xFF).contains(&(tag & 0xFFFF)) && vr::is_text(element.vr) {
            self.0.push(((tag & 0xFFFF_0000) | (tag & 0xFF) << 8, element.text()));
        }
    }

    fn of(&self, tag: Tag) -> Option<&'a str> {
        if (tag >> 16).is_multiple_of(2) || tag & 0xFFFF < 0x1000 {
            return None;
        }
        self.0
            .iter()
            .find(|(block, _)| *block == tag & 0xFFFF_FF00)
            .map(|(_, creator)| *creator)
    }
}

fn open_attribute(out: &mut Vec<u8>, element: &Element<'_>, creator: Option<&str>) {
    // The tag of a private attribute is written with its block's number left out (PS3.19 table A.1.5-2).
    let tag = if creator.is_some() {
        element.tag & 0xFFFF_00FF
    } else {
        element.tag
    };
    out.extend_from_slice(b"<DicomAttribute tag=\"");
    out.extend_from_slice(format!("{tag:08X}").as_bytes());
    out.extend_from_slice(b"\" vr=\"");
    out.extend_from_slice(&element.vr);
    if let Some(keyword) = dictionary::keyword(element.tag) {
        out.extend_from_slice(b"\" keyword=\"");
        push_escaped(out, keyword);
    }
    if let Some(creator) = creator {
        out.extend_from_slice(b"\" privateCreator=\"");
        push_escaped(out, creator);
    }
    out.extend_from_slice(b"\">");
}

fn open_item(out: &mut Vec<u8>, item_index: u32) {
    out.extend_from_slice(b"<Item number=\"");
    push_integer(out, i128::from(item_index) + 1);
    out.extend_from_slice(b"\">");
}

fn push_bulk(out: &mut Vec<u8>, value: &BulkValue, bulk_base: &str) {
    out.extend_from_slice(b"<BulkData uri=\"");
    push_escaped(out, bulk_base);
    out.push(b'/');
    push_escaped(out, &value.path);
    out.extend_from_slice(b"\"/>");
}

fn push_value(out: &mut Vec<u8>, element: &Element<'_>) {
    match vr::shape(element.vr) {
        Shape::Sequence => {}
        Shape::Bytes => push_inline(out, element.value),
        Shape::Words(_) if vr::is_bulk(element.vr) => push_inline(out, element.value),
        Shape::Words(size) => {
            // An attribute tag is a pair of words.
            let size = if &element.vr == b"AT" { 4 } else { usize::from(size) };
            for (place, word) in element.value.chunks_exact(size).enumerate() {
                open_value(out, place);
                push_word(out, element.vr, word);
                out.extend_from_slice(b"</Value>");
            }
        }
        Shape::Text | Shape::Code => {
            open_value(out, 0);
            push_escaped(out, element.text());
            out.extend_from_slice(b"</Value>");
        }
        Shape::PersonNames => {
            for (place, name) in element.text().split('\\').enumerate() {
                push_person_name(out, name, place);
            }
        }
        Shape::Texts | Shape::Codes => {
            for (place, value) in element.text().split('\\').enumerate() {
                let value = match &element.vr {
                    b"UC" => value.trim_end_matches([' ', '\0']),
                    _ => value.trim_matches([' ', '\0']),
                };
                open_value(out, place);
                push_escaped(out, value);
                out.extend_from_slice(b"</Value>");
            }
        }
    }
}

fn open_value(out: &mut Vec<u8>, place: usize) {
    out.extend_from_slice(b"<Value number=\"");
    push_integer(out, place as i128 + 1);
    out.extend_from_slice(b"\">");
}

fn push_person_name(out: &mut Vec<u8>, name: &str, place: usize) {
    out.extend_from_slice(b"<PersonName number=\"");
    push_integer(out, place as i128 + 1);
    out.extend_from_slice(b"\">");
    for (group, element) in name.splitn(3, '=').zip(["Alphabetic", "Ideographic", "Phonetic"]) {
        let group = group.trim_end_matches(' ');
        if group.is_empty() {
            continue;
        }
        push_tag(out, "<", element);
        let parts = ["FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix"];
        for (part, part_element) in group.splitn(5, '^').zip(parts) {
            if !part.is_empty() {
                push_tag(out, "<", part_element);
                push_escaped(out, part);
                push_tag(out, "</", part_element);
            }
        }
        push_tag(out, "</", element);
    }
    out.extend_from_slice(b"</PersonName>");
}

fn push_tag(out: &mut Vec<u8>, open: &str, name: &str) {
    out.extend_from_slice(open.as_bytes());
    out.extend_from_slice(name.as_bytes());
    out.push(b'>');
}

fn push_inline(out: &mut Vec<u8>, value: &[u8]) {
    out.extend_from_slice(b"<InlineBinary>");
    out.extend_from_slice(STANDARD.encode(value).as_bytes());
    out.extend_from_slice(b"</InlineBinary>");
}

fn push_word(out: &mut Vec<u8>, vr: [u8; 2], word: &[u8]) {
    let mut wide = [0; 8];
    for (to, from) in wide.iter_mut().zip(word) {
        *to = *from;
    }
    let unsigned = u64::from_le_bytes(wide);
    match &vr {
        b"AT" => {
            let tag = (unsigned as u32).rotate_left(16);
            out.extend_from_slice(format!("{tag:08X}").as_bytes());
        }
        b"FL" => push_float_plain(
            out,
            f64::from(f32::from_bits(unsigned as u32)),
            Some(f32::from_bits(unsigned as u32)),
        ),
        b"FD" => push_float_plain(out, f64::from_bits(unsigned), None),
        b"SS" => push_integer(out, i128::from(unsigned as u16 as i16)),
        b"SL" => push_integer(out, i128::from(unsigned as u32 as i32)),
        b"SV" => push_integer(out, i128::from(unsigned as i64)),
        _ => push_integer(out, i128::from(unsigned)),
    }
}

/// Appends text or the inside of an attribute. Control characters that XML 1.0 cannot carry are left out.
fn push_escaped(out: &mut Vec<u8>, text: &str) {
    for c in text.chars() {
        match c {
            '<' => out.extend_from_slice(b"&lt;"),
            '>' => out.extend_from_slice(b"&gt;"),
            '&' => out.extend_from_slice(b"&amp;"),
            '"' => out.extend_from_slice(b"&quot;"),
            '\r' => out.extend_from_slice(b"&#13;"),
            '\n' | '\t' => out.push(c as u8),
            '\0'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}' => {}
            _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Builder;

    #[test]
    fn writes_each_kind_of_value() {
        let item = Builder::new().text(0x0008_0104, "a < b & \"c\"").build();
        let mut builder = Builder::new();
        builder
            .text(0x0008_0008, "ORIGINAL\\\\AXIAL")
            .sequence(0x0008_1032, &[item])
            .value(0x0009_0010, *b"LO", b"ACME 1")
            .value(0x0009_1002, *b"US", &[7, 0])
            .text(0x0010_0010, "Yamada^Tarou=山田^太郎")
            .text(0x0028_0009, "00181063")
            .empty(0x7FE0_0010);
        let bulk = BulkValue {
            path: "7FE00010".into(),
            vr: "OW".into(),
            offset: 0,
            length: 9,
            encapsulated: false,
        };
        let mut out = Vec::new();
        write_xml(
            &mut out,
            &Header {
                attributes: builder.build(),
                bulk: vec![bulk],
            },
            "/b",
        );
        let text = String::from_utf8(out).unwrap();
        for part in [
            r#"<DicomAttribute tag="00080008" vr="CS" keyword="ImageType"><Value number="1">ORIGINAL</Value><Value number="2"></Value><Value number="3">AXIAL</Value></DicomAttribute>"#,
            r#"<Item number="1"><DicomAttribute tag="00080104" vr="LO" keyword="CodeMeaning"><Value number="1">a &lt; b &amp; &quot;c&quot;</Value></DicomAttribute></Item></DicomAttribute>"#,
            r#"<DicomAttribute tag="00090002" vr="US" privateCreator="ACME 1"><Value number="1">7</Value></DicomAttribute>"#,
            r#"<PersonName number="1"><Alphabetic><FamilyName>Yamada</FamilyName><GivenName>Tarou</GivenName></Alphabetic><Ideographic><FamilyName>山田</FamilyName><GivenName>太郎</GivenName></Ideographic></PersonName>"#,
            r#"<Value number="1">00181063</Value>"#,
            r#"<BulkData uri="/b/7FE00010"/></DicomAttribute></NativeDicomModel>"#,
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }
}
