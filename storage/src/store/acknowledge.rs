//! Acknowledging only what the object store has: a commit waits until its instance lies in a pack.
//!
//! While one put of a series is under way, those that come meanwhile gather, and go into the next pack together. The many
//! small packs that this may leave are merged when the series is quiet.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use tokio::{
    sync::{MutexGuard as MutexAsync, Notify, RwLockReadGuard, RwLockWriteGuard, Semaphore, oneshot},
    task::JoinSet,
};

use super::{Acknowledge, Committed, Inner, Store, StoreError, taken::Taken};
use crate::{
    index::Index,
    intake::SeriesKey,
    model::{InstanceRecord, Location},
};

/// Series that are put at the same time. Each is held up by the way to the store, not by us.
const SERIES_AT_ONCE: usize = 8;
/// An instance is looked for so often, each time after its series was settled.
const ROUNDS_MAX: usize = 3;

/// Who settles: by itself, one series at a time; for commits, several; or nobody, while somebody else moves instances.
#[derive(Default)]
pub(super) struct Settling {
    one: tokio::sync::Mutex<()>,
    puts: tokio::sync::RwLock<()>,
}

impl Settling {
    /// Nothing settles while this is held.
    pub(super) async fn lock(&self) -> (MutexAsync<'_, ()>, RwLockWriteGuard<'_, ()>) {
        (self.one.lock().await, self.puts.write().await)
    }

    /// Nothing settles but for commits.
    pub(super) async fn lock_beside_commits(&self) -> (MutexAsync<'_, ()>, RwLockReadGuard<'_, ()>) {
        (self.one.lock().await, self.puts.read().await)
    }
}

type Waiter = oneshot::Sender<Result<(), String>>;

/// Who waits for which series.
#[derive(Default)]
pub(super) struct Acknowledging {
    state: Mutex<State>,
    wake: Arc<Notify>,
}

#[derive(Default)]
struct State {
    waiting: HashMap<SeriesKey, Vec<Waiter>>,
    /// Series that are being put.
    busy: HashSet<SeriesKey>,
    /// Series that may have many small packs, and when the last was put.
    unmerged: HashMap<SeriesKey, Instant>,
    /// Nobody puts anything any more.
    is_over: bool,
}

/// A series that is being put. It is free again when this goes, however the put ended.
struct Busy<'a> {
    acknowledging: &'a Acknowledging,
    series: &'a SeriesKey,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut state = self.acknowledging.state();
        state.busy.remove(self.series);
        state.unmerged.insert(self.series.clone(), Instant::now());
        drop(state);
        // For those that came meanwhile.
        self.acknowledging.wake.notify_one();
    }
}

/// Stands as long as there is somebody who puts. When it goes, those who wait are told.
struct Serving(Weak<Inner>);

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(inner) = self.0.upgrade() {
            let mut state = inner.acknowledging.state();
            state.is_over = true;
            state.waiting.clear();
        }
    }
}

impl Acknowledging {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Series that somebody waits for and nobody works on: from now on somebody does.
    fn take_up(&self) -> Vec<SeriesKey> {
        let mut state = self.state();
        let idle = state.waiting.keys().filter(|series| !state.busy.contains(series));
        let idle: Vec<SeriesKey> = idle.cloned().collect();
        state.busy.extend(idle.iter().cloned());
        idle
    }

    fn waiters(&self, series: &SeriesKey) -> Vec<Waiter> {
        self.state().waiting.remove(series).unwrap_or_default()
    }

    /// A series that was put in small packs and is quiet now.
    pub(super) fn take_unmerged(&self, quiet: Duration) -> Option<SeriesKey> {
        let mut state = self.state();
        let due = state
            .unmerged
            .iter()
            .find(|(series, last)| last.elapsed() >= quiet && !state.busy.contains(series))?;
        let series = due.0.clone();
        state.unmerged.remove(&series);
        Some(series)
    }

    /// Takes back series that could not be merged.
    pub(super) fn put_back_unmerged(&self, series: Vec<SeriesKey>) {
        let now = Instant::now();
        let mut state = self.state();
        state.unmerged.extend(series.into_iter().map(|series| (series, now)));
    }

