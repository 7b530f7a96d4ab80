//! The Native DICOM Model (PS3.19 §A.1).

use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
};

use super::{
    super::{
        DataSetError, attribute_by_name,
        vr::{self, Shape},
    },
    ReadDataSet,
    assembly::Assembly,
    values::Values,
};

/// Reads the data set of a Native DICOM Model document. The document must be whole; its length is for the caller to bound.
///
/// # Errors
/// [`DataSetError::Malformed`] saying what is wrong and where, [`DataSetError::Limit`].
pub fn read_xml(document: &[u8]) -> Result<ReadDataSet, DataSetError> {
    let text = std::str::from_utf8(document).map_err(|_| malformed("the XML text is not UTF-8"))?;
    let mut reader = Reader::from_str(text);
    let mut parts = Parts::default();
    loop {
        match reader.read_event() {
            Ok(Event::Start(start)) => parts.start(&start)?,
            Ok(Event::Empty(start)) => {
                parts.start(&start)?;
                parts.end(start.local_name().as_ref())?;
            }
            Ok(Event::End(end)) => parts.end(end.local_name().as_ref())?,
            Ok(Event::Text(text)) => {
                let decoded = text.decode().map_err(|error| malformed(&error.to_string()))?;
                parts.text.push_str(&decoded);
            }
            Ok(Event::CData(text)) => {
                let decoded = text.decode().map_err(|error| malformed(&error.to_string()))?;
                parts.text.push_str(&decoded);
            }
            Ok(Event::GeneralRef(reference)) => {
                let name = reference.decode().map_err(|error| malformed(&error.to_string()))?;
                let resolved = match reference.resolve_char_ref() {
                    Ok(Some(c)) => Some(c),
                    _ => predefined(&name),
                };
                parts
                    .text
                    .push(resolved.ok_or_else(|| malformed("an entity that is not predefined"))?);
            }
            Ok(Event::DocType(_)) => return Err(malformed("a document type declaration")),
            Ok(Event::Eof) => break,
            Ok(_) => {}
            Err(error) => {
                return Err(malformed(&format!("XML at byte {}: {error}", reader.error_position())));
            }
        }
    }
    if parts.complete && parts.attributes.is_empty() {
        Ok(parts.assembly.finish())
    } else {
        Err(malformed("no whole NativeDicomModel"))
    }
}

