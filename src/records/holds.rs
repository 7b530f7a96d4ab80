//! Holds: opened by one, released by two.

use std::{collections::BTreeMap, sync::Arc};

use filmroom_dataset::{Builder, attribute_by_name};
use filmroom_query::{Filter, FilterOptions, Key};
use filmroom_retention::{Cap, Hold, HoldEffect, HoldKind, PartialDate};
use filmroom_storage::model::StudyRecord;
use serde::{Deserialize, Serialize};
use time::{Date, OffsetDateTime};

use super::{Actor, PatientKey, Problem, Records, RecordsError, actor, event::Event};

/// (0008,0061).
const MODALITIES_IN_STUDY: u32 = 0x0008_0061;
/// Longest text of a field, in bytes.
const TEXT_BYTES_MAX: usize = 500;

/// Which studies a hold is on, those among them that are still to come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scope {
    /// One study.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub study: Option<String>,
    /// All studies of a patient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient: Option<String>,
    /// Who gave the patient's ID; of any issuer where nobody is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// All studies that match: keywords of attributes of the study or patient, values as in QIDO-RS (PS3.18 §8.3.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<BTreeMap<String, String>>,
    /// Of these only those of one site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
}

/// A hold as it is opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewHold {
    /// The case, inquiry or project.
    pub matter: String,
    /// What it is for.
    #[serde(default = "legal")]
    pub kind: HoldKind,
    /// What it does.
    #[serde(default = "block")]
    pub effect: HoldEffect,
    /// Which studies it is on.
    pub scope: Scope,
    /// From this day on; today where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened: Option<PartialDate>,
    /// When it ends by itself: for `capped` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<Cap>,
    /// Who looks after it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub custodian: String,
    /// In words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

fn legal() -> HoldKind {
    HoldKind::Legal
}

fn block() -> HoldEffect {
    HoldEffect::Block
}

/// A release that a second person has to confirm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// Who asked.
    pub asked_by: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub asked_at: OffsetDateTime,
    /// Why.
    pub reason: String,
    /// The day from which it is not in force.
    pub closed: PartialDate,
}

/// A hold as it is kept.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HoldRecord {
    /// What decisions see of it.
    #[serde(flatten)]
    pub hold: Hold,
    /// Which studies it is on.
    pub scope: Scope,
    /// Who looks after it.
    pub custodian: String,
    /// In words.
    pub note: String,
    /// Who opened it.
    pub opened_by: String,
    /// When that was decided.
    #[serde(with = "time::serde::rfc3339")]
    pub opened_at: OffsetDateTime,
    /// A release that waits for a second person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// Who released it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub released_by: Vec<String>,
    /// Counts its changes.
    pub version: u64,
    #[serde(skip)]
    filter: Option<Arc<Filter>>,
}

impl HoldRecord {
    pub(crate) fn new(number: u64, at: OffsetDateTime, by: &Actor, new: NewHold) -> Self {
        let opened = new.opened.map_or(at.date(), PartialDate::earliest);
        Self {
            hold: Hold {
                id: format!("h{number}"),
                matter: new.matter,
                kind: new.kind,
                effect: new.effect,
                opened,
                closed: None,
                cap: new.cap,
            },
            // What was taken once is read again.
            filter: new.scope.filter().ok().flatten().map(Arc::new),
            scope: new.scope,
            custodian: new.custodian,
            note: new.note,
            opened_by: by.subject.clone(),
            opened_at: at,
            release: None,
            released_by: Vec::new(),
            version: number,
        }
    }

    /// What is rejected for the safety of a patient is evidence: it holds its study until somebody restores it.
    pub(crate) fn for_safety(study: &str, since: OffsetDateTime, by: &str) -> Self {
        let new = NewHold {
            matter: "rejected for the safety of a patient (113037)".to_owned(),
            kind: HoldKind::Inquiry,
            effect: HoldEffect::Block,
            scope: Scope {
                study: Some(study.to_owned()),
                ..Scope::default()
            },
            opened: None,
            cap: None,
            custodian: String::new(),
            note: "it ends when what is rejected is restored".to_owned(),
        };
        let mut hold = Self::new(0, since, &Actor::new(by, &[]), new);
        hold.hold.id = "rejected-113037".to_owned();
        hold
    }

