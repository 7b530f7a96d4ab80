//! Facts: what somebody said of a patient or a study, and who, and when.

use std::sync::Arc;

use filmroom_retention::{Encounter, FLAGS, PartialDate, Purpose, Source, is_flag};
use serde::{Deserialize, Serialize};
use time::{Date, OffsetDateTime};

use super::Message;

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
    /// `M`, `F` or `O`, as in DICOM.
    Sex = "patient.sex" of Patient,
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
    /// Of a stay or visit its number, by which its source tells it from others.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub visit: String,
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
    /// The message that said so.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shared")]
    pub message: Option<Arc<Message>>,
    /// It counts: nothing later supersedes it.
    pub active: bool,
}

fn shared<S: serde::Serializer>(message: &Option<Arc<Message>>, serializer: S) -> Result<S::Ok, S::Error> {
    message.as_deref().serialize(serializer)
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
        let texts = [&self.source, &self.note, &self.issuer, &self.visit];
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
        if !self.visit.is_empty() && self.fact != FactName::Encounter {
            wrong.push("only a stay or visit has a number".to_owned());
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
        FactName::Sex => (!["M", "F", "O"].contains(&value)).then(|| format!("\"{shown}\" is none of M, F, O")),
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

pub(crate) fn encounter(value: &str) -> Option<Encounter> {
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
    pub(crate) message: Option<Arc<Message>>,
    pub(crate) active: bool,
}

impl Row {
    /// What a later fact of the same source replaces without naming it.
    pub(crate) fn slot(&self) -> (FactName, &str, Option<&str>) {
        let value = self.said.value.as_deref();
        let of_several = match self.said.fact {
            FactName::Flag | FactName::Programme => value,
            FactName::Encounter if !self.said.visit.is_empty() => Some(self.said.visit.as_str()),
            // A stay without a number is told by its beginning.
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
            message: self.message.clone(),
            active: self.active,
        }
    }
}
