//! Disposal: proposed, approved by others, left alone for a while, decided on once more, destroyed, certified.
//!
//! | crash after | in the journal | at the next start |
//! |---|---|---|
//! | proposed, approved | so far | nothing: people go on |
//! | begun | begun, some studies with a decision to destroy | the store ends those; the rest is decided on anew and destroyed |
//! | all destroyed | all decisions | the certificate is made from them |
//!
//! A study's tombstone is its decision to destroy itself: there is none without the other.

mod approve;
mod execute;
mod propose;

use filmroom_retention::{Approval, OtherStudy, PartialDate, Source};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::{Date, OffsetDateTime};

use super::{Actor, Records, RecordsError, ReinstateAsked, Reinstated};

pub use propose::{Proposal, Refused};

/// How far a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BatchState {
    /// It waits for approvals.
    Proposed,
    /// It has them, and may be carried out when it has cooled off.
    Approved,
    /// It is being carried out.
    Destroying,
    /// All that was left in it is destroyed, and certified.
    Destroyed,
    /// Somebody said no.
    Vetoed,
    /// Nothing was left in it.
    Ended,
}

impl BatchState {
    /// True while something may still come of it.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Proposed | Self::Approved | Self::Destroying)
    }
}

/// What became of a study of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ItemState {
    /// It is in the batch.
    In,
    /// It left.
    Left,
    /// It is destroyed.
    Destroyed,
}

/// A study of a batch, with what was decided of it when it was proposed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// (0020,000D).
    pub study: String,
    /// What became of it.
    pub state: ItemState,
    /// Why it left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Number of the decision that destroyed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<u64>,
    /// Digest of the decision on how long it is kept.
    pub digest: String,
    /// The packs that it was made by.
    pub policy: Vec<String>,
    /// It was to be kept until then.
    pub retain_until: Option<PartialDate>,
    /// By these rules.
    pub binding: Vec<String>,
    /// What stands for its patient.
    pub patient: String,
    /// (0008,0020).
    pub study_date: Option<PartialDate>,
    /// (0008,0061).
    pub modalities: Vec<String>,
    /// Where it was made.
    pub site: String,
    /// Here or elsewhere.
    pub source: Source,
    /// (0020,1208).
    pub instances: u64,
    /// Bytes of its Part 10 files.
    pub bytes: u64,
}

/// A study that left its batch, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeftItem {
    pub(crate) study: String,
    pub(crate) reason: String,
}

/// An approval that was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Given {
    /// By whom.
    pub subject: String,
    /// In which role.
    pub role: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The opinion that came with it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub opinion: String,
}

/// Studies that are proposed to be destroyed together.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Batch {
    /// Its id.
    pub id: String,
    /// How far it is.
    pub state: BatchState,
    /// Who proposed it.
    pub proposed_by: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub proposed_at: OffsetDateTime,
    /// Whose approval it takes.
    pub approval: Approval,
    /// Approvals that were given.
    pub approvals: Vec<Given>,
    /// The studies.
    pub items: Vec<Item>,
    /// When the last approval came.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub approved_at: Option<OffsetDateTime>,
    /// Who had it carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executed_by: Option<String>,
    /// When.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub executed_at: Option<OffsetDateTime>,
    /// Who said no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vetoed_by: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub veto_reason: String,
    /// What certifies it.
    #[serde(skip)]
    pub certificate: Option<Value>,
    /// Counts its changes.
    pub version: u64,
}

impl Batch {
    pub(crate) fn new(number: u64, at: OffsetDateTime, by: &Actor, items: Vec<Item>, approval: Approval) -> Self {
        Self {
            id: format!("b{number}"),
            state: BatchState::Proposed,
            proposed_by: by.subject.clone(),
            proposed_at: at,
            approval,
            approvals: Vec::new(),
            items,
            approved_at: None,
            executed_by: None,
            executed_at: None,
            vetoed_by: None,
            veto_reason: String::new(),
            certificate: None,
            version: number,
        }
    }

    pub(crate) fn let_go(&mut self, left: Vec<LeftItem>) {
        for left in left {
            let found = self.items.iter_mut().find(|item| item.study == left.study);
            if let Some(item) = found.filter(|item| item.state == ItemState::In) {
                item.state = ItemState::Left;
                item.reason = Some(left.reason);
            }
        }
        let is_empty = self.items.iter().all(|item| item.state == ItemState::Left);
        if is_empty && matches!(self.state, BatchState::Proposed | BatchState::Approved) {
            self.state = BatchState::Ended;
        }
    }

    pub(crate) fn approved(&mut self, by: &Actor, at: OffsetDateTime, role: String, opinion: String) {
        self.approvals.push(Given {
            subject: by.subject.clone(),
            role,
            at,
            opinion,
        });
        if self.missing().is_empty() {
            self.state = BatchState::Approved;
            self.approved_at = Some(at);
        }
    }

