//! What doors and rooms say of their work: who asks, what comes, what goes. The trail makes events of it.
//!
//! A trail that is off takes everything and keeps nothing, so that nobody has to ask whether there is one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    codes::{Action, EventType, Outcome},
    error::AuditError,
    event::{Detail, Event, LONG_TEXT_BYTES_MAX, Network, Participant, Patient, Query, Security, SecurityKind},
    events::{self, Parties},
    log::Audit,
    protected::Protected,
    transfers::{Item, Transfer, TransferKey, Transfers},
};

/// Whose study it is, as the archive knows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subject {
    /// The patient.
    pub patient: Patient,
    /// Accession number of the study.
    pub accession_number: String,
}

/// Tells whose study it is, by its Study Instance UID. May block for as long as an index takes to look.
pub type Subjects = dyn Fn(&str) -> Option<Subject> + Send + Sync;

/// Somebody at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Caller<'a> {
    /// AE title of an application entity; empty for what has none.
    pub ae_title: &'a str,
    /// The user that was let in; empty: nobody said.
    pub user: &'a str,
    /// Address and port, or address, or host.
    pub place: &'a str,
}

impl Caller<'_> {
    /// As it stands in events.
    #[must_use]
    pub fn participant(&self) -> Participant {
        if self.ae_title.is_empty() {
            return Participant::user(self.user, self.place);
        }
        Participant::application_entity(self.ae_title, self.place).named(self.user)
    }

    /// What makes two the same. Ports change from line to line.
    fn key(&self) -> String {
        let place = Network::of(self.place);
        let place = place.as_ref().map_or("", Network::text);
        format!("{}\\{}\\{place}", self.ae_title, self.user)
    }
}

/// Which way instances go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way<'a> {
    /// From somebody to us, who wants us to have them.
    In {
        /// From whom.
        from: Caller<'a>,
    },
    /// From us to somebody who asked for them.
    Out {
        /// To whom.
        to: Caller<'a>,
    },
    /// From us to somebody, because a third asked for it.
    OutFor {
        /// To whom.
        to: Caller<'a>,
        /// Who asked.
        asked: Caller<'a>,
    },
    /// From us to somebody, by a rule of ours.
    OutByUs {
        /// To whom.
        to: Caller<'a>,
    },
}

/// What an archive tells. Cheap to clone.
#[derive(Clone, Default)]
pub struct Trail(Option<Arc<Inner>>);

struct Inner {
    transfers: Transfers,
    refusals: Mutex<HashMap<(String, String), Refusals>>,
    us: Participant,
    subjects: Box<Subjects>,
}

impl Trail {
    /// A trail that keeps nothing.
    #[must_use]
    pub fn off() -> Self {
        Self(None)
    }

    /// A trail into a log. `us`: this archive.
    #[must_use]
    pub fn new(transfers: Transfers, us: Participant, subjects: Box<Subjects>) -> Self {
        Self(Some(Arc::new(Inner {
            transfers,
            refusals: Mutex::default(),
            us,
            subjects,
        })))
    }

    /// The log, where there is one.
    #[must_use]
    pub fn audit(&self) -> Option<&Audit> {
        self.0.as_ref().map(|inner| inner.transfers.audit())
    }

    /// True when something is kept.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Records an event that is made of who we are.
    ///
    /// # Errors
    /// [`AuditError`]: what it is about must not happen.
    pub async fn record(&self, make: impl FnOnce(&Participant) -> Event) -> Result<(), AuditError> {
        match &self.0 {
            None => Ok(()),
            Some(inner) => inner.transfers.audit().record(make(&inner.us)).await.map(drop),
        }
    }

    /// Records what is about to be destroyed, on stable storage. Only with its `Ok` anything may be. A trail that is off lets it.
    ///
    /// # Errors
    /// As [`Audit::record_destructive`].
    pub async fn record_destructive(&self, make: impl FnOnce(&Participant) -> Event) -> Result<(), AuditError> {
        match &self.0 {
            None => Ok(()),
            Some(inner) => inner
                .transfers
                .audit()
                .record_destructive(make(&inner.us))
                .await
                .map(drop),
        }
    }

    /// Somebody asks what there is. `service`: SOP class or a word; `text`: the question.
    ///
    /// # Errors
    /// [`AuditError`]: it must not be answered.
    pub async fn queried(
        &self,
        who: Caller<'_>,
        service: &str,
        outcome: Outcome,
        text: impl FnOnce() -> String,
    ) -> Result<(), AuditError> {
        self.record(|us| {
            let query = Query {
                service: service.to_owned(),
                text: Protected::new(&text(), LONG_TEXT_BYTES_MAX),
                details: Vec::new(),
            };
            let event = events::queried(who.participant(), us, query);
            match outcome {
                Outcome::Success => event,
                failure => event.ending(failure, "it was not answered"),
            }
        })
        .await
    }

    /// A caller was not let in. `why`: in words that name no patient. Who knocks again and again from one place is recorded at
    /// once and then every ten seconds, with how often it was meanwhile: nobody fills the log by being refused.
    ///
    /// # Errors
    /// [`AuditError`].
    pub async fn refused(&self, who: Caller<'_>, why: &str) -> Result<(), AuditError> {
        let Some(inner) = &self.0 else { return Ok(()) };
        let Some(before) = inner.refusals_before(who, why) else {
            return Ok(());
        };
        self.record(|us| match before {
            0 => events::node_refused(us, who.participant(), why),
            before => events::node_refused(us, who.participant(), &format!("{why}; and {before} times before")),
        })
        .await
    }

