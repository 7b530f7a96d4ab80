//! What follows from the lines of the journal.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use filmroom_retention::{OtherStudy, Policies};
use filmroom_storage::journal::Decision;
use serde_json::Value;
use time::OffsetDateTime;

use super::{
    KIND, RecordsError,
    disposal::{Batch, BatchState, ItemState, Tombstone},
    event::Event,
    fact::{Fact, Row, Subject},
    holds::{HoldRecord, Release},
    links::Links,
    policies::{Submission, SubmissionState},
    reinstate::{ReinstateAsked, Reinstated},
    rejection::{Decided, Rejections},
};

/// The kind of the store's own decisions to destroy.
const DESTROY: &str = "destroy";
/// The kind of its decisions that let in again what was.
const REINSTATE: &str = "reinstate";

#[derive(Default)]
pub(crate) struct Book {
    /// Facts in the order in which they were asserted.
    rows: Vec<Row>,
    by_id: HashMap<String, usize>,
    by_subject: HashMap<Subject, Vec<usize>>,
    pub(crate) links: Links,
    pub(crate) holds: BTreeMap<String, HoldRecord>,
    pub(crate) submissions: BTreeMap<u64, Submission>,
    pub(crate) policies: Policies,
    pub(crate) batches: BTreeMap<u64, Batch>,
    pub(crate) rejections: Rejections,
    /// By Study Instance UID; the latest where one was destroyed more than once.
    pub(crate) tombstones: BTreeMap<String, Tombstone>,
    /// Studies that are no more, by what stands for their patient.
    pub(crate) gone: HashMap<String, Vec<OtherStudy>>,
    /// Number of the latest line that is in here.
    applied: u64,
    /// When the latest was decided.
    pub(crate) latest: Option<OffsetDateTime>,
}

impl Book {
    /// Takes in a line of the journal, whoever wrote it; lines that are in already are passed over.
    pub(crate) fn replay(&mut self, decision: &Decision) -> Result<(), RecordsError> {
        if decision.number <= self.applied {
            return Ok(());
        }
        self.applied = decision.number;
        self.latest = self.latest.max(Some(decision.at));
        if decision.kind == KIND {
            let event = serde_json::from_value(decision.payload.clone()).map_err(|error| {
                RecordsError::Failed(format!(
                    "decision {} of the journal does not read: {error}",
                    decision.number
                ))
            })?;
            self.apply(decision.number, decision.at, event);
        } else if decision.kind == DESTROY {
            self.destroyed(decision.number, decision.at, &decision.payload);
        } else if decision.kind == REINSTATE
            && let Some((study, reinstated)) = Reinstated::of(decision.number, decision.at, &decision.payload)
            && let Some(tombstone) = self.tombstones.get_mut(&study)
        {
            tombstone.reinstate_asked = None;
            tombstone.reinstated = Some(reinstated);
        }
        Ok(())
    }

