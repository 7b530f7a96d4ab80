//! Names sealed so that the same name is always the same text, and nothing else shows.
//!
//! HMAC-SHA-256 of kind and name, cut to 12 bytes, is the nonce; nonce, ciphertext and tag are written in hexadecimal.

use ring::{
    aead::{Aad, LessSafeKey, NONCE_LEN, Nonce},
    hmac,
};

use super::{EncryptionError, Secret};
use crate::hexadecimal::{bytes_from_hexadecimal, hexadecimal};

/// What sealed names begin with. UIDs begin with a digit.
const MARK: char = 'x';

/// Seals names.
pub(crate) struct NameKey {
    nonces: hmac::Key,
    key: LessSafeKey,
}

impl NameKey {
    pub(crate) fn new(key: &Secret) -> Result<Self, EncryptionError> {
        let nonces = key.derive_key(&[], "filmroom names 1: nonces", &[]);
        Ok(Self {
            nonces: hmac::Key::new(hmac::HMAC_SHA256, nonces.as_bytes()),
            key: key.derive_key(&[], "filmroom names 1: names", &[]).aead()?,
        })
    }

    /// `name` as a text of letters and digits.
    pub(crate) fn seal(&self, kind: &str, name: &str) -> Result<String, EncryptionError> {
        let nonce = self.nonce(kind, name);
        let mut sealed = name.as_bytes().to_vec();
        let aad = Aad::from(kind.as_bytes());
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed)
            .map_err(|_| EncryptionError::Tampered)?;
        Ok(format!("{MARK}{}{}", hexadecimal(&nonce), hexadecimal(&sealed)))
    }

    /// The name that was sealed; `None` where the text is none.
    pub(crate) fn open(&self, kind: &str, sealed: &str) -> Option<String> {
        let bytes = bytes_from_hexadecimal(sealed.strip_prefix(MARK)?)?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>()?;
        let mut opened = sealed.to_vec();
        let aad = Aad::from(kind.as_bytes());
        let name = self
            .key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut opened)
            .ok()?;
        let name = std::str::from_utf8(name).ok()?;
        (self.nonce(kind, name) == *nonce).then(|| name.to_owned())
    }

    fn nonce(&self, kind: &str, name: &str) -> [u8; NONCE_LEN] {
        let mut context = hmac::Context::with_key(&self.nonces);
        context.update(kind.as_bytes());
        context.update(&[0]);
        context.update(name.as_bytes());
        let tag = context.sign();
        tag.as_ref().first_chunk().copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_look_the_same_each_time() {
        let key = NameKey::new(&Secret::random().unwrap()).unwrap();
        let sealed = key.seal("study", "1.2.840.1").unwrap();
        assert_eq!(sealed, key.seal("study", "1.2.840.1").unwrap());
        assert_ne!(sealed, key.seal("series", "1.2.840.1").unwrap());
        assert_eq!(key.open("study", &sealed).as_deref(), Some("1.2.840.1"));
        assert_eq!(key.open("series", &sealed), None);
        assert_eq!(key.open("study", "1.2.840.1"), None);
        let other = NameKey::new(&Secret::random().unwrap()).unwrap();
        assert_eq!(other.open("study", &sealed), None);
        let longest = key.seal("study", &"1".repeat(64)).unwrap();
        assert!(longest.len() < 200, "two of them and more fit into a name");
    }
}
