//! A wrapper that keeps what was read from a distant store on the local disk, in blocks.
//!
//! Only packs and the headers beside them are kept: they do not change once the index knows them. A block that several want
//! is fetched once; blocks that lie side by side are fetched as one range; who reads on and on is read ahead for.

mod blocks;
mod disk;
mod sequence;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    io,
    ops::Range,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::future::{BoxFuture, FutureExt, Shared};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use self::{
    blocks::{BLOCK_BYTES, Blocks},
    disk::DiskThreads,
    sequence::Sequences,
};
use super::{Body, Kept, ObjectError, ObjectLocks, ObjectName, ObjectStore};
use crate::metrics::CacheCounters;

/// One fetch is at most this long: blocks.
const FETCH_BLOCKS_MAX: u64 = 32;
/// Fetches ahead of readers at one time, all objects together. With those of [`FETCH_BLOCKS_MAX`] it bounds their memory.
const AHEAD_MAX: usize = 4;

/// Another store, with a cache on the local disk before it. Cheap to clone.
#[derive(Clone)]
pub struct CachedObjects {
    inner: Arc<dyn ObjectStore>,
    blocks: Arc<Blocks>,
    disk: Arc<DiskThreads>,
    fetches: Arc<Mutex<HashMap<(u128, u64), Fetch>>>,
    sequences: Arc<Sequences>,
    ahead: Arc<Semaphore>,
    counters: Arc<CacheCounters>,
}

/// Blocks on their way, for all that wait for one of them.
type Fetch = Shared<BoxFuture<'static, Result<Fetched, Arc<ObjectError>>>>;

#[derive(Clone)]
struct Fetched {
    /// The first block.
    first: u64,
    bytes: Bytes,
}

impl Fetched {
    /// A block of it; short or empty where the object ends.
    fn block(&self, number: u64) -> Bytes {
        let length = self.bytes.len() as u64;
        let from = (number.saturating_sub(self.first) * BLOCK_BYTES).min(length);
        let to = (from + BLOCK_BYTES).min(length);
        match (usize::try_from(from), usize::try_from(to)) {
            (Ok(from), Ok(to)) => self.bytes.slice(from..to),
            _ => Bytes::new(),
        }
    }
}

/// Where a block comes from.
enum Found {
    Here(Bytes),
    /// It landed on the disk after it was looked for there.
    Landed,
    OnItsWay(Fetch),
}

