//! The procedure steps that modalities have told of: kept, changed, told, and let go.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use filmroom_retrieve::Retrieve;
use filmroom_storage::{
    model::{Attributes, SopInstanceUid, Tag},
    state::{StateError, StateFolder, StatePlace},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use super::{
    kept,
    procedure_step::{ProcedureStep, State, StepError, changed, check_new, made, scheduled},
    tags,
};

/// The kind under which steps are kept.
const KIND: &str = "procedure-steps";

/// A step as it is kept.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) step: ProcedureStep,
    pub(super) attributes: Value,
}

/// What of it stays in memory.
#[derive(Deserialize)]
struct Known {
    step: ProcedureStep,
}

/// The steps. Cheap to clone.
#[derive(Clone)]
pub struct ProcedureSteps {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) retrieve: Retrieve,
    pub(super) folder: StateFolder,
    /// Held while one is changed.
    pub(super) steps: Mutex<Steps>,
}

#[derive(Default)]
pub(super) struct Steps {
    pub(super) by_uid: BTreeMap<String, ProcedureStep>,
    /// Steps that perform something, by Study Instance UID and Scheduled Procedure Step ID.
    by_scheduled: BTreeMap<(String, String), BTreeSet<String>>,
}

impl Steps {
    pub(super) fn insert(&mut self, step: ProcedureStep) {
        for scheduled in &step.scheduled {
            let key = (
                scheduled.study_instance_uid.clone(),
                scheduled.scheduled_procedure_step_id.clone(),
            );
            let steps = self.by_scheduled.entry(key).or_default();
            steps.insert(step.sop_instance_uid.clone());
        }
        self.by_uid.insert(step.sop_instance_uid.clone(), step);
    }

    fn remove(&mut self, uid: &str) {
        let Some(step) = self.by_uid.remove(uid) else { return };
        for scheduled in step.scheduled {
            let key = (scheduled.study_instance_uid, scheduled.scheduled_procedure_step_id);
            if let Some(steps) = self.by_scheduled.get_mut(&key) {
                steps.remove(uid);
                if steps.is_empty() {
                    self.by_scheduled.remove(&key);
                }
            }
        }
    }
}

impl ProcedureSteps {
    pub(super) fn open(retrieve: Retrieve, state: StatePlace) -> Result<Self, StateError> {
        let (folder, loaded) = StateFolder::open::<Known>(state, KIND)?;
        for damaged in &loaded.damaged {
            tracing::error!(path = %damaged.path.display(), why = damaged.why, "a performed procedure step is lost");
        }
        let mut steps = Steps::default();
        for (_, known) in loaded.records {
            steps.insert(known.step);
        }
        Ok(Self {
            inner: Arc::new(Inner {
                retrieve,
                folder,
                steps: Mutex::new(steps),
            }),
        })
    }

    /// Takes a step that begins (N-CREATE, PS3.4 §F.7.2.1). Without a UID it gets one. Durable when this returns. Blocks.
    ///
    /// # Errors
    /// [`StepError`]; nothing is kept then.
    pub fn create(
        &self,
        sop_instance_uid: &str,
        ae_title: &str,
        attributes: &Attributes,
    ) -> Result<SopInstanceUid, StepError> {
        let uid = match sop_instance_uid {
            "" => format!("2.25.{}", uuid::Uuid::new_v4().as_u128()),
            uid => uid.to_owned(),
        };
        let uid = SopInstanceUid::new(&uid).map_err(|_| StepError::Uid)?;
        let mut steps = self.steps();
        if steps.by_uid.contains_key(uid.as_str()) {
            return Err(StepError::Duplicate);
        }
        check_new(attributes)?;
        let now = OffsetDateTime::now_utc();
        let step = ProcedureStep {
            sop_instance_uid: uid.to_string(),
            ae_title: ae_title.to_owned(),
            created_at: now,
            changed_at: now,
            state: State::InProgress,
            modality: attributes.text(tags::MODALITY).trim().to_owned(),
            patient_id: attributes.text(tags::PATIENT_ID).trim().to_owned(),
            scheduled: scheduled(attributes),
            expected: made(attributes).len(),
            is_complete: false,
        };
        self.keep(&mut steps, step, attributes)?;
        Ok(uid)
    }

