//! One modality performed procedure step: what has to be said of it, and what may change when (PS3.4 table F.7.2-1).

use filmroom_dataset::{Builder, items};
use filmroom_storage::{
    model::{Attributes, SopInstanceUid, Tag},
    state::StateError,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{kept::text_of, tags};

/// Performed Procedure Step Status (0040,0252).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Under way.
    #[serde(rename = "IN PROGRESS")]
    InProgress,
    /// Done.
    #[serde(rename = "COMPLETED")]
    Completed,
    /// Given up.
    #[serde(rename = "DISCONTINUED")]
    Discontinued,
}

impl State {
    fn of(text: &str) -> Option<Self> {
        match text.trim() {
            "IN PROGRESS" => Some(Self::InProgress),
            "COMPLETED" => Some(Self::Completed),
            "DISCONTINUED" => Some(Self::Discontinued),
            _ => None,
        }
    }
}

/// Why a step was not made, changed or told.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// Attributes that have to be there are not.
    #[error("a required attribute is missing: {}", names(.0))]
    Missing(Vec<Tag>),
    /// Attributes that need a value have none.
    #[error("a required attribute has no value: {}", names(.0))]
    Empty(Vec<Tag>),
    /// An attribute has a value that it cannot have.
    #[error("{}: {why}", names(&[*.tag]))]
    Value {
        /// The attribute.
        tag: Tag,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The UID is none.
    #[error("the SOP Instance UID is no UID")]
    Uid,
    /// There is one of this UID.
    #[error("there is a procedure step of this UID")]
    Duplicate,
    /// There is none of this UID.
    #[error("there is no procedure step of this UID")]
    Unknown,
    /// It is completed or discontinued.
    #[error("the performed procedure step may no longer be updated")]
    Final,
    /// It could not be kept or read.
    #[error(transparent)]
    State(#[from] StateError),
}

fn names(tags: &[Tag]) -> String {
    let names = tags
        .iter()
        .map(|tag| filmroom_dataset::keyword(*tag).map_or_else(|| format!("{tag:08X}"), str::to_owned));
    names.collect::<Vec<_>>().join(", ")
}

/// What was scheduled, and is performed by a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduled {
    /// (0020,000D).
    pub study_instance_uid: String,
    /// (0008,0050).
    pub accession_number: String,
    /// (0040,0009); empty for what was not scheduled.
    pub scheduled_procedure_step_id: String,
}

/// What is known of a step without reading it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcedureStep {
    /// By what it is known.
    pub sop_instance_uid: String,
    /// Who made it.
    pub ae_title: String,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it was changed last.
    #[serde(with = "time::serde::rfc3339")]
    pub changed_at: OffsetDateTime,
    /// Where it stands.
    pub state: State,
    /// (0008,0060).
    pub modality: String,
    /// (0010,0020).
    pub patient_id: String,
    /// What it performs.
    pub scheduled: Vec<Scheduled>,
    /// Instances that it says were made.
    pub expected: usize,
    /// All of them were found here, after it had ended.
    pub is_complete: bool,
}

/// An instance that a step says was made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Made {
    pub(super) series_instance_uid: String,
    pub(super) sop_instance_uid: SopInstanceUid,
}

/// Type 1 at N-CREATE.
const REQUIRED: [Tag; 7] = [
    tags::SCHEDULED_STEP_ATTRIBUTES_SEQUENCE,
    tags::MODALITY,
    tags::PERFORMED_STATION_AE_TITLE,
    tags::PERFORMED_PROCEDURE_STEP_START_DATE,
    tags::PERFORMED_PROCEDURE_STEP_START_TIME,
    tags::PERFORMED_PROCEDURE_STEP_STATUS,
    tags::PERFORMED_PROCEDURE_STEP_ID,
];

/// What N-SET cannot change.
const FIXED: [Tag; 17] = [
    tags::SOP_CLASS_UID,
    tags::SOP_INSTANCE_UID,
    tags::MODALITY,
    tags::REFERENCED_PATIENT_SEQUENCE,
    tags::PATIENT_NAME,
    tags::PATIENT_ID,
    tags::PATIENT_BIRTH_DATE,
    tags::PATIENT_SEX,
    tags::STUDY_ID,
    tags::PERFORMED_STATION_AE_TITLE,
    tags::PERFORMED_STATION_NAME,
    tags::PERFORMED_LOCATION,
    tags::PERFORMED_PROCEDURE_STEP_START_DATE,
    tags::PERFORMED_PROCEDURE_STEP_START_TIME,
    tags::PERFORMED_PROCEDURE_STEP_ID,
    tags::SCHEDULED_STEP_ATTRIBUTES_SEQUENCE,
    tags::ACCESSION_NUMBER,
];

