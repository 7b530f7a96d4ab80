//! The way of one message: read, checked, taken, recorded, answered.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use filmroom_audit::{Action, Caller, Outcome as AuditOutcome, Participant, Patient, events};
use filmroom_records::{Actor, MergeRefused, PatientKey, Records, RecordsError};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::{
    acknowledge::Acknowledging,
    adt::{self, Site, Tidings},
    config::{Hl7Config, Sender},
    header::Header,
    metrics::Metrics,
    problem::{Code, Outcome, Place, Problem},
    text,
};

/// Messages whose answers are remembered; the oldest go. Beyond it, a message that comes again changes nothing all the same.
const REMEMBERED_MAX: usize = 10_000;

/// What messages are taken by.
pub(crate) struct Door {
    pub(crate) config: Arc<Hl7Config>,
    pub(crate) records: Records,
    pub(crate) metrics: Arc<Metrics>,
    taken: Mutex<Taken>,
}

/// Messages that were taken: sender and control ID, with what was sent.
#[derive(Default)]
struct Taken {
    now: HashMap<(String, String), [u8; 32]>,
    before: HashMap<(String, String), [u8; 32]>,
}

impl Taken {
    fn has(&self, key: &(String, String), sum: &[u8; 32]) -> bool {
        self.now.get(key).or_else(|| self.before.get(key)) == Some(sum)
    }

    fn keep(&mut self, key: (String, String), sum: [u8; 32]) {
        if self.now.len() >= REMEMBERED_MAX / 2 {
            self.before = std::mem::take(&mut self.now);
        }
        self.now.insert(key, sum);
    }
}

/// What became of a message.
struct Decided {
    patients: Vec<PatientKey>,
    action: Action,
    what: &'static str,
}

impl Door {
    pub(crate) fn new(config: Arc<Hl7Config>, records: Records, metrics: Arc<Metrics>) -> Self {
        Self {
            config,
            records,
            metrics,
            taken: Mutex::default(),
        }
    }

    /// Takes a message; the messages to send back.
    pub(crate) async fn answer(&self, message: &[u8], from: IpAddr) -> Vec<Vec<u8>> {
        let read = text::read(message);
        let (readable, encoding) = match &read {
            Ok(text) => (text.text.clone(), text.encoding),
            Err(_) => (text::ascii(message), encoding_rs::UTF_8),
        };
        let header = Header::read(&readable);
        let result = match (&header, read) {
            (Err(problem), _) => Err(problem.clone()),
            (Ok(header), read) => self.take(message, header, read.map(|text| text.text), from).await,
        };
        self.finish(header.as_ref().ok(), result.err(), encoding)
    }

    /// The answer to what is too long to be read whole.
    pub(crate) fn too_long(&self, begins: &[u8]) -> Vec<Vec<u8>> {
        let header = Header::read(&text::ascii(begins));
        let what = format!("it is longer than {} bytes", self.config.message_max_bytes);
        let problem = Problem::reject(Code::DataType, 0, what);
        self.finish(header.as_ref().ok(), Some(problem), encoding_rs::UTF_8)
    }

    fn finish(
        &self,
        header: Option<&Header>,
        problem: Option<Problem>,
        encoding: &'static encoding_rs::Encoding,
    ) -> Vec<Vec<u8>> {
        self.metrics.answered(problem.as_ref().map(|problem| problem.outcome));
        let event = header.map(Header::event).unwrap_or_default();
        match &problem {
            None => tracing::info!(event, "message taken"),
            Some(problem) => tracing::warn!(event, %problem, "message not taken"),
        }
        let answering = Acknowledging {
            header,
            problem: problem.as_ref(),
            encoding,
            now: OffsetDateTime::now_utc(),
        };
        answering.messages()
    }

