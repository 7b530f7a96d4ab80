//! What comes back after it was destroyed: refused, and listed with who sends it, so that somebody looks after the sender.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::{Mutex, MutexGuard, PoisonError},
};

use filmroom_ingest::Arrived;
use filmroom_storage::{
    model::Origin,
    state::{StateFolder, StatePlace},
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Records, RecordsError};

const STATE: &str = "records-returned";
/// Most studies that are listed: beyond them what is refused is refused, and only logged.
const STUDIES_MAX: usize = 100_000;
/// Most senders of one study that are told apart.
const SENDERS_MAX: usize = 32;
const OTHERS: &str = "others";

/// A study that was destroyed and is sent again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Returned {
    /// (0020,000D).
    pub study: String,
    /// Instances that were refused, each as often as it was sent.
    pub refused: u64,
    /// When the first came.
    #[serde(with = "time::serde::rfc3339")]
    pub first_at: OffsetDateTime,
    /// When the latest came.
    #[serde(with = "time::serde::rfc3339")]
    pub last_at: OffsetDateTime,
    /// Who sent them.
    pub senders: BTreeMap<String, Sender>,
}

/// Who sends what was destroyed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sender {
    /// Instances that were refused.
    pub refused: u64,
    /// When the latest came.
    #[serde(with = "time::serde::rfc3339")]
    pub last_at: OffsetDateTime,
    /// Network address it came from, the last time.
    pub address: String,
}

/// The list, in memory, and on the disk a moment later: it counts, and decides nothing.
pub(crate) struct Kept {
    folder: StateFolder,
    all: Mutex<Listed>,
}

#[derive(Default)]
struct Listed {
    studies: BTreeMap<String, Returned>,
    /// Not on the disk yet as they are.
    changed: BTreeSet<String>,
}

impl Kept {
    pub(crate) fn open(state: StatePlace) -> Result<Self, RecordsError> {
        let (folder, loaded) = StateFolder::open::<Returned>(state, STATE)?;
        for damaged in &loaded.damaged {
            tracing::warn!(path = %damaged.path.display(), why = damaged.why, "how often a destroyed study came back is not known any more");
        }
        let studies = loaded.records.into_iter().map(|(_, one)| (one.study.clone(), one));
        let listed = Listed {
            studies: studies.collect(),
            changed: BTreeSet::new(),
        };
        Ok(Self {
            folder,
            all: Mutex::new(listed),
        })
    }

    fn all(&self) -> MutexGuard<'_, Listed> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, study: &str, origin: &Origin, at: OffsetDateTime) {
        let mut all = self.all();
        if !all.studies.contains_key(study) && all.studies.len() >= STUDIES_MAX {
            return;
        }
        let one = all.studies.entry(study.to_owned()).or_insert_with(|| Returned {
            study: study.to_owned(),
            refused: 0,
            first_at: at,
            last_at: at,
            senders: BTreeMap::new(),
        });
        one.refused += 1;
        one.last_at = one.last_at.max(at);
        let name = match one.senders.contains_key(&origin.sender) || one.senders.len() < SENDERS_MAX {
            true => origin.sender.as_str(),
            false => OTHERS,
        };
        let sender = one.senders.entry(name.to_owned()).or_insert_with(|| Sender {
            refused: 0,
            last_at: at,
            address: String::new(),
        });
        sender.refused += 1;
        sender.last_at = at;
        sender.address.clone_from(&origin.address);
        all.changed.insert(study.to_owned());
    }
}

impl Records {
    /// An instance that was destroyed came back, and was refused.
    pub(crate) async fn came_back(&self, arrived: &Arrived) {
        let at = (self.inner.options.clock)();
        self.inner
            .returned
            .count(arrived.study_instance_uid.as_str(), &arrived.origin, at);
    }

    /// Puts on the disk what was counted since the last time.
    pub(crate) async fn keep_returned(&self) {
        if self.inner.returned.all().changed.is_empty() {
            return;
        }
        let kept = self.blocking(|room| {
            let returned = &room.inner.returned;
            loop {
                let next = {
                    let mut all = returned.all();
                    let next = all.changed.pop_first();
                    next.and_then(|study| all.studies.get(&study).cloned())
                };
                let Some(one) = next else { return Ok(()) };
                if let Err(error) = returned.folder.put(&one.study, &one) {
                    returned.all().changed.insert(one.study);
                    return Err(error.into());
                }
            }
        });
        if let Err(error) = kept.await {
            tracing::warn!(%error, "how often destroyed studies came back is not on the disk yet");
        }
    }

    /// Studies that were destroyed and sent again, behind one of them.
    #[must_use]
    pub fn returned(&self, after: Option<&str>, limit: usize) -> Vec<Returned> {
        let all = self.inner.returned.all();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rest = all.studies.range::<str, _>((from, Bound::Unbounded));
        rest.take(limit).map(|(_, one)| one.clone()).collect()
    }
}
