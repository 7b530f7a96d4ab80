//! Data keys: objects of their own, each wrapped by a master key.
//!
//! `keys/archive/<id>` is for all that belongs to no study, and for names; `keys/studies/<sealed UID>/<id>` for a study. Two
//! nodes that meet a study at the same moment may each make a key: both stay, and an object says which one it is under.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;

use crate::{
    encryption::{
        EncryptionError, MasterKeyId, MasterKeys, NameKey, Secret, WRAPPED_BYTES, random, wrap, wrapped_with,
    },
    hexadecimal::{from_hexadecimal, hexadecimal},
    objects::{Kept, ObjectError, ObjectName, ObjectStore},
};

/// Where data keys lie.
pub(super) const KEYS: &str = "keys/";
pub(super) const ARCHIVE_KEYS: &str = "keys/archive/";
const STUDY_KEYS: &str = "keys/studies/";
const MAGIC: [u8; 8] = *b"FRkey\x001\n";
const OBJECT_BYTES: u64 = (MAGIC.len() + WRAPPED_BYTES) as u64;
/// Keys looked at in one go.
const PAGE: usize = 1000;
/// Scopes whose keys are kept at hand.
const AT_HAND: usize = 4096;

/// Tells data keys apart; drawn.
pub(super) type KeyId = [u8; 16];

/// What a data key is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    /// Whatever belongs to no study.
    Archive,
    /// A study, by its sealed UID.
    Study(String),
}

impl Scope {
    fn prefix(&self) -> String {
        match self {
            Self::Archive => ARCHIVE_KEYS.to_owned(),
            Self::Study(sealed) => format!("{STUDY_KEYS}{sealed}/"),
        }
    }

    fn object(&self, id: &KeyId) -> Result<ObjectName, ObjectError> {
        named(&format!("{}{}", self.prefix(), hexadecimal(id)))
    }
}

pub(super) fn named(text: &str) -> Result<ObjectName, ObjectError> {
    ObjectName::new(text).ok_or_else(|| ObjectError::Io(std::io::Error::other(format!("{text} is too long a name"))))
}

/// All data keys.
pub(super) struct DataKeys {
    inner: Arc<dyn ObjectStore>,
    master: Arc<MasterKeys>,
    at_hand: Mutex<HashMap<Scope, Vec<(KeyId, Secret)>>>,
    making: tokio::sync::Mutex<()>,
}

impl DataKeys {
    pub(super) fn new(inner: Arc<dyn ObjectStore>, master: Arc<MasterKeys>) -> Self {
        Self {
            inner,
            master,
            at_hand: Mutex::default(),
            making: tokio::sync::Mutex::default(),
        }
    }

    /// The key for what is put now; made where there is none.
    pub(super) async fn current(&self, scope: &Scope) -> Result<(KeyId, Secret), ObjectError> {
        if let Some(key) = self.held(scope, |_| true) {
            return Ok(key);
        }
        let _one_at_a_time = self.making.lock().await;
        if let Some(key) = self.held(scope, |_| true) {
            return Ok(key);
        }
        let found = self.inner.list(&scope.prefix(), None, 1).await?;
        let (id, key) = match found.first().and_then(|(name, _)| id_of(name)) {
            Some(id) => (id, self.read(scope, &id).await?),
            None => self.make(scope).await?,
        };
        self.hold(scope, id, &key);
        Ok((id, key))
    }

    /// The key that an object says it is under.
    pub(super) async fn by_id(&self, scope: &Scope, id: &KeyId) -> Result<Secret, ObjectError> {
        if let Some((_, key)) = self.held(scope, |held| held == id) {
            return Ok(key);
        }
        let key = self.read(scope, id).await?;
        self.hold(scope, *id, &key);
        Ok(key)
    }

