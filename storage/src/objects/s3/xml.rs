//! The little XML that is read here: one value out of a short answer.

use quick_xml::{Reader, events::Event};

/// The text of the first element of that local name. Entities are resolved by nobody: the values asked for hold none.
pub(super) fn text_of(xml: &[u8], element: &str) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use super::text_of;

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

    proptest::proptest! {
        #[test]
        fn takes_any_bytes(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let _ = text_of(&bytes, "UploadId");
        }
    }
}
