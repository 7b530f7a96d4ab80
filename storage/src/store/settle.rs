//! Settling: what waits in intake moves into packs. Put, verify, index; the log is trimmed later (`keeper`).
//!
//! Every step may be cut short and is done again from the start: a pack that the index does not know is written over.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use super::{
    Store, StoreError,
    candidates::{Candidate, Composing},
    read::on_blocking_thread,
    taken::Taken,
};
use crate::{
    index::{IndexError, PackRow, Settled, SettledMember},
    intake::{Retired, SeriesKey, WaitingEntry, staged::staged_path},
    model::{Header, Location, SeriesInstanceUid, StudyInstanceUid},
    objects::{ObjectError, ObjectName},
    packs::{
        headers,
        tar::{Member, STAGED_HEAD_BYTES},
        walk::walk,
    },
    source::FileSection,
};

/// A pack is closed at about this size.
const PACK_MAX_BYTES: u64 = 1 << 30;
/// Instances moved in one batch of the index, so that instances coming in wait for a moment only.
pub(super) const MOVE_INSTANCES: usize = 64;

impl Store {
    /// Settles everything that waits, now; for tests, `import` and a clean stop. Returns when all is in packs.
    ///
    /// # Errors
    /// [`StoreError`] of the first series that could not be settled.
    pub async fn settle_now(&self) -> Result<(), StoreError> {
        self.settle_due(Duration::ZERO).await
    }

    /// Settles what waits of these series, now: their bytes are in the object store, read back, when this returns.
    ///
    /// # Errors
    /// [`StoreError`] of the first series that could not be settled; it is tried again with the others.
    pub async fn settle_these(&self, wanted: &[(StudyInstanceUid, SeriesInstanceUid)]) -> Result<(), StoreError> {
        let _one_at_a_time = self.inner.settling.lock_beside_commits().await;
        for series in wanted {
            let taken = Taken::of(&self.inner.waiting, series);
            if taken.entries().is_empty() {
                continue;
            }
            if let Err(error) = self.settle_series(&taken).await {
                self.inner.counters.settling_failed();
                return Err(error);
            }
            taken.done();
        }
        Ok(())
    }

    /// Settles, one after the other, the series that have been quiet for so long or are large.
    pub(super) async fn settle_due(&self, quiet: Duration) -> Result<(), StoreError> {
        let _one_at_a_time = self.inner.settling.lock_beside_commits().await;
        self.settle_held(quiet).await
    }

    /// Settles everything that waits. The caller settles nothing else meanwhile.
    pub(super) async fn settle_all(&self) -> Result<(), StoreError> {
        self.settle_held(Duration::ZERO).await
    }

    async fn settle_held(&self, quiet: Duration) -> Result<(), StoreError> {
        let mut first_error = Ok(());
        // Held to the end, so that what failed is not due again at once.
        let mut failed = Vec::new();
        while let Some(taken) = self.take_due(quiet) {
            if let Err(error) = self.settle_series(&taken).await {
                tracing::error!(%error, series = %taken.series().1, "a series could not be settled; it is tried again");
                self.inner.counters.settling_failed();
                if matches!(error, StoreError::Index(IndexError::Engine(_))) {
                    self.inner.counters.index_failed();
                }
                failed.push(taken);
                first_error = first_error.and(Err(error));
            } else {
                taken.done();
            }
        }
        let mut unmerged = Vec::new();
        while let Some(series) = self.inner.acknowledging.take_unmerged(quiet) {
            let lock = self.series_lock(&series);
            let _one_at_a_time = lock.lock().await;
            if let Err(error) = self.merge_small_packs(&series).await {
                tracing::error!(%error, series = %series.1, "small packs could not be merged; it is tried again");
                unmerged.push(series);
                first_error = first_error.and(Err(error));
            }
        }
        self.inner.acknowledging.put_back_unmerged(unmerged);
        first_error
    }

