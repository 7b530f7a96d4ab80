//! DICOM JSON (PS3.18 Annex F), written straight from normal form.

use base64::{Engine, engine::general_purpose::STANDARD};
use filmroom_storage::model::{Attributes, BulkValue, Element, Elements, Header, Tag};

use super::{
    bulk_paths::BulkPaths,
    items::{Items, items},
    number::{push_float, push_integer, push_json_number},
    vr::{self, Shape},
};

/// Appends one data set as a DICOM JSON object (PS3.18 Annex F). Elements that were left out become `BulkDataURI`
/// `<bulk_base>/<path>`; `bulk_base` is the URI of the instance's `bulkdata` resource.
pub fn write_json(out: &mut Vec<u8>, header: &Header, bulk_base: &str) {
    write(out, &header.attributes, &header.bulk, bulk_base);
}

/// Appends one data set of a query answer as a DICOM JSON object.
pub fn write_json_attributes(out: &mut Vec<u8>, attributes: &Attributes) {
    write(out, attributes, &[], "");
}

/// A sequence that is being written, to be gone on with after one of its items.
struct OpenSequence<'a> {
    tag: Tag,
    items: Items<'a>,
    item_index: u32,
    path_before: usize,
    elements_after: Elements<'a>,
}

fn write(out: &mut Vec<u8>, attributes: &Attributes, bulk: &[BulkValue], bulk_base: &str) {
    let mut paths = BulkPaths::new(bulk);
    out.push(b'{');
    for (place, element) in attributes.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write_element(out, &element, &mut paths, bulk_base);
    }
    out.push(b'}');
}

/// Appends one member of the object: key, value representation and value, down to the last item.
pub(super) fn write_element(out: &mut Vec<u8>, element: &Element<'_>, paths: &mut BulkPaths<'_>, bulk_base: &str) {
    push_key(out, element);
    let mut open: Vec<OpenSequence<'_>> = Vec::new();
    let Some(mut elements) = begin_value(out, element, Elements::new(&[]), &mut open, paths, bulk_base) else {
        out.push(b'}');
        return;
    };
    let mut separator = false;
    loop {
        if let Some(element) = elements.next() {
            if separator {
                out.push(b',');
            }
            separator = true;
            push_key(out, &element);
            match begin_value(out, &element, elements.clone(), &mut open, paths, bulk_base) {
                Some(item) => {
                    elements = item;
                    separator = false;
                }
                None => out.push(b'}'),
            }
            continue;
        }
        out.push(b'}');
        let Some(mut sequence) = open.pop() else { return };
        paths.leave(sequence.path_before);
        if let Some(item) = sequence.items.next() {
            out.extend_from_slice(b",{");
            sequence.item_index += 1;
            sequence.path_before = paths.enter(sequence.tag, sequence.item_index);
            elements = Elements::new(item);
            open.push(sequence);
            separator = false;
            continue;
        }
        out.extend_from_slice(b"]}");
        if open.is_empty() {
            return;
        }
        elements = sequence.elements_after;
        separator = true;
    }
}

/// Writes the value of an element, or opens the first item of a sequence and gives its elements.
fn begin_value<'a>(
    out: &mut Vec<u8>,
    element: &Element<'a>,
    elements_after: Elements<'a>,
    open: &mut Vec<OpenSequence<'a>>,
    paths: &mut BulkPaths<'_>,
    bulk_base: &str,
) -> Option<Elements<'a>> {
    if element.value.is_empty() {
        if let Some(value) = paths.find(element.tag) {
            out.extend_from_slice(b",\"BulkDataURI\":\"");
            push_escaped(out, bulk_base);
            out.push(b'/');
            push_escaped(out, &value.path);
            out.push(b'"');
        }
        return None;
    }
    if vr::shape(element.vr) != Shape::Sequence {
        push_value(out, element);
        return None;
    }
    let mut inside = items(element.value);
    let item = inside.next()?;
    out.extend_from_slice(b",\"Value\":[{");
    let path_before = paths.enter(element.tag, 0);
    open.push(OpenSequence {
        tag: element.tag,
        items: inside,
        item_index: 0,
        path_before,
        elements_after,
    });
    Some(Elements::new(item))
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

fn push_hex(out: &mut Vec<u8>, tag: Tag) {
    let mut digits = [b'0'; 8];
    for (place, digit) in digits.iter_mut().enumerate() {
        let nibble = (tag >> (28 - 4 * place)) & 0xF;
        *digit = HEX.get(nibble as usize).copied().unwrap_or(b'0');
    }
    out.extend_from_slice(&digits);
}

