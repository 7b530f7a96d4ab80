//! Decisions on studies: of one, with all that led to it, and of all, page by page.

use std::fmt::Write as _;

use filmroom_retention::{Decision, Simulation, Status, Traced, trace};
use filmroom_storage::index::{StudyCursor, StudySelector};
use serde::Serialize;
use time::Date;

use super::{Fact, HoldRecord, Records, RecordsError, Subject, canonical::from_hexadecimal, study::Looking};

/// Studies read in one go.
const PAGE: usize = 200;
/// Studies looked at for one page at most: a page may be short of answers and have a next one all the same.
const LOOKED_MAX: usize = 5000;

/// Which decisions are wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DecisionFilter {
    /// Of this status.
    pub status: Option<Status>,
    /// Only those that a person has to look at, since they are kept longer than allowed.
    pub overdue: bool,
}

impl DecisionFilter {
    fn lets(self, decision: &Decision) -> bool {
        self.status.is_none_or(|status| decision.status == status) && (!self.overdue || decision.review.is_some())
    }
}

/// A page of decisions, newest study date first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DecisionPage {
    /// The decisions.
    pub decisions: Vec<Decision>,
    /// Where the next page begins; `None` when this is the last.
    pub next: Option<String>,
}

/// A decision and all that led to it.
#[derive(Debug, Clone, Serialize)]
pub struct Explained {
    /// The decision.
    #[serde(flatten)]
    pub decision: Decision,
    /// Its digest.
    pub digest: String,
    /// Every rule in force, and what became of it.
    pub trace: Vec<Traced>,
    /// What people said of the study and its patient.
    pub facts: Vec<Fact>,
    /// All holds that are or were on it.
    #[serde(rename = "allHolds")]
    pub all_holds: Vec<HoldRecord>,
    /// Instances and bytes.
    pub instances: u64,
    /// Bytes of all its Part 10 files.
    pub bytes: u64,
}

impl Records {
    /// Decides on a study, and tells why.
    ///
    /// # Errors
    /// [`RecordsError::Unknown`].
    pub async fn explain(&self, study: &str, as_of: Option<Date>) -> Result<Explained, RecordsError> {
        let study = study.to_owned();
        self.blocking(move |room| {
            let as_of = as_of.unwrap_or_else(|| room.today());
            let book = room.book();
            let mut looking = Looking::new(room, &book);
            let Some(looked) = looking.at_uid(&study)? else {
                return Err(RecordsError::Unknown("there is no such study".to_owned()));
            };
            let decision = looked.decide(&book.policies, as_of);
            let person = book.links.person(&looked.patient).into_iter().map(Subject::Patient);
            let subjects: Vec<Subject> = person.chain([Subject::Study(study)]).collect();
            let facts = subjects.iter().flat_map(|subject| book.rows_of(subject));
            Ok(Explained {
                digest: decision.digest(),
                trace: trace(&looked.facts, &book.policies, &decision, as_of),
                facts: facts.map(super::fact::Row::shown).collect(),
                instances: looked.facts.instances,
                bytes: looked.bytes,
                all_holds: looked.holds,
                decision,
            })
        })
        .await
    }

    /// Decisions on all studies, page by page: up to `limit` that the filter lets through.
    ///
    /// # Errors
    /// [`RecordsError::Invalid`] for a cursor that is none.
    pub async fn decisions(
        &self,
        filter: DecisionFilter,
        after: Option<&str>,
        limit: usize,
        as_of: Option<Date>,
    ) -> Result<DecisionPage, RecordsError> {
        let mut after = match after {
            None => None,
            Some(text) => {
                let bytes = from_hexadecimal(text).filter(|bytes| !bytes.is_empty());
                Some(StudyCursor(bytes.ok_or_else(|| {
                    RecordsError::invalid("cursor", "it is none that this archive gave")
                })?))
            }
        };
        self.blocking(move |room| {
            let as_of = as_of.unwrap_or_else(|| room.today());
            if as_of == room.today()
                && let Some(page) = room.decisions_at_hand(filter, after.as_ref(), limit)?
            {
                return Ok(page);
            }
            let book = room.book();
            let index = room.inner.store.index();
            let mut looking = Looking::new(room, &book);
            let (mut decisions, mut looked_at) = (Vec::new(), 0);
            loop {
                let page = index.studies(&StudySelector::All, after.as_ref(), PAGE)?;
                if page.is_empty() {
                    return Ok(DecisionPage { decisions, next: None });
                }
                for (place, record) in page {
                    let decision = looking.at(&record)?.decide(&book.policies, as_of);
                    looked_at += 1;
                    after = Some(place);
                    if filter.lets(&decision) {
                        decisions.push(decision);
                    }
                    if decisions.len() >= limit || looked_at >= LOOKED_MAX {
                        return Ok(DecisionPage {
                            decisions,
                            next: after.as_ref().map(shown),
                        });
                    }
                }
            }
        })
        .await
    }

    /// The same from what was decided of all studies, each decided on again; `None` where that does not tell.
    fn decisions_at_hand(
        &self,
        filter: DecisionFilter,
        after: Option<&StudyCursor>,
        limit: usize,
    ) -> Result<Option<DecisionPage>, RecordsError> {
        let is_overdue = match filter {
            DecisionFilter { overdue: true, .. } => true,
            DecisionFilter {
                status: Some(Status::Expired),
                ..
            } => false,
            _ => return Ok(None),
        };
        let Some(listed) = self.listed(is_overdue, after, limit) else {
            return Ok(None);
        };
        let book = self.book();
        let mut looking = Looking::new(self, &book);
        let next = (listed.len() == limit)
            .then(|| listed.last().map(|(place, _)| shown(place)))
            .flatten();
        let mut decisions = Vec::new();
        for (_, study) in listed {
            let Some(looked) = looking.at_uid(&study)? else {
                continue;
            };
            let decision = looked.decide(&book.policies, self.today());
            if filter.lets(&decision) {
                decisions.push(decision);
            }
        }
        Ok(Some(DecisionPage { decisions, next }))
    }

    /// What other policies would do to all studies. Blocks for as long as they take to be read.
    pub(crate) fn simulated(
        &self,
        policies: &filmroom_retention::Policies,
        as_of: Date,
        listed_max: usize,
    ) -> Result<Simulation, RecordsError> {
        let mut simulation = Simulation::default();
        self.each_study(|_, looked, now| {
            let before = looked.decide(now, as_of);
            let after = looked.decide(policies, as_of);
            simulation.add(&before, &after, looked.bytes, listed_max);
        })?;
        Ok(simulation)
    }
}

fn shown(cursor: &StudyCursor) -> String {
    let mut text = String::new();
    for byte in &cursor.0 {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
