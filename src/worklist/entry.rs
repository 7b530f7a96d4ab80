//! One entry of the worklist: an imaging service request with its scheduled procedure steps (PS3.4 table K.6-1).

use filmroom_dataset::{Builder, items};
use filmroom_storage::model::{Attributes, Elements, StudyInstanceUid};
use serde::{Deserialize, Serialize};
use time::{Date, OffsetDateTime, macros::format_description};

use super::{kept::text_of, tags};

/// Longest data set of an entry, in bytes: one with all that K.6-1 has takes two thousand.
pub const ENTRY_BYTES_MAX: usize = 64 << 10;
/// Most scheduled procedure steps of one entry.
const STEPS_MAX: usize = 100;

/// Where an entry comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// It was put here by a program, and is kept here.
    Put,
    /// It is a file in the folder of worklist files.
    File,
}

/// An entry.
#[derive(Debug, Clone)]
pub struct Entry {
    /// By what it is known.
    pub id: String,
    /// Where it comes from.
    pub source: Source,
    /// When it came, or was changed.
    pub changed_at: OffsetDateTime,
    /// The data set.
    pub attributes: Attributes,
    /// A data set for each scheduled procedure step, which is what a query answers with.
    pub(super) steps: Vec<Step>,
}

/// One scheduled procedure step with all that is above it.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) attributes: Attributes,
    pub(super) study_instance_uid: String,
    pub(super) scheduled_procedure_step_id: String,
    /// Date and time, to sort by.
    pub(super) starts: (String, String),
}

/// Why a data set is no entry. One sentence for whoever made it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAnEntry(pub String);

impl Entry {
    /// Takes a data set for an entry. Without a Study Instance UID it gets that of `before` or a new one.
    ///
    /// # Errors
    /// [`NotAnEntry`] where something is missing that no modality can do without.
    pub fn new(
        id: &str,
        source: Source,
        changed_at: OffsetDateTime,
        attributes: Attributes,
        before: Option<&Self>,
    ) -> Result<Self, NotAnEntry> {
        if attributes.as_bytes().len() > ENTRY_BYTES_MAX {
            return refuse(&format!("the entry is longer than {ENTRY_BYTES_MAX} bytes"));
        }
        if attributes.text(tags::PATIENT_NAME).trim().is_empty() && attributes.text(tags::PATIENT_ID).trim().is_empty()
        {
            return refuse("PatientName and PatientID are both missing: whose examination is it?");
        }
        let attributes = with_study(attributes, before)?;
        let study_instance_uid = attributes.text(tags::STUDY_INSTANCE_UID).trim().to_owned();
        let sequence = attributes.get(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE);
        let scheduled: Vec<&[u8]> = sequence
            .map(|sequence| items(sequence.value).take(STEPS_MAX + 1).collect())
            .unwrap_or_default();
        if scheduled.is_empty() {
            return refuse("ScheduledProcedureStepSequence (0040,0100) is missing or has no item");
        }
        if scheduled.len() > STEPS_MAX {
            return refuse(&format!("more than {STEPS_MAX} scheduled procedure steps in one entry"));
        }
        let steps = scheduled
            .iter()
            .enumerate()
            .map(|(place, item)| step(&attributes, &study_instance_uid, item, place))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            id: id.to_owned(),
            source,
            changed_at,
            attributes,
            steps,
        })
    }

    /// The last day on which a step of it begins.
    pub(super) fn last_day(&self) -> Option<Date> {
        self.steps.iter().filter_map(|step| day_of(&step.starts.0)).max()
    }
}

fn refuse<T>(why: &str) -> Result<T, NotAnEntry> {
    Err(NotAnEntry(why.to_owned()))
}

/// Sees to it that there is a Study Instance UID: modalities make their instances with it.
fn with_study(attributes: Attributes, before: Option<&Entry>) -> Result<Attributes, NotAnEntry> {
    let given = attributes.text(tags::STUDY_INSTANCE_UID).trim();
    if !given.is_empty() {
        return match StudyInstanceUid::new(given) {
            Ok(_) => Ok(attributes),
            Err(error) => refuse(&format!("StudyInstanceUID: {error}")),
        };
    }
    let uid = before.map_or_else(
        || format!("2.25.{}", uuid::Uuid::new_v4().as_u128()),
        |before| before.attributes.text(tags::STUDY_INSTANCE_UID).trim().to_owned(),
    );
    let mut builder = Builder::from_attributes(&attributes);
    Ok(builder.text(tags::STUDY_INSTANCE_UID, &uid).build())
}

