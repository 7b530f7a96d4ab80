//! What people decide: labels, grants, access in an emergency and what a review of it found.

use std::collections::BTreeSet;

use filmroom_access::Principal;
use filmroom_audit::{Caller, Detail, EventType, Outcome, Participant, Patient, Security, events};
use filmroom_storage::model::StudyInstanceUid;
use serde::Deserialize;
use time::OffsetDateTime;

use super::{Emergency, Finding, Grant, Label, Privacy, PrivacyError, REASON_CODES, Scope, book::number, event::Event};

/// Longest reason, in bytes.
const TEXT_BYTES_MAX: usize = 4000;
/// Most labels of one study.
const LABELS_MAX: usize = 64;
/// Longest name of who is granted something, in bytes.
const HOLDER_BYTES_MAX: usize = 300;
/// Emergencies that one person has open at one time.
const OPEN_MAX: usize = 16;

/// A grant that is to be.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewGrant {
    /// The person; or `token:NAME`, `peer:AE_TITLE`.
    pub to: String,
    /// What they are to see.
    pub scope: Scope,
    /// Why.
    pub reason: String,
    /// Until when; no longer than it is revoked where nobody says.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub until: Option<OffsetDateTime>,
}

/// Access that is to be taken.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewEmergency {
    /// To what: a patient or a study.
    pub scope: Scope,
    /// One of [`REASON_CODES`].
    pub code: String,
    /// In words.
    pub reason: String,
}

fn person(by: &Principal) -> Result<&str, PrivacyError> {
    by.subject()
        .ok_or_else(|| PrivacyError::NotLet("who may see what is decided by persons: sign in as one".to_owned()))
}

fn text(reason: &str) -> Result<String, PrivacyError> {
    let reason = reason.trim();
    if reason.is_empty() || reason.len() > TEXT_BYTES_MAX {
        return Err(PrivacyError::Wrong(format!("say why, in up to {TEXT_BYTES_MAX} bytes")));
    }
    Ok(reason.to_owned())
}

fn words(labels: &BTreeSet<Label>) -> String {
    let words: Vec<String> = labels.iter().map(Label::to_string).collect();
    words.join(", ")
}

impl Privacy {
    /// The labels of a study.
    #[must_use]
    pub fn labels(&self, study: &StudyInstanceUid) -> BTreeSet<Label> {
        self.book().labels.get(study).cloned().unwrap_or_default()
    }

