//! Encryption as the store uses it: around the object store, and the upkeep of keys and of what is still plain.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use tokio::runtime::Handle;

use super::{Inner, Store, StoreError, settle::from_objects};
use crate::{
    encryption::{Encryption, MasterKeyId, Secret},
    model::StudyInstanceUid,
    objects::{
        EncryptedObjects, Kept, ObjectError, ObjectName, ObjectStore,
        encrypted::{Rotation, is_encrypted},
    },
};

/// Objects looked at in one go.
const PAGE: usize = 64;
/// The start of the archive comes first.
const BEGIN_AFTER: Duration = Duration::from_secs(1);
/// After a failure.
const AGAIN_AFTER: Duration = Duration::from_secs(60);

/// How far the encryption of plain objects is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct EncryptedSoFar {
    /// Objects that were encrypted.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The keys of a store, and the encryption that goes around every way into it.
pub(super) struct Sealing {
    objects: Option<EncryptedObjects>,
}

impl Sealing {
    /// Reads the keys that lie in `below`, or makes the first.
    ///
    /// # Errors
    /// [`StoreError::Keys`] when the master keys are not those of the store, or none are given and it is encrypted.
    pub(super) fn open(
        below: &Arc<dyn ObjectStore>,
        encryption: Option<&Encryption>,
        runtime: &Handle,
    ) -> Result<Self, StoreError> {
        let Some(encryption) = encryption else {
            if runtime.block_on(is_encrypted(below.as_ref())).map_err(from_objects)? {
                return Err(StoreError::Keys(
                    "the archive is encrypted, and no master key is given".to_owned(),
                ));
            }
            return Ok(Self { objects: None });
        };
        let opened = runtime.block_on(EncryptedObjects::open(Arc::clone(below), encryption));
        let opened = opened.map_err(|error| match error {
            ObjectError::Damaged(name, why) => {
                StoreError::Keys(format!("the archive's key {name} does not open: {why}"))
            }
            other => from_objects(other),
        })?;
        Ok(Self { objects: Some(opened) })
    }

