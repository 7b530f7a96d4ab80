//! Keys in memory.

use std::fmt;

use ring::{
    aead::{AES_256_GCM, LessSafeKey, UnboundKey},
    hkdf::{HKDF_SHA256, KeyType, Salt},
    rand::{SecureRandom, SystemRandom},
};
use zeroize::Zeroize;

use super::EncryptionError;

/// Bytes of every key.
pub(crate) const KEY_BYTES: usize = 32;

/// A key, wiped from memory when dropped and never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret([u8; KEY_BYTES]);

/// Bytes of the system's randomness.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], EncryptionError> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| EncryptionError::Randomness)?;
    Ok(bytes)
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl Secret {
    pub(crate) fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    pub(crate) fn random() -> Result<Self, EncryptionError> {
        random().map(Self)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// Bytes that follow from this key (HKDF-SHA-256, RFC 5869); others for another salt, purpose or context.
    pub(crate) fn derive<const N: usize>(&self, salt: &[u8], purpose: &str, context: &[&[u8]]) -> [u8; N] {
        let mut info = vec![purpose.as_bytes(), &[0]];
        info.extend_from_slice(context);
        let mut bytes = [0; N];
        let filled = Salt::new(HKDF_SHA256, salt)
            .extract(&self.0)
            .expand(&info, Length(N))
            .and_then(|okm| okm.fill(&mut bytes));
        debug_assert!(filled.is_ok(), "keys are far below the 8,160 bytes that HKDF gives");
        bytes
    }

    /// A key that follows from this one.
    pub(crate) fn derive_key(&self, salt: &[u8], purpose: &str, context: &[&[u8]]) -> Self {
        Self(self.derive(salt, purpose, context))
    }

    /// The key for AES-256-GCM.
    pub(crate) fn aead(&self) -> Result<LessSafeKey, EncryptionError> {
        let key = UnboundKey::new(&AES_256_GCM, &self.0).map_err(|_| EncryptionError::Tampered)?;
        Ok(LessSafeKey::new(key))
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
