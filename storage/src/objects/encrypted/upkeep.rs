//! What is done to keys and objects that are there: destroy a study's key, wrap keys anew, encrypt what is plain.

use std::sync::atomic::Ordering;

use super::{EncryptedObjects, MasterKeyId};
use crate::{
    model::StudyInstanceUid,
    objects::{Body, Kept, ObjectError, ObjectName, ObjectSource, ObjectStore},
};

/// What a rotation did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Data keys that there are.
    pub keys: u64,
    /// Those that were wrapped anew.
    pub wrapped: u64,
}

impl EncryptedObjects {
    /// Destroys the keys of a study: none of its objects opens any more, nor do copies and backups of them, unless the key
    /// objects were copied too. What is put for the study later is put under a new key.
    ///
    /// Returns the versions of keys that the store refuses to let go.
    ///
    /// # Errors
    /// [`ObjectError`]: some keys may be left; call it again.
    pub async fn destroy_key(&self, study: &StudyInstanceUid) -> Result<Vec<Kept>, ObjectError> {
        let scope = self.shared.names.study(study.as_str())?;
        let kept = self.shared.keys.destroy(&scope).await?;
        self.shared.heads().clear();
        Ok(kept)
    }

    /// Wraps every data key with the first master key. May be cut short and run again.
    ///
    /// # Errors
    /// [`ObjectError`]; those that were wrapped stay so.
    pub async fn rotate(&self, mut progress: impl FnMut(u64) + Send) -> Result<Rotation, ObjectError> {
        let (keys, wrapped) = self.shared.keys.rotate(&mut progress).await?;
        Ok(Rotation { keys, wrapped })
    }

    /// Opens every data key. How many open, and which do not and why.
    ///
    /// # Errors
    /// [`ObjectError`].
    pub async fn verify_keys(&self) -> Result<(u64, Vec<(ObjectName, String)>), ObjectError> {
        self.shared.keys.verify().await
    }

    /// True when these bytes are the data key of that name.
    pub(crate) fn opens(&self, name: &ObjectName, bytes: &[u8]) -> bool {
        self.shared.keys.open(name, bytes).is_ok()
    }

    /// How many data keys each master key wraps.
    ///
    /// # Errors
    /// [`ObjectError`].
    pub async fn wrapped_by(&self) -> Result<Vec<(MasterKeyId, u64)>, ObjectError> {
        self.shared.keys.wrapped_by().await
    }

    /// Up to `limit` objects that are not encrypted, after the name `after`, with their lengths.
    ///
    /// # Errors
    /// [`ObjectError`].
    pub async fn plain(&self, after: Option<&ObjectName>, limit: usize) -> Result<Vec<(ObjectName, u64)>, ObjectError> {
        let page = self.list_plain("", after, limit).await?;
        if page.is_empty() && after.is_none() {
            self.shared.has_plain.store(false, Ordering::Release);
        }
        Ok(page)
    }

    /// Encrypts one object that is plain: puts it, reads it back, and only then removes the plain one. Nobody may put the same
    /// name meanwhile. One that is deleted meanwhile stays deleted.
    ///
    /// # Errors
    /// [`ObjectError`]: the plain one is as it was.
    pub async fn encrypt(&self, name: &ObjectName) -> Result<(), ObjectError> {
        let inner = &self.shared.inner;
        if !self.is_encrypted_at_place(name).await? {
            let Some(length) = inner.head(name).await? else {
                return Ok(());
            };
            let runtime = tokio::runtime::Handle::current();
            let mut body = Body::default();
            body.push(ObjectSource::of(inner, name, 0, length, &runtime)?);
            // The plain one is removed only after it was compared, and not by this.
            self.put_beside(name, body).await?;
            if inner.crc32(name).await? != self.crc32(name).await? {
                let at = self.shared.place(name)?.at;
                inner.delete(&at).await?;
                return Err(ObjectError::Damaged(
                    name.clone(),
                    "it was not the same when it was read back encrypted".into(),
                ));
            }
        }
        if inner.head(name).await?.is_none() {
            return self.delete(name).await;
        }
        inner.delete(name).await
    }
}
