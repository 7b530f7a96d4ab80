//! Facts: what somebody said of a patient or a study, and who, and when.

use std::collections::{BTreeSet, HashSet};

use filmroom_retention::{Death, Encounter, FLAGS, Flag, PartialDate, Purpose, Source, is_flag};
use serde::{Deserialize, Serialize};
use time::{Date, OffsetDateTime};

use super::{Actor, Problem, Records, RecordsError, actor, event::Event};

/// Most facts that are taken at once.
const FACTS_MAX: usize = 10_000;
/// Longest text of a field, in bytes.
const TEXT_BYTES_MAX: usize = 200;

/// A patient: the ID alone says nothing without who gave it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PatientKey {
    /// (0010,0020).
    pub id: String,
    /// (0010,0021); empty where there is none.
    pub issuer: String,
}

/// What a fact is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A patient.
    Patient(PatientKey),
    /// A study, by (0020,000D).
    Study(String),
}

macro_rules! names {
    ($($(#[$doc:meta])* $variant:ident = $word:literal of $of:ident,)*) => {
        /// What can be said.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum FactName {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)*
        }

        impl FactName {
            /// Its word.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// All words.
            pub const WORDS: &'static [&'static str] = &[$($word,)*];

            /// The one of this word.
            #[must_use]
            pub fn of(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }

            const fn about(self) -> About {
                match self { $(Self::$variant => About::$of,)* }
            }
        }
    };
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    Patient,
    Study,
    Either,
}

names! {
    /// A date.
    Birth = "patient.birth" of Patient,
    /// A date, or `unknown` of somebody who is known to be dead.
    Death = "patient.death" of Patient,
    /// A date.
    LastEncounter = "patient.last_encounter" of Patient,
    /// A stay or visit: `2022-06-10/2022-06-15`, `2022-06-10/` while it lasts.
    Encounter = "encounter" of Patient,
    /// A flag; its day is the field `date`.
    Flag = "flag" of Either,
    /// A date.
    TrialEnd = "trial.end" of Patient,
    /// A date.
    EmploymentEnd = "employment.end" of Patient,
    /// A date.
    EncounterEnd = "encounter.end" of Study,
    /// A date.
    Completed = "study.completed" of Study,
    /// `diagnostic`, `screening` or `treatment`.
    Purpose = "study.purpose" of Study,
    /// The name of a site.
    Site = "study.site" of Study,
    /// `own` or `imported`.
    Source = "study.source" of Study,
    /// A payer or programme.
    Programme = "study.programme" of Study,
}

/// A fact as it is asserted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewFact {
    /// The patient's ID, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient: Option<String>,
    /// Who gave the ID.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub issuer: String,
    /// The study, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub study: Option<String>,
    /// What is said.
    pub fact: FactName,
    /// As text; `None` takes back what `supersedes` names.
    #[serde(default)]
    pub value: Option<String>,
    /// Of a flag its day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<PartialDate>,
    /// Where it comes from: a system, a form.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Ids of facts that do not count any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub supersedes: Vec<String>,
    /// In words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// A fact as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fact {
    /// Its id.
    pub id: String,
    /// As it was asserted.
    #[serde(flatten)]
    pub said: NewFact,
    /// How much of its date is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<&'static str>,
    /// By whom.
    pub asserted_by: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub asserted_at: OffsetDateTime,
    /// It counts: nothing later supersedes it.
    pub active: bool,
}

impl NewFact {
    pub(crate) fn subject(&self) -> Option<Subject> {
        match (&self.patient, &self.study) {
            (Some(id), None) => Some(Subject::Patient(PatientKey {
                id: id.clone(),
                issuer: self.issuer.clone(),
            })),
            (None, Some(study)) => Some(Subject::Study(study.clone())),
            _ => None,
        }
    }

    /// Everything that is wrong with it.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        match (self.subject(), self.fact.about()) {
            (None, _) => wrong.push("it names either a patient or a study".to_owned()),
            (Some(Subject::Patient(_)), About::Study) => {
                wrong.push(format!("{} is said of a study", self.fact.word()));
            }
            (Some(Subject::Study(_)), About::Patient) => {
                wrong.push(format!("{} is said of a patient", self.fact.word()));
            }
            _ => {}
        }
        if self.patient.as_ref().is_some_and(String::is_empty) {
            wrong.push("the patient's ID is empty".to_owned());
        }
        if let Some(study) = &self.study
            && let Err(error) = filmroom_storage::model::check_uid(study)
        {
            wrong.push(format!("study: {error}"));
        }
        let texts = [&self.source, &self.note, &self.issuer];
        let all = texts
            .into_iter()
            .chain(self.patient.as_ref())
            .chain(self.value.as_ref())
            .chain(&self.supersedes);
        for text in all {
            if text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control) {
                wrong.push(format!(
                    "a text is longer than {TEXT_BYTES_MAX} bytes or has control characters"
                ));
            }
        }
        match &self.value {
            None if self.supersedes.is_empty() => {
                wrong.push("it has no value, and names no fact that it takes back".to_owned());
            }
            None => {}
            Some(value) => wrong.extend(wrong_value(self.fact, value)),
        }
        if self.date.is_some() && self.fact != FactName::Flag {
            wrong.push("only a flag has a date beside its value".to_owned());
        }
        wrong
    }

    fn precision(&self) -> Option<&'static str> {
        let date = match self.fact {
            FactName::Flag => self.date,
            _ => self.value.as_ref().and_then(|value| value.parse().ok()),
        };
        date.map(PartialDate::precision)
    }
}

