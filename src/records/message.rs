//! What a message of another system tells of a patient: what is new in it becomes facts.
//!
//! A message changes nothing that a later one of the same sender said, whatever the order in which they come, and nothing when it
//! comes again.

use filmroom_retention::PartialDate;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{
    Actor, Fact, FactName, NewFact, PatientKey, Records, RecordsError, Subject, actor,
    book::Book,
    event::Event,
    fact::{Row, encounter},
};

/// A message of another system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Which it is among the sender's (MSH-10).
    pub control_id: String,
    /// The system that sent it (MSH-3).
    pub application: String,
    /// Where that is (MSH-4).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub facility: String,
    /// What it tells of, such as `ADT^A03` (MSH-9).
    pub event: String,
    /// When it was made (MSH-7), as far as it says so.
    #[serde(
        with = "time::serde::rfc3339::option",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub sent_at: Option<OffsetDateTime>,
}

impl Message {
    /// Where its facts come from: the same for all messages of one system.
    #[must_use]
    pub fn source(&self) -> String {
        format!("hl7:{}|{}", self.application, self.facility)
    }
}

/// What a message says of one thing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Said {
    /// Nothing.
    #[default]
    Nothing,
    /// That there is none, or none any more: what the sender said before does not count.
    None,
    /// This, as facts write it.
    Value(String),
}

/// What becomes of a stay or visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VisitChange {
    /// It goes on, or was a visit of a day.
    Seen,
    /// It is only told of: nothing is known by it that was not before, unless it says when.
    ToldOf,
    /// It ended.
    Ended,
    /// It never was.
    Cancelled,
    /// It did not end after all.
    Resumed,
}

/// A stay or visit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// Its number; empty where there is none.
    pub number: String,
    /// What becomes of it.
    pub change: VisitChange,
    /// Admission.
    pub start: Option<PartialDate>,
    /// Discharge.
    pub end: Option<PartialDate>,
    /// The day of what the message tells of.
    pub day: Option<PartialDate>,
    /// It is over on the day on which it begins, unless somebody says otherwise.
    pub is_of_a_day: bool,
}

/// What a message tells of a patient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The message.
    pub message: Message,
    /// The patient, by each identifier.
    pub patients: Vec<PatientKey>,
    /// Birth.
    pub birth: Said,
    /// Sex.
    pub sex: Said,
    /// Death.
    pub death: Said,
    /// A stay or visit.
    pub visit: Option<Visit>,
}

/// What came of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// Facts that are new.
    pub facts: Vec<Fact>,
    /// Things of which a later message said something before.
    pub overtaken: usize,
}

impl Records {
    /// Takes what a message tells of a patient: durable when this returns. What it changes takes studies out of batches at once.
    ///
    /// # Errors
    /// [`RecordsError::Invalid`] naming what is wrong.
    pub async fn hear(&self, by: &Actor, told: &Told) -> Result<Heard, RecordsError> {
        by.needs(actor::ASSERT, "assert facts")?;
        let _deciding = self.turn().await;
        let (facts, overtaken) = {
            let book = self.book();
            let mut hearing = Hearing {
                book: &book,
                told,
                source: told.message.source(),
                facts: Vec::new(),
                overtaken: 0,
            };
            for patient in &told.patients {
                hearing.of(patient);
            }
            (hearing.facts, hearing.overtaken)
        };
        if facts.is_empty() {
            return Ok(Heard {
                facts: Vec::new(),
                overtaken,
            });
        }
        self.check_facts(&facts, |place| format!("fact {place}"))?;
        let number = self
            .decide(Event::Facts {
                by: by.clone(),
                facts,
                message: Some(told.message.clone()),
            })
            .await?;
        let facts = self.book().facts_of_decision(number);
        let patients: Vec<Subject> = told.patients.iter().cloned().map(Subject::Patient).collect();
        self.refresh_batches_about(&patients).await?;
        Ok(Heard { facts, overtaken })
    }
}

