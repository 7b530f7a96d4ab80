//! Encryption of the intake log, where the archive is encrypted.
//!
//! A segment's head holds the segment's key, wrapped by a master key. The description of an entry is sealed under it, and holds
//! the key of the entry's body, which was drawn for this instance; the body was sealed before the committer had it, on the thread
//! of whoever brought it. The frame of an entry is as ever: its CRC-32 is of the sealed description, so that torn ends are found
//! without any key.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use ring::aead::{Aad, LessSafeKey, Nonce};

use super::entry::Salt;
use crate::encryption::{EncryptionError, MasterKeys, Secret, WRAPPED_BYTES, wrap};

const COUNTER_BYTES: usize = 8;
const KEY_BYTES: usize = 32;

/// Seals and opens the descriptions of one segment's entries.
#[derive(Clone)]
pub(crate) struct SegmentSeal {
    key: Arc<LessSafeKey>,
    /// Only grows, also where entries are taken back: no number is used twice under the segment's key.
    sealed: Arc<AtomicU64>,
}

/// What stands around a description, and is bound to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// First byte of the entry in its segment.
    pub(crate) position: u64,
    /// Bytes of the body in the log.
    pub(crate) body_length: u64,
}

impl Place {
    fn bytes(self) -> [u8; 16] {
        (u128::from(self.body_length) << 64 | u128::from(self.position)).to_le_bytes()
    }
}

fn context(number: u64, salt: &Salt) -> Vec<u8> {
    [b"filmroom segment".as_slice(), &number.to_le_bytes(), salt].concat()
}

impl SegmentSeal {
    /// A new segment's seal, and its key as the head holds it.
    pub(crate) fn begin(master: &MasterKeys, number: u64, salt: &Salt) -> io::Result<(Self, [u8; WRAPPED_BYTES])> {
        let key = Secret::random()?;
        let wrapped = wrap(master, &key, &context(number, salt))?;
        Ok((Self::new(&key)?, wrapped))
    }

    /// The seal of a segment that is there.
    pub(crate) fn open(
        master: Option<&MasterKeys>,
        wrapped: &[u8; WRAPPED_BYTES],
        number: u64,
        salt: &Salt,
    ) -> io::Result<Self> {
        let unreadable = |why: &dyn std::fmt::Display| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("intake segment {number} cannot be read: {why}"),
            )
        };
        let master = master.ok_or_else(|| unreadable(&"it is encrypted, and there is no master key"))?;
        let key = master.unwrap_key(wrapped, &context(number, salt));
        Ok(Self::new(&key.map_err(|error| unreadable(&error))?)?)
    }

    fn new(key: &Secret) -> Result<Self, EncryptionError> {
        Ok(Self {
            key: Arc::new(key.aead()?),
            sealed: Arc::default(),
        })
    }

    /// Description and body key as they are written.
    pub(crate) fn seal(&self, place: Place, description: &[u8], body_key: Option<&Secret>) -> io::Result<Vec<u8>> {
        let counter = self.sealed.fetch_add(1, Ordering::Relaxed);
        let mut sealed = Vec::with_capacity(COUNTER_BYTES + KEY_BYTES + description.len() + 16);
        sealed.extend_from_slice(&counter.to_le_bytes());
        sealed.extend_from_slice(body_key.map_or(&[0; KEY_BYTES], |key| key.as_bytes()));
        sealed.extend_from_slice(description);
        let (_, plain) = sealed.split_at_mut(COUNTER_BYTES);
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce(counter), Aad::from(place.bytes()), plain)
            .map_err(|_| EncryptionError::Tampered)?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// The description and the key of the body; `None` when the bytes are not what was sealed for this place.
    pub(crate) fn open_description(&self, place: Place, sealed: &[u8]) -> Option<(Vec<u8>, Secret)> {
        let (counter, sealed) = sealed.split_first_chunk::<COUNTER_BYTES>()?;
        let mut sealed = sealed.to_vec();
        let nonce = nonce(u64::from_le_bytes(*counter));
        let opened = self
            .key
            .open_in_place(nonce, Aad::from(place.bytes()), &mut sealed)
            .ok()?;
        let (key, description) = opened.split_first_chunk::<KEY_BYTES>()?;
        Some((description.to_vec(), Secret::new(*key)))
    }
}

fn nonce(counter: u64) -> Nonce {
    Nonce::assume_unique_for_key(
        (u128::from(counter))
            .to_le_bytes()
            .first_chunk()
            .copied()
            .unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_opens_at_its_place_alone() {
        let master = MasterKeys::random().unwrap();
        let (seal, wrapped) = SegmentSeal::begin(&master, 7, &[1; 16]).unwrap();
        let place = Place {
            position: 4096,
            body_length: 100,
        };
        let key = Secret::random().unwrap();
        let sealed = seal.seal(place, b"1.2.840", Some(&key)).unwrap();
        assert!(sealed.windows(4).all(|window| window != b".840"));
        assert_ne!(sealed, seal.seal(place, b"1.2.840", Some(&key)).unwrap());
        let again = SegmentSeal::open(Some(&master), &wrapped, 7, &[1; 16]).unwrap();
        let opened = again.open_description(place, &sealed);
        assert_eq!(opened, Some((b"1.2.840".to_vec(), key)));
        let elsewhere = Place {
            position: 4097,
            ..place
        };
        assert_eq!(again.open_description(elsewhere, &sealed), None);
        let longer = Place {
            body_length: 101,
            ..place
        };
        assert_eq!(again.open_description(longer, &sealed), None);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(again.open_description(place, &changed), None);
        }
        let other = MasterKeys::random().unwrap();
        for (master, number) in [(None, 7), (Some(&other), 7), (Some(&master), 8)] {
            let error = SegmentSeal::open(master, &wrapped, number, &[1; 16]).err().unwrap();
            assert!(error.to_string().contains("cannot be read"), "{error}");
        }
    }
}
