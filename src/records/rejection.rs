//! Rejection: instances that are kept and not shown to everybody, each with its reason; and taking that back (IHE IOCM).

mod book;
mod gate;
mod note;
mod shelf;

use std::collections::{BTreeMap, HashSet};

use filmroom_storage::model::{SopInstanceUid, StudyInstanceUid};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Actor, Problem, Records, RecordsError, actor, event::Event};

pub(crate) use book::{Decided, Rejections};
pub use gate::NoteGate;
pub(crate) use note::Note;
pub use shelf::View;

/// Most instances of one decision.
const INSTANCES_MAX: usize = 50_000;
/// Longest reason in words, in bytes.
const TEXT_BYTES_MAX: usize = 500;
/// Instances read in one go.
const PAGE: usize = 1000;

/// Why instances are rejected (PS3.16 CID 7011).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RejectionReason {
    /// They are not good enough: shown to those who ask for regular use.
    #[serde(rename = "113001")]
    Quality,
    /// They endanger the patient: kept, seen by who manages records alone, and restored by them alone.
    #[serde(rename = "113037")]
    Safety,
    /// They were made under another patient's or order's entry of the worklist.
    #[serde(rename = "113038")]
    Worklist,
    /// They need not be kept any more: never more than a proposal to dispose of them.
    #[serde(rename = "113039")]
    Expired,
}

impl RejectionReason {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Quality, Self::Safety, Self::Worklist, Self::Expired];

    /// Its code in DCM.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Quality => "113001",
            Self::Safety => "113037",
            Self::Worklist => "113038",
            Self::Expired => "113039",
        }
    }

    /// What the code means (PS3.16 annex D).
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Quality => "Rejected for Quality Reasons",
            Self::Safety => "Rejected for Patient Safety Reasons",
            Self::Worklist => "Incorrect Modality Worklist Entry",
            Self::Expired => "Data Retention Policy Expired",
        }
    }

    /// The one of this code.
    #[must_use]
    pub fn of(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }
}

/// Where a note lies that decided something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NoteAt {
    pub(crate) study: String,
    pub(crate) instance: String,
}

/// Which instances of a study are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Which {
    /// (0020,000D).
    pub study: String,
    /// Of this series alone.
    pub series: Option<String>,
    /// These alone.
    pub instances: Option<Vec<String>>,
}

/// An instance that is rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rejection {
    /// (0020,000D).
    pub study: String,
    /// (0008,0018).
    pub instance: String,
    /// Why, as a code.
    pub reason: RejectionReason,
    /// What the code means.
    pub meaning: &'static str,
    /// Why, in words.
    pub why: String,
    /// Who decided it: a person, or a peer by its note.
    pub by: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// SOP Instance UID of the note.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What was decided, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reclassified {
    /// (0020,000D).
    pub study: String,
    /// The instances.
    pub instances: Vec<String>,
}

impl Records {
    /// Rejects instances: they are kept, and not shown any more where the reason says so.
    ///
    /// # Errors
    /// [`RecordsError::Unknown`], [`RecordsError::Conflict`] when all of them are rejected already.
    pub async fn reject(
        &self,
        by: &Actor,
        which: Which,
        reason: RejectionReason,
        why: &str,
        only_try: bool,
    ) -> Result<Reclassified, RecordsError> {
        by.needs(actor::REJECT, "reject instances")?;
        if reason == RejectionReason::Expired {
            return Err(RecordsError::invalid(
                "reason",
                "113039 is said by proposing the study for disposal, which decides on nothing yet",
            ));
        }
        check_why(why)?;
        let _deciding = self.turn().await;
        let study = which.study.clone();
        let found = self.blocking(move |room| room.instances_of(&which)).await?;
        let instances: Vec<String> = {
            let book = self.book();
            let free = found
                .into_iter()
                .filter(|uid| !book.rejections.is_rejected(&study, uid) && !book.rejections.is_note(&study, uid));
            free.collect()
        };
        if instances.is_empty() {
            return Err(RecordsError::conflict(
                "already-rejected",
                "all of it is rejected already: restore it before it is rejected for another reason",
            ));
        }
        let done = Reclassified { study, instances };
        if only_try {
            return Ok(done);
        }
        self.reclassify(
            Event::InstancesRejected {
                by: by.clone(),
                reason,
                why: why.trim().to_owned(),
                note: None,
                studies: [(done.study.clone(), done.instances.clone())].into(),
            },
            &done.instances,
        )
        .await?;
        Ok(done)
    }