    async fn take(
        &self,
        message: &[u8],
        header: &Header,
        text: Result<String, Problem>,
        from: IpAddr,
    ) -> Result<(), Problem> {
        let who = Participant::user(
            &format!("{}|{}", header.application, header.facility),
            &from.to_string(),
        );
        if let Err(problem) = self.known(header, from) {
            let place = from.to_string();
            let caller = Caller {
                user: &who.user_id,
                place: &place,
                ..Caller::default()
            };
            self.recorded(self.config.trail.refused(caller, &problem.what).await)?;
            return Err(problem);
        }
        let decided = match text {
            Ok(text) => self.decide(message, header, &text).await,
            Err(problem) => Err(problem),
        };
        let event = header.event();
        let (result, patients, action, what) = match decided {
            Ok(None) => return Ok(()),
            Ok(Some(decided)) => (Ok(()), decided.patients, decided.action, decided.what),
            Err(problem) => (Err(problem), Vec::new(), Action::Update, "not taken"),
        };
        let patients = patients
            .iter()
            .map(|key| Patient::new(&key.id, &key.issuer, ""))
            .collect();
        let outcome = result.as_ref().err().map(ToString::to_string);
        let named = who.named(&format!("{event} {}: {what}", header.control_id));
        let recorded = self.config.trail.record(|us| {
            let made = events::patient_record(action, named, us, patients);
            match &outcome {
                None => made,
                Some(why) => made.ending(AuditOutcome::MinorFailure, why),
            }
        });
        self.recorded(recorded.await)?;
        result
    }

    /// Whether the sender is one that may send.
    fn known(&self, header: &Header, from: IpAddr) -> Result<(), Problem> {
        let is_sender = |sender: &Sender| sender.is(&header.application, &header.facility, from);
        match self.config.senders.iter().any(is_sender) {
            true => Ok(()),
            false => Err(Problem::reject(
                Code::TableValueNotFound,
                3,
                "the sending application is not known here, or not from this address (hl7.senders)",
            )),
        }
    }

    fn recorded(&self, recorded: Result<(), filmroom_audit::AuditError>) -> Result<(), Problem> {
        recorded.map_err(|error| {
            tracing::error!(%error, "a message is not acknowledged: it cannot be recorded");
            Problem::ours("it cannot be recorded now: send it again")
        })
    }

    /// `None` where it came before just as it is.
    async fn decide(&self, message: &[u8], header: &Header, text: &str) -> Result<Option<Decided>, Problem> {
        header.check(&self.config.processing_id)?;
        let tidings = {
            let local = |at| self.records.at_site(at);
            let site = Site {
                today: self.records.today(),
                local: &local,
            };
            adt::read(text, header, &self.config, &site)?
        };
        let key = (
            format!("{}|{}", header.application, header.facility),
            header.control_id.clone(),
        );
        let sum: [u8; 32] = Sha256::digest(message).into();
        if self.taken().has(&key, &sum) {
            return Ok(None);
        }
        let by = Actor::new(&format!("hl7:{}", key.0), &["interface"]);
        let decided = match &tidings {
            Tidings::Of(told) => {
                let heard = self.records.hear(&by, told).await.map_err(refused)?;
                Decided {
                    patients: told.patients.clone(),
                    action: Action::Update,
                    what: match (heard.facts.is_empty(), heard.overtaken) {
                        (false, _) => "facts taken",
                        (true, 0) => "nothing new",
                        (true, _) => "overtaken by a later message",
                    },
                }
            }
            Tidings::Merged(message, merges) => {
                let merged = self.records.merge_patients(&by, message, merges).await;
                let new = merged.map_err(refused)?;
                let mut patients: Vec<PatientKey> = Vec::new();
                for (stays, goes) in merges {
                    patients.extend([stays.clone(), goes.clone()]);
                }
                patients.dedup();
                Decided {
                    patients,
                    action: Action::Update,
                    what: if new == 0 { "merged before" } else { "merged" },
                }
            }
        };
        self.taken().keep(key, sum);
        Ok(Some(decided))
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refused(error: RecordsError) -> Problem {
    match error {
        RecordsError::Merge(place, why) => {
            let code = match why {
                MergeRefused::AcrossIssuers => Code::UnknownKey,
                _ => Code::DuplicateKey,
            };
            let place = Place {
                segment: "MRG",
                sequence: place,
                field: 1,
            };
            Problem::error(code, place, why.to_string())
        }
        RecordsError::Invalid(problems) => Problem {
            outcome: Outcome::Error,
            code: Code::DataType,
            place: None,
            // What is wrong may quote a value.
            what: match problems.len() {
                1 => "what it tells makes no fact".to_owned(),
                count => format!("what it tells makes no facts: {count} of them"),
            },
        },
        error => {
            tracing::error!(%error, "what a message tells cannot be kept");
            Problem::ours("it cannot be kept now: send it again")
        }
    }
}
