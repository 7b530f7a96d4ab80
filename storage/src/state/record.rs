//! A record as it lies in its file: a line with the checksum, then JSON; and keys as names of files.

use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::hexadecimal::hexadecimal;

/// How the first line begins; the SHA-256 of all that follows the line ends it.
const HEAD: &str = "filmroom state 1 sha256:";

/// A value as the bytes of its file.
///
/// # Errors
/// When the value cannot be written as JSON.
pub(super) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut body = serde_json::to_vec_pretty(value)?;
    body.push(b'\n');
    let mut bytes = format!("{HEAD}{}\n", hexadecimal(&Sha256::digest(&body))).into_bytes();
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

/// The value of a file, or in one phrase what is wrong with it.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let end = bytes
        .iter()
        .position(|byte| *byte == b'\n')
        .ok_or("its head is missing")?;
    let (head, body) = bytes.split_at_checked(end + 1).ok_or("its head is missing")?;
    let sum = std::str::from_utf8(head)
        .ok()
        .and_then(|head| head.trim_end().strip_prefix(HEAD))
        .ok_or("its head is none of a record of this version")?;
    if sum != hexadecimal(&Sha256::digest(body)) {
        return Err("its checksum is wrong".to_owned());
    }
    serde_json::from_slice(body).map_err(|error| format!("its content is not what was expected: {error}"))
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// The name for a key: letters, digits, `-` and `_` as they are, all else as `%` and two hexadecimal digits.
pub(super) fn name_of(key: &str) -> String {
    let mut name = String::with_capacity(key.len());
    for byte in key.bytes() {
        if is_plain(byte) {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    name
}

/// The key of a name; `None` when no key has it.
pub(super) fn key_of(name: &str) -> Option<String> {
    let mut key = Vec::with_capacity(name.len());
    let mut bytes = name.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            key.push(byte);
            continue;
        }
        let high = char::from(bytes.next()?).to_digit(16)?;
        let low = char::from(bytes.next()?).to_digit(16)?;
        key.push(u8::try_from(high * 16 + low).ok()?);
    }
    let key = String::from_utf8(key).ok()?;
    (name_of(&key) == name).then_some(key)
}
