//! Reads a data set in the Native DICOM Model (PS3.19 §A.1) straight into elements.

use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};

use super::element::{Described, Element, tag};

/// Sequences within sequences.
const DEPTH_MAX: usize = 64;

/// Reads one data set.
///
/// # Errors
/// One sentence on what is wrong.
pub(super) fn read(text: &[u8]) -> Result<Vec<Element>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "the document is not UTF-8".to_owned())?;
    let mut reader = Reader::from_str(text);
    let mut document = Document::default();
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Start(start) => document.start(&start)?,
            Event::Empty(start) => {
                document.start(&start)?;
                document.end(start.local_name().as_ref())?;
            }
            Event::End(end) => document.end(end.local_name().as_ref())?,
            Event::Text(text) => {
                document
                    .text
                    .push_str(&text.xml10_content().map_err(|error| error.to_string())?);
            }
            Event::CData(text) => {
                document
                    .text
                    .push_str(&text.xml10_content().map_err(|error| error.to_string())?);
            }
            Event::GeneralRef(reference) => {
                if let Some(character) = reference.resolve_char_ref().map_err(|error| error.to_string())? {
                    document.text.push(character);
                } else {
                    let name = reference.decode().map_err(|error| error.to_string())?;
                    let predefined = quick_xml::escape::resolve_predefined_entity(&name);
                    document
                        .text
                        .push_str(predefined.ok_or("an entity that XML does not define")?);
                }
            }
            Event::DocType(_) => return Err("a document type definition is not taken".to_owned()),
            Event::Eof => return document.finish(),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

/// One data set or item, and the attribute of it that is open.
#[derive(Default)]
struct Level {
    elements: Vec<Element>,
    open: Option<(u32, Described)>,
}

#[derive(Default)]
struct Document {
    levels: Vec<Level>,
    done: Option<Vec<Element>>,
    text: String,
    name: Name,
}

/// The groups of a person name, and the components of the open one.
#[derive(Default)]
struct Name {
    groups: [String; 3],
    components: [String; 5],
}

impl Name {
    fn close_group(&mut self, index: usize) {
        let components = std::mem::take(&mut self.components);
        if let Some(group) = self.groups.get_mut(index) {
            components.join("^").trim_end_matches('^').clone_into(group);
        }
    }

    fn close(&mut self) -> String {
        std::mem::take(&mut self.groups)
            .join("=")
            .trim_end_matches('=')
            .to_owned()
    }
}

impl Document {
    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), String> {
        self.text.clear();
        match start.local_name().as_ref() {
            b"NativeDicomModel" if self.levels.is_empty() && self.done.is_none() => self.levels.push(Level::default()),
            b"NativeDicomModel" => return Err("a second data set in one document".to_owned()),
            b"DicomAttribute" => {
                let tag = tag(&attribute(start, "tag")?.ok_or("a DicomAttribute has no tag")?)?;
                let vr = attribute(start, "vr")?;
                let described = Described {
                    vr: vr.as_deref().and_then(|vr| vr.as_bytes().first_chunk::<2>().copied()),
                    ..Described::default()
                };
                let level = self.levels.last_mut().ok_or("a DicomAttribute outside of a data set")?;
                if level.open.replace((tag, described)).is_some() {
                    return Err("a DicomAttribute within another, without an Item".to_owned());
                }
            }
            b"Item" => {
                self.open()?;
                if self.levels.len() >= DEPTH_MAX {
                    return Err(format!("more than {DEPTH_MAX} sequences within each other"));
                }
                self.levels.push(Level::default());
            }
            b"BulkData" => {
                let uri = match attribute(start, "uri")? {
                    Some(uri) => uri,
                    None => attribute(start, "uuid")?.ok_or("a BulkData has neither uri nor uuid")?,
                };
                self.open()?.bulk = Some(uri);
            }
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self) -> Result<&mut Described, String> {
        let open = self.levels.last_mut().and_then(|level| level.open.as_mut());
        open.map(|(_, described)| described)
            .ok_or_else(|| "a value outside of a DicomAttribute".to_owned())
    }

    fn end(&mut self, name: &[u8]) -> Result<(), String> {
        let text = std::mem::take(&mut self.text);
        match name {
            b"Value" => self.open()?.push_text(&text),
            b"InlineBinary" => self.open()?.inline = Some(text),
            b"PersonName" => {
                let name = self.name.close();
                self.open()?.push_text(&name);
            }
            b"FamilyName" => self.component(0, text),
            b"GivenName" => self.component(1, text),
            b"MiddleName" => self.component(2, text),
            b"NamePrefix" => self.component(3, text),
            b"NameSuffix" => self.component(4, text),
            b"Alphabetic" => self.name.close_group(0),
            b"Ideographic" => self.name.close_group(1),
            b"Phonetic" => self.name.close_group(2),
            b"DicomAttribute" => {
                let level = self
                    .levels
                    .last_mut()
                    .ok_or("a DicomAttribute ends that was not begun")?;
                let (tag, described) = level.open.take().ok_or("a DicomAttribute ends that was not begun")?;
                level.elements.push(described.element(tag)?);
            }
            b"Item" => {
                let elements = self.close_level()?;
                self.open()?.items.get_or_insert_default().push(elements);
            }
            b"NativeDicomModel" => self.done = Some(self.close_level()?),
            _ => {}
        }
        Ok(())
    }

    fn component(&mut self, index: usize, text: String) {
        if let Some(component) = self.name.components.get_mut(index) {
            *component = text;
        }
    }

    fn close_level(&mut self) -> Result<Vec<Element>, String> {
        let level = self.levels.pop().ok_or("an Item ends that was not begun")?;
        let mut elements = level.elements;
        elements.sort_by_key(|element| element.tag);
        if elements.is_sorted_by(|one, other| one.tag < other.tag) {
            Ok(elements)
        } else {
            Err("an attribute stands twice in one data set".to_owned())
        }
    }

    fn finish(self) -> Result<Vec<Element>, String> {
        self.done
            .ok_or_else(|| "the document holds no whole NativeDicomModel".to_owned())
    }
}

