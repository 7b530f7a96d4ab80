//! Reads data sets in the DICOM JSON Model (PS3.18 annex F) straight into elements: memory follows the text's length.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::element::{Described, Element, tag};

/// Reads an array of data sets, or one data set.
///
/// # Errors
/// One sentence on what is wrong and where.
pub(super) fn read(text: &[u8]) -> Result<Vec<Vec<Element>>, String> {
    serde_json::from_slice::<DataSets>(text)
        .map(|data_sets| data_sets.0)
        .map_err(|error| error.to_string())
}

struct DataSets(Vec<Vec<Element>>);

impl<'de> Deserialize<'de> for DataSets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = DataSets;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a DICOM JSON data set or an array of them")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<DataSets, A::Error> {
                let mut data_sets = Vec::new();
                while let Some(Object::Attributes(elements)) = list.next_element()? {
                    data_sets.push(elements);
                }
                Ok(DataSets(data_sets))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<DataSets, A::Error> {
                match read_object(map)? {
                    Object::Attributes(elements) => Ok(DataSets(vec![elements])),
                    Object::Name(_) => Err(A::Error::custom("a person name where a data set should stand")),
                }
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// An object among values: an item, or a person name. An empty one is an item without elements.
enum Object {
    Attributes(Vec<Element>),
    Name(String),
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a data set")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object, A::Error> {
                read_object(map)
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

fn read_object<'de, A: MapAccess<'de>>(mut map: A) -> Result<Object, A::Error> {
    let mut elements: Vec<Element> = Vec::new();
    let mut groups = [const { String::new() }; 3];
    let mut is_name = false;
    while let Some(key) = map.next_key::<String>()? {
        let group = match key.as_str() {
            "Alphabetic" => groups.get_mut(0),
            "Ideographic" => groups.get_mut(1),
            "Phonetic" => groups.get_mut(2),
            _ => None,
        };
        if let Some(group) = group {
            is_name = true;
            *group = map.next_value::<Option<String>>()?.unwrap_or_default();
            continue;
        }
        let tag = tag(&key).map_err(A::Error::custom)?;
        let Attribute(described) = map.next_value()?;
        elements.push(described.element(tag).map_err(A::Error::custom)?);
    }
    if is_name {
        return Ok(Object::Name(groups.join("=").trim_end_matches('=').to_owned()));
    }
    elements.sort_by_key(|element| element.tag);
    if elements.is_sorted_by(|one, other| one.tag < other.tag) {
        Ok(Object::Attributes(elements))
    } else {
        Err(A::Error::custom("an attribute stands twice in one data set"))
    }
}

struct Attribute(Described);

impl<'de> Deserialize<'de> for Attribute {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Attribute;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an attribute with vr and value")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Attribute, A::Error> {
                let mut described = Described::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "vr" => {
                            let vr: String = map.next_value()?;
                            let letters = vr.as_bytes().first_chunk::<2>().filter(|_| vr.len() == 2);
                            let letters = letters.filter(|vr| vr.iter().all(u8::is_ascii_uppercase));
                            described.vr = Some(*letters.ok_or_else(|| A::Error::custom("a vr is two letters"))?);
                        }
                        "Value" => {
                            let Values { text, items } = map.next_value()?;
                            (described.text, described.items) = (text, items);
                        }
                        "InlineBinary" => described.inline = Some(map.next_value()?),
                        "BulkDataURI" => described.bulk = Some(map.next_value()?),
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(Attribute(described))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// The values of an attribute: texts and numbers joined, or items.
#[derive(Default)]
struct Values {
    text: Option<String>,
    items: Option<Vec<Vec<Element>>>,
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Values;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of values")
            }

            fn visit_unit<E: Error>(self) -> Result<Values, E> {
                Ok(Values::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Values, A::Error> {
                let mut described = Described::default();
                let mut items: Vec<Vec<Element>> = Vec::new();
                while let Some(entry) = list.next_element()? {
                    match entry {
                        Entry::Text(text) => described.push_text(&text),
                        Entry::Object(Object::Name(name)) => described.push_text(&name),
                        Entry::Object(Object::Attributes(elements)) => items.push(elements),
                    }
                }
                Ok(Values {
                    text: described.text,
                    items: (!items.is_empty()).then_some(items),
                })
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

enum Entry {
    Text(String),
    Object(Object),
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Entry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number, a person name, an item or null")
            }

            fn visit_unit<E: Error>(self) -> Result<Entry, E> {
                Ok(Entry::Text(String::new()))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Entry, E> {
                Ok(Entry::Text(text.to_owned()))
            }

            fn visit_string<E: Error>(self, text: String) -> Result<Entry, E> {
                Ok(Entry::Text(text))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Entry, E> {
                Ok(Entry::Text(number.to_string()))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Entry, E> {
                Ok(Entry::Text(number.to_string()))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Entry, E> {
                Ok(Entry::Text(number.to_string()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Entry, A::Error> {
                read_object(map).map(Entry::Object)
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::element::Value, *};

    #[track_caller]
    fn check(text: &str, expected: &[(u32, &[u8; 2], Value)]) {
        let data_sets = read(text.as_bytes()).unwrap();
        let [elements] = data_sets.as_slice() else {
            panic!("one data set")
        };
        let got: Vec<_> = elements
            .iter()
            .map(|element| (element.tag, &element.vr, element.value.clone()))
            .collect();
        assert_eq!(got, expected);
    }

    fn bytes(text: &str) -> Value {
        Value::Bytes(text.as_bytes().to_vec())
    }

    #[test]
    fn reads_what_others_write() {
        check(
            r#"[{"00100020":{"vr":"LO","Value":["a"]},"00100010":{"vr":"PN","Value":[{"Alphabetic":"A^B","Phonetic":"c"},null]}}]"#,
            &[
                (0x0010_0010, b"PN", bytes("A^B==c\\ ")),
                (0x0010_0020, b"LO", bytes("a ")),
            ],
        );
        check(
            r#"{"00280010":{"Value":[5],"vr":"US"}}"#,
            &[(0x0028_0010, b"US", bytes("\u{5}\0"))],
        );
        check(r#"{"00100030":{"vr":"DA"}}"#, &[(0x0010_0030, b"DA", bytes(""))]);
        check(
            r#"{"7FE00010":{"vr":"OB","InlineBinary":"AAE="}}"#,
            &[(0x7FE0_0010, b"OB", bytes("\0\u{1}"))],
        );
        check(
            r#"{"7FE00010":{"vr":"OW","BulkDataURI":"b1"}}"#,
            &[(0x7FE0_0010, b"OW", Value::Bulk("b1".to_owned()))],
        );
        check(
            r#"{"00081140":{"vr":"SQ","Value":[{"00081155":{"vr":"UI","Value":["1.2"]}},{}]},"00081199":{"vr":"SQ"}}"#,
            &[
                (
                    0x0008_1140,
                    b"SQ",
                    Value::Items(vec![
                        vec![Element {
                            tag: 0x0008_1155,
                            vr: *b"UI",
                            value: bytes("1.2\0"),
                        }],
                        Vec::new(),
                    ]),
                ),
                (0x0008_1199, b"SQ", Value::Items(Vec::new())),
            ],
        );
    }

    #[test]
    fn refuses_what_is_no_data_set() {
        for text in [
            "",
            "1",
            "[1]",
            r#"{"x":{"vr":"LO"}}"#,
            r#"{"00100020":1}"#,
            r#"{"00100020":{"vr":"L"}}"#,
            r#"{"00280010":{"vr":"US","Value":["x"]}}"#,
            r#"{"00100020":{"vr":"LO"},"PatientID":{"vr":"LO"}}"#,
            r#"{"00081199":{"vr":"SQ","Value":["x"]}}"#,
            r#"{"00100020":{"vr":"LO","Value":[{"00100020":{"vr":"LO"}}]}}"#,
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn endless_nesting_is_refused() {
        let text = r#"{"00081140":{"vr":"SQ","Value":["#.repeat(100_000);
        assert!(read(text.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in r#"([\[\]{},:0-9a-f"]|"vr"|"Value"|"00100010"|"SQ"|"PN"|null){0,40}"#) {
            let _ = read(text.as_bytes());
        }
    }
}