    pub(crate) fn apply(&mut self, number: u64, at: OffsetDateTime, event: Event) {
        self.applied = self.applied.max(number);
        self.latest = self.latest.max(Some(at));
        match event {
            Event::Facts { by, facts, message } => {
                let message = message.map(Arc::new);
                for (place, said) in facts.into_iter().enumerate() {
                    self.add_fact(Row {
                        id: format!("f{number}-{}", place + 1),
                        said,
                        asserted_by: by.subject.clone(),
                        asserted_at: at,
                        known_on: at.date(),
                        message: message.clone(),
                        active: true,
                    });
                }
            }
            Event::PatientsLinked {
                by,
                message,
                survivor,
                subsumed,
            } => self.links.link(number, at, &by, message, survivor, subsumed),
            Event::PatientsParted { by, link, reason } => self.links.take_back(number, &by, &link, reason),
            Event::HoldOpened { by, hold } => {
                let hold = HoldRecord::new(number, at, &by, hold);
                self.holds.insert(hold.hold.id.clone(), hold);
            }
            Event::HoldReleaseAsked {
                by,
                hold,
                reason,
                closed,
            } => self.with_hold(&hold, number, |hold| {
                hold.release = Some(Release {
                    asked_by: by.subject,
                    asked_at: at,
                    reason,
                    closed,
                });
            }),
            Event::HoldReleaseRefused { hold, .. } => self.with_hold(&hold, number, |hold| hold.release = None),
            Event::HoldReleased { by, hold, closed } => self.with_hold(&hold, number, |hold| {
                let asked = hold.release.take().map(|release| release.asked_by);
                hold.released_by = asked.into_iter().chain([by.subject]).collect();
                hold.hold.closed = Some(closed.earliest());
            }),
            Event::PolicySubmitted {
                by,
                pack,
                text,
                bindings,
            } => {
                let submission = Submission::new(number, at, &by, pack.map(|pack| *pack), text, bindings);
                self.submissions.insert(number, submission);
            }
            Event::PolicySimulated {
                submission, simulated, ..
            } => self.with_submission(&submission, number, |submission| submission.simulated = Some(simulated)),
            Event::PolicyPublished { by, submission, .. } => {
                self.with_submission(&submission, number, |submission| {
                    submission.state = SubmissionState::Published;
                    submission.published_by = Some(by.subject);
                    submission.published_at = Some(at);
                });
                self.publish(&submission);
            }
            Event::PolicyWithdrawn { submission, .. } => {
                self.with_submission(&submission, number, |submission| {
                    submission.state = SubmissionState::Withdrawn
                });
            }
            Event::BatchProposed {
                by,
                items,
                approval,
                note,
            } => {
                self.rejections.asked(note);
                self.batches
                    .insert(number, Batch::new(number, at, &by, items, approval));
            }
            Event::InstancesRejected {
                by,
                reason,
                why,
                note,
                studies,
            } => {
                let decided = Decided {
                    at,
                    by: by.subject,
                    why,
                    note: note.as_ref().map(|note| note.instance.clone()),
                };
                self.rejections.reject(studies, reason, decided, note);
            }
            Event::InstancesRestored { note, studies, .. } => self.rejections.restore(studies, note),
            Event::ReinstateAsked { by, study, reason } => {
                if let Some(tombstone) = self.tombstones.get_mut(&study) {
                    tombstone.reinstate_asked = Some(ReinstateAsked {
                        asked_by: by.subject,
                        asked_at: at,
                        reason,
                    });
                }
            }
            Event::ReinstateRefused { study, .. } => {
                if let Some(tombstone) = self.tombstones.get_mut(&study) {
                    tombstone.reinstate_asked = None;
                }
            }
            Event::BatchItemsLeft { batch, items } => self.with_batch(&batch, number, |batch| batch.let_go(items)),
            Event::BatchApproved {
                by,
                batch,
                role,
                opinion,
            } => self.with_batch(&batch, number, |batch| batch.approved(&by, at, role, opinion)),
            Event::BatchVetoed { by, batch, reason } => self.with_batch(&batch, number, |batch| {
                batch.state = BatchState::Vetoed;
                batch.vetoed_by = Some(by.subject);
                batch.veto_reason = reason;
            }),
            Event::BatchStarted { by, batch } => self.with_batch(&batch, number, |batch| {
                batch.state = BatchState::Destroying;
                batch.executed_by = Some(by.subject);
                batch.executed_at = Some(at);
            }),
            Event::BatchEnded { batch, certificate } => {
                self.with_batch(&batch, number, |batch| {
                    batch.state = if certificate.is_some() {
                        BatchState::Destroyed
                    } else {
                        BatchState::Ended
                    };
                    batch.certificate = certificate;
                });
            }
        }
    }

