//! The keeper: brings the index to stable storage once a second, and only behind that removes what it made needless.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, Weak},
    time::{Duration, Instant},
};

use super::{Inner, Store, StoreError, settle::from_objects};
use crate::{
    intake::{Retired, medium::sync_folder},
    objects::ObjectName,
};

/// What the index misses after a crash is in the intake log, so that this may be rare.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// How often a replica that missed something is tried.
const CATCH_UP_EVERY: Duration = Duration::from_secs(10);
/// How often it is looked whether a series is due.
const SETTLE_EVERY: Duration = Duration::from_millis(500);

/// Flushes and trims until the store is gone.
pub(super) async fn keep(inner: Weak<Inner>) {
    let mut caught_up = Instant::now();
    loop {
        tokio::time::sleep(FLUSH_EVERY).await;
        let Some(inner) = inner.upgrade() else { return };
        let store = Store::whole(inner);
        if store.inner.counters.has_index_failed() {
            store.mend().await;
            continue;
        }
        if let Err(error) = store.flush_and_trim().await {
            tracing::error!(%error, "the index could not be brought to stable storage; it is tried again");
        }
        if store.inner.objects.behind() > 0 && caught_up.elapsed() >= CATCH_UP_EVERY {
            caught_up = Instant::now();
            match store.inner.objects.catch_up("").await {
                Ok(objects) => tracing::info!(objects, "the replica has caught up"),
                Err(error) => tracing::warn!(%error, "the replica cannot catch up yet"),
            }
        }
        if let Err(error) = store.inner.journal.mirror().await {
            tracing::error!(%error, "the journal could not be mirrored; it is tried again");
        }
    }
}

/// Settles what is due until the store is gone.
pub(super) async fn settle(inner: Weak<Inner>) {
    loop {
        tokio::time::sleep(SETTLE_EVERY).await;
        let Some(inner) = inner.upgrade() else { return };
        let quiet = inner.options.settle_after;
        // What failed was logged, and waits again.
        let _ = Store::whole(inner).settle_due(quiet).await;
    }
}

impl Store {
    /// Makes the index durable, then removes segments, staged files and objects that nothing needs any more.
    pub(super) async fn flush_and_trim(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.inner.keeping.lock().await;
        let inner = Arc::clone(&self.inner);
        let objects = tokio::task::spawn_blocking(move || inner.flush_and_trim())
            .await
            .map_err(io::Error::other)??;
        let mut objects = objects.into_iter();
        while let Some(name) = objects.next() {
            if let Err(error) = self.inner.objects.delete(&name).await {
                // They are needless still, and nobody else would know.
                self.retire(Retired::Object(name));
                objects.for_each(|name| self.retire(Retired::Object(name)));
                return Err(from_objects(error));
            }
        }
        Ok(())
    }
}

impl Inner {
    /// Returns the objects to delete.
    fn flush_and_trim(&self) -> Result<Vec<ObjectName>, StoreError> {
        // Held to the end: a task that is aborted leaves this running, and the next caller must not trim beside it.
        let mut flushed = self.flushed.lock().unwrap_or_else(PoisonError::into_inner);
        // Looked at before the flush: what is needless now is so because of batches that the flush will have covered.
        let retired = std::mem::take(&mut *self.retired.lock().unwrap_or_else(PoisonError::into_inner));
        let segments = self.needless_segments();
        let generation = self.writer.lock().unwrap_or_else(PoisonError::into_inner).generation();
        if *flushed == generation && segments.is_empty() && retired.is_empty() {
            return Ok(Vec::new());
        }
        if let Err(error) = self.engine.flush() {
            self.counters.index_failed();
            self.retired
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend(retired);
            return Err(error.into());
        }
        *flushed = generation;
        crash_point!("keeper.flushed");
        if segments.is_empty() && retired.is_empty() {
            return Ok(Vec::new());
        }
        write_mark(&self.options.data, generation)?;
        crash_point!("keeper.marked");
        for number in segments {
            self.medium.remove(number)?;
            self.segments.remove(number);
            self.counters.trimmed();
            crash_point!("keeper.trimmed");
        }
        let mut objects = Vec::new();
        for retired in retired {
            match retired {
                Retired::Staged(path) => remove(&path)?,
                Retired::Object(name) => objects.push(name),
            }
        }
        Ok(objects)
    }

    fn needless_segments(&self) -> Vec<u64> {
        let closed = self.segments.closed();
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        closed
            .into_iter()
            .filter(|number| !waiting.is_needed(*number))
            .collect()
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn mark_path(data: &Path) -> PathBuf {
    data.join("intake").join("trimmed")
}

/// Remembers, apart from the index, up to which batch the index is relied on: were it to come back from a crash without
/// that batch, what was trimmed since would be missing from it and nobody would know.
fn write_mark(data: &Path, generation: u64) -> io::Result<()> {
    let path = mark_path(data);
    let new = path.with_extension("new");
    let mut file = fs::File::create(&new)?;
    writeln!(file, "{generation}")?;
    file.sync_all()?;
    fs::rename(&new, &path)?;
    sync_folder(&data.join("intake"))
}

/// The batch that the index must have reached; 0 when nothing was ever trimmed.
pub(super) fn read_mark(data: &Path) -> io::Result<u64> {
    match fs::read_to_string(mark_path(data)) {
        Ok(text) => text
            .trim()
            .parse()
            .map_err(|_| io::Error::other("intake/trimmed does not hold a number")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}
