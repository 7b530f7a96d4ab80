//! Keys under the master key.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | id of the master key |
//! | 32 | salt |
//! | 48 | the key under AES-256-GCM, whose own key is HKDF of master key, salt and context |

use ring::aead::{Aad, Nonce};

use super::{
    EncryptionError, MasterKeyId, MasterKeys,
    chunks::TAG_BYTES,
    secret::{KEY_BYTES, Secret, random},
};

const SALT_BYTES: usize = 32;
/// Bytes of a wrapped key.
pub(crate) const WRAPPED_BYTES: usize = MasterKeyId::BYTES + SALT_BYTES + KEY_BYTES + TAG_BYTES;
const PURPOSE: &str = "filmroom wrapped key 1";
/// The wrapping key is used once.
const NONCE: [u8; 12] = [0; 12];

/// Wraps a key with the first master key. `context` says what the key is for, and must be the same to unwrap.
pub(crate) fn wrap(master: &MasterKeys, key: &Secret, context: &[u8]) -> Result<[u8; WRAPPED_BYTES], EncryptionError> {
    let (id, master) = master.first();
    let salt: [u8; SALT_BYTES] = random()?;
    let wrapping = master.derive_key(&salt, PURPOSE, &[context]).aead()?;
    let mut sealed = *key.as_bytes();
    let tag = wrapping
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(NONCE), Aad::empty(), &mut sealed)
        .map_err(|_| EncryptionError::Tampered)?;
    let mut wrapped = Vec::with_capacity(WRAPPED_BYTES);
    wrapped.extend_from_slice(&id.0);
    wrapped.extend_from_slice(&salt);
    wrapped.extend_from_slice(&sealed);
    wrapped.extend_from_slice(tag.as_ref());
    <[u8; WRAPPED_BYTES]>::try_from(wrapped).map_err(|_| EncryptionError::Tampered)
}

/// The master key that something is wrapped with.
pub(crate) fn wrapped_with(wrapped: &[u8; WRAPPED_BYTES]) -> MasterKeyId {
    MasterKeyId(wrapped.first_chunk().copied().unwrap_or_default())
}

impl MasterKeys {
    /// The key that was wrapped.
    pub(crate) fn unwrap_key(&self, wrapped: &[u8; WRAPPED_BYTES], context: &[u8]) -> Result<Secret, EncryptionError> {
        let id = wrapped_with(wrapped);
        let master = self.by_id(&id).ok_or_else(|| EncryptionError::MasterKey {
            needed: id,
            given: self.ids_as_text(),
        })?;
        let (_, rest) = wrapped
            .split_first_chunk::<{ MasterKeyId::BYTES }>()
            .ok_or(EncryptionError::Tampered)?;
        let (salt, sealed) = rest
            .split_first_chunk::<SALT_BYTES>()
            .ok_or(EncryptionError::Tampered)?;
        let wrapping = master.derive_key(salt, PURPOSE, &[context]).aead()?;
        let mut sealed = sealed.to_vec();
        let opened = wrapping
            .open_in_place(Nonce::assume_unique_for_key(NONCE), Aad::empty(), &mut sealed)
            .map_err(|_| EncryptionError::Tampered)?;
        let key = opened.first_chunk().copied().ok_or(EncryptionError::Tampered)?;
        zeroize::Zeroize::zeroize(&mut sealed);
        Ok(Secret::new(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_key_opens_under_its_master_key_and_context_alone() {
        let master = MasterKeys::random().unwrap();
        let key = Secret::random().unwrap();
        let wrapped = wrap(&master, &key, b"study").unwrap();
        assert_eq!(master.unwrap_key(&wrapped, b"study").unwrap(), key);
        assert_eq!(master.unwrap_key(&wrapped, b"other"), Err(EncryptionError::Tampered));
        let other = MasterKeys::random().unwrap();
        assert!(matches!(
            other.unwrap_key(&wrapped, b"study"),
            Err(EncryptionError::MasterKey { .. })
        ));
        let both = other.then(&master);
        assert_eq!(both.unwrap_key(&wrapped, b"study").unwrap(), key);
        for at in MasterKeyId::BYTES..WRAPPED_BYTES {
            let mut changed = wrapped;
            changed[at] ^= 1;
            assert_eq!(master.unwrap_key(&changed, b"study"), Err(EncryptionError::Tampered));
        }
    }

    #[test]
    fn wrapping_twice_gives_other_bytes() {
        let master = MasterKeys::random().unwrap();
        let key = Secret::random().unwrap();
        assert_ne!(wrap(&master, &key, b"").unwrap(), wrap(&master, &key, b"").unwrap());
    }
}
