//! Works on jobs: when their series are quiet, so many at a time, again after a failure.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use filmroom_storage::{model::SopInstanceUid, state::StateError};
use futures_util::StreamExt;
use time::OffsetDateTime;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Carrier, Forwarding, Job, State, Task};
use filmroom_peers::AeTitle;
use filmroom_retrieve::Selection;

/// Instances of one attempt; what was done is on disk after each.
const BATCH: usize = 500;
/// Longest time between two looks at the queue.
const LOOK: Duration = Duration::from_millis(500);

/// Permits for all jobs, and for those of one destination.
struct Turns {
    all: Arc<Semaphore>,
    each: Mutex<HashMap<AeTitle, Arc<Semaphore>>>,
    at_once_each: usize,
}

impl Turns {
    fn of(&self, to: &AeTitle) -> Arc<Semaphore> {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        let at_once = self.at_once_each.max(1);
        each.entry(to.clone())
            .or_insert_with(|| Arc::new(Semaphore::new(at_once)))
            .clone()
    }
}

impl Forwarding {
    /// Works until `shutdown` is cancelled. What is under way then is taken up again at the next start.
    pub async fn work(self, carrier: Arc<dyn Carrier>, shutdown: CancellationToken) {
        let limits = self.inner.limits;
        let turns = Arc::new(Turns {
            all: Arc::new(Semaphore::new(limits.at_once.max(1))),
            each: Mutex::default(),
            at_once_each: limits.at_once_each,
        });
        let tasks = TaskTracker::new();
        loop {
            while let Some((job, permits)) = self.next_due(&turns) {
                let (room, carrier, shutdown) = (self.clone(), carrier.clone(), shutdown.clone());
                tasks.spawn(async move {
                    tokio::select! {
                        () = room.attempt(job, carrier.as_ref()) => {}
                        () = shutdown.cancelled() => {}
                    }
                    drop(permits);
                    room.inner.bell.notify_one();
                });
            }
            tokio::select! {
                () = self.inner.bell.notified() => {}
                () = tokio::time::sleep(LOOK.min(limits.quiet).max(Duration::from_millis(10))) => {}
                () = shutdown.cancelled() => break,
            }
        }
        tasks.close();
        tasks.wait().await;
    }

    /// A job whose time has come and whose destination has room, with its permits.
    fn next_due(&self, turns: &Turns) -> Option<(Job, [tokio::sync::OwnedSemaphorePermit; 2])> {
        let all = turns.all.clone().try_acquire_owned().ok()?;
        let now = OffsetDateTime::now_utc();
        let mut jobs = self.jobs();
        for job in jobs.by_id.values_mut() {
            let is_due = job.state == State::Waiting
                && job.next_attempt_at <= now
                && job.last_arrival.elapsed() >= self.inner.limits.quiet;
            if !is_due {
                continue;
            }
            if let Ok(each) = turns.of(&job.to).try_acquire_owned() {
                job.state = State::Working;
                return Some((job.clone(), [all, each]));
            }
        }
        None
    }

    /// One attempt at all that a job means now.
    async fn attempt(&self, mut job: Job, carrier: &dyn Carrier) {
        let arrivals = job.arrivals;
        let result = loop {
            let batch = match self.batch(&job).await {
                Ok(batch) => batch,
                Err(error) => break Err(error),
            };
            if batch.is_empty() {
                break self.commit(&mut job, carrier).await;
            }
            let (passed, result) = match job.task {
                Task::Send => carrier.send(&job.to, &batch).await,
                Task::Notify => match carrier.notify(&job.to, &job, &batch).await {
                    Ok(()) => (batch.into_iter().map(|uid| (uid, Ok(()))).collect(), Ok(())),
                    Err(error) => (Vec::new(), Err(error)),
                },
            };
            let mut failure = result.err();
            for (uid, result) in passed {
                match result {
                    Ok(()) => {
                        job.done.insert(uid.to_string());
                    }
                    Err(why) => failure = Some(format!("{uid}: {why}")),
                }
            }
            if let Some(failure) = failure {
                break Err(failure);
            }
            self.keep(&job).await;
        };
        match result {
            Ok(()) => self.finish(&job, arrivals).await,
            Err(why) => self.put_off(job, why).await,
        }
    }

