//! Encryption around any engine: what is put is sealed, and where it lies tells neither study nor series.
//!
//! | at the engine | what |
//! |---|---|
//! | `encrypted/studies/<sealed UID>/<sealed UID>/<pack>` | objects of studies, under a data key of the study |
//! | `encrypted/<name>` | all others, under the archive's data key |
//! | `keys/…` | data keys, wrapped by a master key |
//! | any other name | objects from before encryption was turned on, read as they are until they are put anew |
//!
//! An object is a head of 64 bytes (`FRenc`, id of the data key, salt, length of the plaintext) and chunks of 64 KiB, each with
//! its tag. Lengths follow from the length at the engine, so that `head` and `list` read nothing. A range costs the chunks that
//! hold it; the head is read at the same time, and kept at hand.

mod head;
mod keys;
mod listing;
mod locks;
mod name;
#[cfg(test)]
mod tests;
mod upkeep;

pub use self::upkeep::Rotation;

use std::{
    collections::HashMap,
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;

use self::{
    head::{HEAD_BYTES, Head, Whole},
    keys::{ARCHIVE_KEYS, DataKeys, KEYS, Scope, damaged, no_randomness},
    name::{ENCRYPTED, Names},
};
use super::{Body, Kept, ObjectError, ObjectLocks, ObjectName, ObjectStore};
use crate::{
    encryption::{
        ChunkKey, Encryption, EncryptionError, MasterKeyId, OpenedSource, PlainObjects, SealedSource, Secret, chunks,
        plain_length, random,
    },
    source::ReadAt,
};

/// Heads that are kept at hand, some hundred bytes each.
const HEADS_AT_HAND: usize = 8192;
/// Longer ranges are opened on another thread: this takes a fifth of a millisecond.
const AT_ONCE_MAX_BYTES: u64 = 640 << 10;
/// Bytes read at once to be verified.
const VERIFIED_BYTES: u64 = 4 << 20;
/// How often an object is read again that changes while it is read.
const ATTEMPTS: usize = 3;

/// Objects that are encrypted on their way to another store.
#[derive(Clone)]
pub struct EncryptedObjects {
    shared: Arc<Shared>,
}

struct Shared {
    inner: Arc<dyn ObjectStore>,
    keys: Arc<DataKeys>,
    names: Arc<Names>,
    plain: PlainObjects,
    /// There may be objects from before encryption was turned on.
    has_plain: Arc<AtomicBool>,
    heads: Mutex<HashMap<ObjectName, Arc<ChunkKey>>>,
    /// The way past a cache, where this one goes through one.
    past_cache: Option<EncryptedObjects>,
}

/// What is needed to find and open an object.
struct Place {
    name: ObjectName,
    at: ObjectName,
    scope: Scope,
}

/// True when a store holds encrypted objects or keys: it is not to be used without encryption then.
///
/// # Errors
/// As [`ObjectStore::list`].
pub async fn is_encrypted(objects: &dyn ObjectStore) -> Result<bool, ObjectError> {
    for prefix in [KEYS, ENCRYPTED] {
        if !objects.list(prefix, None, 1).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

impl EncryptedObjects {
    /// Opens a store; makes the archive's key where it has none.
    ///
    /// # Errors
    /// [`ObjectError::Damaged`] when the archive's key does not open under the master keys, or is gone though there are
    /// encrypted objects.
    pub async fn open(inner: Arc<dyn ObjectStore>, encryption: &Encryption) -> Result<Self, ObjectError> {
        if inner.list(ARCHIVE_KEYS, None, 1).await?.is_empty()
            && let Some((name, _)) = inner.list(ENCRYPTED, None, 1).await?.pop()
        {
            return Err(ObjectError::Damaged(
                name,
                "the archive's key, which lies under keys/archive/, is gone".into(),
            ));
        }
        let keys = DataKeys::new(Arc::clone(&inner), Arc::clone(&encryption.master));
        let names = Arc::new(Names::new(keys.names().await?));
        let shared = Shared {
            keys: Arc::new(keys),
            names,
            plain: encryption.plain,
            has_plain: Arc::new(AtomicBool::new(true)),
            heads: Mutex::default(),
            past_cache: None,
            inner,
        };
        let opened = Self {
            shared: Arc::new(shared),
        };
        opened.look_for_plain().await?;
        Ok(opened)
    }

    /// Another way to the same objects, or to copies of them: through a cache, or at a second store. The data keys are those of
    /// this one, so that one that is destroyed is so for all.
    pub(crate) fn over(&self, inner: Arc<dyn ObjectStore>) -> Self {
        self.way(inner, None)
    }

    /// The same through a cache, which what is read to be verified goes past.
    pub(crate) fn through(&self, cache: Arc<dyn ObjectStore>) -> Self {
        self.way(cache, Some(self.clone()))
    }

    fn way(&self, inner: Arc<dyn ObjectStore>, past_cache: Option<Self>) -> Self {
        let shared = Shared {
            past_cache,
            inner,
            keys: Arc::clone(&self.shared.keys),
            names: Arc::clone(&self.shared.names),
            plain: self.shared.plain,
            has_plain: Arc::clone(&self.shared.has_plain),
            heads: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Where an object lies, and where it would lie under another name: for whoever copies what does not open.
    pub(crate) async fn places(
        &self,
        name: &ObjectName,
        other: &ObjectName,
    ) -> Result<(ObjectName, ObjectName), ObjectError> {
        let shared = &self.shared;
        let at = shared.place(name)?.at;
        if shared.reads_plain() && shared.inner.head(&at).await?.is_none() {
            return Ok((name.clone(), other.clone()));
        }
        Ok((at, shared.place(other)?.at))
    }

    /// A key that follows from the archive's, for something that is no object.
    pub(crate) async fn key_for(&self, purpose: &str) -> Result<Secret, ObjectError> {
        let (_, key) = self.shared.keys.current(&Scope::Archive).await?;
        Ok(key.derive_key(&[], purpose, &[]))
    }

    /// Puts an object and leaves a plain one of that name as it is.
    async fn put_beside(&self, name: &ObjectName, body: Body) -> Result<(), ObjectError> {
        let shared = &self.shared;
        let place = shared.place(name)?;
        let (key_id, data_key) = shared.keys.current(&place.scope).await?;
        let head = Head {
            key_id,
            salt: random().map_err(no_randomness)?,
            plain_length: body.len(),
        };
        let key = head.chunk_key(&data_key, name).map_err(no_randomness)?;
        let mut sealed = Body::default();
        sealed.push(Bytes::from(head.write()));
        sealed.push(SealedSource::new(Box::new(Whole(body)), key));
        shared.forget(&place.at);
        let put = shared.inner.put(&place.at, sealed).await;
        shared.forget(&place.at);
        put
    }
}

impl Shared {
    fn place(&self, name: &ObjectName) -> Result<Place, ObjectError> {
        let (at, scope) = self.names.place(name)?;
        Ok(Place {
            name: name.clone(),
            at,
            scope,
        })
    }

    fn reads_plain(&self) -> bool {
        self.plain == PlainObjects::Read && self.has_plain.load(Ordering::Acquire)
    }

    fn heads(&self) -> std::sync::MutexGuard<'_, HashMap<ObjectName, Arc<ChunkKey>>> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, at: &ObjectName) {
        self.heads().remove(at);
    }

    fn remember(&self, at: &ObjectName, key: &Arc<ChunkKey>) {
        let mut heads = self.heads();
        if heads.len() >= HEADS_AT_HAND {
            heads.clear();
        }
        heads.insert(at.clone(), Arc::clone(key));
    }

    /// The head of an object that is there, and the key of its chunks.
    async fn head_of(&self, place: &Place) -> Result<Arc<ChunkKey>, ObjectError> {
        let bytes = self.inner.get_range(&place.at, 0..HEAD_BYTES).await?;
        let head = Head::read(&bytes).ok_or_else(|| damaged(&place.name, EncryptionError::Tampered))?;
        let data_key = self.keys.by_id(&place.scope, &head.key_id).await?;
        let key = head.chunk_key(&data_key, &place.name);
        Ok(Arc::new(key.map_err(|error| damaged(&place.name, error))?))
    }

    async fn sealed(&self, place: &Place, range: Range<u64>) -> Result<Bytes, ObjectError> {
        let at = HEAD_BYTES + range.start..HEAD_BYTES.saturating_add(range.end);
        self.inner.get_range(&place.at, at).await
    }

    async fn get_encrypted(&self, place: &Place, range: &Range<u64>) -> Result<Bytes, ObjectError> {
        let held = self.heads().get(&place.at).cloned();
        let (key, sealed) = match held {
            Some(key) => {
                let wanted = key.sealed_range(&key.clip(range));
                (key, self.sealed(place, wanted).await?)
            }
            None => {
                let (key, sealed) =
                    futures_util::try_join!(self.head_of(place), self.sealed(place, chunks::sealed_range(range)))?;
                self.remember(&place.at, &key);
                (key, sealed)
            }
        };
        let plain = key.clip(range);
        if plain.is_empty() {
            return Ok(Bytes::new());
        }
        let length = key.sealed_range(&plain);
        let length = usize::try_from(length.end - length.start).unwrap_or(usize::MAX);
        let sealed = sealed
            .get(..length)
            .ok_or_else(|| damaged(&place.name, EncryptionError::Tampered))?;
        let mut opened = Vec::with_capacity(length);
        let mut chunk = chunks::first_chunk(&plain);
        for turn in sealed.chunks(chunks::TURN_BYTES) {
            key.open(chunk, turn, &mut opened)
                .map_err(|error| damaged(&place.name, error))?;
            chunk += chunks::TURN_CHUNKS;
            if chunk.is_multiple_of(2 * chunks::TURN_CHUNKS) {
                tokio::task::yield_now().await;
            }
        }
        chunks::cut(&plain, opened).map_err(|error| damaged(&place.name, error))
    }
}

#[async_trait]
impl ObjectStore for EncryptedObjects {
    async fn put(&self, name: &ObjectName, body: Body) -> Result<(), ObjectError> {
        self.put_beside(name, body).await?;
        if self.shared.reads_plain() {
            self.shared.inner.delete(name).await?;
        }
        Ok(())
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, ObjectError> {
        let place = self.shared.place(name)?;
        let mut attempt = 1;
        loop {
            match self.shared.get_encrypted(&place, &range).await {
                // Head and chunks of two puts: one came between.
                Err(ObjectError::Damaged(..)) if attempt < ATTEMPTS => self.shared.forget(&place.at),
                Err(ObjectError::Missing(_)) if self.shared.reads_plain() => {
                    self.shared.forget(&place.at);
                    match self.shared.inner.get_range(name, range.clone()).await {
                        // It may have been encrypted just now.
                        Err(ObjectError::Missing(_)) if attempt < ATTEMPTS => {}
                        other => return other,
                    }
                }
                Err(ObjectError::Missing(_)) => return Err(ObjectError::Missing(name.clone())),
                other => return other,
            }
            attempt += 1;
        }
    }

    async fn head(&self, name: &ObjectName) -> Result<Option<u64>, ObjectError> {
        let place = self.shared.place(name)?;
        match self.shared.inner.head(&place.at).await? {
            Some(length) => length
                .checked_sub(HEAD_BYTES)
                .and_then(plain_length)
                .map(Some)
                .ok_or_else(|| damaged(name, EncryptionError::Tampered)),
            None if self.shared.reads_plain() => self.shared.inner.head(name).await,
            None => Ok(None),
        }
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Vec<(ObjectName, u64)>, ObjectError> {
        self.list_both(prefix, after, limit).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), ObjectError> {
        let place = self.shared.place(name)?;
        // In this order: an object that is being encrypted meanwhile is looked for under its plain name once more.
        if self.shared.reads_plain() {
            self.shared.inner.delete(name).await?;
        }
        self.shared.inner.delete(&place.at).await?;
        self.shared.forget(&place.at);
        Ok(())
    }

    async fn purge(&self, prefix: &str) -> Result<Vec<Kept>, ObjectError> {
        let shared = &self.shared;
        let mut kept = shared.inner.purge(&shared.names.prefix(prefix)?).await?;
        // Earlier versions of what was plain once.
        kept.extend(shared.inner.purge(prefix).await?);
        Ok(kept)
    }

    async fn crc32(&self, name: &ObjectName) -> Result<u32, ObjectError> {
        if let Some(past_cache) = &self.shared.past_cache {
            return past_cache.crc32(name).await;
        }
        let mut hasher = crc32fast::Hasher::new();
        let mut offset = 0;
        loop {
            let piece = self.get_range(name, offset..offset + VERIFIED_BYTES).await?;
            hasher.update(&piece);
            offset += piece.len() as u64;
            if (piece.len() as u64) < VERIFIED_BYTES {
                return Ok(hasher.finalize());
            }
        }
    }

    async fn catch_up(&self, prefix: &str) -> Result<u64, ObjectError> {
        let shared = &self.shared;
        let mut caught_up = shared.inner.catch_up(prefix).await?;
        if !prefix.is_empty() {
            caught_up += shared.inner.catch_up(&shared.names.prefix(prefix)?).await?;
        }
        Ok(caught_up)
    }

    async fn share(&self, name: &ObjectName) -> Result<(), ObjectError> {
        let place = self.shared.place(name)?;
        if self.shared.inner.head(&place.at).await?.is_none() && self.shared.reads_plain() {
            return self.shared.inner.share(name).await;
        }
        self.shared.keys.share(&place.scope).await?;
        self.shared.inner.share(&place.at).await
    }

    fn behind(&self) -> u64 {
        self.shared.inner.behind()
    }

    async fn changed(&self, name: &ObjectName) -> Result<(), ObjectError> {
        let place = self.shared.place(name)?;
        self.shared.forget(&place.at);
        self.shared.inner.changed(&place.at).await?;
        self.shared.inner.changed(name).await
    }

    fn locks(&self) -> Option<&dyn ObjectLocks> {
        self.shared.inner.locks().map(|_| self as &dyn ObjectLocks)
    }

    fn get_range_at_once(&self, name: &ObjectName, range: Range<u64>) -> Option<Bytes> {
        if range.end.saturating_sub(range.start) > AT_ONCE_MAX_BYTES {
            return None;
        }
        let at = self.shared.place(name).ok()?.at;
        let key = self.shared.heads().get(&at).cloned()?;
        if key.clip(&range) != range || range.is_empty() {
            return None;
        }
        let place = key.sealed_range(&range);
        let sealed = self
            .shared
            .inner
            .get_range_at_once(&at, HEAD_BYTES + place.start..HEAD_BYTES + place.end)?;
        key.open_range(&range, &sealed).ok()
    }

    fn local_source(&self, name: &ObjectName) -> Option<Result<Arc<dyn ReadAt>, ObjectError>> {
        let shared = &self.shared;
        let open = || {
            let place = shared.place(name)?;
            let sealed = match shared.inner.local_source(&place.at) {
                None => return Ok(None),
                Some(Err(ObjectError::Missing(_))) if shared.reads_plain() => {
                    return shared.inner.local_source(name).transpose();
                }
                Some(Err(ObjectError::Missing(_))) => return Err(ObjectError::Missing(name.clone())),
                Some(source) => source?,
            };
            // An open file is what it was when it was opened, so that its own head belongs to its chunks.
            let bytes = sealed.read_at(0, usize::try_from(HEAD_BYTES.min(sealed.len())).unwrap_or_default())?;
            let head = Head::read(&bytes).ok_or_else(|| damaged(name, EncryptionError::Tampered))?;
            let Some(data_key) = shared.keys.by_id_locally(&place.scope, &head.key_id) else {
                return Ok(None);
            };
            let key = Arc::new(head.chunk_key(&data_key?, name).map_err(|error| damaged(name, error))?);
            if sealed.len().checked_sub(HEAD_BYTES).and_then(plain_length) != Some(head.plain_length) {
                return Err(damaged(name, EncryptionError::Tampered));
            }
            shared.remember(&place.at, &key);
            let opened = OpenedSource::new(sealed, HEAD_BYTES, key);
            Ok(Some(Arc::new(opened) as Arc<dyn ReadAt>))
        };
        open().transpose()
    }
}
