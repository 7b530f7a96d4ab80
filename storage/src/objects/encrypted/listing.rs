//! Listing: first what is encrypted, then what is still plain.

use super::{ENCRYPTED, EncryptedObjects, HEAD_BYTES, KEYS};
use crate::{
    encryption::{EncryptionError, PlainObjects, plain_length},
    objects::{ObjectError, ObjectName, encrypted::keys::damaged},
};

/// The first names behind all that begin with `encrypted/` and `keys/`: `0` follows `/`.
const BEHIND: [(&str, &str); 2] = [(ENCRYPTED, "encrypted0"), (KEYS, "keys0")];
/// Names asked for at once where some may be passed over.
const PAGE: usize = 256;

impl EncryptedObjects {
    /// Encrypted objects in the order of their places, then plain ones in the order of their names. One that is encrypted while
    /// a list is paged through may come twice; none is left out.
    pub(super) async fn list_both(
        &self,
        prefix: &str,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Vec<(ObjectName, u64)>, ObjectError> {
        let shared = &self.shared;
        if !shared.reads_plain() {
            return self.list_encrypted(prefix, after, limit).await;
        }
        let is_plain = match after {
            Some(after) => {
                shared.inner.head(&shared.place(after)?.at).await?.is_none()
                    && shared.inner.head(after).await?.is_some()
            }
            None => false,
        };
        if is_plain {
            return self.list_plain(prefix, after, limit).await;
        }
        let mut found = self.list_encrypted(prefix, after, limit).await?;
        if found.len() < limit {
            found.extend(self.list_plain(prefix, None, limit - found.len()).await?);
        }
        Ok(found)
    }

    async fn list_encrypted(
        &self,
        prefix: &str,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Vec<(ObjectName, u64)>, ObjectError> {
        let shared = &self.shared;
        let begin = shared.names.prefix(prefix)?;
        let mut after = after
            .map(|after| shared.place(after))
            .transpose()?
            .map(|place| place.at);
        let mut found = Vec::new();
        while found.len() < limit {
            let page = shared.inner.list(&begin, after.as_ref(), limit - found.len()).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (at, length) in page {
                let Some(name) = shared.names.name(&at) else {
                    tracing::warn!(object = %at, "an object among the encrypted ones has a name that is none of ours");
                    continue;
                };
                if name.as_str().starts_with(prefix) {
                    // One that was cut is listed: whoever reads it is told.
                    let length = length
                        .checked_sub(HEAD_BYTES)
                        .and_then(plain_length)
                        .unwrap_or_default();
                    found.push((name, length));
                }
            }
        }
        Ok(found)
    }

    /// Objects that are not encrypted.
    pub(super) async fn list_plain(
        &self,
        prefix: &str,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Vec<(ObjectName, u64)>, ObjectError> {
        let shared = &self.shared;
        let (mut after, mut found) = (after.cloned(), Vec::new());
        while found.len() < limit {
            let wanted = (limit - found.len()).min(PAGE);
            let page = shared.inner.list(prefix, after.as_ref(), wanted).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (name, length) in page {
                if let Some((_, behind)) = BEHIND.iter().find(|(begin, _)| name.as_str().starts_with(begin)) {
                    after = ObjectName::new(behind);
                    break;
                }
                // Put again under encryption, and not yet removed.
                if shared.inner.head(&shared.place(&name)?.at).await?.is_none() {
                    found.push((name, length));
                }
            }
        }
        Ok(found)
    }

    /// Looks whether there are objects from before encryption was turned on.
    pub(super) async fn look_for_plain(&self) -> Result<bool, ObjectError> {
        let has_plain = !self.list_plain("", None, 1).await?.is_empty();
        self.shared
            .has_plain
            .store(has_plain, std::sync::atomic::Ordering::Release);
        if has_plain && self.shared.plain == PlainObjects::Refuse {
            tracing::warn!("the object store has objects that are not encrypted; they are not looked at");
        }
        Ok(has_plain)
    }

    /// True for an object whose length at the engine is that of its head and chunks.
    pub(super) async fn is_encrypted_at_place(&self, name: &ObjectName) -> Result<bool, ObjectError> {
        let length = self.shared.inner.head(&self.shared.place(name)?.at).await?;
        match length {
            None => Ok(false),
            Some(length) if length.checked_sub(HEAD_BYTES).and_then(plain_length).is_some() => Ok(true),
            Some(_) => Err(damaged(name, EncryptionError::Tampered)),
        }
    }
}
