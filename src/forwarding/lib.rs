//! The room that passes instances on: by rules, to peers, through a queue that outlives the process.
//!
//! A job is one series for one destination. It is on disk before the first instance of it is acknowledged, so that nothing
//! that a rule meant is forgotten by a crash; which instances it means is asked of the index when it is worked on. An instance
//! may be sent twice after a crash, never not at all.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod job;
mod rule;
#[cfg(test)]
mod tests;
mod work;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use filmroom_storage::{
    model::SopInstanceUid,
    state::{StateError, StateFolder, StatePlace},
};
use time::OffsetDateTime;
use tokio::sync::Notify;

use filmroom_ingest::{Arrived, Watcher};
use filmroom_peers::AeTitle;
use filmroom_retrieve::Retrieve;

pub use job::{Job, State};
pub use rule::{Rule, Task};

/// The kind under which jobs are kept.
const KIND: &str = "forwards";
/// Most jobs there can be; beyond, instances that a rule means are refused, since what it promises could not be kept.
const JOBS_MAX: usize = 50_000;

/// Why a job is not there.
#[derive(Debug, thiserror::Error)]
pub enum ForwardingError {
    /// There is no such job.
    #[error("there is no such job")]
    Unknown,
    /// There are too many.
    #[error("{JOBS_MAX} jobs wait, which is the most")]
    TooMany,
    /// It could not be kept.
    #[error(transparent)]
    State(#[from] StateError),
}

/// What became of one instance.
pub type Passed = (SopInstanceUid, Result<(), String>);

/// Carries instances to a destination. The DIMSE door implements it.
#[async_trait]
pub trait Carrier: Send + Sync {
    /// Sends instances; tells what became of each that was tried.
    ///
    /// # Errors
    /// One sentence when nothing more could be sent, with what became of those before.
    async fn send(&self, to: &AeTitle, instances: &[SopInstanceUid]) -> (Vec<Passed>, Result<(), String>);

    /// Has a destination answer for instances that it was sent, where it is one that is asked: what it keeps, and what not.
    /// Nothing is told of a destination that is not asked.
    ///
    /// # Errors
    /// One sentence when it did not say; it will be asked again.
    async fn commit(&self, to: &AeTitle, instances: &[SopInstanceUid]) -> Result<Vec<Passed>, String>;

    /// Tells a destination that instances of a series are available here.
    ///
    /// # Errors
    /// One sentence; it will be tried again.
    async fn notify(&self, to: &AeTitle, job: &Job, instances: &[SopInstanceUid]) -> Result<(), String>;
}

/// How long, and how many at a time.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A job is worked on when its series was quiet for so long.
    pub quiet: Duration,
    /// A job is tried for so long, then it waits for a person.
    pub try_for: Duration,
    /// Pause after the first attempt that failed; doubled with each.
    pub pause: Duration,
    /// Longest pause.
    pub pause_max: Duration,
    /// Jobs worked on at one time.
    pub at_once: usize,
    /// Of those, for one destination.
    pub at_once_each: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            quiet: Duration::from_secs(2),
            try_for: Duration::from_secs(7 * 86_400),
            pause: Duration::from_secs(1),
            pause_max: Duration::from_secs(600),
            at_once: 4,
            at_once_each: 2,
        }
    }
}

/// The room. Cheap to clone.
#[derive(Clone)]
pub struct Forwarding {
    inner: Arc<Inner>,
}

struct Inner {
    rules: Vec<Rule>,
    retrieve: Retrieve,
    limits: Limits,
    folder: StateFolder,
    jobs: Mutex<Jobs>,
    /// Rung when there is something to do.
    bell: Notify,
}

#[derive(Default)]
struct Jobs {
    by_id: BTreeMap<String, Job>,
    /// The job that takes what arrives.
    open: HashMap<job::Key, String>,
}