impl CachedObjects {
    /// Puts a cache of at most `bytes_max` in `folder` before a store. `has_room` says whether the file may still grow.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn open(
        inner: Arc<dyn ObjectStore>,
        folder: &Path,
        bytes_max: u64,
        counters: Arc<CacheCounters>,
        has_room: impl Fn() -> bool + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let blocks = Blocks::open(folder, bytes_max, Arc::clone(&counters), Box::new(has_room))?;
        Ok(Self {
            inner,
            blocks: Arc::new(blocks),
            disk: Arc::new(DiskThreads::start()?),
            fetches: Arc::default(),
            sequences: Arc::default(),
            ahead: Arc::new(Semaphore::new(AHEAD_MAX)),
            counters,
        })
    }

    async fn read(&self, name: &ObjectName, object: u128, range: Range<u64>) -> Result<Bytes, ObjectError> {
        let (first, last) = (range.start / BLOCK_BYTES, (range.end - 1) / BLOCK_BYTES);
        let found = self.find(name, object, first, last).await?;
        let mut pieces = Vec::with_capacity(found.len());
        for (number, found) in (first..).zip(found) {
            let block = match found {
                Found::Here(block) => block,
                Found::Landed => self.read_landed(name, object, number).await?,
                Found::OnItsWay(fetch) => fetch.await.map_err(|error| again(&error))?.block(number),
            };
            let is_end = (block.len() as u64) < BLOCK_BYTES;
            let start = number * BLOCK_BYTES;
            let from = range.start.saturating_sub(start).min(block.len() as u64);
            let to = (range.end - start).min(block.len() as u64).max(from);
            if let (Ok(from), Ok(to)) = (usize::try_from(from), usize::try_from(to)) {
                pieces.push(block.slice(from..to));
            }
            if is_end {
                self.sequences.ends_at(object, start + block.len() as u64);
                break;
            }
        }
        Ok(match <[Bytes; 1]>::try_from(pieces) {
            Ok([whole]) => whole,
            Err(pieces) => {
                let mut bytes = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
                pieces.iter().for_each(|piece| bytes.extend_from_slice(piece));
                bytes.freeze()
            }
        })
    }

    /// What is on the disk; the rest is set on its way, neighbours in one fetch.
    async fn find(&self, name: &ObjectName, object: u128, first: u64, last: u64) -> Result<Vec<Found>, ObjectError> {
        let this = self.clone();
        let on_disk = self.disk.run(move || {
            (first..=last)
                .map(|number| this.blocks.get((object, number)))
                .collect::<Vec<_>>()
        });
        let mut found = Vec::new();
        for (number, block) in (first..).zip(on_disk.await?) {
            if block.is_some() {
                self.counters.hit();
            } else {
                self.counters.missed();
            }
            found.push((number, block));
        }
        let mut fetches = self.fetches.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wanted = Vec::new();
        let mut places = Vec::with_capacity(found.len());
        for (number, block) in found {
            match block {
                Some(block) => places.push(Some(Found::Here(block))),
                None => match fetches.get(&(object, number)) {
                    Some(fetch) => places.push(Some(Found::OnItsWay(fetch.clone()))),
                    None if self.blocks.contains((object, number)) => places.push(Some(Found::Landed)),
                    None => {
                        wanted.push(number);
                        places.push(None);
                    }
                },
            }
        }
        for run in runs(&wanted) {
            let fetch = self.fetch(name, object, run.clone());
            for number in run {
                fetches.insert((object, number), fetch.clone());
                if let Some(place) = places.get_mut(usize::try_from(number - first).unwrap_or(usize::MAX)) {
                    *place = Some(Found::OnItsWay(fetch.clone()));
                }
            }
            // Goes on by itself: whoever asked first may go away.
            tokio::spawn(fetch);
        }
        Ok(places.into_iter().flatten().collect())
    }

    async fn read_landed(&self, name: &ObjectName, object: u128, number: u64) -> Result<Bytes, ObjectError> {
        let blocks = Arc::clone(&self.blocks);
        match self.disk.run(move || blocks.get((object, number))).await? {
            Some(block) => Ok(block),
            None => {
                let start = number * BLOCK_BYTES;
                self.inner.get_range(name, start..start + BLOCK_BYTES).await
            }
        }
    }

    fn fetch(&self, name: &ObjectName, object: u128, run: Range<u64>) -> Fetch {
        let (this, name) = (self.clone(), name.clone());
        let epoch = self.blocks.epoch();
        async move {
            let fetched = this
                .inner
                .get_range(&name, run.start * BLOCK_BYTES..run.end * BLOCK_BYTES)
                .await
                .map(|bytes| Fetched {
                    first: run.start,
                    bytes,
                })
                .map_err(Arc::new);
            if let Ok(fetched) = &fetched {
                let (blocks, fetched, run) = (Arc::clone(&this.blocks), fetched.clone(), run.clone());
                let kept = this.disk.run(move || {
                    for number in run {
                        let block = fetched.block(number);
                        if !block.is_empty() {
                            blocks.put((object, number), &block, epoch);
                        }
                    }
                });
                if kept.await.is_err() {
                    tracing::error!("keeping blocks of the read cache panicked");
                }
            }
            let mut fetches = this.fetches.lock().unwrap_or_else(PoisonError::into_inner);
            for number in run {
                fetches.remove(&(object, number));
            }
            fetched
        }
        .boxed()
        .shared()
    }

    /// Fetches what a reader who reads on and on will want next.
    fn read_ahead(&self, name: &ObjectName, object: u128, range: &Range<u64>) {
        let Some(ahead) = self.sequences.read(object, range) else {
            return;
        };
        // The block that the reader is in is not ahead.
        let blocks = ahead.start.div_ceil(BLOCK_BYTES)..ahead.end.div_ceil(BLOCK_BYTES);
        let mut fetches = self.fetches.lock().unwrap_or_else(PoisonError::into_inner);
        let missing: Vec<u64> = blocks
            .filter(|number| !fetches.contains_key(&(object, *number)) && !self.blocks.contains((object, *number)))
            .collect();
        for run in runs(&missing) {
            let Ok(permit) = Arc::clone(&self.ahead).try_acquire_owned() else {
                return;
            };
            let fetch = self.fetch(name, object, run.clone());
            for number in run {
                fetches.insert((object, number), fetch.clone());
            }
            tokio::spawn(async move {
                // Who wants these bytes will meet the failure again.
                let _ = fetch.await;
                drop(permit);
            });
        }
    }

    async fn forget(&self, name: &ObjectName) -> Result<(), ObjectError> {
        let Some(object) = key_of(name) else { return Ok(()) };
        self.sequences.forget(object);
        let blocks = Arc::clone(&self.blocks);
        Ok(self.disk.run(move || blocks.forget(object)).await?)
    }
}