    /// A decision of the store to destroy: the tombstone is what stands with it.
    pub(crate) fn destroyed(&mut self, number: u64, at: OffsetDateTime, payload: &Value) {
        self.applied = self.applied.max(number);
        let Some(tombstone) = Tombstone::of(number, at, payload) else {
            return;
        };
        self.with_batch(&tombstone.batch.clone(), number, |batch| {
            if let Some(item) = batch.items.iter_mut().find(|item| item.study == tombstone.study) {
                item.state = ItemState::Destroyed;
                item.decision = Some(number);
            }
        });
        self.rejections.forget(&tombstone.study);
        if let Some(known) = tombstone.as_other_study() {
            let gone = self.gone.entry(tombstone.patient.clone()).or_default();
            gone.retain(|other| other.study_instance_uid != known.study_instance_uid);
            gone.push(known);
        }
        self.tombstones.insert(tombstone.study.clone(), tombstone);
    }

    fn add_fact(&mut self, row: Row) {
        let Some(subject) = row.said.subject() else { return };
        for id in &row.said.supersedes {
            if let Some(earlier) = self.by_id.get(id).and_then(|place| self.rows.get_mut(*place)) {
                earlier.active = false;
            }
        }
        let places = self.by_subject.entry(subject).or_default();
        if row.said.value.is_some() {
            for place in places.iter() {
                if let Some(earlier) = self.rows.get_mut(*place)
                    && earlier.slot() == row.slot()
                {
                    earlier.active = false;
                }
            }
        }
        places.push(self.rows.len());
        self.by_id.insert(row.id.clone(), self.rows.len());
        self.rows.push(row);
    }

    pub(crate) fn fact(&self, id: &str) -> Option<&Row> {
        self.by_id.get(id).and_then(|place| self.rows.get(*place))
    }

    pub(crate) fn rows_of(&self, subject: &Subject) -> impl Iterator<Item = &Row> + Clone {
        let places = self.by_subject.get(subject).map(Vec::as_slice).unwrap_or_default();
        places.iter().filter_map(|place| self.rows.get(*place))
    }

    pub(crate) fn facts_of_decision(&self, number: u64) -> Vec<Fact> {
        let prefix = format!("f{number}-");
        let last = self.rows.iter().rev();
        let mut found: Vec<Fact> = last
            .take_while(|row| row.id.starts_with(&prefix))
            .map(Row::shown)
            .collect();
        found.reverse();
        found
    }

    pub(crate) fn facts_after(&self, after: Option<&str>, limit: usize) -> Vec<Fact> {
        let from = after.map_or(0, |after| {
            self.by_id.get(after).map_or(self.rows.len(), |place| place + 1)
        });
        let rest = self.rows.get(from..).unwrap_or_default();
        rest.iter().take(limit).map(Row::shown).collect()
    }

    fn with_hold(&mut self, id: &str, number: u64, change: impl FnOnce(&mut HoldRecord)) {
        if let Some(hold) = self.holds.get_mut(id) {
            change(hold);
            hold.version = number;
        }
    }

    fn with_submission(&mut self, id: &str, number: u64, change: impl FnOnce(&mut Submission)) {
        if let Some(submission) = numbered(id, 'p').and_then(|number| self.submissions.get_mut(&number)) {
            change(submission);
            submission.version = number;
        }
    }

    fn with_batch(&mut self, id: &str, number: u64, change: impl FnOnce(&mut Batch)) {
        if let Some(batch) = numbered(id, 'b').and_then(|number| self.batches.get_mut(&number)) {
            change(batch);
            batch.version = number;
        }
    }

    fn publish(&mut self, id: &str) {
        let Some(submission) = numbered(id, 'p').and_then(|number| self.submissions.get(&number)) else {
            return;
        };
        self.policies = submission.applied_to(&self.policies);
    }

    pub(crate) fn submission(&self, id: &str) -> Option<&Submission> {
        self.submissions.get(&numbered(id, 'p')?)
    }

    pub(crate) fn batch(&self, id: &str) -> Option<&Batch> {
        self.batches.get(&numbered(id, 'b')?)
    }
}

/// The number of an id such as `b12`.
pub(crate) fn numbered(id: &str, letter: char) -> Option<u64> {
    id.strip_prefix(letter)?.parse().ok()
}