    /// Waits for the next put of a series. `None` when nobody puts any more.
    fn wait_for(&self, series: SeriesKey) -> Option<oneshot::Receiver<Result<(), String>>> {
        let (waiter, put) = oneshot::channel();
        let mut state = self.state();
        if state.is_over {
            return None;
        }
        state.waiting.entry(series).or_default().push(waiter);
        drop(state);
        self.wake.notify_one();
        Some(put)
    }
}

impl Store {
    /// What a commit may answer: with [`Acknowledge::ObjectStore`] only what is in the object store.
    pub(super) async fn acknowledged(&self, committed: Committed) -> Result<Committed, StoreError> {
        if self.inner.options.acknowledge == Acknowledge::Intake {
            return Ok(committed);
        }
        Ok(match committed {
            Committed::Stored(record) => Committed::Stored(self.until_in_objects(record).await?),
            Committed::AlreadyStored(record) => Committed::AlreadyStored(self.until_in_objects(record).await?),
            collision @ Committed::Collision(_) => collision,
        })
    }

    async fn until_in_objects(&self, mut record: InstanceRecord) -> Result<InstanceRecord, StoreError> {
        for _ in 0..ROUNDS_MAX {
            if matches!(record.location, Location::Pack { .. }) {
                return Ok(record);
            }
            let series = (record.study_instance_uid.clone(), record.series_instance_uid.clone());
            let waiting = self.inner.acknowledging.wait_for(series);
            let waiting = waiting.ok_or_else(|| StoreError::Unavailable("the store is stopping".into()))?;
            let settled = waiting.await.map_err(|_| {
                StoreError::Unavailable("putting it into the object store was cut short; send it again".into())
            })?;
            settled.map_err(|why| StoreError::Unavailable(format!("the object store does not have it: {why}")))?;
            let now = self.inner.catalog.instance(&record.sop_instance_uid)?;
            record =
                now.ok_or_else(|| StoreError::Damaged("an instance left the index while it was committed".into()))?;
        }
        match record.location {
            Location::Pack { .. } => Ok(record),
            _ => Err(StoreError::Unavailable(format!(
                "instance {} is safe in the intake, but the object store does not have it yet",
                record.sop_instance_uid
            ))),
        }
    }

    async fn put_series(&self, series: &SeriesKey, permits: &Semaphore) {
        let _busy = Busy {
            acknowledging: &self.inner.acknowledging,
            series,
        };
        // Whoever comes while this waits for its turn goes along.
        let _permit = permits.acquire().await;
        let _settling = self.inner.settling.puts.read().await;
        let waiters = self.inner.acknowledging.waiters(series);
        let taken = Taken::of(&self.inner.waiting, series);
        let put = self.put_entries(series, taken.entries()).await;
        match &put {
            Ok(()) => taken.done(),
            Err(error) => {
                tracing::error!(%error, series = %series.1, "a series could not be put into the object store; senders are told");
                self.inner.counters.settling_failed();
            }
        }
        let put = put.map_err(|error| error.to_string());
        for waiter in waiters {
            // One who went away needs no answer.
            let _ = waiter.send(put.clone());
        }
    }
}

/// Puts the series that commits wait for, until the store is gone.
pub(super) async fn run(inner: Weak<Inner>) {
    let permits = Arc::new(Semaphore::new(SERIES_AT_ONCE));
    // Both are dropped with this task: whoever waits then is told.
    let _serving = Serving(Weak::clone(&inner));
    let mut puts = JoinSet::new();
    loop {
        let Some(wake) = inner.upgrade().map(|inner| Arc::clone(&inner.acknowledging.wake)) else {
            return;
        };
        wake.notified().await;
        while let Some(ended) = puts.try_join_next() {
            if let Err(error) = ended {
                tracing::error!(%error, "putting a series ended early; senders are told, and it is put again");
            }
        }
        let Some(inner) = inner.upgrade() else { return };
        for series in inner.acknowledging.take_up() {
            let store = Store::whole(Arc::clone(&inner));
            let permits = Arc::clone(&permits);
            puts.spawn(async move { store.put_series(&series, &permits).await });
        }
    }
}