    /// A user was let in. `means`: by what, such as `DICOM user identity`.
    ///
    /// # Errors
    /// [`AuditError`]: it must not be let in.
    pub async fn logged_in(&self, who: Caller<'_>, means: &str) -> Result<(), AuditError> {
        self.record(|us| events::user_authentication(true, us, who.participant(), means))
            .await
    }

    /// A setting or a peer is changed. `what`: its URI or name; `change`: what was done to it.
    ///
    /// # Errors
    /// [`AuditError`].
    pub async fn configured(
        &self,
        who: Caller<'_>,
        kind: EventType,
        what: &str,
        change: &str,
        outcome: Outcome,
    ) -> Result<(), AuditError> {
        self.record(|us| {
            let subject = Security {
                id: crate::event::bounded(what, crate::event::TEXT_BYTES_MAX),
                kind: SecurityKind::Uri,
                details: Vec::new(),
            };
            let details = vec![Detail::new("Alert Description", change)];
            let event = events::configuration_changed(kind, us, who.participant(), subject, details);
            match outcome {
                Outcome::Success => event,
                failure => event.ending(failure, "it was not changed"),
            }
        })
        .await
    }

    /// Something of a study comes or goes. The first of a transfer is in the log when this returns. Where nobody says whose it
    /// is, the archive's index does.
    ///
    /// # Errors
    /// [`AuditError`]: it must not go, or must not be acknowledged.
    pub async fn went(
        &self,
        way: Way<'_>,
        service: &'static str,
        study_instance_uid: &str,
        outcome: Outcome,
        item: Item<'_>,
        subject: impl FnOnce() -> Option<Subject>,
    ) -> Result<(), AuditError> {
        let Some(inner) = &self.0 else { return Ok(()) };
        let (requestor, receiver) = match way {
            Way::In { from } => (from.key(), String::new()),
            Way::Out { to } => (to.key(), String::new()),
            Way::OutFor { to, asked } => (asked.key(), to.key()),
            Way::OutByUs { to } => (String::new(), to.key()),
        };
        let key = TransferKey {
            requestor,
            receiver,
            service,
            study_instance_uid: crate::event::bounded(study_instance_uid, 64),
            is_failed: outcome != Outcome::Success,
        };
        let began = || {
            let subject = subject()
                .or_else(|| (inner.subjects)(study_instance_uid))
                .unwrap_or_default();
            Transfer {
                parties: way.parties(&inner.us),
                action: match way {
                    Way::In { .. } => Action::Create,
                    _ => Action::Read,
                },
                patient: subject.patient,
                accession_number: subject.accession_number,
                purpose: None,
            }
        };
        inner.transfers.went(key, item, began).await
    }

    /// Ends the transfers that somebody has under way by a service: its line was closed.
    ///
    /// # Errors
    /// [`AuditError`].
    pub async fn left(&self, who: Caller<'_>, services: &[&str]) -> Result<(), AuditError> {
        let Some(inner) = &self.0 else { return Ok(()) };
        let who = who.key();
        inner
            .transfers
            .end(|key| key.requestor == who && services.contains(&key.service))
            .await
    }
}

/// How often somebody was refused.
struct Refusals {
    recorded: Instant,
    since: u64,
}

/// A refusal like one that was recorded is recorded again after so long.
const REFUSALS_FOR: Duration = Duration::from_secs(10);
/// Most of those that are known; beyond it each is recorded.
const REFUSALS_MAX: usize = 1024;

impl Inner {
    /// How often it happened since it was recorded last; `None`: it need not be recorded now.
    fn refusals_before(&self, who: Caller<'_>, why: &str) -> Option<u64> {
        let mut known = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REFUSALS_MAX {
            known.retain(|_, refusals| refusals.recorded.elapsed() < REFUSALS_FOR);
        }
        let key = (who.key(), crate::event::bounded(why, crate::event::TEXT_BYTES_MAX));
        let now = Instant::now();
        if let Some(refusals) = known.get_mut(&key) {
            if now.duration_since(refusals.recorded) < REFUSALS_FOR {
                refusals.since += 1;
                return None;
            }
            refusals.recorded = now;
            return Some(std::mem::take(&mut refusals.since));
        }
        if known.len() < REFUSALS_MAX {
            let first = Refusals {
                recorded: now,
                since: 0,
            };
            known.insert(key, first);
        }
        Some(0)
    }
}

impl Way<'_> {
    fn parties(&self, us: &Participant) -> Parties {
        let us = us.clone();
        match self {
            Self::In { from } => Parties {
                from: from.participant().requesting(),
                to: us,
                others: Vec::new(),
            },
            Self::Out { to } => Parties {
                from: us,
                to: to.participant().requesting(),
                others: Vec::new(),
            },
            Self::OutFor { to, asked } => Parties {
                from: us,
                to: to.participant(),
                others: vec![asked.participant().requesting()],
            },
            Self::OutByUs { to } => Parties {
                from: us.requesting(),
                to: to.participant(),
                others: Vec::new(),
            },
        }
    }
}

impl std::fmt::Debug for Trail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_on() { "Trail(on)" } else { "Trail(off)" })
    }
}
