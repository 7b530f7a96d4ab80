//! Records that are encrypted where the archive is: what they say, and under which key they lie.
//!
//! A sealed file is the line `filmroom state 1 sealed`, then nonce, ciphertext and tag. Nonces are drawn: there are far fewer
//! writes of state than the 2^32 after which drawn nonces might meet.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use ring::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};

use super::record;
use crate::encryption::{EncryptionError, NameKey, Secret, random};

const HEAD: &[u8] = b"filmroom state 1 sealed\n";

/// Where small state lies, and what seals it where the archive is encrypted.
#[derive(Clone)]
pub struct StatePlace {
    pub(super) data: PathBuf,
    sealer: Option<Arc<Sealer>>,
}

struct Sealer {
    bodies: LessSafeKey,
    names: NameKey,
}

impl fmt::Debug for StatePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sealed = self.sealer.is_some();
        f.debug_struct("StatePlace")
            .field("data", &self.data)
            .field("sealed", &sealed)
            .finish()
    }
}

/// A data folder that is not encrypted.
impl From<&Path> for StatePlace {
    fn from(data: &Path) -> Self {
        Self {
            data: data.to_owned(),
            sealer: None,
        }
    }
}

impl From<&PathBuf> for StatePlace {
    fn from(data: &PathBuf) -> Self {
        data.as_path().into()
    }
}

/// What a file was found as.
pub(super) enum Opened {
    /// As it is to be.
    Body(Vec<u8>),
    /// From before encryption was turned on.
    Plain(Vec<u8>),
}

impl StatePlace {
    pub(crate) fn new(data: &Path, key: Option<&Secret>) -> Result<Self, EncryptionError> {
        let sealer = key.map(|key| {
            Ok::<_, EncryptionError>(Arc::new(Sealer {
                bodies: key.derive_key(&[], "filmroom state 1: bodies", &[]).aead()?,
                names: NameKey::new(&key.derive_key(&[], "filmroom state 1: names", &[]))?,
            }))
        });
        Ok(Self {
            data: data.to_owned(),
            sealer: sealer.transpose()?,
        })
    }

    /// Bytes as they lie on the disk. `what` must be the same to open them.
    pub(crate) fn seal(&self, what: &str, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let Some(sealer) = &self.sealer else { return Ok(bytes) };
        let nonce: [u8; NONCE_LEN] = random()?;
        let mut sealed = bytes;
        sealer
            .bodies
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(what.as_bytes()),
                &mut sealed,
            )
            .map_err(|_| EncryptionError::Tampered)?;
        Ok([HEAD, &nonce, &sealed].concat())
    }

    /// The bytes that were sealed, or in one phrase why they do not open.
    pub(super) fn open(&self, what: &str, bytes: Vec<u8>) -> Result<Opened, String> {
        let Some(sealed) = bytes.strip_prefix(HEAD) else {
            return Ok(match self.sealer {
                Some(_) => Opened::Plain(bytes),
                None => Opened::Body(bytes),
            });
        };
        let sealer = self.sealer.as_ref().ok_or("it is encrypted, and there is no key")?;
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>().ok_or("it is cut short")?;
        let mut sealed = sealed.to_vec();
        let length = {
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let opened = sealer
                .bodies
                .open_in_place(nonce, Aad::from(what.as_bytes()), &mut sealed);
            opened.map_err(|_| "it is not what was written")?.len()
        };
        sealed.truncate(length);
        Ok(Opened::Body(sealed))
    }

    /// The same where it does not matter what it was found as.
    pub(crate) fn open_either(&self, what: &str, bytes: Vec<u8>) -> Result<Vec<u8>, String> {
        Ok(match self.open(what, bytes)? {
            Opened::Body(body) | Opened::Plain(body) => body,
        })
    }

    /// The name of the file of a key, without its extension.
    pub(super) fn name_of(&self, kind: &str, key: &str) -> io::Result<String> {
        match &self.sealer {
            Some(sealer) => Ok(sealer.names.seal(kind, key)?),
            None => Ok(record::name_of(key)),
        }
    }

    /// The key of a name, and whether the name is as it is to be. `None` when no key has it.
    pub(super) fn key_of(&self, kind: &str, name: &str) -> Option<(String, bool)> {
        if let Some(sealer) = &self.sealer
            && let Some(key) = sealer.names.open(kind, name)
        {
            return Some((key, true));
        }
        record::key_of(name).map(|key| (key, self.sealer.is_none()))
    }
}