fn predefined(name: &str) -> Option<char> {
    match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

fn malformed(what: &str) -> DataSetError {
    DataSetError::Malformed(what.to_owned())
}

/// An attribute that is open.
struct OpenAttribute {
    tag: u32,
    vr: [u8; 2],
    values: Values,
    /// Values by their `number`, from 1.
    texts: Vec<String>,
    uri: Option<String>,
}

/// More values than this of one attribute are refused: `number` would make room for them.
const MAX_VALUES: usize = 1 << 20;

#[derive(Default)]
struct Parts {
    assembly: Assembly,
    attributes: Vec<OpenAttribute>,
    text: String,
    number: usize,
    /// Of the person name that is open: groups, and the components of each.
    name: [[String; 5]; 3],
    group: usize,
    complete: bool,
}

impl Parts {
    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), DataSetError> {
        self.text.clear();
        match start.local_name().as_ref() {
            b"DicomAttribute" => self.start_attribute(start),
            b"Item" => self.assembly.start_item(),
            b"Value" | b"PersonName" => {
                let last = self.attributes.last().map_or(0, |attribute| attribute.texts.len());
                self.number = match attribute(start, b"number")? {
                    Some(number) => number.trim().parse().map_err(|_| malformed("number is no number"))?,
                    None => last + 1,
                };
                self.name = Default::default();
                if self.number == 0 || self.number > MAX_VALUES {
                    return Err(DataSetError::Limit("1 048 576 values of one attribute"));
                }
                Ok(())
            }
            b"Alphabetic" => self.begin_group(0),
            b"Ideographic" => self.begin_group(1),
            b"Phonetic" => self.begin_group(2),
            b"BulkData" => {
                let uri = match attribute(start, b"uri")? {
                    Some(uri) => uri,
                    None => attribute(start, b"uuid")?.ok_or_else(|| malformed("BulkData without uri"))?,
                };
                if let Some(attribute) = self.attributes.last_mut() {
                    attribute.uri = Some(uri);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn begin_group(&mut self, group: usize) -> Result<(), DataSetError> {
        self.group = group;
        Ok(())
    }

    fn start_attribute(&mut self, start: &BytesStart<'_>) -> Result<(), DataSetError> {
        let named = match attribute(start, b"tag")? {
            Some(tag) => attribute_by_name(tag.trim()),
            None => attribute(start, b"keyword")?.and_then(|keyword| attribute_by_name(keyword.trim())),
        };
        let (mut tag, by_dictionary) = named.ok_or_else(|| malformed("DicomAttribute without a usable tag"))?;
        let vr = match attribute(start, b"vr")? {
            None => by_dictionary,
            Some(text) => match text.as_bytes() {
                [a, b] if vr::is_known([*a, *b]) => [*a, *b],
                _ => return Err(malformed("no such VR")),
            },
        };
        if let Some(creator) = attribute(start, b"privateCreator")? {
            tag = self.assembly.private_tag(tag, &creator)?;
        }
        let is_sequence = vr::shape(vr) == Shape::Sequence;
        self.attributes.push(OpenAttribute {
            tag,
            vr,
            values: Values::new(tag, vr),
            texts: Vec::new(),
            uri: None,
        });
        if is_sequence {
            self.assembly.start_sequence(tag)
        } else {
            Ok(())
        }
    }

    fn end(&mut self, name: &[u8]) -> Result<(), DataSetError> {
        let text = std::mem::take(&mut self.text);
        match name {
            b"NativeDicomModel" => self.complete = true,
            b"Item" => self.assembly.end_item(),
            b"DicomAttribute" => return self.end_attribute(),
            b"Value" => self.put(text),
            b"InlineBinary" => {
                if let Some(attribute) = self.attributes.last_mut() {
                    attribute.values.push_base64(&text)?;
                }
            }
            b"FamilyName" => self.put_component(0, text),
            b"GivenName" => self.put_component(1, text),
            b"MiddleName" => self.put_component(2, text),
            b"NamePrefix" => self.put_component(3, text),
            b"NameSuffix" => self.put_component(4, text),
            b"PersonName" => {
                let groups: Vec<String> = self
                    .name
                    .iter()
                    .map(|group| group.join("^").trim_end_matches('^').to_owned())
                    .collect();
                self.put(groups.join("=").trim_end_matches('=').to_owned());
            }
            _ => {}
        }
        Ok(())
    }

    fn put(&mut self, text: String) {
        let number = self.number;
        if let Some(attribute) = self.attributes.last_mut() {
            if attribute.texts.len() < number {
                attribute.texts.resize(number, String::new());
            }
            if let Some(place) = attribute.texts.get_mut(number.saturating_sub(1)) {
                *place = text;
            }
        }
    }

    fn put_component(&mut self, component: usize, text: String) {
        if let Some(place) = self.name.get_mut(self.group).and_then(|group| group.get_mut(component)) {
            *place = text;
        }
    }

    fn end_attribute(&mut self) -> Result<(), DataSetError> {
        let Some(OpenAttribute {
            tag,
            vr,
            mut values,
            texts,
            uri,
        }) = self.attributes.pop()
        else {
            return Ok(());
        };
        if vr::shape(vr) == Shape::Sequence {
            return self.assembly.end_sequence();
        }
        for text in texts {
            if text.contains('\\') && !matches!(vr::shape(vr), Shape::Text | Shape::Code) {
                return Err(malformed("a backslash in a value"));
            }
            values.push(&text)?;
        }
        match uri {
            Some(uri) => self.assembly.refer(tag, vr, uri),
            None if tag & 0xFFFF == 0 => {}
            None => self.assembly.value(tag, vr, &values.finish()),
        }
        Ok(())
    }
}

fn attribute(start: &BytesStart<'_>, name: &[u8]) -> Result<Option<String>, DataSetError> {
    let found = start
        .try_get_attribute(name)
        .map_err(|error| malformed(&error.to_string()))?;
    let Some(found) = found else { return Ok(None) };
    let value = found
        .normalized_value(XmlVersion::Implicit1_0)
        .map_err(|error| malformed(&error.to_string()))?;
    Ok(Some(value.into_owned()))
}
