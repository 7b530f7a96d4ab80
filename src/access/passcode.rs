//! Passcodes and their Argon2 hashes (RFC 9106).

use std::sync::Arc;

use argon2::{
    Argon2, PasswordVerifier,
    password_hash::{PasswordHash, PasswordHasher, SaltString, rand_core::OsRng},
};
use tokio::sync::Semaphore;

/// Passcodes hashed at one time: each takes 19 MiB and a processor for some ten milliseconds.
const HASHED_AT_ONCE: usize = 2;
/// Longest name or passcode that is looked at, in bytes.
pub(crate) const LENGTH_MAX: usize = 1024;
/// Shortest passcode that a new account may have, in characters (NIST SP 800-63B §3.1.1.2 asks for 15 where it stands alone).
pub const PASSCODE_CHARACTERS_MIN: usize = 15;

/// What only its owner knows; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Passcode(Vec<u8>);

impl From<Vec<u8>> for Passcode {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Passcode {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Why it may not be the passcode of an account; `None` when it may.
    #[must_use]
    pub fn weakness(&self) -> Option<String> {
        let text = std::str::from_utf8(&self.0).ok()?;
        let count = text.chars().count();
        let mut different: Vec<char> = text.chars().collect();
        different.sort_unstable();
        different.dedup();
        if count < PASSCODE_CHARACTERS_MIN {
            Some(format!(
                "it has {count} characters; {PASSCODE_CHARACTERS_MIN} are the least"
            ))
        } else if self.0.len() > LENGTH_MAX {
            Some(format!("it is longer than {LENGTH_MAX} bytes"))
        } else if different.len() < 5 {
            Some("it has fewer than five different characters".to_owned())
        } else {
            None
        }
    }
}

impl std::fmt::Debug for Passcode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passcode(…)")
    }
}

/// The Argon2id hash of a passcode, with a salt of its own, in PHC form.
///
/// # Errors
/// One phrase.
pub(crate) fn hash(passcode: &[u8]) -> Result<String, String> {
    let salt = SaltString::generate(&mut OsRng);
    let hashed = Argon2::default().hash_password(passcode, &salt);
    hashed.map(|hash| hash.to_string()).map_err(|error| error.to_string())
}

/// Compares passcodes with hashes, a few at a time, and takes as long for who is not known.
#[derive(Debug, Clone)]
pub(crate) struct Verifier {
    /// Compared instead when there is no such user.
    nobody: Arc<str>,
    at_once: Arc<Semaphore>,
}

impl Verifier {
    /// # Errors
    /// One phrase when the system gives no randomness.
    pub(crate) fn new() -> Result<Self, String> {
        Ok(Self {
            nobody: hash(b"nobody")?.into(),
            at_once: Arc::new(Semaphore::new(HASHED_AT_ONCE)),
        })
    }

    /// True when the passcode is that of the hash; `None` takes as long and is false.
    ///
    /// # Errors
    /// One phrase when it could not be compared.
    pub(crate) async fn is_right(&self, hash: Option<&str>, passcode: &Passcode) -> Result<bool, String> {
        if passcode.0.len() > LENGTH_MAX {
            return Ok(false);
        }
        let is_known = hash.is_some();
        let hash = hash.unwrap_or(&self.nobody).to_owned();
        let passcode = passcode.clone();
        let permit = self.at_once.clone().acquire_owned().await;
        let permit = permit.map_err(|error| error.to_string())?;
        let compared = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let hash = PasswordHash::new(&hash)?;
            Argon2::default().verify_password(&passcode.0, &hash)
        });
        let is_same = compared.await.map_err(|error| error.to_string())?.is_ok();
        Ok(is_known && is_same)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_passcodes_are_named_so() {
        let weakness = |text: &str| Passcode::from(text.as_bytes().to_vec()).weakness();
        assert!(weakness("password").is_some());
        assert!(weakness("aaaaaaaaaaaaaaaaaaaa").is_some());
        assert!(weakness(&"abcdefgh".repeat(200)).is_some());
        assert_eq!(weakness("the film room at night"), None);
    }
}