    /// Changes a step (N-SET, PS3.4 §F.7.2.2); tells the attributes that were to be changed and cannot be. Durable when this
    /// returns. Blocks.
    ///
    /// # Errors
    /// [`StepError`]; nothing is changed then.
    pub fn set(&self, sop_instance_uid: &str, changes: &Attributes) -> Result<Vec<Tag>, StepError> {
        let mut steps = self.steps();
        let step = steps.by_uid.get(sop_instance_uid).ok_or(StepError::Unknown)?.clone();
        let before = self.read(sop_instance_uid)?;
        let (after, state, unchanged) = changed(&before, step.state, changes)?;
        let step = ProcedureStep {
            changed_at: OffsetDateTime::now_utc(),
            state,
            expected: made(&after).len(),
            ..step
        };
        self.keep(&mut steps, step, &after)?;
        Ok(unchanged)
    }

    /// All that is known of a step. Blocks.
    ///
    /// # Errors
    /// [`StepError`].
    pub fn get(&self, sop_instance_uid: &str) -> Result<(ProcedureStep, Attributes), StepError> {
        // While it is held nobody removes the record.
        let steps = self.steps();
        let step = steps.by_uid.get(sop_instance_uid).ok_or(StepError::Unknown)?;
        Ok((step.clone(), self.read(sop_instance_uid)?))
    }

    /// All steps, those that were changed last first.
    #[must_use]
    pub fn list(&self) -> Vec<ProcedureStep> {
        let mut all: Vec<_> = self.steps().by_uid.values().cloned().collect();
        all.sort_by_key(|step| std::cmp::Reverse(step.changed_at));
        all
    }

    /// Where what was scheduled stands: under way when any step is, then completed, then discontinued; `None` when nothing was
    /// begun.
    #[must_use]
    pub fn state_of(&self, study_instance_uid: &str, scheduled_procedure_step_id: &str) -> Option<State> {
        let steps = self.steps();
        let key = (study_instance_uid.to_owned(), scheduled_procedure_step_id.to_owned());
        let states = steps.by_scheduled.get(&key)?.iter();
        let states: Vec<State> = states
            .filter_map(|uid| steps.by_uid.get(uid))
            .map(|step| step.state)
            .collect();
        [State::InProgress, State::Completed, State::Discontinued]
            .into_iter()
            .find(|state| states.contains(state))
    }

    /// Lets go of steps that were not changed since then; tells how many.
    pub(super) fn let_go(&self, since: OffsetDateTime) -> Result<usize, StateError> {
        let over: Vec<String> = self
            .steps()
            .by_uid
            .values()
            .filter(|step| step.changed_at < since)
            .map(|step| step.sop_instance_uid.clone())
            .collect();
        for uid in &over {
            let mut steps = self.steps();
            self.inner.folder.remove(uid)?;
            steps.remove(uid);
        }
        Ok(over.len())
    }

    pub(super) fn read(&self, uid: &str) -> Result<Attributes, StepError> {
        let kept: Kept = self.inner.folder.get(uid)?.ok_or(StepError::Unknown)?;
        let damaged = |error: filmroom_dataset::DataSetError| {
            StepError::State(StateError::Limit(format!("a record that does not read: {error}")))
        };
        kept::from_json(&kept.attributes).map_err(damaged)
    }

    fn keep(&self, steps: &mut Steps, step: ProcedureStep, attributes: &Attributes) -> Result<(), StateError> {
        let kept = Kept {
            attributes: kept::to_json(attributes),
            step,
        };
        self.inner.folder.put(&kept.step.sop_instance_uid, &kept)?;
        steps.insert(kept.step);
        Ok(())
    }

    pub(super) fn steps(&self) -> MutexGuard<'_, Steps> {
        self.inner.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