fn wrong_value(fact: FactName, value: &str) -> Option<String> {
    let shown: String = value.chars().take(60).collect();
    let date = |text: &str| text.parse::<PartialDate>().err().map(|error| error.to_string());
    match fact {
        FactName::Death if value == "unknown" => None,
        FactName::Death => date(value).map(|error| format!("{error}; and \"unknown\"")),
        FactName::Birth
        | FactName::LastEncounter
        | FactName::TrialEnd
        | FactName::EmploymentEnd
        | FactName::EncounterEnd
        | FactName::Completed => date(value),
        FactName::Encounter => match encounter(value) {
            Some(_) => None,
            None => Some(format!(
                "\"{shown}\" is no stay: 2022-06-10/2022-06-15 is, and 2022-06-10/ while it lasts"
            )),
        },
        FactName::Flag => (!is_flag(value)).then(|| {
            format!(
                "\"{shown}\" is no flag: {} are, and a site's own that begin with x-",
                FLAGS.join(", ")
            )
        }),
        FactName::Purpose => {
            (Purpose::of(value).is_none()).then(|| format!("\"{shown}\" is none of {}", Purpose::WORDS.join(", ")))
        }
        FactName::Source => {
            (Source::of(value).is_none()).then(|| format!("\"{shown}\" is none of {}", Source::WORDS.join(", ")))
        }
        FactName::Site | FactName::Programme => value.is_empty().then(|| "it is empty".to_owned()),
    }
}

fn encounter(value: &str) -> Option<Encounter> {
    let (start, end) = value.split_once('/')?;
    let start: PartialDate = start.parse().ok()?;
    let end = match end {
        "" | ".." => None,
        end => Some(end.parse::<PartialDate>().ok()?),
    };
    let is_forward = end.is_none_or(|end| end.latest() >= start.earliest());
    is_forward.then_some(Encounter { start, end })
}

/// A fact in the book.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) said: NewFact,
    pub(crate) asserted_by: String,
    pub(crate) asserted_at: OffsetDateTime,
    /// The day of it.
    pub(crate) known_on: Date,
    pub(crate) active: bool,
}

impl Row {
    /// What a later fact of the same source replaces without naming it.
    pub(crate) fn slot(&self) -> (FactName, &str, Option<&str>) {
        let value = self.said.value.as_deref();
        let of_several = match self.said.fact {
            FactName::Flag | FactName::Programme => value,
            // A stay is told by its beginning.
            FactName::Encounter => value.and_then(|value| value.split('/').next()),
            _ => None,
        };
        (self.said.fact, self.said.source.as_str(), of_several)
    }

    pub(crate) fn shown(&self) -> Fact {
        Fact {
            id: self.id.clone(),
            said: self.said.clone(),
            precision: self.said.precision(),
            asserted_by: self.asserted_by.clone(),
            asserted_at: self.asserted_at,
            active: self.active,
        }
    }
}

/// What counts of the facts of one subject.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) birth: Option<PartialDate>,
    pub(crate) death: Option<Death>,
    pub(crate) last_encounter: Option<PartialDate>,
    pub(crate) encounters: Vec<Encounter>,
    pub(crate) flags: Vec<Flag>,
    pub(crate) trial_end: Option<PartialDate>,
    pub(crate) employment_end: Option<PartialDate>,
    pub(crate) encounter_end: Option<PartialDate>,
    pub(crate) completed: Option<PartialDate>,
    pub(crate) purpose: Option<Purpose>,
    pub(crate) site: Option<String>,
    pub(crate) source: Option<Source>,
    pub(crate) programmes: Vec<String>,
    pub(crate) conflicts: Vec<String>,
}