    /// Has the destination answer for what it was sent; what it does not is to be sent again.
    async fn commit(&self, job: &mut Job, carrier: &dyn Carrier) -> Result<(), String> {
        if job.task != Task::Send {
            return Ok(());
        }
        let done: Vec<SopInstanceUid> = job
            .done
            .iter()
            .filter_map(|uid| SopInstanceUid::new(uid).ok())
            .collect();
        let mut failure = None;
        for instances in done.chunks(BATCH) {
            for (uid, committed) in carrier.commit(&job.to, instances).await? {
                if let Err(why) = committed {
                    job.done.remove(uid.as_str());
                    failure = Some(format!("{uid}: {why}"));
                }
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Instances of the job that are not done yet.
    async fn batch(&self, job: &Job) -> Result<Vec<SopInstanceUid>, String> {
        let mut found = self.inner.retrieve.select(Selection {
            studies: vec![job.study_instance_uid.clone()],
            series: vec![job.series_instance_uid.clone()],
            ..Selection::of(filmroom_privacy::Sight::all())
        });
        let mut batch = Vec::new();
        while let Some(record) = found.next().await {
            let record = record.map_err(|error| error.to_string())?;
            let is_meant = job.means(&record.sop_instance_uid, record.received_at) && job.takes(&record.sop_class_uid);
            if is_meant && !job.done.contains(record.sop_instance_uid.as_str()) {
                batch.push(record.sop_instance_uid);
                if batch.len() == BATCH {
                    break;
                }
            }
        }
        Ok(batch)
    }

    /// Ends a job, unless something has come meanwhile.
    async fn finish(&self, job: &Job, arrivals: u64) {
        let (room, id) = (self.clone(), job.id.clone());
        let ended = tokio::task::spawn_blocking(move || {
            let mut jobs = room.jobs();
            let Some(job) = jobs.by_id.get(&id).filter(|job| job.arrivals == arrivals) else {
                return Ok(false);
            };
            let key = job.key();
            room.inner.folder.remove(&id)?;
            jobs.open.remove(&key);
            jobs.by_id.remove(&id);
            Ok::<bool, StateError>(true)
        });
        match ended.await {
            Ok(Ok(true)) => tracing::info!(to = %job.to, task = ?job.task, instances = job.done.len(), "forwarded"),
            Ok(Ok(false)) => {
                let fresh = Job {
                    state: State::Waiting,
                    attempts: 0,
                    last_error: String::new(),
                    ..job.clone()
                };
                self.keep(&fresh).await;
            }
            Ok(Err(error)) => self.put_off(job.clone(), error.to_string()).await,
            Err(error) => self.put_off(job.clone(), error.to_string()).await,
        }
    }

    async fn put_off(&self, mut job: Job, why: String) {
        let limits = self.inner.limits;
        let now = OffsetDateTime::now_utc();
        if job.attempts == 0 {
            job.tried_since = now;
        }
        job.attempts = job.attempts.saturating_add(1);
        let doubled = limits.pause.saturating_mul(1 << job.attempts.saturating_sub(1).min(16));
        job.next_attempt_at = now + doubled.min(limits.pause_max);
        job.last_error = why;
        let given_up = now - job.tried_since > limits.try_for;
        if given_up {
            tracing::error!(to = %job.to, job = job.id, error = job.last_error, "forwarding is given up until somebody has it tried again");
            job.state = State::GivenUp;
        } else {
            tracing::warn!(to = %job.to, job = job.id, attempts = job.attempts, error = job.last_error, "not forwarded yet");
            job.state = State::Waiting;
        }
        self.keep(&job).await;
    }

    /// Keeps what an attempt found out; what arrived meanwhile stays known.
    async fn keep(&self, job: &Job) {
        let (room, mut job) = (self.clone(), job.clone());
        let kept = tokio::task::spawn_blocking(move || {
            let mut jobs = room.jobs();
            let Some(known) = jobs.by_id.get_mut(&job.id) else {
                return Ok(()); // somebody dropped it
            };
            job.since = known.since;
            job.also.clone_from(&known.also);
            job.last_arrival = known.last_arrival;
            job.arrivals = known.arrivals;
            let mut written = job.clone();
            if written.state == State::Working {
                written.state = State::Waiting; // what a restart finds
            }
            *known = job;
            // Written while nothing else can change it.
            room.inner.folder.put(&written.id, &written)
        });
        match kept.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "a job could not be kept; some of it may be done twice"),
            Err(error) => tracing::error!(%error, "a job could not be kept"),
        }
    }
}