fn push_key(out: &mut Vec<u8>, element: &Element<'_>) {
    out.push(b'"');
    push_hex(out, element.tag);
    out.extend_from_slice(b"\":{\"vr\":\"");
    out.extend_from_slice(&element.vr);
    out.push(b'"');
}

fn push_value(out: &mut Vec<u8>, element: &Element<'_>) {
    match vr::shape(element.vr) {
        Shape::Bytes => push_inline(out, element.value),
        Shape::Words(_) if vr::is_bulk(element.vr) => push_inline(out, element.value),
        Shape::Words(size) => push_words(out, element, usize::from(size)),
        Shape::Sequence => {}
        Shape::Text | Shape::Code => {
            let text = element.text();
            if !text.is_empty() {
                out.extend_from_slice(b",\"Value\":[\"");
                push_escaped(out, text);
                out.extend_from_slice(b"\"]");
            }
        }
        Shape::Texts | Shape::PersonNames | Shape::Codes => {
            let text = element.text();
            if text.is_empty() {
                return;
            }
            out.extend_from_slice(b",\"Value\":[");
            for (place, value) in text.split('\\').enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                push_one(out, element.vr, value);
            }
            out.push(b']');
        }
    }
}

/// One value of a list; an empty one is `null` (PS3.18 §F.2.5).
fn push_one(out: &mut Vec<u8>, vr: [u8; 2], value: &str) {
    let value = match &vr {
        b"UC" | b"PN" => value.trim_end_matches([' ', '\0']),
        _ => value.trim_matches([' ', '\0']),
    };
    if value.is_empty() {
        out.extend_from_slice(b"null");
        return;
    }
    match &vr {
        b"PN" => push_person_name(out, value),
        b"DS" | b"IS" if push_json_number(out, value) => {}
        _ => {
            out.push(b'"');
            push_escaped(out, value);
            out.push(b'"');
        }
    }
}

/// The component groups of a person name (PS3.18 §F.2.2); those that are empty are left out.
fn push_person_name(out: &mut Vec<u8>, name: &str) {
    let mut separator = b'{';
    for (group, key) in name.splitn(3, '=').zip(["Alphabetic", "Ideographic", "Phonetic"]) {
        let group = group.trim_end_matches(' ');
        if group.is_empty() {
            continue;
        }
        out.push(separator);
        separator = b',';
        out.push(b'"');
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(b"\":\"");
        push_escaped(out, group);
        out.push(b'"');
    }
    if separator == b'{' {
        out.extend_from_slice(b"null");
    } else {
        out.push(b'}');
    }
}

fn push_inline(out: &mut Vec<u8>, value: &[u8]) {
    out.extend_from_slice(b",\"InlineBinary\":\"");
    out.extend_from_slice(STANDARD.encode(value).as_bytes());
    out.push(b'"');
}

fn push_words(out: &mut Vec<u8>, element: &Element<'_>, size: usize) {
    if &element.vr == b"AT" {
        out.extend_from_slice(b",\"Value\":[");
        for (place, word) in element.value.as_chunks::<4>().0.iter().enumerate() {
            let [g0, g1, e0, e1] = *word;
            out.extend_from_slice(if place == 0 { b"\"" } else { b",\"" });
            push_hex(out, u32::from_be_bytes([g1, g0, e1, e0]));
            out.push(b'"');
        }
        out.push(b']');
        return;
    }
    let words = element.value.chunks_exact(size);
    if words.len() == 0 {
        return;
    }
    out.extend_from_slice(b",\"Value\":[");
    for (place, word) in words.enumerate() {
        if place > 0 {
            out.push(b',');
        }
        push_word(out, element.vr, word);
    }
    out.push(b']');
}

fn push_word(out: &mut Vec<u8>, vr: [u8; 2], word: &[u8]) {
    let mut wide = [0; 8];
    for (to, from) in wide.iter_mut().zip(word) {
        *to = *from;
    }
    let unsigned = u64::from_le_bytes(wide);
    match &vr {
        b"FL" => push_float(
            out,
            f64::from(f32::from_bits(unsigned as u32)),
            Some(f32::from_bits(unsigned as u32)),
        ),
        b"FD" => push_float(out, f64::from_bits(unsigned), None),
        b"SS" => push_integer(out, i128::from(unsigned as u16 as i16)),
        b"SL" => push_integer(out, i128::from(unsigned as u32 as i32)),
        b"SV" => push_wide(out, i128::from(unsigned as i64)),
        b"UV" => push_wide(out, i128::from(unsigned)),
        _ => push_integer(out, i128::from(unsigned)),
    }
}