/// The key of an object that does not change; `None` for others.
fn key_of(name: &ObjectName) -> Option<u128> {
    // Encrypted or not.
    let is_kept = ["studies/", "encrypted/studies/"]
        .iter()
        .any(|prefix| name.as_str().starts_with(prefix));
    let digest = Sha256::digest(name.as_str());
    let (key, _) = digest.split_first_chunk::<16>()?;
    is_kept.then_some(u128::from_le_bytes(*key))
}

/// Neighbours together, in fetches of bounded length.
fn runs(numbers: &[u64]) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some(run) if run.end == *number && run.end - run.start < FETCH_BLOCKS_MAX => run.end += 1,
            _ => runs.push(*number..number + 1),
        }
    }
    runs
}

/// The same error for each that waited.
fn again(error: &ObjectError) -> ObjectError {
    match error {
        ObjectError::Missing(name) => ObjectError::Missing(name.clone()),
        ObjectError::Full(why) => ObjectError::Full(why.clone()),
        ObjectError::Remote(why) => ObjectError::Remote(why.clone()),
        ObjectError::Damaged(name, why) => ObjectError::Damaged(name.clone(), why.clone()),
        ObjectError::Io(error) => ObjectError::Io(io::Error::new(error.kind(), error.to_string())),
    }
}

#[async_trait]
impl ObjectStore for CachedObjects {
    async fn put(&self, name: &ObjectName, body: Body) -> Result<(), ObjectError> {
        // Before, so that a crash leaves no block of what is written over; after, for what was read meanwhile.
        self.forget(name).await?;
        let put = self.inner.put(name, body).await;
        self.forget(name).await?;
        put
    }

    async fn put_file(&self, name: &ObjectName, path: &Path) -> Result<(), ObjectError> {
        self.forget(name).await?;
        let put = self.inner.put_file(name, path).await;
        self.forget(name).await?;
        put
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, ObjectError> {
        match key_of(name) {
            Some(object) if range.start < range.end => {
                self.read_ahead(name, object, &range);
                self.read(name, object, range).await
            }
            _ => self.inner.get_range(name, range).await,
        }
    }

    async fn head(&self, name: &ObjectName) -> Result<Option<u64>, ObjectError> {
        self.inner.head(name).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Vec<(ObjectName, u64)>, ObjectError> {
        self.inner.list(prefix, after, limit).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), ObjectError> {
        self.forget(name).await?;
        let deleted = self.inner.delete(name).await;
        self.forget(name).await?;
        deleted
    }

    async fn purge(&self, prefix: &str) -> Result<Vec<Kept>, ObjectError> {
        let blocks = Arc::clone(&self.blocks);
        self.disk.run(move || blocks.sync()).await??;
        self.inner.purge(prefix).await
    }

    async fn share(&self, name: &ObjectName) -> Result<(), ObjectError> {
        self.inner.share(name).await
    }

    /// Of the store beneath: what is asked for is what it has.
    async fn crc32(&self, name: &ObjectName) -> Result<u32, ObjectError> {
        self.inner.crc32(name).await
    }

    async fn catch_up(&self, prefix: &str) -> Result<u64, ObjectError> {
        self.inner.catch_up(prefix).await
    }

    fn behind(&self) -> u64 {
        self.inner.behind()
    }

    async fn changed(&self, name: &ObjectName) -> Result<(), ObjectError> {
        self.forget(name).await
    }

    fn locks(&self) -> Option<&dyn ObjectLocks> {
        self.inner.locks()
    }
}