    fn take_due(&self, quiet: Duration) -> Option<Taken<'_>> {
        let mut waiting = self.inner.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (series, entries) = waiting.take_due(quiet, self.inner.options.settle_from_bytes)?;
        Some(Taken::new(&self.inner.waiting, series, entries))
    }

    async fn settle_series(&self, taken: &Taken<'_>) -> Result<(), StoreError> {
        let series = taken.series();
        self.put_entries(series, taken.entries()).await?;
        let lock = self.series_lock(series);
        let _one_at_a_time = lock.lock().await;
        self.merge_small_packs(series).await
    }

    /// The next pack of a series has the number behind the last that the index knows: one is put at a time.
    pub(super) fn series_lock(&self, series: &SeriesKey) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.inner.series_locks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = locks.get(series).and_then(std::sync::Weak::upgrade) {
            return lock;
        }
        locks.retain(|_, lock| lock.strong_count() > 0);
        let lock = Arc::default();
        locks.insert(series.clone(), Arc::downgrade(&lock));
        lock
    }

    /// Puts entries of a series into packs.
    pub(super) async fn put_entries(&self, series: &SeriesKey, entries: &[WaitingEntry]) -> Result<(), StoreError> {
        let lock = self.series_lock(series);
        let _one_at_a_time = lock.lock().await;
        #[cfg(test)]
        crate::testing::stumbling::pass(&self.inner.options.data).await;
        let entries = entries.to_vec();
        let candidates = on_blocking_thread(self, move |store| store.candidates(&entries)).await?;
        let (mut in_log, mut bytes) = (Vec::new(), 0);
        for candidate in candidates {
            if let Some(file) = candidate.found.entry.staged {
                if on_blocking_thread(self, move |store| Ok(store.inner.nursery.staged.is_sealed(file)?)).await? {
                    self.settle_pack(series, vec![candidate]).await?;
                    self.retire(Retired::Staged(staged_path(self.inner.nursery.staged.folder(), file)));
                } else {
                    self.settle_staged(series, candidate).await?;
                }
                continue;
            }
            bytes += candidate.record.length;
            in_log.push(candidate);
            if bytes >= PACK_MAX_BYTES {
                self.settle_pack(series, std::mem::take(&mut in_log)).await?;
                bytes = 0;
            }
        }
        if !in_log.is_empty() {
            self.settle_pack(series, in_log).await?;
        }
        Ok(())
    }

    async fn settle_pack(&self, series: &SeriesKey, candidates: Vec<Candidate>) -> Result<(), StoreError> {
        let (composed, headers, candidates) = on_blocking_thread(self, move |store| store.compose(candidates)).await?;
        if candidates.is_empty() {
            return Ok(());
        }
        let pack = self.inner.catalog.next_pack(&series.0, &series.1)?;
        let row = PackRow {
            length: composed.body.len(),
            crc32: composed.crc32,
            instances: candidates.len() as u64,
        };
        self.put_and_verify(series, pack, composed.body, row).await?;
        crash_point!("settle.put");
        self.put_headers(series, pack, &composed.offsets, &headers).await?;
        crash_point!("settle.headers");
        self.move_to_pack(series, pack, row, candidates, composed.offsets).await
    }

    /// A staged file is a pack already: it is handed over as it is.
    async fn settle_staged(&self, series: &SeriesKey, candidate: Candidate) -> Result<(), StoreError> {
        let Location::Staged { file, .. } = candidate.record.location else {
            return Ok(());
        };
        let path = staged_path(self.inner.nursery.staged.folder(), file);
        let (walked, header, candidate) = {
            let path = path.clone();
            on_blocking_thread(self, move |store| {
                let file = std::fs::File::open(&path)?;
                let length = file.metadata()?.len();
                let walked = walk(&FileSection::new(file, 0, length)).map_err(StoreError::Damaged)?;
                let header = store.header_of(&candidate)?;
                Ok((walked, header, candidate))
            })
            .await?
        };
        let pack = self.inner.catalog.next_pack(&series.0, &series.1)?;
        let name = ObjectName::pack(&series.0, &series.1, pack);
        let objects = &self.inner.objects;
        objects.put_file(&name, &path).await.map_err(from_objects)?;
        let crc32 = objects.crc32(&name).await.map_err(from_objects)?;
        let entry = &candidate.found.entry;
        crash_point!("settle.linked");
        let is_this = |member: &&Member| {
            Some(member.sha256) == entry.sha256 && member.crc32 == entry.crc32 && member.length == entry.length
        };
        let member = walked.members.first().map(|(member, _)| member).filter(is_this);
        let Some(member) = member.filter(|_| crc32 == walked.crc32) else {
            return Err(StoreError::Damaged(format!(
                "staged file {file} is not as it was received"
            )));
        };
        let sha256 = member.sha256;
        let offsets = vec![STAGED_HEAD_BYTES as u64];
        self.put_headers(series, pack, &offsets, &[header]).await?;
        let row = PackRow {
            length: walked.length,
            crc32,
            instances: 1,
        };
        let candidates = vec![Composing { candidate, sha256 }];
        self.move_to_pack(series, pack, row, candidates, offsets).await?;
        self.retire(Retired::Staged(path));
        Ok(())
    }

    pub(super) async fn put_headers(
        &self,
        series: &SeriesKey,
        pack: u64,
        offsets: &[u64],
        headers: &[Header],
    ) -> Result<(), StoreError> {
        let headers: Vec<_> = offsets.iter().copied().zip(headers).collect();
        let block = headers::encode(&headers)?;
        let name = ObjectName::pack_headers(&series.0, &series.1, pack);
        self.inner.objects.put(&name, block.into()).await.map_err(from_objects)
    }

    async fn move_to_pack(
        &self,
        series: &SeriesKey,
        pack: u64,
        row: PackRow,
        candidates: Vec<Composing>,
        offsets: Vec<u64>,
    ) -> Result<(), StoreError> {
        let series = series.clone();
        on_blocking_thread(self, move |store| {
            for (candidates, offsets) in candidates.chunks(MOVE_INSTANCES).zip(offsets.chunks(MOVE_INSTANCES)) {
                let members = candidates.iter().zip(offsets).map(|(composing, offset)| {
                    let record = &composing.candidate.record;
                    SettledMember {
                        sop_instance: record.sop_instance_uid.clone(),
                        from: record.location.clone(),
                        offset: *offset,
                        sha256: composing.sha256,
                    }
                });
                let settled = Settled {
                    study: series.0.clone(),
                    series: series.1.clone(),
                    pack,
                    row,
                    members: members.collect(),
                    replaced: Vec::new(),
                };
                store
                    .inner
                    .writer
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .settle(&settled)?;
                crash_point!("settle.moved");
                let mut waiting = store.inner.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                for composing in candidates {
                    waiting.release(composing.candidate.waiting);
                }
            }
            store.inner.counters.settled(candidates.len() as u64);
            Ok(())
        })
        .await
    }

    pub(super) fn retire(&self, retired: Retired) {
        self.inner
            .retired
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(retired);
    }
}

pub(super) fn from_objects(error: ObjectError) -> StoreError {
    match error {
        ObjectError::Full(text) => StoreError::OutOfSpace(text),
        ObjectError::Io(error) => StoreError::Io(error),
        ObjectError::Damaged(..) => StoreError::Damaged(error.to_string()),
        other => StoreError::Objects(other.to_string()),
    }
}
