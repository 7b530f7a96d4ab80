//! Approving a batch, and saying no to it.

use super::{Batch, BatchState};
use crate::{Actor, Records, RecordsError, actor, event::Event};

/// Longest opinion or reason, in bytes.
const TEXT_BYTES_MAX: usize = 4000;

impl Records {
    /// Approves a batch in a role that is still missing: the first that the person has, or the one named. Never by who proposed it,
    /// never twice by one person.
    ///
    /// # Errors
    /// [`RecordsError::NotLet`], [`RecordsError::Conflict`] where there is nothing to approve.
    pub async fn approve(
        &self,
        by: &Actor,
        id: &str,
        role: Option<&str>,
        opinion: &str,
        expected: Option<u64>,
    ) -> Result<Batch, RecordsError> {
        let _deciding = self.turn().await;
        self.check_clock()?;
        self.refresh_batch(id).await?;
        let batch = self.known_batch(id)?;
        if expected.is_some_and(|expected| expected != batch.version) {
            return Err(RecordsError::Stale);
        }
        if by.subject.is_empty() {
            return Err(RecordsError::NotLet("nobody is named who would approve".to_owned()));
        }
        if batch.proposed_by == by.subject {
            return Err(RecordsError::NotLet(
                "who proposed a batch does not approve it".to_owned(),
            ));
        }
        if batch.approvals.iter().any(|given| given.subject == by.subject) {
            return Err(RecordsError::NotLet(
                "this person has approved the batch already, under this account or another".to_owned(),
            ));
        }
        let has_role = batch.approval.steps.iter().any(|step| by.roles.contains(&step.role));
        if !has_role {
            let roles: Vec<&str> = batch.approval.steps.iter().map(|step| step.role.as_str()).collect();
            return Err(RecordsError::NotLet(format!(
                "to approve it takes one of the roles {}",
                roles.join(", ")
            )));
        }
        if batch.state != BatchState::Proposed {
            return Err(not_open(&batch));
        }
        let missing = batch.missing();
        let found = missing
            .into_iter()
            .find(|missing| by.roles.contains(*missing) && role.is_none_or(|role| role == *missing));
        let Some(role) = found.map(str::to_owned) else {
            return Err(RecordsError::conflict(
                "enough",
                format!("approvals are missing of {} only", batch.missing().join(", ")),
            ));
        };
        let wants_opinion = batch
            .approval
            .steps
            .iter()
            .any(|step| step.role == role && step.opinion);
        if wants_opinion && opinion.trim().is_empty() {
            return Err(RecordsError::invalid(
                "opinion",
                format!("an approval as {role} comes with an opinion in writing"),
            ));
        }
        if opinion.len() > TEXT_BYTES_MAX {
            return Err(RecordsError::invalid(
                "opinion",
                format!("it is longer than {TEXT_BYTES_MAX} bytes"),
            ));
        }
        self.decide(Event::BatchApproved {
            by: by.clone(),
            batch: id.to_owned(),
            role,
            opinion: opinion.to_owned(),
        })
        .await?;
        self.known_batch(id)
    }

    /// Says no to a batch: nothing of it is destroyed, and its studies may be proposed again.
    ///
    /// # Errors
    /// [`RecordsError::Conflict`] when it is being carried out or over.
    pub async fn veto(&self, by: &Actor, id: &str, reason: &str, expected: Option<u64>) -> Result<Batch, RecordsError> {
        by.needs(actor::VETO, "say no to a batch")?;
        let _deciding = self.turn().await;
        let batch = self.known_batch(id)?;
        if expected.is_some_and(|expected| expected != batch.version) {
            return Err(RecordsError::Stale);
        }
        if !matches!(batch.state, BatchState::Proposed | BatchState::Approved) {
            return Err(not_open(&batch));
        }
        if reason.trim().is_empty() || reason.len() > TEXT_BYTES_MAX {
            return Err(RecordsError::invalid(
                "reason",
                format!("say why, in up to {TEXT_BYTES_MAX} bytes"),
            ));
        }
        self.decide(Event::BatchVetoed {
            by: by.clone(),
            batch: id.to_owned(),
            reason: reason.to_owned(),
        })
        .await?;
        self.known_batch(id)
    }

    /// Takes one study out of a batch, for a reason that rules do not know.
    ///
    /// # Errors
    /// [`RecordsError::Conflict`] when it is not in it.
    pub async fn exclude(&self, by: &Actor, id: &str, study: &str, reason: &str) -> Result<Batch, RecordsError> {
        by.needs(actor::VETO, "take a study out of a batch")?;
        let _deciding = self.turn().await;
        let batch = self.known_batch(id)?;
        if !matches!(batch.state, BatchState::Proposed | BatchState::Approved) {
            return Err(not_open(&batch));
        }
        if !batch.inside().any(|item| item.study == study) {
            return Err(RecordsError::conflict("not-in-batch", "the study is not in the batch"));
        }
        if reason.trim().is_empty() || reason.len() > TEXT_BYTES_MAX {
            return Err(RecordsError::invalid(
                "reason",
                format!("say why, in up to {TEXT_BYTES_MAX} bytes"),
            ));
        }
        self.decide(Event::BatchItemsLeft {
            batch: id.to_owned(),
            items: vec![super::LeftItem {
                study: study.to_owned(),
                reason: format!("taken out by {}: {reason}", by.subject),
            }],
        })
        .await?;
        self.known_batch(id)
    }
}

/// Why nothing more can be done with a batch.
pub(super) fn not_open(batch: &Batch) -> RecordsError {
    match batch.state {
        BatchState::Proposed => RecordsError::conflict(
            "not-approved",
            format!("approvals are missing: {}", batch.missing().join(", ")),
        ),
        BatchState::Approved => RecordsError::conflict("approved", "the batch has all approvals"),
        BatchState::Destroying => RecordsError::conflict("destroying", "the batch is being carried out"),
        BatchState::Destroyed => RecordsError::conflict("destroyed", "the batch is carried out"),
        BatchState::Vetoed => RecordsError::conflict("vetoed", "somebody said no to the batch"),
        BatchState::Ended => RecordsError::conflict("ended", "all studies left the batch: nothing is in it any more"),
    }
}
