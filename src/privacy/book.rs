//! What follows from the lines of the journal.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use filmroom_storage::{journal::Decision, model::StudyInstanceUid};
use serde::Serialize;
use time::OffsetDateTime;

use super::{
    Label, PrivacyError,
    emergency::{Emergency, Review},
    event::{Event, KIND},
    scope::Scope,
};

/// What somebody sees beside what their roles let them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    /// By what it is revoked.
    pub id: String,
    /// The person; or `token:NAME`, `peer:AE_TITLE`.
    pub to: String,
    /// What they see.
    pub scope: Scope,
    /// Why.
    pub reason: String,
    /// Who granted it.
    pub by: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Until when.
    #[serde(with = "time::serde::rfc3339::option")]
    pub until: Option<OffsetDateTime>,
}

#[derive(Default)]
pub(crate) struct Book {
    /// Labels of those studies that have any.
    pub(crate) labels: HashMap<StudyInstanceUid, BTreeSet<Label>>,
    /// The other way round.
    pub(crate) labelled: HashMap<Label, BTreeSet<StudyInstanceUid>>,
    pub(crate) grants: BTreeMap<u64, Grant>,
    /// Numbers of grants, by who has them.
    granted_to: HashMap<String, BTreeSet<u64>>,
    pub(crate) emergencies: BTreeMap<u64, Emergency>,
    /// Numbers of emergencies that nobody ended, by whose they are.
    pub(crate) open: HashMap<String, BTreeSet<u64>>,
    /// Counts changes: what was found before one is not gone on with.
    pub(crate) version: u64,
}

fn at(seconds: u64) -> OffsetDateTime {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// The number in the name of a grant (`g`) or an emergency (`e`).
pub(crate) fn number(kind: char, id: &str) -> Option<u64> {
    id.strip_prefix(kind)?.parse().ok()
}

impl Book {
    pub(crate) fn replay(&mut self, decision: &Decision) -> Result<(), PrivacyError> {
        if decision.kind == KIND {
            let event = serde_json::from_value(decision.payload.clone()).map_err(|error| {
                PrivacyError::Failed(format!(
                    "decision {} of the journal does not read: {error}",
                    decision.number
                ))
            })?;
            self.apply(decision.number, decision.at, event);
        }
        Ok(())
    }

    pub(crate) fn apply(&mut self, number: u64, now: OffsetDateTime, event: Event) {
        self.version += 1;
        match event {
            Event::Labelled { study, labels, .. } => self.label(study, labels),
            Event::Granted {
                by,
                to,
                scope,
                reason,
                until,
            } => {
                self.granted_to.entry(to.clone()).or_default().insert(number);
                let grant = Grant {
                    id: format!("g{number}"),
                    to,
                    scope,
                    reason,
                    by,
                    at: now,
                    until: until.map(at),
                };
                self.grants.insert(number, grant);
            }
            Event::Revoked { grant, .. } => {
                if let Some((place, grant)) =
                    self::number('g', &grant).and_then(|place| self.grants.remove_entry(&place))
                    && let Some(of_holder) = self.granted_to.get_mut(&grant.to)
                {
                    of_holder.remove(&place);
                }
            }
            Event::EmergencyBegan {
                by,
                name,
                scope,
                code,
                reason,
                until,
            } => {
                self.open.entry(by.clone()).or_default().insert(number);
                let emergency = Emergency {
                    id: format!("e{number}"),
                    person: by,
                    name,
                    scope,
                    code,
                    reason,
                    began_at: now,
                    until: at(until),
                    ended_at: None,
                    review: None,
                };
                self.emergencies.insert(number, emergency);
            }
            Event::EmergencyEnded { emergency, .. } => {
                let place = self::number('e', &emergency);
                if let Some(place) = place
                    && let Some(emergency) = self.emergencies.get_mut(&place)
                {
                    emergency.ended_at = Some(now);
                    if let Some(open) = self.open.get_mut(&emergency.person) {
                        open.remove(&place);
                        if open.is_empty() {
                            self.open.remove(&emergency.person);
                        }
                    }
                }
            }
            Event::EmergencyReviewed {
                by,
                emergency,
                finding,
                text,
            } => {
                let found = self::number('e', &emergency).and_then(|place| self.emergencies.get_mut(&place));
                if let Some(emergency) = found {
                    emergency.review = Some(Review {
                        by,
                        at: now,
                        finding,
                        text,
                    });
                }
            }
        }
    }

    fn label(&mut self, study: StudyInstanceUid, labels: BTreeSet<Label>) {
        for label in self.labels.remove(&study).unwrap_or_default() {
            if let Some(of_label) = self.labelled.get_mut(&label) {
                of_label.remove(&study);
                if of_label.is_empty() {
                    self.labelled.remove(&label);
                }
            }
        }
        for label in &labels {
            self.labelled.entry(label.clone()).or_default().insert(study.clone());
        }
        if !labels.is_empty() {
            self.labels.insert(study, labels);
        }
    }

    /// What somebody was granted or has taken, and is in force.
    pub(crate) fn scopes_of<'a>(&'a self, holder: &str, now: OffsetDateTime) -> impl Iterator<Item = &'a Scope> {
        let granted = self.granted_to.get(holder).into_iter().flatten();
        let granted = granted.filter_map(|place| self.grants.get(place));
        let granted = granted.filter(move |grant| grant.until.is_none_or(|until| now < until));
        let taken = self.open.get(holder).into_iter().flatten();
        let taken = taken.filter_map(|place| self.emergencies.get(place));
        let taken = taken.filter(move |emergency| emergency.is_open(now));
        granted
            .map(|grant| &grant.scope)
            .chain(taken.map(|emergency| &emergency.scope))
    }
}
