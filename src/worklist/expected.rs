//! What steps say was made against what is here: which studies are not whole.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use filmroom_retrieve::{RetrieveError, Selection};
use filmroom_storage::model::SopInstanceUid;
use futures_util::StreamExt;

use super::{
    procedure_step::{Made, ProcedureStep, State, StepError, made},
    procedure_steps::{Kept, ProcedureSteps},
};

/// Instances looked up at a time.
const LOOKUP: usize = 256;
/// Missing instances that are named, of one study.
const NAMED_MAX: usize = 100;

/// A study that is not whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lacking {
    /// (0020,000D).
    pub study_instance_uid: String,
    /// Some step of it is under way.
    pub is_in_progress: bool,
    /// SOP Instance UIDs of the steps.
    pub procedure_steps: Vec<String>,
    /// Instances that steps say were made.
    pub expected: usize,
    /// Of those, how many are here.
    pub received: usize,
    /// Those that are not, by series; the first hundred.
    pub missing: Vec<(String, SopInstanceUid)>,
}

/// What was found by looking at some steps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looked {
    /// Studies that are not whole, those with the newest steps first.
    pub studies: Vec<Lacking>,
    /// Steps that were looked at.
    pub steps: usize,
    /// There are more steps that were not looked at.
    pub has_more: bool,
}

impl ProcedureSteps {
    /// Studies that are under way, or whose steps say that more was made than is here. So many steps are looked at, newest
    /// first, after leaving out `offset`; what was found whole once is not looked at again.
    ///
    /// # Errors
    /// [`StepError`] or a sentence when the archive cannot be asked.
    pub async fn lacking(&self, offset: usize, limit: usize) -> Result<Looked, String> {
        let open: Vec<ProcedureStep> = self
            .list()
            .into_iter()
            .filter(|step| !step.is_complete && (step.state == State::InProgress || step.expected > 0))
            .collect();
        let has_more = open.len() > offset.saturating_add(limit);
        let mut looked = Looked {
            has_more,
            ..Looked::default()
        };
        let mut order: Vec<String> = Vec::new();
        let mut studies: BTreeMap<String, Lacking> = BTreeMap::new();
        for step in open.into_iter().skip(offset).take(limit) {
            looked.steps += 1;
            let Some(study) = step.scheduled.first().map(|first| first.study_instance_uid.clone()) else {
                continue;
            };
            let (expected, missing) = match self.missing(&step.sop_instance_uid).await {
                Ok(found) => found,
                Err(Trouble::Step(StepError::Unknown)) => continue, // let go meanwhile
                Err(error) => return Err(error.to_string()),
            };
            if missing.is_empty() && step.state != State::InProgress {
                self.is_whole(&step).await.map_err(|error| error.to_string())?;
                continue;
            }
            let lacking = studies.entry(study.clone()).or_insert_with(|| {
                order.push(study.clone());
                Lacking {
                    study_instance_uid: study,
                    ..Lacking::default()
                }
            });
            lacking.is_in_progress |= step.state == State::InProgress;
            lacking.procedure_steps.push(step.sop_instance_uid);
            lacking.expected += expected;
            lacking.received += expected - missing.len();
            let room = NAMED_MAX.saturating_sub(lacking.missing.len());
            let named = missing
                .into_iter()
                .take(room)
                .map(|made| (made.series_instance_uid, made.sop_instance_uid));
            lacking.missing.extend(named);
        }
        looked.studies = order.iter().filter_map(|study| studies.remove(study)).collect();
        Ok(looked)
    }

    /// How many instances a step says were made, and those of them that are not here.
    async fn missing(&self, uid: &str) -> Result<(usize, Vec<Made>), Trouble> {
        let (room, uid) = (self.clone(), uid.to_owned());
        let read = tokio::task::spawn_blocking(move || room.get(&uid)).await;
        let (_, attributes) = read.map_err(|error| Trouble::Task(error.to_string()))??;
        let made = made(&attributes);
        let mut missing = Vec::new();
        for made in made.chunks(LOOKUP) {
            let here = self.here(made).await?;
            let absent = made.iter().filter(|made| !here.contains(&made.sop_instance_uid));
            missing.extend(absent.cloned());
        }
        Ok((made.len(), missing))
    }

    async fn here(&self, made: &[Made]) -> Result<HashSet<SopInstanceUid>, Trouble> {
        let instances: BTreeSet<_> = made.iter().map(|made| made.sop_instance_uid.clone()).collect();
        let mut found = self.inner.retrieve.select(Selection {
            instances: instances.into_iter().collect(),
            ..Selection::of(filmroom_privacy::Sight::all())
        });
        let mut here = HashSet::new();
        while let Some(record) = found.next().await {
            here.insert(record?.sop_instance_uid);
        }
        Ok(here)
    }

    /// Notes that all of a step was found here, so that it is not looked at again.
    async fn is_whole(&self, seen: &ProcedureStep) -> Result<(), StepError> {
        let (room, seen) = (self.clone(), seen.clone());
        let noted = tokio::task::spawn_blocking(move || {
            let mut steps = room.steps();
            let uid = seen.sop_instance_uid.as_str();
            if steps.by_uid.get(uid) != Some(&seen) {
                return Ok(()); // it has changed, or is gone
            }
            let Some(kept) = room.inner.folder.get::<Kept>(uid)? else {
                return Ok(());
            };
            let step = ProcedureStep {
                is_complete: true,
                ..seen.clone()
            };
            room.inner.folder.put(
                uid,
                &Kept {
                    step: step.clone(),
                    ..kept
                },
            )?;
            steps.insert(step);
            Ok(())
        });
        match noted.await {
            Ok(noted) => noted,
            Err(error) => {
                // It is looked at again, and nothing is lost by it.
                tracing::error!(%error, "noting that a procedure step is whole ended by a panic");
                Ok(())
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Step(#[from] StepError),
    #[error(transparent)]
    Retrieve(#[from] RetrieveError),
    #[error("{0}")]
    Task(String),
}
