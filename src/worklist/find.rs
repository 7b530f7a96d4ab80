//! Answers to a query of the modality worklist (PS3.4 §K.4.1).

use filmroom_dataset::{Builder, items};
use filmroom_query::{Filter, FilterOptions, Key, QueryError};
use filmroom_storage::model::{Attributes, Elements, Tag};

use super::{Worklist, procedure_step::State, tags};

/// Sequences within sequences of an identifier that are followed.
const DEPTH_MAX: usize = 8;

/// Start date and time of a step: ranges of both are one range (PS3.4 table K.6-1).
const STARTS: (&[Tag], &[Tag]) = (
    &[
        tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE,
        tags::SCHEDULED_PROCEDURE_STEP_START_DATE,
    ],
    &[
        tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE,
        tags::SCHEDULED_PROCEDURE_STEP_START_TIME,
    ],
);

impl Worklist {
    /// The scheduled procedure steps that match, by their start; each with all that is known of it. Those that were performed
    /// are left out, those under way have the status STARTED. Blocks.
    ///
    /// # Errors
    /// [`QueryError`] for keys that make no sense.
    pub fn find(&self, keys: &[Key], fuzzy: bool) -> Result<Vec<Attributes>, QueryError> {
        let filter = Filter::new(
            keys,
            FilterOptions {
                fuzzy,
                moments: &[STARTS],
                ..FilterOptions::default()
            },
        )?;
        let mut found = Vec::new();
        for entry in self.entries() {
            for step in &entry.steps {
                let performed = self
                    .procedure_steps()
                    .state_of(&step.study_instance_uid, &step.scheduled_procedure_step_id);
                let attributes = match performed {
                    Some(State::Completed) => continue,
                    Some(State::InProgress) => step.with_status("STARTED"),
                    Some(State::Discontinued) | None => step.attributes.clone(),
                };
                if filter.accepts(&attributes) {
                    found.push((step.starts.clone(), attributes));
                }
            }
        }
        found.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(found.into_iter().map(|(_, attributes)| attributes).collect())
    }
}

/// What of a data set an identifier asks for: its attributes, of length zero where there is nothing; of a sequence with an item
/// those of the item, of an empty one all (PS3.4 §C.2.2.2.6).
#[must_use]
pub fn project(identifier: &Attributes, found: &Attributes) -> Attributes {
    project_elements(identifier.iter(), &found.iter().collect::<Vec<_>>(), DEPTH_MAX)
}

fn project_elements(asked: Elements<'_>, found: &[filmroom_storage::model::Element<'_>], depth: usize) -> Attributes {
    let mut out = Builder::new();
    for key in asked {
        if key.tag == tags::SPECIFIC_CHARACTER_SET || key.tag & 0xFFFF == 0 {
            continue; // whoever encodes it says it
        }
        let value = found.iter().find(|element| element.tag == key.tag);
        let inner = items(key.value)
            .next()
            .filter(|item| key.vr == *b"SQ" && !item.is_empty());
        match (value, inner) {
            (None, _) if key.vr == *b"SQ" => {
                out.sequence(key.tag, &[]);
            }
            (None, _) => {
                out.value(key.tag, key.vr, &[]);
            }
            (Some(value), Some(inner)) if value.vr == *b"SQ" && depth > 0 => {
                let projected: Vec<Attributes> = items(value.value)
                    .map(|item| {
                        let elements: Vec<_> = Elements::new(item).collect();
                        project_elements(Elements::new(inner), &elements, depth - 1)
                    })
                    .collect();
                out.sequence(key.tag, &projected);
            }
            (Some(value), _) => {
                out.value(value.tag, value.vr, value.value);
            }
        }
    }
    out.build()
}