    /// The same where keys are local files, without waiting.
    pub(super) fn by_id_locally(&self, scope: &Scope, id: &KeyId) -> Option<Result<Secret, ObjectError>> {
        if let Some((_, key)) = self.held(scope, |held| held == id) {
            return Some(Ok(key));
        }
        let read = || {
            let name = scope.object(id)?;
            let source = match self.inner.local_source(&name) {
                None => return Ok(None),
                Some(source) => source.map_err(gone)?,
            };
            let key = self.open(&name, &source.read_at(0, OBJECT_BYTES as usize + 1)?)?;
            self.hold(scope, *id, &key);
            Ok(Some(key))
        };
        read().transpose()
    }

    async fn read(&self, scope: &Scope, id: &KeyId) -> Result<Secret, ObjectError> {
        let name = scope.object(id)?;
        let bytes = self.inner.get_range(&name, 0..OBJECT_BYTES + 1).await.map_err(gone)?;
        self.open(&name, &bytes)
    }

    pub(super) fn open(&self, name: &ObjectName, bytes: &[u8]) -> Result<Secret, ObjectError> {
        let wrapped = wrapped_key(bytes).ok_or_else(|| damaged(name, EncryptionError::Tampered))?;
        self.master
            .unwrap_key(&wrapped, name.as_str().as_bytes())
            .map_err(|error| damaged(name, error))
    }

    async fn make(&self, scope: &Scope) -> Result<(KeyId, Secret), ObjectError> {
        let (id, key) = (
            random().map_err(no_randomness)?,
            Secret::random().map_err(no_randomness)?,
        );
        self.put(&scope.object(&id)?, &key).await?;
        Ok((id, key))
    }

    async fn put(&self, name: &ObjectName, key: &Secret) -> Result<(), ObjectError> {
        let wrapped = wrap(&self.master, key, name.as_str().as_bytes()).map_err(no_randomness)?;
        let bytes = Bytes::from([MAGIC.as_slice(), &wrapped].concat());
        self.inner.put(name, bytes.into()).await
    }

    /// Copies the keys of a scope, and the archive's, to a second store that lacks them.
    pub(super) async fn share(&self, scope: &Scope) -> Result<(), ObjectError> {
        for scope in [scope, &Scope::Archive] {
            for (name, _) in self.inner.list(&scope.prefix(), None, PAGE).await? {
                self.inner.share(&name).await?;
            }
        }
        Ok(())
    }

    /// Destroys all keys of a scope. What was put under them does not open any more, wherever copies of it lie. Returns the
    /// versions of keys that the store refuses to let go.
    pub(super) async fn destroy(&self, scope: &Scope) -> Result<Vec<Kept>, ObjectError> {
        let _nothing_is_made = self.making.lock().await;
        loop {
            let page = self.inner.list(&scope.prefix(), None, PAGE).await?;
            self.at_hand().remove(scope);
            if page.is_empty() {
                return self.inner.purge(&scope.prefix()).await;
            }
            for (name, _) in page {
                self.inner.delete(&name).await?;
            }
        }
    }

    /// Wraps every key with the first master key that is not yet; those of studies first, so that the archive's key under the
    /// first master key means that all are. Returns how many there are and how many were wrapped anew.
    pub(super) async fn rotate(&self, progress: &mut (dyn FnMut(u64) + Send)) -> Result<(u64, u64), ObjectError> {
        let (mut all, mut anew) = (0, 0);
        for prefix in [STUDY_KEYS, ARCHIVE_KEYS] {
            let mut after: Option<ObjectName> = None;
            loop {
                let page = self.inner.list(prefix, after.as_ref(), PAGE).await?;
                let Some((last, _)) = page.last() else { break };
                after = Some(last.clone());
                for (name, _) in page {
                    let bytes = self.inner.get_range(&name, 0..OBJECT_BYTES + 1).await?;
                    let key = self.open(&name, &bytes)?;
                    if wrapped_key(&bytes).map(|wrapped| wrapped_with(&wrapped)) != Some(self.master.first_id()) {
                        self.put(&name, &key).await?;
                        // Read back before the old wrapping is forgotten by whoever holds the old master key.
                        let bytes = self.inner.get_range(&name, 0..OBJECT_BYTES + 1).await?;
                        if self.open(&name, &bytes)? != key {
                            return Err(damaged(&name, EncryptionError::Tampered));
                        }
                        anew += 1;
                    }
                    all += 1;
                    progress(all);
                }
            }
        }
        Ok((all, anew))
    }