    /// Studies with a label, in order, behind one.
    #[must_use]
    pub fn labelled(&self, label: &Label, after: Option<&StudyInstanceUid>, limit: usize) -> Vec<StudyInstanceUid> {
        let book = self.book();
        let Some(studies) = book.labelled.get(label) else {
            return Vec::new();
        };
        let behind = studies
            .range::<StudyInstanceUid, _>((
                after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded),
                std::ops::Bound::Unbounded,
            ))
            .take(limit);
        behind.cloned().collect()
    }

    /// Gives a study these labels and no others; they hold for all of its instances, those to come included.
    ///
    /// # Errors
    /// [`PrivacyError`]; nothing was changed.
    pub async fn label(
        &self,
        by: &Principal,
        place: &str,
        study: &StudyInstanceUid,
        labels: BTreeSet<Label>,
        reason: &str,
    ) -> Result<(), PrivacyError> {
        let subject = person(by)?.to_owned();
        let reason = text(reason)?;
        if labels.len() > LABELS_MAX {
            return Err(PrivacyError::Wrong(format!("a study has {LABELS_MAX} labels at most")));
        }
        let _deciding = self.inner.deciding.lock().await;
        let before = self.labels(study);
        if before == labels {
            return Ok(());
        }
        let details = vec![
            Detail::new("Labels before", &words(&before)),
            Detail::new("Labels", &words(&labels)),
            Detail::new("Reason", &reason),
        ];
        self.tell(
            by,
            place,
            EventType::ObjectSecurityAttributesChanged,
            study.as_str(),
            details,
        )
        .await?;
        self.decide(Event::Labelled {
            by: subject,
            study: study.clone(),
            labels,
            reason,
        })
        .await
        .map(drop)
    }

    /// Has a study that instances were moved or copied into be no less protected than the one that they came from.
    ///
    /// # Errors
    /// As [`Privacy::label`].
    pub async fn inherit(
        &self,
        by: &Principal,
        place: &str,
        from: &StudyInstanceUid,
        to: &StudyInstanceUid,
    ) -> Result<(), PrivacyError> {
        let mut labels = self.labels(to);
        labels.extend(self.labels(from));
        self.label(by, place, to, labels, &format!("instances came from study {from}"))
            .await
    }

    /// All grants.
    #[must_use]
    pub fn grants(&self) -> Vec<Grant> {
        self.book().grants.values().cloned().collect()
    }

    /// Lets somebody see what they would not.
    ///
    /// # Errors
    /// [`PrivacyError`]; nothing was changed.
    pub async fn grant(&self, by: &Principal, place: &str, new: NewGrant) -> Result<Grant, PrivacyError> {
        let subject = person(by)?.to_owned();
        new.scope.check()?;
        let to = new.to.trim().to_owned();
        if to.is_empty() || to.len() > HOLDER_BYTES_MAX || !to.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(PrivacyError::Wrong(
                "to is a person, token:NAME or peer:AE_TITLE, in ASCII without spaces".to_owned(),
            ));
        }
        if to == subject {
            return Err(PrivacyError::NotLet("nobody grants themselves anything".to_owned()));
        }
        let until = match new.until {
            Some(until) if until <= self.now() => {
                return Err(PrivacyError::Wrong("until is in the past".to_owned()));
            }
            until => until.and_then(|until| u64::try_from(until.unix_timestamp()).ok()),
        };
        let reason = text(&new.reason)?;
        let _deciding = self.inner.deciding.lock().await;
        let details = vec![
            Detail::new("Granted to", &to),
            Detail::new("Scope", &kind_of(&new.scope)),
            Detail::new("Reason", &reason),
        ];
        self.tell(by, place, EventType::UserSecurityAttributesChanged, &to, details)
            .await?;
        let place = self
            .decide(Event::Granted {
                by: subject,
                to,
                scope: new.scope,
                reason,
                until,
            })
            .await?;
        self.book()
            .grants
            .get(&place)
            .cloned()
            .ok_or(PrivacyError::Unknown("grant"))
    }

    /// Takes a grant back.
    ///
    /// # Errors
    /// [`PrivacyError`].
    pub async fn revoke(&self, by: &Principal, place: &str, id: &str) -> Result<(), PrivacyError> {
        let subject = person(by)?.to_owned();
        let _deciding = self.inner.deciding.lock().await;
        let found = number('g', id).and_then(|place| self.book().grants.get(&place).cloned());
        let grant = found.ok_or(PrivacyError::Unknown("grant"))?;
        let details = vec![
            Detail::new("Revoked of", &grant.to),
            Detail::new("Scope", &kind_of(&grant.scope)),
        ];
        self.tell(by, place, EventType::UserSecurityAttributesChanged, &grant.to, details)
            .await?;
        let grant = id.to_owned();
        self.decide(Event::Revoked { by: subject, grant }).await.map(drop)
    }

    /// All times that access was taken, latest first.
    #[must_use]
    pub fn emergencies(&self) -> Vec<Emergency> {
        self.book().emergencies.values().rev().cloned().collect()
    }

    /// What a person has open.
    #[must_use]
    pub fn open_of(&self, by: &Principal) -> Vec<Emergency> {
        let Some(subject) = by.subject() else { return Vec::new() };
        let (book, now) = (self.book(), self.now());
        let open = book.open.get(subject).into_iter().flatten();
        let open = open.filter_map(|place| book.emergencies.get(place));
        open.filter(|emergency| emergency.is_open(now)).cloned().collect()
    }

    /// Takes access in an emergency. Whether there is such a patient or study is not told: it is as if there were.
    ///
    /// # Errors
    /// [`PrivacyError`]; nothing was opened.
    pub async fn take(&self, by: &Principal, place: &str, new: NewEmergency) -> Result<Emergency, PrivacyError> {
        let subject = person(by)?.to_owned();
        new.scope.check()?;
        if matches!(new.scope, Scope::Label(_)) {
            return Err(PrivacyError::Wrong(
                "an emergency is about a patient or a study".to_owned(),
            ));
        }
        if !REASON_CODES.contains(&new.code.as_str()) {
            return Err(PrivacyError::Wrong(format!(
                "code is one of {}",
                REASON_CODES.join(", ")
            )));
        }
        let reason = text(&new.reason)?;
        let _deciding = self.inner.deciding.lock().await;
        if self.open_of(by).len() >= OPEN_MAX {
            return Err(PrivacyError::Conflict(format!(
                "{OPEN_MAX} emergencies are open, which is the most: end one"
            )));
        }
        let until = self.now() + self.inner.emergency_lasts;
        // Before anything is opened: what cannot be recorded is not.
        self.tell_emergency(true, &by.name, place, &new.scope, &format!("{}: {reason}", new.code))
            .await?;
        let number = self
            .decide(Event::EmergencyBegan {
                by: subject,
                name: by.name.clone(),
                scope: new.scope,
                code: new.code,
                reason,
                until: u64::try_from(until.unix_timestamp()).unwrap_or_default(),
            })
            .await?;
        tracing::warn!(
            id = format!("e{number}"),
            "access was taken in an emergency: it waits for a privacy officer's review"
        );
        let book = self.book();
        book.emergencies
            .get(&number)
            .cloned()
            .ok_or(PrivacyError::Unknown("emergency"))
    }

    /// Gives access back before its time.
    ///
    /// # Errors
    /// [`PrivacyError`].
    pub async fn give_back(&self, by: &Principal, place: &str, id: &str) -> Result<(), PrivacyError> {
        let subject = person(by)?.to_owned();
        let _deciding = self.inner.deciding.lock().await;
        let emergency = self.emergency(id).filter(|emergency| emergency.person == subject);
        let emergency = emergency.ok_or(PrivacyError::Unknown("emergency"))?;
        if emergency.ended_at.is_some() {
            return Ok(());
        }
        self.tell_emergency(false, &by.name, place, &emergency.scope, "given back")
            .await?;
        let ended = Event::EmergencyEnded {
            by: Some(subject),
            emergency: id.to_owned(),
        };
        self.decide(ended).await.map(drop)
    }

    /// Says what a look at it afterwards found. Never by who took it.
    ///
    /// # Errors
    /// [`PrivacyError`].
    pub async fn review(
        &self,
        by: &Principal,
        place: &str,
        id: &str,
        finding: Finding,
        said: &str,
    ) -> Result<Emergency, PrivacyError> {
        let subject = person(by)?.to_owned();
        let said = text(said)?;
        let _deciding = self.inner.deciding.lock().await;
        let emergency = self.emergency(id).ok_or(PrivacyError::Unknown("emergency"))?;
        if emergency.person == subject {
            return Err(PrivacyError::NotLet(
                "nobody reviews what they did themselves".to_owned(),
            ));
        }
        if emergency.review.is_some() {
            return Err(PrivacyError::Conflict("it is reviewed already".to_owned()));
        }
        let found = match finding {
            Finding::Justified => "justified",
            Finding::NotJustified => "not justified",
        };
        let details = vec![Detail::new("Review", found), Detail::new("Reason", &said)];
        self.tell(by, place, EventType::ObjectSecurityAttributesChanged, id, details)
            .await?;
        self.decide(Event::EmergencyReviewed {
            by: subject,
            emergency: id.to_owned(),
            finding,
            text: said,
        })
        .await?;
        self.emergency(id).ok_or(PrivacyError::Unknown("emergency"))
    }

    pub(crate) async fn end_overdue(&self) -> Result<(), PrivacyError> {
        let now = self.now();
        let is_over = |emergency: &&Emergency| now >= emergency.until;
        let overdue: Vec<Emergency> = {
            let book = self.book();
            let open = book
                .open
                .values()
                .flatten()
                .filter_map(|place| book.emergencies.get(place));
            open.filter(is_over).cloned().collect()
        };
        for emergency in overdue {
            let _deciding = self.inner.deciding.lock().await;
            if self.emergency(&emergency.id).is_none_or(|now| now.ended_at.is_some()) {
                continue;
            }
            self.tell_emergency(false, &emergency.name, "", &emergency.scope, "its time is over")
                .await?;
            let ended = Event::EmergencyEnded {
                by: None,
                emergency: emergency.id,
            };
            self.decide(ended).await?;
        }
        Ok(())
    }

    fn emergency(&self, id: &str) -> Option<Emergency> {
        let place = number('e', id)?;
        self.book().emergencies.get(&place).cloned()
    }

    async fn tell(
        &self,
        by: &Principal,
        place: &str,
        kind: EventType,
        id: &str,
        details: Vec<Detail>,
    ) -> Result<(), PrivacyError> {
        let subject = Security {
            id: id.to_owned(),
            ..Security::default()
        };
        let who = caller(&by.name, place);
        let told = self
            .inner
            .trail
            .record(|us| events::configuration_changed(kind, us, who, subject, details).ending(Outcome::Success, ""))
            .await;
        told.map_err(|error| PrivacyError::Failed(format!("it cannot be recorded: {error}")))
    }

    async fn tell_emergency(
        &self,
        is_start: bool,
        name: &str,
        place: &str,
        scope: &Scope,
        reason: &str,
    ) -> Result<(), PrivacyError> {
        let patient = match scope {
            Scope::Patient(patient) => Patient::new(&patient.id, &patient.issuer, ""),
            Scope::Study(study) => self.patient_of(study).await,
            Scope::Label(_) => Patient::new("", "", ""),
        };
        let who = caller(name, place);
        let told = self
            .inner
            .trail
            .record(|us| events::emergency_override(is_start, us, who, patient, reason))
            .await;
        told.map_err(|error| PrivacyError::Failed(format!("it cannot be recorded: {error}")))
    }

    async fn patient_of(&self, study: &StudyInstanceUid) -> Patient {
        let (index, study) = (self.inner.store.index(), study.clone());
        let found = tokio::task::spawn_blocking(move || index.study(&study)).await;
        match found.map(|found| found.ok().flatten()) {
            Ok(Some(study)) => Patient::new(&study.keys.patient_id, &study.keys.issuer_of_patient_id, ""),
            _ => Patient::new("", "", ""),
        }
    }
}

fn caller(user: &str, place: &str) -> Participant {
    Caller {
        user,
        place,
        ..Caller::default()
    }
    .participant()
}

/// What kind of scope it is; whose patients it names, the journal has.
fn kind_of(scope: &Scope) -> String {
    match scope {
        Scope::Patient(_) => "one patient".to_owned(),
        Scope::Study(study) => format!("study {study}"),
        Scope::Label(label) => format!("label {label}"),
    }
}
