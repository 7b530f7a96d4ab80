//! Batches gathered in memory in front of any engine.
//!
//! An embedded engine pays for each batch, not for each row: sled writes two of its buffers and wakes seven threads twice. While
//! instances come one by one from a few senders, batches are small and many, and the rows that count (of a study, of a series, of
//! the index itself) are written again with each. Here a batch is in force as soon as it is in memory, and one thread hands what
//! came meanwhile to the engine, as one batch, with the last of each row. What is lost with the process comes back from the intake
//! log, as does all else that the index had not flushed.

use std::{
    collections::{BTreeMap, btree_map},
    io,
    iter::Peekable,
    ops::{Bound, ControlFlow},
    panic::{AssertUnwindSafe, catch_unwind},
    slice,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{Batch, Engine, IndexError, Visit};

/// How long batches are gathered.
const GATHER_FOR: Duration = Duration::from_millis(40);
/// So many rows are handed on at once: sled lets nobody read while it takes a batch.
const GATHER_ROWS: usize = 512;
/// Bytes that wait at most; whoever brings more waits.
const WAITING_MAX_BYTES: usize = 8 << 20;
/// What a row takes beside its key and value, about.
const ROW_BYTES: usize = 96;

type Rows = BTreeMap<Vec<u8>, Option<Bytes>>;

/// An engine whose batches are gathered.
pub struct GatheringEngine {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    inner: Arc<dyn Engine>,
    state: Mutex<State>,
    /// Rows came, or somebody waits for them to be written.
    came: Condvar,
    /// Rows were written, or could not be.
    went: Condvar,
}

#[derive(Default)]
struct State {
    /// Rows of batches that came, the last of each key.
    waiting: Rows,
    waiting_bytes: usize,
    /// When the first of them came.
    since: Option<Instant>,
    /// Rows that the engine is given now, or that it would not take.
    writing: Option<Arc<Rows>>,
    /// The engine is at work on them.
    is_writing: bool,
    /// Counts batches that came, and those of them that the engine has.
    came: u64,
    written: u64,
    /// Somebody waits for the engine to have all.
    hurries: usize,
    failed: Option<String>,
    /// How often the engine was taken up again: whoever waited meanwhile does not know what became of its rows.
    recoveries: u64,
    stops: bool,
}

impl GatheringEngine {
    /// Gathers batches for `inner`.
    ///
    /// # Errors
    /// [`IndexError::Engine`] when there is no thread for it.
    pub fn new(inner: Arc<dyn Engine>) -> Result<Self, IndexError> {
        let shared = Arc::new(Shared {
            inner,
            state: Mutex::default(),
            came: Condvar::new(),
            went: Condvar::new(),
        });
        let worker = Arc::clone(&shared);
        let thread = Builder::new()
            .name("index-writer".into())
            .spawn(move || worker.work())
            .map_err(|error: io::Error| IndexError::Engine(error.to_string()))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Waits until the engine has all that came before.
    fn drain(&self) -> Result<(), IndexError> {
        let state = self.shared.lock();
        let (until, recoveries) = (state.came, state.recoveries);
        drop(state);
        self.wait_for(until, recoveries)
    }

    fn wait_for(&self, until: u64, recoveries: u64) -> Result<(), IndexError> {
        let mut state = self.shared.lock();
        state.hurries += 1;
        self.shared.came.notify_one();
        while state.written < until && state.is_as_it_was(recoveries).is_ok() {
            state = self.shared.went.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.hurries -= 1;
        state.is_as_it_was(recoveries)
    }
}

impl Drop for GatheringEngine {
    fn drop(&mut self) {
        self.shared.lock().stops = true;
        self.shared.came.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes the index panicked");
        }
    }
}

impl State {
    fn check(&self) -> Result<(), IndexError> {
        match &self.failed {
            Some(error) => Err(IndexError::Engine(error.clone())),
            None => Ok(()),
        }
    }

    fn is_as_it_was(&self, recoveries: u64) -> Result<(), IndexError> {
        self.check()?;
        if self.recoveries != recoveries {
            return Err(IndexError::Engine("it was taken up again meanwhile".into()));
        }
        Ok(())
    }

    fn add(&mut self, batch: Batch) {
        for (key, value) in batch.rows {
            let value = value.map(Bytes::from);
            let length = |value: &Option<Bytes>| value.as_ref().map_or(0, Bytes::len);
            match self.waiting.entry(key) {
                btree_map::Entry::Vacant(place) => {
                    self.waiting_bytes += place.key().len() + length(&value) + ROW_BYTES;
                    place.insert(value);
                }
                btree_map::Entry::Occupied(mut place) => {
                    self.waiting_bytes += length(&value);
                    self.waiting_bytes -= length(place.get());
                    place.insert(value);
                }
            }
        }
        self.came += 1;
        self.since.get_or_insert_with(Instant::now);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut state = self.lock();
        loop {
            state = self.gather(state);
            if state.waiting.is_empty() || state.failed.is_some() {
                if state.stops {
                    return;
                }
                continue;
            }
            let rows = Arc::new(std::mem::take(&mut state.waiting));
            (state.waiting_bytes, state.since) = (0, None);
            (state.writing, state.is_writing) = (Some(Arc::clone(&rows)), true);
            let upto = state.came;
            drop(state);
            let mut batch = Batch::default();
            for (key, value) in rows.iter() {
                batch
                    .rows
                    .push((key.clone(), value.as_ref().map(|value| value.to_vec())));
            }
            let applied = catch_unwind(AssertUnwindSafe(|| self.inner.apply(batch)))
                .unwrap_or_else(|_| Err(IndexError::Engine("it panicked while it wrote".into())));
            state = self.lock();
            state.is_writing = false;
            match applied {
                Ok(()) => (state.writing, state.written) = (None, upto),
                // What it would not take is read from here on, until the engine is taken up again.
                Err(error) => state.failed = Some(error.to_string()),
            }
            self.went.notify_all();
        }
    }

    /// Waits for rows, then for more of them to come.
    fn gather<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        loop {
            if state.stops {
                return state;
            }
            let since = state.since.filter(|_| state.failed.is_none());
            let waits = match since {
                None => {
                    state = self.came.wait(state).unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
                Some(since) => GATHER_FOR.saturating_sub(since.elapsed()),
            };
            let is_enough = state.waiting.len() >= GATHER_ROWS || state.waiting_bytes >= WAITING_MAX_BYTES / 2;
            if waits.is_zero() || is_enough || state.hurries > 0 {
                return state;
            }
            let waited = self.came.wait_timeout(state, waits);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Rows in memory, in the order of their keys, those that came last first.
struct Above<'a> {
    waiting: Peekable<slice::Iter<'a, (Vec<u8>, Option<Bytes>)>>,
    writing: Peekable<btree_map::Range<'a, Vec<u8>, Option<Bytes>>>,
}

impl<'a> Above<'a> {
    /// The next row, if its key is not behind `limit`.
    fn next(&mut self, limit: Option<&[u8]>) -> Option<(&'a [u8], Option<&'a Bytes>)> {
        let is_within = |key: &[u8]| limit.is_none_or(|limit| key <= limit);
        let waiting = self.waiting.peek().map(|(key, _)| key.as_slice());
        let writing = self.writing.peek().map(|(key, _)| key.as_slice());
        match (waiting, writing) {
            (Some(waiting), writing) if is_within(waiting) && writing.is_none_or(|writing| waiting <= writing) => {
                if writing == Some(waiting) {
                    self.writing.next();
                }
                let (key, value) = self.waiting.next()?;
                Some((key, value.as_ref()))
            }
            (_, Some(writing)) if is_within(writing) => {
                let (key, value) = self.writing.next()?;
                Some((key, value.as_ref()))
            }
            _ => None,
        }
    }
}

fn range<'a>(rows: &'a Rows, from: &[u8], to: Option<&[u8]>) -> btree_map::Range<'a, Vec<u8>, Option<Bytes>> {
    let to = to.map_or(Bound::Unbounded, Bound::Excluded);
    rows.range::<[u8], _>((Bound::Included(from), to))
}

impl Engine for GatheringEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        let state = self.shared.lock();
        let writing = || state.writing.as_ref().and_then(|rows| rows.get(key));
        if let Some(value) = state.waiting.get(key).or_else(writing) {
            return Ok(value.as_ref().map(|value| value.to_vec()));
        }
        drop(state);
        self.shared.inner.get(key)
    }

    fn scan(&self, from: &[u8], to: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<(), IndexError> {
        if to.is_some_and(|to| to <= from) {
            return Ok(());
        }
        // What is taken from memory first cannot be missed: it goes there only after the engine has it.
        let state = self.shared.lock();
        let rows = range(&state.waiting, from, to);
        let waiting: Vec<_> = rows.map(|(key, value)| (key.clone(), value.clone())).collect();
        let writing = state.writing.clone().unwrap_or_default();
        drop(state);
        if waiting.is_empty() && range(&writing, from, to).next().is_none() {
            return self.shared.inner.scan(from, to, visit);
        }
        let is_above = |key: &[u8]| {
            writing.contains_key(key) || waiting.binary_search_by(|(above, _)| above.as_slice().cmp(key)).is_ok()
        };
        let mut above = Above {
            waiting: waiting.iter().peekable(),
            writing: range(&writing, from, to).peekable(),
        };
        let mut flow = ControlFlow::Continue(());
        let mut visit_above = |limit: Option<&[u8]>, visit: &mut Visit<'_>| {
            while let Some((key, value)) = above.next(limit) {
                if let Some(value) = value
                    && visit(key, value).is_break()
                {
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        };
        self.shared.inner.scan(from, to, &mut |key, value| {
            flow = visit_above(Some(key), visit);
            if flow.is_continue() && !is_above(key) {
                flow = visit(key, value);
            }
            flow
        })?;
        if flow.is_continue() {
            let _ = visit_above(None, visit);
        }
        Ok(())
    }

    fn apply(&self, batch: Batch) -> Result<(), IndexError> {
        let mut state = self.shared.lock();
        state.check()?;
        if batch.is_empty() {
            return Ok(());
        }
        let recoveries = state.recoveries;
        while state.waiting_bytes >= WAITING_MAX_BYTES {
            state = self.shared.went.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.is_as_it_was(recoveries)?;
        }
        let is_first = state.since.is_none();
        let was_enough = state.waiting.len() >= GATHER_ROWS;
        state.add(batch);
        if is_first || (!was_enough && state.waiting.len() >= GATHER_ROWS) {
            self.shared.came.notify_one();
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), IndexError> {
        self.drain()?;
        self.shared.inner.flush()
    }

    fn recover(&self) -> Result<(), IndexError> {
        let mut state = self.shared.lock();
        while state.is_writing {
            state = self.shared.went.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        // Its thread leaves the engine alone from here on.
        state.failed.get_or_insert_with(|| "it is being taken up again".into());
        state.recoveries += 1;
        self.shared.went.notify_all();
        drop(state);
        self.shared.inner.recover()?;
        let mut state = self.shared.lock();
        state.waiting.clear();
        (state.waiting_bytes, state.since, state.writing) = (0, None, None);
        state.written = state.came;
        state.failed = None;
        Ok(())
    }

    fn rewrite(&self) -> Result<(), IndexError> {
        self.drain()?;
        self.shared.inner.rewrite()
    }
}

#[cfg(test)]
mod tests;