struct Hearing<'a> {
    book: &'a Book,
    told: &'a Told,
    source: String,
    facts: Vec<NewFact>,
    overtaken: usize,
}

impl Hearing<'_> {
    fn of(&mut self, patient: &PatientKey) {
        let told = self.told;
        for (name, said) in [
            (FactName::Birth, &told.birth),
            (FactName::Sex, &told.sex),
            (FactName::Death, &told.death),
        ] {
            let known = self.known(patient, name, |_| true);
            self.change(patient, name, known, said, "");
        }
        if let Some(visit) = &told.visit {
            self.visited(patient, visit);
        }
    }

    /// What this sender said last.
    fn known(&self, patient: &PatientKey, name: FactName, is_it: impl Fn(&Row) -> bool) -> Option<Row> {
        let subject = Subject::Patient(patient.clone());
        let rows = self.book.rows_of(&subject).filter(|row| {
            row.active
                && row.said.value.is_some()
                && row.said.fact == name
                && row.said.source == self.source
                && is_it(row)
        });
        rows.last().cloned()
    }

    fn visited(&mut self, patient: &PatientKey, visit: &Visit) {
        let start = visit.start.map(|start| start.to_string());
        let known = self.known(patient, FactName::Encounter, |row| match visit.number.is_empty() {
            false => row.said.visit == visit.number,
            true => row.said.visit.is_empty() && row.said.value.as_deref().and_then(began) == start.as_deref(),
        });
        let known_stay = known.as_ref().and_then(|row| encounter(row.said.value.as_deref()?));
        let start = visit.start.or(known_stay.map(|stay| stay.start));
        let known_end = known_stay.and_then(|stay| stay.end);
        let stay = match visit.change {
            VisitChange::Cancelled => None,
            VisitChange::ToldOf if start.is_none() => return,
            VisitChange::Seen | VisitChange::ToldOf => {
                let Some(start) = start.or(visit.day) else { return };
                let own = visit.is_of_a_day.then_some(start);
                Some((start, visit.end.or(known_end).or(own)))
            }
            VisitChange::Ended => {
                let Some(end) = visit.end.or(visit.day) else { return };
                Some((start.unwrap_or(end), Some(end)))
            }
            VisitChange::Resumed => start.map(|start| (start, None)),
        };
        let said = match stay {
            Some((start, end)) => Said::Value(match end {
                Some(end) => format!("{start}/{end}"),
                None => format!("{start}/"),
            }),
            None => Said::None,
        };
        self.change(patient, FactName::Encounter, known, &said, &visit.number);
    }

    fn change(&mut self, patient: &PatientKey, name: FactName, known: Option<Row>, said: &Said, visit: &str) {
        let value = match said {
            Said::Nothing => return,
            Said::None => None,
            Said::Value(value) => Some(value.clone()),
        };
        let supersedes = match (&known, &value) {
            (None, None) => return,
            (Some(row), value) if row.said.value == *value => return,
            (Some(row), _) if self.is_behind(row) => {
                self.overtaken += 1;
                return;
            }
            (Some(row), _) => vec![row.id.clone()],
            (None, Some(_)) => Vec::new(),
        };
        self.facts.push(NewFact {
            patient: Some(patient.id.clone()),
            issuer: patient.issuer.clone(),
            study: None,
            fact: name,
            value,
            date: None,
            source: self.source.clone(),
            visit: visit.to_owned(),
            supersedes,
            note: String::new(),
        });
    }

    /// True when what is known was said by a message that was made later.
    fn is_behind(&self, row: &Row) -> bool {
        let later = row.message.as_ref().and_then(|message| message.sent_at);
        match (later, self.told.message.sent_at) {
            (Some(later), Some(sent_at)) => sent_at < later,
            _ => false,
        }
    }
}

fn began(stay: &str) -> Option<&str> {
    stay.split('/').next()
}
