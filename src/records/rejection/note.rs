//! Rejection notes: key object selection documents whose title says that what they list is rejected (PS3.3 §A.35.4, PS3.16 CID 7011;
//! IHE RAD TF-2, RAD-66), or that it is not any more.

use std::collections::BTreeSet;

use filmroom_dataset::items;
use filmroom_storage::model::{Attributes, Description, Element, Elements, Tag};

use super::RejectionReason;
use crate::PatientKey;

const CODE_VALUE: Tag = 0x0008_0100;
const CODING_SCHEME_DESIGNATOR: Tag = 0x0008_0102;
const REFERENCED_SERIES_SEQUENCE: Tag = 0x0008_1115;
const REFERENCED_SOP_CLASS_UID: Tag = 0x0008_1150;
const REFERENCED_SOP_INSTANCE_UID: Tag = 0x0008_1155;
const REFERENCED_SOP_SEQUENCE: Tag = 0x0008_1199;
const STUDY_INSTANCE_UID: Tag = 0x0020_000D;
const CONCEPT_NAME_CODE_SEQUENCE: Tag = 0x0040_A043;
const CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE: Tag = 0x0040_A375;
/// The title by which archives that are in use take a rejection back; the standard has none.
const REVOKE: (&str, &str) = ("REVOKE_REJECTION", "99DCM4CHEE");

/// What a note says of what it lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Title {
    Rejects(RejectionReason),
    Restores,
}

/// An instance that a note lists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Listed {
    pub(crate) study: String,
    pub(crate) sop_class: String,
    pub(crate) instance: String,
}

/// A rejection note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) study: String,
    pub(crate) instance: String,
    pub(crate) title: Title,
    pub(crate) patient: PatientKey,
    pub(crate) listed: BTreeSet<Listed>,
}

impl Note {
    /// What a key object selection document says; `None` where its title is another.
    pub(crate) fn of(description: &Description) -> Option<Self> {
        let header = &description.header.attributes;
        let title = sequence(header.iter(), CONCEPT_NAME_CODE_SEQUENCE)
            .find_map(|item| title(text(item, CODE_VALUE), text(item, CODING_SCHEME_DESIGNATOR)))?;
        Some(Self {
            study: description.study_instance_uid.to_string(),
            instance: description.sop_instance_uid.to_string(),
            title,
            patient: PatientKey {
                id: description.keys.patient_id.clone(),
                issuer: description.keys.issuer_of_patient_id.clone(),
            },
            listed: listed(header),
        })
    }
}

fn title(code: &str, scheme: &str) -> Option<Title> {
    if (code, scheme) == REVOKE {
        return Some(Title::Restores);
    }
    (scheme == "DCM")
        .then(|| RejectionReason::of(code).map(Title::Rejects))
        .flatten()
}

fn listed(header: &Attributes) -> BTreeSet<Listed> {
    let mut listed = BTreeSet::new();
    for study in sequence(header.iter(), CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE) {
        for series in sequence(Elements::new(study), REFERENCED_SERIES_SEQUENCE) {
            for instance in sequence(Elements::new(series), REFERENCED_SOP_SEQUENCE) {
                listed.insert(Listed {
                    study: text(study, STUDY_INSTANCE_UID).to_owned(),
                    sop_class: text(instance, REFERENCED_SOP_CLASS_UID).to_owned(),
                    instance: text(instance, REFERENCED_SOP_INSTANCE_UID).to_owned(),
                });
            }
        }
    }
    listed
}

fn sequence<'a>(elements: Elements<'a>, tag: Tag) -> impl Iterator<Item = &'a [u8]> {
    let found = find(elements, tag);
    found.into_iter().flat_map(|element| items(element.value))
}

fn find(mut elements: Elements<'_>, tag: Tag) -> Option<Element<'_>> {
    elements.find(|element| element.tag == tag)
}

fn text(item: &[u8], tag: Tag) -> &str {
    find(Elements::new(item), tag).map_or("", |element| element.text().trim())
}
