//! Values that tell of a patient: the tree has a salted commitment to each, the value itself stands beside, to be erased.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::event::bounded;

/// Bytes of a salt.
pub const SALT_BYTES: usize = 16;

/// A value, the commitment to it, or both.
///
/// It serialises as its commitment, and never prints itself.
#[derive(Clone, Default)]
pub struct Protected {
    value: Option<String>,
    salt: [u8; SALT_BYTES],
    commitment: Option<[u8; 32]>,
}

impl Protected {
    pub(crate) fn new(value: &str, bytes_max: usize) -> Self {
        let value = (!value.is_empty()).then(|| bounded(value, bytes_max));
        Self {
            value,
            ..Self::default()
        }
    }

    /// The value; `None` when there never was one, or it was erased.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }

    /// The value, or a word for its absence.
    #[must_use]
    pub fn shown(&self) -> &str {
        match (&self.value, self.commitment) {
            (Some(value), _) => value,
            (None, Some(_)) => "(erased)",
            (None, None) => "",
        }
    }

    /// True when there never was a value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.value.is_none() && self.commitment.is_none()
    }

    /// True when there was a value that is not there any more.
    #[must_use]
    pub fn is_erased(&self) -> bool {
        self.value.is_none() && self.commitment.is_some()
    }

    /// Commits to the value. Returns what is kept beside the tree.
    pub(crate) fn commit(&mut self, salt: [u8; SALT_BYTES]) {
        if let Some(value) = &self.value {
            self.salt = salt;
            self.commitment = Some(commitment(&salt, value));
        }
    }

    pub(crate) fn salt(&self) -> &[u8; SALT_BYTES] {
        &self.salt
    }

    /// Takes the value back. False when it is not the one that was committed to.
    pub(crate) fn reveal(&mut self, salt: [u8; SALT_BYTES], value: String) -> bool {
        let is_right = self.commitment == Some(commitment(&salt, &value));
        if is_right {
            self.salt = salt;
            self.value = Some(value);
        }
        is_right
    }
}

/// SHA-256 of salt and value. The salt has a fixed length, so that no two pairs have the same bytes.
fn commitment(salt: &[u8; SALT_BYTES], value: &str) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(salt);
    context.update(value.as_bytes());
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

/// Two are the same when their values are, or, without values, their commitments.
impl PartialEq for Protected {
    fn eq(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (None, None) => self.commitment == other.commitment,
            (one, other) => one == other,
        }
    }
}

impl Eq for Protected {}

impl fmt::Debug for Protected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() {
            "Protected()"
        } else {
            "Protected(…)"
        })
    }
}

impl Serialize for Protected {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.commitment {
            Some(commitment) => serializer.serialize_str(&STANDARD_NO_PAD.encode(commitment)),
            None => serializer.serialize_str(""),
        }
    }
}

impl<'de> Deserialize<'de> for Protected {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(Self::default());
        }
        let bytes = STANDARD_NO_PAD.decode(text.as_bytes()).map_err(D::Error::custom)?;
        let commitment = bytes
            .try_into()
            .map_err(|_| D::Error::custom("a commitment has 32 bytes"))?;
        Ok(Self {
            commitment: Some(commitment),
            ..Self::default()
        })
    }
}