/// Beyond 2^53 a reader with double precision numbers would round: then a string, which PS3.18 table F.2.3-1 allows.
fn push_wide(out: &mut Vec<u8>, value: i128) {
    if value.unsigned_abs() <= 1 << 53 {
        push_integer(out, value);
    } else {
        out.push(b'"');
        push_integer(out, value);
        out.push(b'"');
    }
}

/// Appends the inside of a JSON string.
pub(crate) fn push_escaped(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut rest = bytes;
    while let Some(place) = rest
        .iter()
        .position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\')
    {
        let (plain, special) = rest.split_at(place);
        out.extend_from_slice(plain);
        let Some((byte, after)) = special.split_first() else {
            return;
        };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            other => {
                out.extend_from_slice(b"\\u00");
                for nibble in [other >> 4, other & 0xF] {
                    out.push(HEX.get(usize::from(nibble)).copied().unwrap_or(b'0'));
                }
            }
        }
        rest = after;
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Builder;

    #[track_caller]
    fn check(build: impl FnOnce(&mut Builder), expected: &str) {
        let mut builder = Builder::new();
        build(&mut builder);
        let mut out = Vec::new();
        write_json_attributes(&mut out, &builder.build());
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, expected);
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
    }

    #[test]
    fn writes_each_kind_of_value() {
        check(|_| {}, "{}");
        check(
            |b| {
                b.text(0x0010_0010, "Yamada^Tarou=山田^太郎=やまだ^たろう");
            },
            r#"{"00080005":{"vr":"CS","Value":["ISO_IR 192"]},"00100010":{"vr":"PN","Value":[{"Alphabetic":"Yamada^Tarou","Ideographic":"山田^太郎","Phonetic":"やまだ^たろう"}]}}"#,
        );
        check(
            |b| {
                b.text(0x0008_0008, "ORIGINAL\\\\AXIAL").empty(0x0008_0020);
            },
            r#"{"00080008":{"vr":"CS","Value":["ORIGINAL",null,"AXIAL"]},"00080020":{"vr":"DA"}}"#,
        );
        check(
            |b| {
                b.text(0x0020_0032, "-1.50\\+2\\.5\\1e3\\abc\\")
                    .text(0x0020_0013, "007");
            },
            r#"{"00200013":{"vr":"IS","Value":[7]},"00200032":{"vr":"DS","Value":[-1.50,2,0.5,1e3,"abc",null]}}"#,
        );
        check(
            |b| {
                b.text(0x0020_4000, "a \"b\"\\c\r\n\u{1}");
            },
            r#"{"00204000":{"vr":"LT","Value":["a \"b\"\\c\r\n\u0001"]}}"#,
        );
        check(
            |b| {
                b.text(0x0028_0009, "00181063")
                    .value(0x0009_1001, *b"UN", &[1, 2, 3])
                    .us(0x0028_0010, 512);
            },
            r#"{"00091001":{"vr":"UN","InlineBinary":"AQIDAA=="},"00280009":{"vr":"AT","Value":["00181063"]},"00280010":{"vr":"US","Value":[512]}}"#,
        );
        check(
            |b| {
                let values = [0.1f32, f32::NAN, f32::NEG_INFINITY, 2.0];
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                b.value(0x0018_9073, *b"FL", &bytes);
            },
            r#"{"00189073":{"vr":"FL","Value":[0.1,"NaN","-Infinity",2]}}"#,
        );
    }

    #[test]
    fn writes_items_and_left_out_values() {
        let deep = Builder::new().value(0x5400_1010, *b"OW", &[]).build();
        let empty = Attributes::default();
        let mut builder = Builder::new();
        builder
            .sequence(0x5400_0100, &[empty, deep])
            .empty(0x7FE0_0010)
            .sequence(0x0008_1140, &[]);
        let bulk = |path: &str| BulkValue {
            path: path.into(),
            vr: "OW".into(),
            offset: 0,
            length: 9,
            encapsulated: false,
        };
        let header = Header {
            attributes: builder.build(),
            bulk: vec![bulk("54000100.1.54001010"), bulk("7FE00010")],
        };
        let mut out = Vec::new();
        write_json(&mut out, &header, "http://h/bulkdata");
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"00081140":{"vr":"SQ"},"54000100":{"vr":"SQ","Value":[{},{"54001010":{"vr":"OW","BulkDataURI":"http://h/bulkdata/54000100.1.54001010"}}]},"7FE00010":{"vr":"OW","BulkDataURI":"http://h/bulkdata/7FE00010"}}"#
        );
    }
}