    /// True when a study falls under it.
    pub(crate) fn is_on(&self, study: &StudyRecord, patient: &PatientKey, site: &str) -> bool {
        let scope = &self.scope;
        if scope.site.as_ref().is_some_and(|wanted| wanted != site) {
            return false;
        }
        if let Some(uid) = &scope.study {
            return study.study_instance_uid.as_str() == uid;
        }
        if let Some(id) = &scope.patient {
            return patient.id == *id && scope.issuer.as_ref().is_none_or(|issuer| patient.issuer == *issuer);
        }
        if scope.query.is_some() {
            // A query that does not read any more holds everything rather than nothing.
            return self.filter.as_ref().is_none_or(|filter| {
                let mut attributes = Builder::from_attributes(&study.attributes);
                attributes.text(MODALITIES_IN_STUDY, &study.modalities_in_study.join("\\"));
                filter.accepts(&attributes.build())
            });
        }
        true
    }
}

impl Scope {
    fn filter(&self) -> Result<Option<Filter>, String> {
        let Some(query) = &self.query else { return Ok(None) };
        let mut keys = Vec::new();
        for (name, value) in query {
            let (tag, _) =
                attribute_by_name(name).ok_or_else(|| format!("\"{}\" is no attribute", name.escape_debug()))?;
            let is_known = tag == MODALITIES_IN_STUDY
                || filmroom_dataset::levels::levels(tag).contains(&filmroom_dataset::levels::Level::Study);
            if !is_known {
                return Err(format!(
                    "{name} is not known of studies: holds look at attributes of study and patient"
                ));
            }
            keys.push(Key {
                path: vec![tag],
                value: value.clone(),
            });
        }
        let filter = Filter::new(&keys, FilterOptions::default()).map_err(|error| error.to_string())?;
        Ok(Some(filter))
    }

    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut wrong = |what: String| {
            problems.push(Problem {
                at: "scope".to_owned(),
                what,
            });
        };
        let named = [self.study.is_some(), self.patient.is_some(), self.query.is_some()];
        if named.iter().filter(|is_named| **is_named).count() != 1 {
            wrong("it names one of study, patient and query".to_owned());
        }
        if let Some(study) = &self.study
            && let Err(error) = filmroom_storage::model::check_uid(study)
        {
            wrong(error.to_string());
        }
        if self.patient.as_ref().is_some_and(String::is_empty) {
            wrong("the patient's ID is empty".to_owned());
        }
        if self
            .query
            .as_ref()
            .is_some_and(|query| query.is_empty() || query.values().all(String::is_empty))
        {
            wrong("a query without keys would hold everything: name an attribute, or give it the value *".to_owned());
        }
        if let Err(what) = self.filter() {
            wrong(what);
        }
        problems
    }
}

impl NewHold {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = self.scope.problems();
        let mut wrong = |at: &str, what: &str| {
            problems.push(Problem {
                at: at.to_owned(),
                what: what.to_owned(),
            });
        };
        if self.matter.trim().is_empty() {
            wrong("matter", "it is empty: name the case");
        }
        for text in [&self.matter, &self.custodian, &self.note] {
            if text.len() > TEXT_BYTES_MAX {
                wrong("", "a text is longer than 500 bytes");
            }
        }
        match (self.effect, self.cap) {
            (HoldEffect::Capped, None) => wrong(
                "cap",
                "a capped hold says when it ends: {\"from\": \"study.date\", \"for\": \"P12Y\"}",
            ),
            (HoldEffect::Block | HoldEffect::Toll, Some(_)) => wrong("cap", "only a capped hold ends by itself"),
            _ => {}
        }
        if self.opened.is_some_and(|opened| !opened.is_whole()) {
            wrong("opened", "the day is missing: YYYY-MM-DD is wanted");
        }
        problems
    }
}

