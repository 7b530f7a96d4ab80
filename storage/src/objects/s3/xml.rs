//! The little XML that is read here: one value out of a short answer, or the items of a list.

use quick_xml::{Reader, events::Event};

/// The text of the first element of that local name. Entities are resolved by nobody: the values asked for hold none.
pub(crate) fn text_of(xml: &[u8], element: &str) -> Option<String> {
    let mut reader = Reader::from_reader(xml);
    let mut buffer = Vec::new();
    let (mut is_within, mut text) = (false, String::new());
    loop {
        match reader.read_event_into(&mut buffer).ok()? {
            Event::Start(start) if start.local_name().as_ref() == element.as_bytes() => is_within = true,
            Event::Text(part) if is_within => text.push_str(&part.decode().ok()?),
            Event::End(end) if is_within && end.local_name().as_ref() == element.as_bytes() => {
                return Some(text.trim().to_owned());
            }
            Event::Eof => return None,
            _ => {}
        }
        buffer.clear();
    }
}

/// One element of a list, with the texts directly below it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) name: String,
    texts: Vec<(String, String)>,
}

impl Item {
    /// The text of a child; empty where there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        let found = self.texts.iter().find(|(child, _)| child == name);
        found.map_or("", |(_, text)| text)
    }
}

/// The elements of these local names below the root, with the texts directly below each. `None` for what is no XML.
pub(crate) fn items_of(xml: &[u8], names: &[&str]) -> Option<Vec<Item>> {
    let mut reader = Reader::from_reader(xml);
    let mut buffer = Vec::new();
    let (mut items, mut item, mut child) = (Vec::new(), None::<Item>, None::<String>);
    let mut depth = 0_u32;
    loop {
        match reader.read_event_into(&mut buffer).ok()? {
            Event::Start(start) => {
                let local = start.local_name();
                let name = String::from_utf8_lossy(local.as_ref()).into_owned();
                depth += 1;
                match depth {
                    2 if names.contains(&name.as_str()) => {
                        item = Some(Item {
                            name,
                            texts: Vec::new(),
                        });
                    }
                    3 if item.is_some() => {
                        child = Some(name.clone());
                        item.as_mut()?.texts.push((name, String::new()));
                    }
                    _ => {}
                }
            }
            Event::Text(part) if depth == 3 && child.is_some() => {
                let (_, text) = item.as_mut()?.texts.last_mut()?;
                text.push_str(part.decode().ok()?.trim());
            }
            Event::GeneralRef(entity) if depth == 3 && child.is_some() => {
                let resolved = match entity.decode().ok()?.as_ref() {
                    "amp" => "&",
                    "lt" => "<",
                    "gt" => ">",
                    "quot" => "\"",
                    "apos" => "'",
                    _ => return None,
                };
                item.as_mut()?.texts.last_mut()?.1.push_str(resolved);
            }
            Event::End(_) => {
                match depth {
                    2 => items.extend(item.take()),
                    3 => child = None,
                    _ => {}
                }
                depth = depth.checked_sub(1)?;
            }
            Event::Eof => return (depth == 0).then_some(items),
            _ => {}
        }
        buffer.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{items_of, text_of};

    #[test]
    fn finds_a_value_whatever_surrounds_it() {
        let xml =
            b"<?xml version=\"1.0\"?>\n<a:R xmlns:a=\"u\"><Bucket>b</Bucket>\n <a:UploadId>2~x-y.z</a:UploadId></a:R>";
        assert_eq!(text_of(xml, "UploadId").as_deref(), Some("2~x-y.z"));
        assert_eq!(text_of(xml, "Key"), None);
        assert_eq!(text_of(b"<UploadId>never ends", "UploadId"), None);
        assert_eq!(text_of(b"no xml at all", "UploadId"), None);
        assert_eq!(text_of(b"\xff\xfe<<>", "UploadId"), None);
    }

    #[test]
    fn reads_the_items_of_a_list() {
        let xml =
            b"<?xml version=\"1.0\"?><R xmlns=\"u\"><Name>b</Name><Version><Key>a&amp;b</Key><Owner><ID>7</ID></Owner>\
            <VersionId>1</VersionId><IsLatest>false</IsLatest></Version><DeleteMarker><Key>c</Key></DeleteMarker></R>";
        let items = items_of(xml, &["Version", "DeleteMarker"]).unwrap();
        let seen: Vec<_> = items
            .iter()
            .map(|item| (item.name.as_str(), item.text("Key"), item.text("VersionId")))
            .collect();
        assert_eq!(seen, [("Version", "a&b", "1"), ("DeleteMarker", "c", "")]);
        assert_eq!(items_of(b"<R><Version>", &["Version"]), None);
    }

    proptest::proptest! {
        #[test]
        fn takes_any_bytes(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let _ = text_of(&bytes, "UploadId");
            let _ = items_of(&bytes, &["Version"]);
        }

        #[test]
        fn takes_what_is_almost_a_list(text in "(<[/]?(A|Version|Key)>|a|&amp;|&#x41;|<!--|<Key/>){0,30}") {
            let _ = items_of(text.as_bytes(), &["Version"]);
        }
    }
}
