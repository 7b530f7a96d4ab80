//! Traces of rows that the index does not have any more: its engine leaves them in space that it has not used again.
//!
//! Writing the index anew ends them. It takes as long as copying it, and instances wait meanwhile: a small index is written
//! anew at once, a large one in a quiet minute, and neither takes up more than a part of the time, however much is destroyed.

use std::{
    fs, io,
    path::Path,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use super::Kept;
use crate::store::{Store, StoreError, index_folder};

/// An index up to this size is written anew at once: some seconds.
const AT_ONCE_MAX_BYTES: u64 = 512 << 20;
/// A larger one, when nothing has come in for this long.
const QUIET: Duration = Duration::from_secs(60);
/// Or when it has waited for this long.
const WAITED_MAX: Duration = Duration::from_secs(12 * 3600);
/// Writing anew takes up at most one part of this many of the time.
const SHARE: u32 = 10;

/// When the index was written anew, and what has come in since.
#[derive(Debug, Default)]
pub(in crate::store) struct Rewriting {
    /// When it last was, and how long it took.
    last: Option<(Instant, Duration)>,
    /// Since when somebody waits for it.
    waiting: Option<Instant>,
    /// The latest batch that was seen, and when.
    seen: Option<(u64, Instant)>,
}

impl Rewriting {
    fn is_due(&self, bytes: u64) -> bool {
        if self.last.is_some_and(|(ended, took)| ended.elapsed() < took * SHARE) {
            return false;
        }
        let is_quiet = self.seen.is_some_and(|(_, since)| since.elapsed() >= QUIET);
        let has_waited = self.waiting.is_some_and(|since| since.elapsed() >= WAITED_MAX);
        bytes <= AT_ONCE_MAX_BYTES || is_quiet || has_waited
    }
}

impl Store {
    /// Looks whether anything has come in.
    pub(super) fn watch_generation(&self) {
        let generation = self
            .inner
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .generation();
        let mut rewriting = self
            .inner
            .destroying
            .rewriting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if rewriting.seen.is_none_or(|(seen, _)| seen != generation) {
            rewriting.seen = Some((generation, Instant::now()));
        }
    }

    /// Writes the index anew, if it is time to.
    pub(super) async fn end_traces(&self) -> Result<Vec<Kept>, StoreError> {
        let bytes = size_of(&self.inner.options.data.join("index"))?;
        {
            let mut rewriting = self
                .inner
                .destroying
                .rewriting
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            rewriting.waiting.get_or_insert_with(Instant::now);
            if !rewriting.is_due(bytes) {
                return Ok(vec![Kept {
                    place: "the index".to_owned(),
                    reason: "rows that it does not have any more leave traces until it is written anew, which waits for its time"
                        .to_owned(),
                    until: None,
                }]);
            }
        }
        self.rewrite_index().await?;
        Ok(Vec::new())
    }

    /// Writes the index anew, so that nothing is left in it of rows that are gone; also removes the one that was put aside
    /// last. Instances wait meanwhile; readers do not. Takes as long as copying the index. Done by itself after something was
    /// destroyed.
    ///
    /// # Errors
    /// [`StoreError`]: the index is as it was.
    pub async fn rewrite_index(&self) -> Result<(), StoreError> {
        let began = Instant::now();
        // For a while there are two.
        let bytes = size_of(&self.inner.options.data.join("index"))?;
        self.inner.nursery.space.check_settling(bytes)?;
        {
            let _nothing_settles = self.inner.settling.lock().await;
            let _nothing_is_trimmed = self.inner.keeping.lock().await;
            let inner = Arc::clone(&self.inner);
            tokio::task::spawn_blocking(move || {
                let _nothing_comes_in = inner.turnstile.enter();
                let _no_writer = inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
                if let Err(error) = inner.engine.rewrite() {
                    // It may have ended without an index that is open, which is mended.
                    if inner.engine.get(b"").is_err() {
                        inner.counters.index_failed();
                    }
                    return Err(error.into());
                }
                index_folder::remove_aside(&inner.options.data)?;
                Ok::<_, StoreError>(())
            })
            .await
            .map_err(io::Error::other)??;
        }
        self.inner.destroying.without_traces();
        let mut rewriting = self
            .inner
            .destroying
            .rewriting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        rewriting.last = Some((Instant::now(), began.elapsed()));
        rewriting.waiting = None;
        Ok(())
    }
}

/// Bytes of all files below a folder. Files may come and go meanwhile.
fn size_of(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes += size_of(&entry.path())?,
            Ok(metadata) => bytes += metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_index_waits_and_none_is_written_anew_all_the_time() {
        let now = Instant::now();
        let Some(long_ago) = now.checked_sub(WAITED_MAX * 2) else {
            return;
        };
        let mut rewriting = Rewriting::default();
        assert!(rewriting.is_due(1 << 20));
        assert!(!rewriting.is_due(1 << 40));
        rewriting.seen = Some((1, now));
        assert!(!rewriting.is_due(1 << 40));
        rewriting.seen = Some((1, long_ago));
        assert!(rewriting.is_due(1 << 40), "nothing came for a long time");
        rewriting.seen = Some((1, now));
        rewriting.waiting = Some(long_ago);
        assert!(rewriting.is_due(1 << 40), "it has waited long enough");
        rewriting.last = Some((now, Duration::from_secs(60)));
        assert!(!rewriting.is_due(1), "it was just done");
    }
}
