//! One series for one destination.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use filmroom_storage::model::{SeriesInstanceUid, SopClassUid, SopInstanceUid, StudyInstanceUid};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Rule, Task};
use filmroom_ingest::Arrived;
use filmroom_peers::AeTitle;

/// An instance that was received so long ago has come before. Taking a slow one for one that came again costs a line in the job.
const COMES_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// For the series to be quiet, for its turn, or for the next attempt.
    Waiting,
    /// It is worked on.
    Working,
    /// It was tried for as long as it may be, and waits for a person.
    GivenUp,
}

/// A job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// By what it is kept.
    pub id: String,
    /// The destination.
    pub to: AeTitle,
    /// What is done for it.
    pub task: Task,
    /// The rule that made it, to know later instances of the series by.
    pub rule: Rule,
    /// (0020,000D).
    pub study_instance_uid: StudyInstanceUid,
    /// (0020,000E).
    pub series_instance_uid: SeriesInstanceUid,
    /// Instances that were received from then on.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// SOP Instance UIDs of instances that were received before, and came again or late.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub also: BTreeSet<String>,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// SOP Instance UIDs of what is done.
    pub done: BTreeSet<String>,
    /// Where it stands.
    pub state: State,
    /// Attempts that failed in a row.
    pub attempts: u32,
    /// Since when attempts have failed.
    #[serde(with = "time::serde::rfc3339")]
    pub tried_since: OffsetDateTime,
    /// Not before then.
    #[serde(with = "time::serde::rfc3339")]
    pub next_attempt_at: OffsetDateTime,
    /// Why the last attempt failed; empty when none did.
    pub last_error: String,
    /// When its last instance came, as far as this process knows.
    #[serde(skip, default = "Instant::now")]
    pub(super) last_arrival: Instant,
    /// Counts arrivals, so that one while it is worked on is not missed.
    #[serde(skip)]
    pub(super) arrivals: u64,
}

/// What a job is for: one open job has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    to: AeTitle,
    task: Task,
    series: String,
    /// Two rules for one destination may mean different instances of a series.
    rule: String,
}

impl Key {
    pub(super) fn of(rule: &Rule, arrived: &Arrived) -> Self {
        Self::new(rule, &arrived.study_instance_uid, &arrived.series_instance_uid)
    }

    fn new(rule: &Rule, study: &StudyInstanceUid, series: &SeriesInstanceUid) -> Self {
        Self {
            to: rule.to.clone(),
            task: rule.task,
            series: format!("{study}/{series}"),
            rule: format!(
                "{}|{}|{}",
                rule.calling.join("\\"),
                rule.modality.join("\\"),
                rule.sop_class.join("\\")
            ),
        }
    }
}

impl Job {
    pub(super) fn new(rule: &Rule, arrived: &Arrived) -> Self {
        let now = OffsetDateTime::now_utc();
        // One that is sent again must not take along all that was received and passed on since it came first.
        let comes_again = now - arrived.received_at > COMES_AGAIN_AFTER;
        Self {
            id: uuid::Uuid::now_v7().simple().to_string(),
            to: rule.to.clone(),
            task: rule.task,
            rule: rule.clone(),
            study_instance_uid: arrived.study_instance_uid.clone(),
            series_instance_uid: arrived.series_instance_uid.clone(),
            since: if comes_again { now } else { arrived.received_at },
            also: comes_again
                .then(|| arrived.sop_instance_uid.to_string())
                .into_iter()
                .collect(),
            created_at: now,
            done: BTreeSet::new(),
            state: State::Waiting,
            attempts: 0,
            tried_since: now,
            next_attempt_at: now,
            last_error: String::new(),
            last_arrival: Instant::now(),
            arrivals: 1,
        }
    }

    pub(super) fn key(&self) -> Key {
        Key::new(&self.rule, &self.study_instance_uid, &self.series_instance_uid)
    }

    pub(super) fn arrived(&mut self) {
        self.last_arrival = Instant::now();
        self.arrivals += 1;
    }

    /// True for an instance that came since the job was made, or for which it was made.
    pub(super) fn means(&self, uid: &SopInstanceUid, received_at: OffsetDateTime) -> bool {
        received_at >= self.since || self.also.contains(uid.as_str())
    }

    /// True for a class of instances that the job is about.
    pub(super) fn takes(&self, class: &SopClassUid) -> bool {
        let classes = &self.rule.sop_class;
        classes.is_empty() || classes.iter().any(|uid| uid == class.as_str())
    }
}
