//! Lines of the journal, encrypted where the archive is.
//!
//! A sealed line is `sealed `, then nonce, ciphertext and tag in hexadecimal. The chain of hashes is that of the decisions
//! themselves, whether their lines are sealed or not.

use ring::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};

use super::Decision;
use crate::{
    encryption::{EncryptionError, Secret, random},
    hexadecimal::{bytes_from_hexadecimal, hexadecimal},
};

const MARK: &[u8] = b"sealed ";

/// How lines are written and read.
pub(super) struct Lines {
    key: Option<LessSafeKey>,
}

impl Lines {
    pub(super) fn new(key: Option<&Secret>) -> Result<Self, EncryptionError> {
        let key = key.map(Secret::aead).transpose()?;
        Ok(Self { key })
    }

    /// A decision as a line.
    pub(super) fn write(&self, decision: &Decision) -> Result<String, EncryptionError> {
        let line = decision.to_line();
        let Some(key) = &self.key else { return Ok(line) };
        let nonce: [u8; NONCE_LEN] = random()?;
        let mut sealed = line.into_bytes();
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(decision.number.to_le_bytes()),
            &mut sealed,
        )
        .map_err(|_| EncryptionError::Tampered)?;
        Ok(format!("sealed {}{}\n", hexadecimal(&nonce), hexadecimal(&sealed)))
    }

    /// The decision of a line, which is to be the one of this number.
    pub(super) fn read(&self, line: &[u8], number: u64, previous: [u8; 32]) -> Result<Decision, String> {
        let Some(sealed) = line.strip_prefix(MARK) else {
            return Decision::from_line(line, number, previous);
        };
        let key = self.key.as_ref().ok_or("a line is encrypted, and there is no key")?;
        let opened = sealed
            .strip_suffix(b"\n")
            .and_then(|text| std::str::from_utf8(text).ok())
            .and_then(bytes_from_hexadecimal)
            .ok_or("a line is not whole")?;
        let (nonce, sealed) = opened.split_first_chunk::<NONCE_LEN>().ok_or("a line is not whole")?;
        let mut sealed = sealed.to_vec();
        let opened = key
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(number.to_le_bytes()),
                &mut sealed,
            )
            .map_err(|_| "a line is not what was written")?;
        Decision::from_line(opened, number, previous)
    }

    /// True for a line that is to be encrypted and is not.
    pub(super) fn is_behind(&self, line: &[u8]) -> bool {
        self.key.is_some() && !line.starts_with(MARK)
    }
}
