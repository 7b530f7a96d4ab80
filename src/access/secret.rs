//! Secrets that the archive makes up: 256 random bits, kept as their SHA-256.

use argon2::password_hash::rand_core::{OsRng, RngCore};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// How a token begins, so that scanners of source code know one when they see it.
const TOKEN_PREFIX: &str = "filmroom_";

/// Random bytes of the system.
///
/// # Errors
/// One phrase when it gives none.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    OsRng
        .try_fill_bytes(&mut bytes)
        .map_err(|error| format!("the system gives no randomness: {error}"))?;
    Ok(bytes)
}

/// SHA-256 of a secret's text.
pub(crate) fn sum(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// A new secret as text.
///
/// # Errors
/// As [`random`].
pub(crate) fn new_secret() -> Result<String, String> {
    Ok(URL_SAFE_NO_PAD.encode(random::<32>()?))
}

/// What a passcode that nobody thought up is made of: nothing that is mistaken for another when it is copied by hand.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// A new passcode: 100 random bits in four groups of letters and digits.
///
/// # Errors
/// As [`random`].
pub fn new_passcode() -> Result<String, String> {
    let letters = random::<20>()?.map(|byte| LETTERS.get(usize::from(byte % 32)).copied().unwrap_or(b'a'));
    let groups: Vec<String> = letters
        .chunks(5)
        .map(|group| group.iter().map(|letter| char::from(*letter)).collect())
        .collect();
    Ok(groups.join("-"))
}

/// Lower-case hexadecimal.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A token's text, of its public id and its secret.
pub(crate) fn token_text(id: &str, secret: &str) -> String {
    format!("{TOKEN_PREFIX}{id}_{secret}")
}

/// Id and secret of a token's text.
pub(crate) fn token_parts(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix(TOKEN_PREFIX)?.split_once('_')
}

/// Compares without telling by its time where the difference is.
pub(crate) fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_taken_apart() {
        let secret = new_secret().unwrap();
        assert_eq!(secret.len(), 43);
        assert_eq!(
            token_parts(&token_text("0123", &secret)),
            Some(("0123", secret.as_str()))
        );
        assert_eq!(token_parts("Bearer"), None);
        let passcode = new_passcode().unwrap();
        assert_eq!(passcode.len(), 23);
        assert_ne!(new_passcode().unwrap(), passcode);
        assert!(is_same(b"ab", b"ab") && !is_same(b"ab", b"ac") && !is_same(b"ab", b"abc"));
    }
}