/// Checks what a modality says of a step that begins.
pub(super) fn check_new(attributes: &Attributes) -> Result<(), StepError> {
    let missing: Vec<Tag> = REQUIRED
        .into_iter()
        .filter(|tag| attributes.get(*tag).is_none())
        .collect();
    if !missing.is_empty() {
        return Err(StepError::Missing(missing));
    }
    let is_void = |tag: &Tag| attributes.get(*tag).is_none_or(|element| is_void(element.value));
    let void: Vec<Tag> = REQUIRED.into_iter().filter(is_void).collect();
    if !void.is_empty() {
        return Err(StepError::Empty(void));
    }
    if State::of(attributes.text(tags::PERFORMED_PROCEDURE_STEP_STATUS)) != Some(State::InProgress) {
        return Err(StepError::Value {
            tag: tags::PERFORMED_PROCEDURE_STEP_STATUS,
            why: "it begins as IN PROGRESS",
        });
    }
    for item in items_of(attributes, tags::SCHEDULED_STEP_ATTRIBUTES_SEQUENCE) {
        match text_of(item, tags::STUDY_INSTANCE_UID) {
            "" => return Err(StepError::Missing(vec![tags::STUDY_INSTANCE_UID])),
            uid if filmroom_storage::model::check_uid(uid).is_err() => {
                return Err(StepError::Value {
                    tag: tags::STUDY_INSTANCE_UID,
                    why: "it is no UID",
                });
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_void(value: &[u8]) -> bool {
    value.iter().all(|byte| matches!(byte, b' ' | b'\0'))
}

/// A step with changes made, its state then, and the attributes that were to be changed and cannot be.
pub(super) fn changed(
    before: &Attributes,
    state: State,
    changes: &Attributes,
) -> Result<(Attributes, State, Vec<Tag>), StepError> {
    if state != State::InProgress {
        return Err(StepError::Final);
    }
    let mut state = state;
    let mut after = Builder::from_attributes(before);
    let mut unchanged = Vec::new();
    for element in changes.iter() {
        if element.tag == tags::SPECIFIC_CHARACTER_SET || element.tag & 0xFFFF == 0 {
            continue;
        }
        if FIXED.contains(&element.tag) {
            if before.get(element.tag).map(|known| known.value) != Some(element.value) {
                unchanged.push(element.tag);
            }
            continue;
        }
        if element.tag == tags::PERFORMED_PROCEDURE_STEP_STATUS {
            state = State::of(element.text()).ok_or(StepError::Value {
                tag: tags::PERFORMED_PROCEDURE_STEP_STATUS,
                why: "it is IN PROGRESS, COMPLETED or DISCONTINUED",
            })?;
        }
        after.value(element.tag, element.vr, element.value);
    }
    Ok((after.build(), state, unchanged))
}

/// What a step performs.
pub(super) fn scheduled(attributes: &Attributes) -> Vec<Scheduled> {
    items_of(attributes, tags::SCHEDULED_STEP_ATTRIBUTES_SEQUENCE)
        .map(|item| Scheduled {
            study_instance_uid: text_of(item, tags::STUDY_INSTANCE_UID).to_owned(),
            accession_number: text_of(item, tags::ACCESSION_NUMBER).to_owned(),
            scheduled_procedure_step_id: text_of(item, tags::SCHEDULED_PROCEDURE_STEP_ID).to_owned(),
        })
        .collect()
}

/// The instances that a step says were made, each once. What is no UID is no instance.
pub(super) fn made(attributes: &Attributes) -> Vec<Made> {
    let mut made = Vec::new();
    for series in items_of(attributes, tags::PERFORMED_SERIES_SEQUENCE) {
        let series_instance_uid = text_of(series, tags::SERIES_INSTANCE_UID);
        for element in filmroom_storage::model::Elements::new(series) {
            if !matches!(
                element.tag,
                tags::REFERENCED_IMAGE_SEQUENCE | tags::REFERENCED_NON_IMAGE_COMPOSITE_SOP_INSTANCE_SEQUENCE
            ) {
                continue;
            }
            let uids = items(element.value).map(|item| text_of(item, tags::REFERENCED_SOP_INSTANCE_UID));
            made.extend(uids.filter_map(|uid| SopInstanceUid::new(uid).ok()).map(|uid| Made {
                series_instance_uid: series_instance_uid.to_owned(),
                sop_instance_uid: uid,
            }));
        }
    }
    made.sort();
    made.dedup();
    made
}

fn items_of(attributes: &Attributes, tag: Tag) -> filmroom_dataset::Items<'_> {
    items(attributes.get(tag).map(|element| element.value).unwrap_or_default())
}