    /// Takes rejections back: the instances are shown again.
    ///
    /// # Errors
    /// [`RecordsError::Conflict`] when none of them is rejected; [`RecordsError::NotLet`] for what was rejected for the safety of
    /// a patient, where somebody else than a manager asks.
    pub async fn restore(
        &self,
        by: &Actor,
        which: Which,
        why: &str,
        only_try: bool,
    ) -> Result<Reclassified, RecordsError> {
        by.needs(actor::REJECT, "restore instances")?;
        check_why(why)?;
        let _deciding = self.turn().await;
        let study = which.study.clone();
        let found = self.blocking(move |room| room.instances_of(&which)).await?;
        let (instances, is_for_safety) = {
            let book = self.book();
            let rejected = |uid: &String| book.rejections.is_rejected(&study, uid);
            let instances: Vec<String> = found.into_iter().filter(rejected).collect();
            let is_for_safety = instances
                .iter()
                .any(|uid| book.rejections.reason(&study, uid) == Some(RejectionReason::Safety));
            (instances, is_for_safety)
        };
        if is_for_safety {
            by.needs(
                actor::RESTORE_SAFETY,
                "restore what was rejected for the safety of a patient",
            )?;
        }
        if instances.is_empty() {
            return Err(RecordsError::conflict("not-rejected", "none of it is rejected"));
        }
        let done = Reclassified { study, instances };
        if only_try {
            return Ok(done);
        }
        self.reclassify(
            Event::InstancesRestored {
                by: by.clone(),
                why: why.trim().to_owned(),
                note: None,
                studies: [(done.study.clone(), done.instances.clone())].into(),
            },
            &done.instances,
        )
        .await?;
        Ok(done)
    }

    /// What is rejected, in the order of study and instance, behind a cursor `STUDY/INSTANCE`.
    #[must_use]
    pub fn rejections(
        &self,
        study: Option<&str>,
        reason: Option<RejectionReason>,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<Rejection> {
        self.book().rejections.list(study, reason, after, limit)
    }

    /// Writes down that instances are rejected, or not any more, and has everybody see it. The caller holds `deciding`.
    async fn reclassify(&self, event: Event, instances: &[String]) -> Result<(), RecordsError> {
        let is_shown = matches!(event, Event::InstancesRestored { .. });
        self.decide(event).await?;
        let told: Vec<SopInstanceUid> = instances
            .iter()
            .filter_map(|uid| SopInstanceUid::new(uid).ok())
            .collect();
        // It is decided and in force; who follows the changes hears of it late, if at all.
        let done = self
            .blocking(move |room| Ok(room.inner.store.tell_shown(is_shown, &told)?))
            .await;
        if let Err(error) = done {
            tracing::error!(%error, "the change feed does not tell that instances are rejected, or shown again");
        }
        self.refresh_batches().await
    }

    /// The instances that are meant. Blocks.
    fn instances_of(&self, which: &Which) -> Result<Vec<String>, RecordsError> {
        let unknown = || RecordsError::Unknown("there is no such study".to_owned());
        let study = StudyInstanceUid::new(&which.study).map_err(|_| unknown())?;
        let index = self.inner.store.index();
        index.study(&study)?.ok_or_else(unknown)?;
        let mut series = index.series_of(&study)?;
        if let Some(only) = &which.series {
            series.retain(|series| series.series_instance_uid.as_str() == only);
            if series.is_empty() {
                return Err(RecordsError::Unknown("the study has no such series".to_owned()));
            }
        }
        let mut found = Vec::new();
        for series in series {
            let mut after = None;
            loop {
                let page = index.instances_of(&study, &series.series_instance_uid, after.as_ref(), PAGE)?;
                let Some((last, _)) = page.last() else { break };
                after = Some(last.clone());
                found.extend(page.into_iter().map(|(_, record)| record.sop_instance_uid.to_string()));
            }
        }
        if let Some(named) = &which.instances {
            let known: HashSet<&str> = found.iter().map(String::as_str).collect();
            let problems: Vec<Problem> = named
                .iter()
                .filter(|uid| !known.contains(uid.as_str()))
                .map(|uid| Problem {
                    at: uid.clone(),
                    what: "the study has no such instance".to_owned(),
                })
                .collect();
            if !problems.is_empty() {
                return Err(RecordsError::Invalid(problems));
            }
            if named.is_empty() {
                return Err(RecordsError::invalid("instances", "none is named"));
            }
            let named: HashSet<&str> = named.iter().map(String::as_str).collect();
            found.retain(|uid| named.contains(uid.as_str()));
        }
        if found.len() > INSTANCES_MAX {
            return Err(RecordsError::invalid(
                "instances",
                format!("more than {INSTANCES_MAX} are decided on series by series"),
            ));
        }
        Ok(found)
    }
}

/// All instances that an event names, study by study.
fn all(studies: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    studies.values().flatten().cloned().collect()
}

fn check_why(why: &str) -> Result<(), RecordsError> {
    match why.trim().is_empty() || why.len() > TEXT_BYTES_MAX {
        true => Err(RecordsError::invalid(
            "why",
            format!("say why in words, in up to {TEXT_BYTES_MAX} bytes"),
        )),
        false => Ok(()),
    }
}