    /// Roles of which approvals are still missing, each as often.
    #[must_use]
    pub fn missing(&self) -> Vec<&str> {
        let mut missing = Vec::new();
        for step in &self.approval.steps {
            let given = self.approvals.iter().filter(|given| given.role == step.role).count();
            let wanted = usize::try_from(step.n).unwrap_or(usize::MAX);
            missing.extend(std::iter::repeat_n(step.role.as_str(), wanted.saturating_sub(given)));
        }
        missing
    }

    /// The day from which it may be carried out; `None` before it is approved. Days are those of UTC: at most one later than
    /// the site's.
    #[must_use]
    pub fn cooled_off(&self) -> Option<Date> {
        self.approved_at.map(|at| self.approval.cooling_off.after(at.date()))
    }

    /// The studies that are in it.
    pub fn inside(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| item.state == ItemState::In)
    }
}

/// What stays of a study that was destroyed. It names no patient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tombstone {
    /// (0020,000D).
    pub study: String,
    /// The batch.
    pub batch: String,
    /// Number of the decision that destroyed it.
    pub decision: u64,
    /// When that was decided.
    #[serde(with = "time::serde::rfc3339")]
    pub destroyed_at: OffsetDateTime,
    /// What stands for its patient.
    pub patient: String,
    /// (0008,0020).
    pub study_date: Option<PartialDate>,
    /// (0008,0061).
    pub modalities: Vec<String>,
    /// Where it was made.
    pub site: String,
    /// Here or elsewhere.
    pub source: Source,
    /// How many instances it had.
    pub instances: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Digest of the decision on how long it was kept.
    pub digest: String,
    /// Who approved it.
    pub approved_by: Vec<String>,
    /// Somebody asked that it may come again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reinstate_asked: Option<ReinstateAsked>,
    /// It may come again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reinstated: Option<Reinstated>,
}

/// What stands with a decision to destroy.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Reason {
    pub(crate) batch: String,
    pub(crate) item: Item,
    pub(crate) approved_by: Vec<String>,
}

impl Tombstone {
    /// The tombstone of a decision to destroy; `None` for one that this room did not make.
    pub(crate) fn of(decision: u64, at: OffsetDateTime, payload: &Value) -> Option<Self> {
        let reason: Reason = serde_json::from_value(payload.get("reason")?.clone()).ok()?;
        let instances = payload.get("instances")?.as_array()?;
        let lengths = instances.iter().filter_map(|instance| instance.get("length")?.as_u64());
        Some(Self {
            study: reason.item.study,
            batch: reason.batch,
            decision,
            destroyed_at: at,
            patient: reason.item.patient,
            study_date: reason.item.study_date,
            modalities: reason.item.modalities,
            site: reason.item.site,
            source: reason.item.source,
            instances: instances.len() as u64,
            bytes: lengths.sum(),
            digest: reason.item.digest,
            approved_by: reason.approved_by,
            reinstate_asked: None,
            reinstated: None,
        })
    }

    pub(crate) fn as_other_study(&self) -> Option<OtherStudy> {
        Some(OtherStudy {
            study_instance_uid: self.study.clone(),
            date: self.study_date,
            modalities: self.modalities.clone(),
            site: self.site.clone(),
            source: self.source,
        })
    }
}

impl Records {
    /// All batches, oldest first, as they were last looked at.
    #[must_use]
    pub fn batches(&self) -> Vec<Batch> {
        self.book().batches.values().cloned().collect()
    }

    pub(crate) fn known_batch(&self, id: &str) -> Result<Batch, RecordsError> {
        let book = self.book();
        let found = book.batch(id).cloned();
        found.ok_or_else(|| RecordsError::Unknown("there is no such batch".to_owned()))
    }

    /// What stays of studies that were destroyed, behind one of them.
    #[must_use]
    pub fn tombstones(&self, after: Option<&str>, limit: usize) -> Vec<Tombstone> {
        let book = self.book();
        let rest = book.tombstones.range::<str, _>((
            after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded),
            std::ops::Bound::Unbounded,
        ));
        rest.take(limit).map(|(_, tombstone)| tombstone.clone()).collect()
    }

    /// What stays of one study.
    ///
    /// # Errors
    /// [`RecordsError::Unknown`].
    pub fn tombstone(&self, study: &str) -> Result<Tombstone, RecordsError> {
        let found = self.book().tombstones.get(study).cloned();
        found.ok_or_else(|| RecordsError::Unknown("no study of this UID was destroyed".to_owned()))
    }

    /// The certificate of a batch, as it was signed.
    ///
    /// # Errors
    /// [`RecordsError::Unknown`] while there is none.
    pub fn certificate(&self, batch: &str) -> Result<Value, RecordsError> {
        let found = self.known_batch(batch)?.certificate;
        found.ok_or_else(|| {
            RecordsError::Unknown(
                "the batch has no certificate: nothing of it is destroyed, or not all is gone yet".to_owned(),
            )
        })
    }
}
