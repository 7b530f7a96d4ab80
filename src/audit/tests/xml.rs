use proptest::prelude::*;
use quick_xml::{Reader, events::Event as Xml};

use super::all_kinds;
use crate::{
    Event, events,
    xml::{Instances, Source, message},
};

fn source() -> Source {
    Source {
        id: "FILMROOM".into(),
        site: "north <wing>".into(),
    }
}

/// Names and attributes of all elements, in order.
fn elements(text: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut reader = Reader::from_str(text);
    let mut found = Vec::new();
    loop {
        match reader.read_event().unwrap() {
            Xml::Start(start) | Xml::Empty(start) => {
                let attributes = start.attributes().map(|attribute| {
                    let attribute = attribute.unwrap();
                    let value = attribute.normalized_value(quick_xml::XmlVersion::Explicit1_0).unwrap();
                    (String::from_utf8(attribute.key.0.to_vec()).unwrap(), value.into_owned())
                });
                found.push((
                    String::from_utf8(start.name().0.to_vec()).unwrap(),
                    attributes.collect(),
                ));
            }
            Xml::Eof => return found,
            _ => {}
        }
    }
}

fn attribute<'a>(elements: &'a [(String, Vec<(String, String)>)], element: &str, name: &str) -> Vec<&'a str> {
    elements
        .iter()
        .filter(|(found, _)| found == element)
        .flat_map(|(_, attributes)| attributes.iter().filter(|(found, _)| found == name))
        .map(|(_, value)| value.as_str())
        .collect()
}

/// Where a file is named, all kinds of messages are written there, for a validator that reads the standard's schema.
#[test]
fn every_kind_of_message_is_well_formed_and_says_who_what_and_when() {
    let mut all = String::new();
    for event in all_kinds() {
        let text = message(&event, &source(), Instances::Named);
        let elements = elements(&text);
        assert_eq!(elements[0].0, "AuditMessage");
        assert_eq!(attribute(&elements, "EventID", "csd-code"), [event.event.code().value]);
        assert_eq!(
            attribute(&elements, "EventIdentification", "EventActionCode"),
            [event.action.letter()]
        );
        assert_eq!(
            attribute(&elements, "ActiveParticipant", "UserID").len(),
            event.participants.len()
        );
        assert_eq!(
            attribute(&elements, "AuditSourceIdentification", "AuditEnterpriseSiteID"),
            ["north <wing>"]
        );
        let requestors = attribute(&elements, "ActiveParticipant", "UserIsRequestor");
        assert!(requestors.iter().filter(|value| **value == "true").count() <= 1);
        all.push_str(&text);
        all.push('\n');
    }
    if let Ok(path) = std::env::var("FILMROOM_AUDIT_MESSAGES") {
        std::fs::write(path, all).unwrap();
    }
}

#[test]
fn instances_are_named_or_counted() {
    let event = super::seen(1);
    let named = elements(&message(&event, &source(), Instances::Named));
    assert_eq!(attribute(&named, "Instance", "UID"), ["1.2.3.1.1.1", "1.2.3.1.1.2"]);
    let counted = elements(&message(&event, &source(), Instances::Counted));
    assert!(attribute(&counted, "Instance", "UID").is_empty());
    assert_eq!(attribute(&counted, "SOPClass", "NumberOfInstances"), ["2"]);
}

proptest! {
    #[test]
    fn any_text_of_a_peer_gives_well_formed_xml(text in any::<String>()) {
        let node = crate::Participant::application_entity(&text, &text).named(&text);
        let event: Event = events::node_refused(&super::us(), node, &text).about(crate::Object::Patient(crate::Patient::new(&text, &text, &text)));
        let found = elements(&message(&event, &source(), Instances::Named));
        prop_assert_eq!(attribute(&found, "EventID", "csd-code"), ["110113"]);
    }
}