impl Records {
    /// Opens a hold: from now on nothing that it is on is destroyed, and what was proposed leaves its batch.
    ///
    /// # Errors
    /// [`RecordsError::Invalid`].
    pub async fn open_hold(&self, by: &Actor, mut hold: NewHold, only_try: bool) -> Result<HoldRecord, RecordsError> {
        let roles = match hold.kind {
            HoldKind::Research => actor::HOLD_RESEARCH,
            HoldKind::Legal | HoldKind::Inquiry => actor::HOLD,
        };
        by.needs(roles, "open a hold")?;
        let problems = hold.problems();
        if !problems.is_empty() {
            return Err(RecordsError::Invalid(problems));
        }
        hold.opened = hold.opened.or(Some(self.today().into()));
        if only_try {
            return Ok(HoldRecord::new(0, (self.inner.options.clock)(), by, hold));
        }
        let _deciding = self.turn().await;
        let number = self.decide(Event::HoldOpened { by: by.clone(), hold }).await?;
        self.refresh_batches().await?;
        self.hold(&format!("h{number}"))
    }

    /// One hold.
    ///
    /// # Errors
    /// [`RecordsError::Unknown`].
    pub fn hold(&self, id: &str) -> Result<HoldRecord, RecordsError> {
        let book = self.book();
        let hold = book.holds.get(id).cloned();
        hold.ok_or_else(|| RecordsError::Unknown("there is no such hold".to_owned()))
    }

    /// All holds, in the order in which they were opened.
    #[must_use]
    pub fn holds(&self) -> Vec<HoldRecord> {
        let mut holds: Vec<HoldRecord> = self.book().holds.values().cloned().collect();
        holds.sort_by_key(|hold| hold.opened_at);
        holds
    }

    /// Asks for a release, or, as another person, confirms the one that was asked for. `closed` is the day from which the hold
    /// is not in force; today where none is named. What it was on is decided on anew: an approval of before does not come back.
    ///
    /// # Errors
    /// [`RecordsError::Conflict`] for a hold that is released, and for one person twice.
    pub async fn release_hold(
        &self,
        by: &Actor,
        id: &str,
        reason: &str,
        closed: Option<Date>,
        expected: Option<u64>,
    ) -> Result<HoldRecord, RecordsError> {
        by.needs(actor::RELEASE, "release a hold")?;
        let _deciding = self.turn().await;
        let hold = self.hold(id)?;
        if expected.is_some_and(|expected| expected != hold.version) {
            return Err(RecordsError::Stale);
        }
        if hold.hold.closed.is_some() {
            return Err(RecordsError::conflict("released", "the hold is released"));
        }
        let closed = closed.unwrap_or_else(|| self.today());
        if closed < hold.hold.opened || closed > self.today() {
            return Err(RecordsError::invalid(
                "closed",
                "it is not between the day on which the hold was opened and today",
            ));
        }
        match &hold.release {
            Some(asked) if asked.asked_by == by.subject => {
                return Err(RecordsError::NotLet(
                    "a release takes two persons: another one has to confirm it".to_owned(),
                ));
            }
            Some(asked) => {
                let closed = asked.closed;
                self.decide(Event::HoldReleased {
                    by: by.clone(),
                    hold: id.to_owned(),
                    closed,
                })
                .await?;
                self.refresh_batches().await?;
            }
            None => {
                if reason.trim().is_empty() || reason.len() > TEXT_BYTES_MAX {
                    return Err(RecordsError::invalid("reason", "say why, in up to 500 bytes"));
                }
                self.decide(Event::HoldReleaseAsked {
                    by: by.clone(),
                    hold: id.to_owned(),
                    reason: reason.to_owned(),
                    closed: closed.into(),
                })
                .await?;
            }
        }
        self.hold(id)
    }

    /// Says no to a release that was asked for: the hold stays.
    ///
    /// # Errors
    /// [`RecordsError::Conflict`] when none was.
    pub async fn refuse_release(&self, by: &Actor, id: &str) -> Result<HoldRecord, RecordsError> {
        by.needs(actor::RELEASE, "refuse the release of a hold")?;
        let _deciding = self.turn().await;
        if self.hold(id)?.release.is_none() {
            return Err(RecordsError::conflict("no-release", "nobody asked for its release"));
        }
        self.decide(Event::HoldReleaseRefused {
            by: by.clone(),
            hold: id.to_owned(),
        })
        .await?;
        self.hold(id)
    }
}