fn step(attributes: &Attributes, study: &str, item: &[u8], place: usize) -> Result<Step, NotAnEntry> {
    let missing = |what: &str| {
        refuse(&format!(
            "item {} of ScheduledProcedureStepSequence has no {what}",
            place + 1
        ))
    };
    let id = text_of(item, tags::SCHEDULED_PROCEDURE_STEP_ID);
    if id.is_empty() {
        return missing("ScheduledProcedureStepID (0040,0009)");
    }
    if text_of(item, tags::MODALITY).is_empty() {
        return missing("Modality (0008,0060)");
    }
    let date = text_of(item, tags::SCHEDULED_PROCEDURE_STEP_START_DATE);
    if day_of(date).is_none() {
        return missing("ScheduledProcedureStepStartDate (0040,0002) of the form YYYYMMDD");
    }
    let time = text_of(item, tags::SCHEDULED_PROCEDURE_STEP_START_TIME);
    let mut alone = Builder::new();
    for element in Elements::new(item) {
        alone.value(element.tag, element.vr, element.value);
    }
    if text_of(item, tags::SCHEDULED_PROCEDURE_STEP_STATUS).is_empty() {
        alone.text(tags::SCHEDULED_PROCEDURE_STEP_STATUS, "SCHEDULED");
    }
    let mut whole = Builder::from_attributes(attributes);
    whole.sequence(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, &[alone.build()]);
    Ok(Step {
        attributes: whole.build(),
        study_instance_uid: study.to_owned(),
        scheduled_procedure_step_id: id.to_owned(),
        starts: (date.replace('.', ""), time.replace(':', "")),
    })
}

impl Step {
    /// The step with another status.
    pub(super) fn with_status(&self, status: &str) -> Attributes {
        let Some(sequence) = self.attributes.get(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE) else {
            return self.attributes.clone();
        };
        let mut item = Builder::new();
        for element in items(sequence.value).take(1).flat_map(Elements::new) {
            item.value(element.tag, element.vr, element.value);
        }
        item.text(tags::SCHEDULED_PROCEDURE_STEP_STATUS, status);
        let mut whole = Builder::from_attributes(&self.attributes);
        whole.sequence(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, &[item.build()]);
        whole.build()
    }
}

fn day_of(text: &str) -> Option<Date> {
    Date::parse(&text.replace('.', ""), format_description!("[year][month][day]")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{entry_of, scheduled};

    #[track_caller]
    fn refused(attributes: &Attributes, why: &str) {
        let now = OffsetDateTime::now_utc();
        let error = Entry::new("1", Source::Put, now, attributes.clone(), None).unwrap_err();
        assert!(error.0.contains(why), "{error}");
    }

    #[test]
    fn what_modalities_need_has_to_be_there() {
        let whole = scheduled("1", "DOE^JANE", "CT", "20300105", "0800");
        let without = |tag| Builder::from_attributes(&whole).remove(tag).build();
        refused(&without(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE), "(0040,0100)");
        let nobody = Builder::from_attributes(&without(tags::PATIENT_NAME))
            .remove(tags::PATIENT_ID)
            .build();
        refused(&nobody, "whose");
        refused(&scheduled("", "DOE", "CT", "20300105", ""), "(0040,0009)");
        refused(&scheduled("1", "DOE", "", "20300105", ""), "(0008,0060)");
        refused(&scheduled("1", "DOE", "CT", "20301332", ""), "(0040,0002)");
        let wrong = Builder::from_attributes(&whole)
            .text(tags::STUDY_INSTANCE_UID, "1..2")
            .build();
        refused(&wrong, "StudyInstanceUID");
    }

    #[test]
    fn a_study_gets_its_uid_once() {
        let whole = scheduled("1", "DOE^JANE", "CT", "20300105", "0800");
        let without = Builder::from_attributes(&whole)
            .remove(tags::STUDY_INSTANCE_UID)
            .build();
        let first = entry_of("1", without.clone());
        let uid = first.attributes.text(tags::STUDY_INSTANCE_UID).to_owned();
        assert!(StudyInstanceUid::new(&uid).is_ok());
        let again = Entry::new("1", Source::Put, first.changed_at, without, Some(&first)).unwrap();
        assert_eq!(again.attributes.text(tags::STUDY_INSTANCE_UID), uid);
    }
}