    /// Another way to the same objects, with encryption around it where there is any.
    pub(super) fn around(&self, objects: &Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> {
        match &self.objects {
            Some(encrypted) => Arc::new(encrypted.over(Arc::clone(objects))),
            None => Arc::clone(objects),
        }
    }

    /// The way through a cache that stands before the objects, or where there is none the way to the objects themselves.
    pub(super) fn around_cache(&self, cache: &Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> {
        match &self.objects {
            Some(encrypted) => Arc::new(encrypted.through(Arc::clone(cache))),
            None => Arc::clone(cache),
        }
    }

    /// They follow from the archive's key.
    pub(super) fn local_keys(&self, runtime: &Handle) -> Result<LocalKeys, StoreError> {
        let key = |purpose: &str| {
            let derive = |encrypted: &EncryptedObjects| runtime.block_on(encrypted.key_for(purpose));
            self.objects.as_ref().map(derive).transpose().map_err(from_objects)
        };
        Ok(LocalKeys {
            index: key("filmroom index 1")?,
            journal: key("filmroom journal 1")?,
            state: key("filmroom state 1")?,
            audit: key("filmroom audit 1")?.map(|key| *key.as_bytes()),
        })
    }

    pub(super) fn into_objects(self) -> Option<EncryptedObjects> {
        self.objects
    }
}

/// Keys of what lies on the local disk beside intake and objects.
pub(super) struct LocalKeys {
    pub(super) index: Option<Secret>,
    pub(super) journal: Option<Secret>,
    pub(super) state: Option<Secret>,
    pub(super) audit: Option<[u8; 32]>,
}

impl Store {
    /// The key that the audit log beside the store is encrypted with; `None` where the archive is not.
    #[must_use]
    pub fn audit_key(&self) -> Option<[u8; 32]> {
        self.inner.audit_key
    }

    fn encrypted(&self) -> Result<&EncryptedObjects, StoreError> {
        let not = || StoreError::Keys("the archive is not encrypted: encryption.master_key is not set".to_owned());
        self.inner.encrypted.as_ref().ok_or_else(not)
    }

    /// Destroys the keys of a study, and with them what its objects hold, backups of them included. What of the study still
    /// waits in intake is under other keys: settle it first.
    ///
    /// # Errors
    /// [`StoreError::Keys`] when the archive is not encrypted; [`StoreError::Objects`] when some keys may be left.
    /// Returns the versions of keys that the store refuses to let go. [`Store::destroy`] does it by itself for studies of
    /// which nothing is left.
    pub async fn destroy_key(&self, study: &StudyInstanceUid) -> Result<Vec<Kept>, StoreError> {
        self.encrypted()?.destroy_key(study).await.map_err(from_objects)
    }

    /// Wraps all keys with the first master key: those of studies, and, by settling what waits, those of intake.
    ///
    /// # Errors
    /// [`StoreError`]: what was wrapped stays so; call it again.
    pub async fn rotate_keys(&self, progress: impl FnMut(u64) + Send) -> Result<Rotation, StoreError> {
        let encrypted = self.encrypted()?;
        self.settle_now().await?;
        self.flush_and_trim().await?;
        encrypted.rotate(progress).await.map_err(from_objects)
    }

    /// How many keys of objects each master key wraps.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keys_by_master(&self) -> Result<Vec<(MasterKeyId, u64)>, StoreError> {
        self.encrypted()?.wrapped_by().await.map_err(from_objects)
    }

    /// Encrypts all objects from before encryption was turned on, each put, read back and compared before the plain one goes.
    /// The store may be in use meanwhile; cut short, it goes on where it was.
    ///
    /// # Errors
    /// [`StoreError`] of the first object that could not be encrypted, which is as it was.
    pub async fn encrypt_objects(
        &self,
        mut progress: impl FnMut(EncryptedSoFar) + Send,
    ) -> Result<EncryptedSoFar, StoreError> {
        let encrypted = self.encrypted()?;
        let _one_at_a_time = self.inner.encrypting.lock().await;
        let mut so_far = EncryptedSoFar::default();
        loop {
            let page = encrypted.plain(None, PAGE).await.map_err(from_objects)?;
            if page.is_empty() {
                return Ok(so_far);
            }
            for (name, length) in page {
                self.encrypt_object(encrypted, &name).await?;
                so_far.objects += 1;
                so_far.bytes += length;
                progress(so_far);
            }
        }
    }

    async fn encrypt_object(&self, encrypted: &EncryptedObjects, name: &ObjectName) -> Result<(), StoreError> {
        // Nothing puts the same name meanwhile.
        let _nothing_settles = self.inner.settling.lock().await;
        encrypted.encrypt(name).await.map_err(from_objects)
    }

    /// Encrypts one object that is still plain; false when there is none.
    async fn encrypt_next(&self) -> Result<bool, StoreError> {
        let Some(encrypted) = &self.inner.encrypted else {
            return Ok(false);
        };
        let _one_at_a_time = self.inner.encrypting.lock().await;
        match encrypted.plain(None, 1).await.map_err(from_objects)?.pop() {
            Some((name, _)) => self.encrypt_object(encrypted, &name).await.map(|()| true),
            None => Ok(false),
        }
    }
}

/// Encrypts what is plain, one object after the other, and rests as long as it works, until all is encrypted or the store is
/// gone.
pub(super) async fn encrypt(inner: Weak<Inner>) {
    tokio::time::sleep(BEGIN_AFTER).await;
    let mut any = false;
    loop {
        let Some(inner) = inner.upgrade() else { return };
        let began = Instant::now();
        let next = Store::whole(inner).encrypt_next().await;
        match next {
            Ok(true) => {
                if !std::mem::replace(&mut any, true) {
                    tracing::info!("encrypts the objects from before encryption was turned on");
                }
                tokio::time::sleep(began.elapsed()).await;
            }
            Ok(false) => {
                if any {
                    tracing::info!("all objects are encrypted");
                }
                return;
            }
            Err(error) => {
                tracing::error!(%error, "an object could not be encrypted; it is tried again");
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        }
    }
}
