//! Verification: reads everything, and compares bytes, index, log and journal with each other.
//!
//! What is damaged is repaired where a second store has a good copy. An instance that cannot be repaired is marked in the
//! index, so that it is never served as if it were whole; the mark goes when its reason does. Packs that the index does not
//! know are indexed, or removed where it finds every byte of them elsewhere. No byte that is the only one of its kind is
//! ever deleted.

mod index;
mod objects;
mod pace;
mod place;
mod scrub;

pub use scrub::{ScrubOptions, ScrubState};

use serde::{Deserialize, Serialize};

use super::{Store, StoreError, read::on_blocking_thread, settle::from_objects};
use crate::index::{Index, StudyCursor};
use pace::Pace;

/// Problems that a report holds at most; all are logged and counted.
const PROBLEMS_MAX: usize = 1000;

/// How verification goes about it.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// Read no faster than this; `None` is as fast as the store gives.
    pub bytes_per_second: Option<u64>,
    /// Goes on where this report ends; `None` begins anew.
    pub resume: Option<VerifyReport>,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// Bytes are not what was stored.
    Damaged,
    /// The index names bytes that are not there. This must not be.
    Missing,
    /// An object that the index does not know: of no harm, and worth a look.
    Orphan,
    /// An instance in a pack or in the intake that the index does not know.
    NotIndexed,
    /// Headers beside a pack that do not read; they can be made again.
    Headers,
    /// The journal of decisions, or its mirror, is not what was written.
    Journal,
    /// A record of small state (peers, queues, pending reports) is not what was written.
    State,
    /// A key that does not open under the master keys: what lies under it is lost.
    Key,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What kind of thing.
    pub kind: ProblemKind,
    /// Object, segment or SOP Instance UID.
    pub place: String,
    /// One sentence.
    pub sentence: String,
}

/// How far a verification has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerifyPosition {
    /// Nothing was looked at.
    #[default]
    Start,
    /// All objects up to this name were read.
    Object(String),
    /// All objects were read, and the studies of the index up to this place, in hexadecimal, looked for.
    Study(String),
    /// Objects and index are done, the intake log and the journal are not.
    Intake,
    /// All is done.
    End,
}

/// How far a verification is, and at its end what it found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// Objects read.
    pub objects: u64,
    /// Instances whose bytes were compared with their SHA-256.
    pub instances: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Bytes of all instances in the index when it began: what there is to read, about.
    pub bytes_expected: u64,
    /// Instances of the index whose bytes were looked for.
    pub indexed: u64,
    /// Entries of the intake log that were looked for in the index.
    pub entries: u64,
    /// Decisions in the journal whose chain was followed.
    pub decisions: u64,
    /// Records of small state whose checksum is right.
    #[serde(default)]
    pub state_records: u64,
    /// Data keys that open under the master keys, where the archive is encrypted.
    #[serde(default)]
    pub keys: u64,
    /// Objects repaired from the replica.
    pub repaired: u64,
    /// Packs whose headers were made again.
    pub headers_made: u64,
    /// Packs removed since the index finds all that they hold elsewhere.
    pub removed: u64,
    /// Instances that the index had lost and has again.
    pub adopted: u64,
    /// How far it is.
    pub position: VerifyPosition,
    /// Problems in all.
    pub problems_found: u64,
    /// What is wrong; the first thousand.
    pub problems: Vec<Problem>,
    /// True as long as all that was found is of no harm: orphans, and headers that can be made again.
    pub sound_so_far: Soundness,
}

/// Whether anything that was stored is damaged, missing or unknown to the index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Soundness {
    /// Nothing is.
    #[default]
    Sound,
    /// Something is.
    Unsound,
}

impl VerifyReport {
    /// True when nothing that was stored is damaged, missing or unknown to the index.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.sound_so_far == Soundness::Sound
    }

    fn problem(&mut self, kind: ProblemKind, place: impl ToString, sentence: impl Into<String>) {
        let problem = Problem {
            kind,
            place: place.to_string(),
            sentence: sentence.into(),
        };
        tracing::error!(?problem.kind, problem.place, problem.sentence, "verification found a problem");
        if !matches!(kind, ProblemKind::Orphan | ProblemKind::Headers) {
            self.sound_so_far = Soundness::Unsound;
        }
        self.problems_found += 1;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        }
    }
}