impl Known {
    pub(crate) fn of<'a>(rows: impl Iterator<Item = &'a Row> + Clone) -> Self {
        let mut known = Self::default();
        let active = || rows.clone().filter(|row| row.active && row.said.value.is_some());
        let single = |name: FactName, conflicts: &mut Vec<String>| {
            let values: BTreeSet<PartialDate> = active()
                .filter(|row| row.said.fact == name)
                .filter_map(|row| row.said.value.as_ref()?.parse().ok())
                .collect();
            if values.len() > 1 {
                let all: Vec<String> = values.iter().map(PartialDate::to_string).collect();
                conflicts.push(format!(
                    "sources do not agree on {}: {}; the latest counts until one is superseded",
                    name.word(),
                    all.join(", ")
                ));
            }
            values.into_iter().max_by_key(|date| (date.latest(), !date.is_whole()))
        };
        let mut conflicts = Vec::new();
        known.birth = single(FactName::Birth, &mut conflicts);
        known.death = single(FactName::Death, &mut conflicts).map(Death::On);
        known.trial_end = single(FactName::TrialEnd, &mut conflicts);
        known.employment_end = single(FactName::EmploymentEnd, &mut conflicts);
        known.encounter_end = single(FactName::EncounterEnd, &mut conflicts);
        known.completed = single(FactName::Completed, &mut conflicts);
        // That somebody was seen twice is no conflict.
        known.last_encounter = single(FactName::LastEncounter, &mut Vec::new());
        for row in active() {
            let Some(value) = &row.said.value else { continue };
            match row.said.fact {
                FactName::Death if value == "unknown" => {
                    known.death = known.death.or(Some(Death::KnownOn(row.known_on)));
                }
                FactName::Encounter => known.encounters.extend(encounter(value)),
                FactName::Flag => known.flags.push(Flag {
                    name: value.clone(),
                    date: row.said.date,
                    known_on: row.known_on,
                }),
                FactName::Purpose => known.purpose = Purpose::of(value),
                FactName::Source => known.source = Source::of(value),
                FactName::Site => known.site = Some(value.clone()),
                FactName::Programme => known.programmes.push(value.clone()),
                _ => {}
            }
        }
        known.conflicts = conflicts;
        known
    }
}

impl Records {
    /// Asserts facts, all or none. Later ones of the same source about the same take the place of earlier ones; others are
    /// superseded by name. Batches are looked at again. Returns them with their ids.
    ///
    /// # Errors
    /// [`RecordsError::Invalid`] naming each that is wrong, by its place from 1.
    pub async fn assert_facts(
        &self,
        by: &Actor,
        facts: Vec<NewFact>,
        only_try: bool,
    ) -> Result<Vec<Fact>, RecordsError> {
        by.needs(actor::ASSERT, "assert facts")?;
        self.check_facts(&facts, |place| format!("fact {place}"))?;
        if only_try {
            return Ok(Vec::new());
        }
        let _deciding = self.turn().await;
        let number = self.decide(Event::Facts { by: by.clone(), facts }).await?;
        let asserted = self.book().facts_of_decision(number);
        self.refresh_batches().await?;
        Ok(asserted)
    }

    /// The same from a table of comma-separated values (RFC 4180) with the columns `patient`, `issuer`, `study`, `fact`, `value`,
    /// `date`, `source`, `supersedes` (ids with spaces between) and `note`, as far as they are there.
    ///
    /// # Errors
    /// [`RecordsError::Invalid`] naming each line that is wrong; then none is taken.
    pub async fn import_facts(&self, by: &Actor, table: &str, only_try: bool) -> Result<Vec<Fact>, RecordsError> {
        by.needs(actor::ASSERT, "assert facts")?;
        let (facts, lines) = super::comma_separated::facts(table)?;
        self.check_facts(&facts, |place| {
            format!("line {}", lines.get(place - 1).copied().unwrap_or_default())
        })?;
        self.assert_facts(by, facts, only_try).await
    }

    fn check_facts(&self, facts: &[NewFact], at: impl Fn(usize) -> String) -> Result<(), RecordsError> {
        if facts.is_empty() || facts.len() > FACTS_MAX {
            let what = format!("there are {} facts; 1 to {FACTS_MAX} are taken at once", facts.len());
            return Err(RecordsError::invalid("", what));
        }
        let mut problems = Vec::new();
        let book = self.book();
        let mut seen = HashSet::new();
        for (place, fact) in facts.iter().enumerate() {
            let place = at(place + 1);
            for what in fact.problems() {
                problems.push(Problem {
                    at: place.clone(),
                    what,
                });
            }
            for id in &fact.supersedes {
                let is_of_subject = book
                    .fact(id)
                    .is_some_and(|row| row.said.subject() == fact.subject() && row.said.fact == fact.fact);
                if !is_of_subject {
                    problems.push(Problem {
                        at: place.clone(),
                        what: format!("it supersedes {id}, which is no {} of the same", fact.fact.word()),
                    });
                }
            }
            if !seen.insert(serde_json::to_string(fact).unwrap_or_default()) {
                problems.push(Problem {
                    at: place,
                    what: "it is there twice".to_owned(),
                });
            }
        }
        if problems.is_empty() {
            return Ok(());
        }
        problems.truncate(200);
        Err(RecordsError::Invalid(problems))
    }

    /// All that was said of a patient or a study, oldest first.
    #[must_use]
    pub fn facts_about(&self, subject: &Subject) -> Vec<Fact> {
        self.book().rows_of(subject).map(Row::shown).collect()
    }

    /// Facts behind one of an id, oldest first.
    #[must_use]
    pub fn facts(&self, after: Option<&str>, limit: usize) -> Vec<Fact> {
        self.book().facts_after(after, limit)
    }
}