impl Forwarding {
    /// Opens the room with the queue of a data folder.
    ///
    /// # Errors
    /// [`StateError`] when the queue cannot be read. A job that is damaged is logged and left out.
    pub fn open(
        rules: Vec<Rule>,
        retrieve: Retrieve,
        state: impl Into<StatePlace>,
        limits: Limits,
    ) -> Result<Self, StateError> {
        let (folder, loaded) = StateFolder::open::<Job>(state, KIND)?;
        for damaged in &loaded.damaged {
            tracing::error!(path = %damaged.path.display(), why = damaged.why, "a job to forward instances is lost: send them again (filmroom send)");
        }
        let mut jobs = Jobs::default();
        for (id, job) in loaded.records {
            jobs.open.insert(job.key(), id.clone());
            jobs.by_id.insert(id, job);
        }
        Ok(Self {
            inner: Arc::new(Inner {
                rules,
                retrieve,
                limits,
                folder,
                jobs: Mutex::new(jobs),
                bell: Notify::new(),
            }),
        })
    }

    /// All jobs, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Job> {
        self.jobs().by_id.values().cloned().collect()
    }

    /// Has a job tried again at once, also one that was given up. Blocks.
    ///
    /// # Errors
    /// [`ForwardingError`].
    pub fn retry(&self, id: &str) -> Result<(), ForwardingError> {
        let mut jobs = self.jobs();
        let job = jobs.by_id.get_mut(id).ok_or(ForwardingError::Unknown)?;
        let again = Job {
            state: State::Waiting,
            attempts: 0,
            tried_since: OffsetDateTime::now_utc(),
            next_attempt_at: OffsetDateTime::now_utc(),
            ..job.clone()
        };
        self.inner.folder.put(id, &again)?;
        *job = again;
        drop(jobs);
        self.inner.bell.notify_one();
        Ok(())
    }

    /// Drops a job: what it has not sent is not sent. Blocks.
    ///
    /// # Errors
    /// [`ForwardingError`].
    pub fn drop_job(&self, id: &str) -> Result<(), ForwardingError> {
        let mut jobs = self.jobs();
        let job = jobs.by_id.get(id).ok_or(ForwardingError::Unknown)?;
        let key = job.key();
        self.inner.folder.remove(id)?;
        jobs.open.remove(&key);
        jobs.by_id.remove(id);
        Ok(())
    }

    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.inner.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that an instance belongs to a job that is on disk. Blocks where it makes one.
    fn enqueue(&self, rule: &Rule, arrived: &Arrived) -> Result<(), ForwardingError> {
        let key = job::Key::of(rule, arrived);
        let mut jobs = self.jobs();
        let known = jobs.open.get(&key).cloned();
        if let Some(job) = known.and_then(|id| jobs.by_id.get_mut(&id)) {
            if !job.means(&arrived.sop_instance_uid, arrived.received_at) {
                // It comes again, or two that came together were told of in another order than they were written in.
                let mut with = job.clone();
                with.also.insert(arrived.sop_instance_uid.to_string());
                self.inner.folder.put(&with.id, &with)?;
                *job = with;
            }
            job.arrived();
            return Ok(());
        }
        if jobs.by_id.len() >= JOBS_MAX {
            return Err(ForwardingError::TooMany);
        }
        let job = Job::new(rule, arrived);
        self.inner.folder.put(&job.id, &job)?;
        jobs.open.insert(key, job.id.clone());
        jobs.by_id.insert(job.id.clone(), job);
        drop(jobs);
        self.inner.bell.notify_one();
        Ok(())
    }

    /// True when the instance needs nothing written to be part of its job.
    fn is_known(&self, rule: &Rule, arrived: &Arrived) -> bool {
        let mut jobs = self.jobs();
        let id = jobs.open.get(&job::Key::of(rule, arrived)).cloned();
        match id.and_then(|id| jobs.by_id.get_mut(&id)) {
            Some(job) if job.means(&arrived.sop_instance_uid, arrived.received_at) => {
                job.arrived();
                true
            }
            _ => false,
        }
    }
}

#[async_trait]
impl Watcher for Forwarding {
    async fn arrived(&self, arrived: &Arrived) -> Result<(), String> {
        for rule in self.inner.rules.iter().filter(|rule| rule.means(arrived)) {
            if self.is_known(rule, arrived) {
                continue;
            }
            let (room, rule, arrived) = (self.clone(), rule.clone(), arrived.clone());
            tokio::task::spawn_blocking(move || room.enqueue(&rule, &arrived))
                .await
                .map_err(|error| error.to_string())?
                .map_err(|error| format!("it could not be queued to be forwarded: {error}"))?;
        }
        Ok(())
    }
}