/// One verification on its way.
struct Run<'a> {
    store: &'a Store,
    report: VerifyReport,
    pace: Pace,
    progress: &'a mut (dyn FnMut(&VerifyReport) + Send),
}

impl Store {
    /// Reads every object and compares every SHA-256, the headers beside the packs, both directions between index and
    /// objects and between index and intake, the chain of the journal and its mirror, data keys, and the records of small state.
    /// The store may be in use meanwhile. `progress` is called after each object and each study; the report that it is given can be gone on with.
    ///
    /// # Errors
    /// [`StoreError`] when listing or the index fails; what is wrong with single objects is in the report.
    pub async fn verify(
        &self,
        options: VerifyOptions,
        mut progress: impl FnMut(&VerifyReport) + Send,
    ) -> Result<VerifyReport, StoreError> {
        let report = options.resume.unwrap_or_else(|| VerifyReport {
            bytes_expected: self.inner.catalog.totals().map_or(0, |totals| totals.length),
            ..VerifyReport::default()
        });
        let mut run = Run {
            store: self,
            report,
            pace: Pace::new(options.bytes_per_second),
            progress: &mut progress,
        };
        run.all().await?;
        Ok(run.report)
    }
}

impl Run<'_> {
    async fn all(&mut self) -> Result<(), StoreError> {
        let after = match &self.report.position {
            VerifyPosition::Start => Some(None),
            VerifyPosition::Object(name) => Some(crate::objects::ObjectName::new(name)),
            _ => None,
        };
        if let Some(after) = after {
            // First, since one that is repaired opens all that lies under it.
            self.keys().await?;
            self.objects(after).await?;
            self.reached(VerifyPosition::Study(String::new()));
        }
        if let VerifyPosition::Study(place) = &self.report.position {
            let after = crate::hexadecimal::bytes_from_hexadecimal(place).filter(|place| !place.is_empty());
            self.index(after.map(StudyCursor)).await?;
            self.reached(VerifyPosition::Intake);
        }
        if self.report.position == VerifyPosition::Intake {
            self.intake().await?;
            self.journal().await;
            self.state().await?;
            self.reached(VerifyPosition::End);
        }
        Ok(())
    }

    fn reached(&mut self, position: VerifyPosition) {
        self.report.position = position;
        (self.progress)(&self.report);
    }

    /// Every data key, also those that no object is under any more.
    async fn keys(&mut self) -> Result<(), StoreError> {
        let Some(encrypted) = &self.store.inner.encrypted else {
            return Ok(());
        };
        let (whole, broken) = encrypted.verify_keys().await.map_err(from_objects)?;
        self.report.keys = whole;
        for (name, reason) in broken {
            if self.store.repair_key(encrypted, &name).await? {
                tracing::warn!(object = %name, "a damaged key was repaired from the replica");
                self.report.repaired += 1;
                self.report.keys += 1;
                continue;
            }
            self.report.problem(ProblemKind::Key, name, reason);
        }
        Ok(())
    }

    /// Small state is in no object: its records are the only copies.
    async fn state(&mut self) -> Result<(), StoreError> {
        let checked = on_blocking_thread(self.store, |store| Ok(crate::state::verify(store.state()))).await?;
        match checked {
            Ok((whole, damaged)) => {
                self.report.state_records = whole as u64;
                for damaged in damaged {
                    self.report
                        .problem(ProblemKind::State, damaged.path.display(), damaged.why);
                }
            }
            Err(error) => self.report.problem(ProblemKind::State, "state", error.to_string()),
        }
        Ok(())
    }

    async fn journal(&mut self) {
        match self.store.inner.journal.verify().await {
            Ok(decisions) => self.report.decisions = decisions,
            Err(error) => self.report.problem(ProblemKind::Journal, "journal", error.to_string()),
        }
    }
}