fn attribute(start: &BytesStart<'_>, name: &str) -> Result<Option<String>, String> {
    let found = start.try_get_attribute(name).map_err(|error| error.to_string())?;
    found
        .map(|attribute| {
            let raw = std::str::from_utf8(&attribute.value).map_err(|error| error.to_string())?;
            quick_xml::escape::unescape(raw)
                .map(Into::into)
                .map_err(|error| error.to_string())
        })
        .transpose()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::element::Value, *};

    #[test]
    fn reads_values_names_items_and_bulk_data() {
        let text = r#"<?xml version="1.0" encoding="UTF-8"?>
            <NativeDicomModel xml:space="preserve" xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">
              <DicomAttribute tag="00100010" vr="PN" keyword="PatientName"><PersonName number="1"><Alphabetic>
                <FamilyName>O&apos;Neil</FamilyName><GivenName>A&#228;</GivenName></Alphabetic></PersonName></DicomAttribute>
              <DicomAttribute tag="00080008" vr="CS"><Value number="1">A</Value><Value number="2">B</Value></DicomAttribute>
              <DicomAttribute tag="00081140" vr="SQ"><Item number="1">
                <DicomAttribute tag="00081155" vr="UI"><Value number="1">1.2</Value></DicomAttribute></Item></DicomAttribute>
              <DicomAttribute tag="7FE00010" vr="OW"><BulkData uri="a?b&amp;c"/></DicomAttribute>
              <DicomAttribute tag="00420011" vr="OB"><InlineBinary>AAE=</InlineBinary></DicomAttribute>
            </NativeDicomModel>"#;
        let bytes = |text: &str| Value::Bytes(text.as_bytes().to_vec());
        let element = |tag, vr: &[u8; 2], value| Element { tag, vr: *vr, value };
        let expected = vec![
            element(0x0008_0008, b"CS", bytes("A\\B ")),
            element(
                0x0008_1140,
                b"SQ",
                Value::Items(vec![vec![element(0x0008_1155, b"UI", bytes("1.2\0"))]]),
            ),
            element(0x0010_0010, b"PN", bytes("O'Neil^Aä")),
            element(0x0042_0011, b"OB", bytes("\0\u{1}")),
            element(0x7FE0_0010, b"OW", Value::Bulk("a?b&c".to_owned())),
        ];
        let got = read(text.as_bytes()).unwrap();
        assert_eq!(got, expected);
    }

    #[test]
    fn refuses_what_is_no_data_set() {
        for text in [
            "",
            "<a/>",
            "<NativeDicomModel>",
            "<NativeDicomModel><Value>1</Value></NativeDicomModel>",
            "<NativeDicomModel><DicomAttribute/></NativeDicomModel>",
            "<!DOCTYPE a [<!ENTITY b \"c\">]><NativeDicomModel/>",
            "<NativeDicomModel/><NativeDicomModel/>",
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn endless_nesting_is_refused() {
        let deep = "<DicomAttribute tag=\"00081140\" vr=\"SQ\"><Item>".repeat(1000);
        assert!(read(format!("<NativeDicomModel>{deep}").as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(</?(NativeDicomModel|DicomAttribute tag=\"00100010\"|Item|Value|PersonName)/?>|&amp;|&#1;|x){0,30}") {
            let _ = read(text.as_bytes());
        }
    }
}