    /// Opens every key as it lies in the store.
    pub(super) async fn verify(&self) -> Result<(u64, Vec<(ObjectName, String)>), ObjectError> {
        let (mut whole, mut broken) = (0, Vec::new());
        let mut after: Option<ObjectName> = None;
        loop {
            let page = self.inner.list(KEYS, after.as_ref(), PAGE).await?;
            let Some((last, _)) = page.last() else {
                return Ok((whole, broken));
            };
            after = Some(last.clone());
            for (name, _) in page {
                let bytes = match self.inner.get_range(&name, 0..OBJECT_BYTES + 1).await {
                    // Destroyed since it was listed.
                    Err(ObjectError::Missing(_)) => continue,
                    other => other?,
                };
                match self.open(&name, &bytes) {
                    Ok(_) => whole += 1,
                    Err(ObjectError::Damaged(name, why)) => broken.push((name, why)),
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// How many keys each master key wraps.
    pub(super) async fn wrapped_by(&self) -> Result<Vec<(MasterKeyId, u64)>, ObjectError> {
        let (mut counts, mut after): (HashMap<MasterKeyId, u64>, Option<ObjectName>) = (HashMap::new(), None);
        loop {
            let page = self.inner.list(KEYS, after.as_ref(), PAGE).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (name, _) in page {
                let bytes = self.inner.get_range(&name, 0..OBJECT_BYTES + 1).await?;
                let wrapped = wrapped_key(&bytes).ok_or_else(|| damaged(&name, EncryptionError::Tampered))?;
                *counts.entry(wrapped_with(&wrapped)).or_default() += 1;
            }
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort();
        Ok(counts)
    }

    /// The key of names: that of the first archive key, which never changes.
    pub(super) async fn names(&self) -> Result<NameKey, ObjectError> {
        let (_, key) = self.current(&Scope::Archive).await?;
        NameKey::new(&key).map_err(no_randomness)
    }

    fn at_hand(&self) -> std::sync::MutexGuard<'_, HashMap<Scope, Vec<(KeyId, Secret)>>> {
        self.at_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self, scope: &Scope, which: impl Fn(&KeyId) -> bool) -> Option<(KeyId, Secret)> {
        let at_hand = self.at_hand();
        at_hand.get(scope)?.iter().find(|(id, _)| which(id)).cloned()
    }

    fn hold(&self, scope: &Scope, id: KeyId, key: &Secret) {
        let mut at_hand = self.at_hand();
        if at_hand.len() >= AT_HAND {
            at_hand.clear();
        }
        let held = at_hand.entry(scope.clone()).or_default();
        if held.iter().all(|(other, _)| *other != id) {
            held.push((id, key.clone()));
        }
    }
}

fn wrapped_key(bytes: &[u8]) -> Option<[u8; WRAPPED_BYTES]> {
    bytes.strip_prefix(&MAGIC)?.try_into().ok()
}

fn id_of(name: &ObjectName) -> Option<KeyId> {
    let (_, id) = name.as_str().rsplit_once('/')?;
    from_hexadecimal(id)
}

fn gone(error: ObjectError) -> ObjectError {
    match error {
        ObjectError::Missing(name) => {
            ObjectError::Damaged(name, "the key is not there: it was destroyed or lost".into())
        }
        other => other,
    }
}

pub(super) fn damaged(name: &ObjectName, error: EncryptionError) -> ObjectError {
    ObjectError::Damaged(name.clone(), error.to_string())
}

pub(super) fn no_randomness(error: EncryptionError) -> ObjectError {
    ObjectError::Io(std::io::Error::other(error))
}
