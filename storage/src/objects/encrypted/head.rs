//! The head of an encrypted object, and the body behind it as one.

use bytes::Bytes;

use super::keys::KeyId;
use crate::{
    encryption::{ChunkKey, EncryptionError, Secret},
    objects::{Body, DAMAGED, ObjectName},
    source::ReadAt,
};

const MAGIC: [u8; 8] = *b"FRenc\x001\n";
const KEY_ID_BYTES: usize = 16;
const SALT_BYTES: usize = 32;
/// Bytes before the first chunk.
pub(super) const HEAD_BYTES: u64 = (8 + KEY_ID_BYTES + SALT_BYTES + 8) as u64;
const PURPOSE: &str = "filmroom object 1";

/// The head of an encrypted object.
pub(super) struct Head {
    pub(super) key_id: KeyId,
    pub(super) salt: [u8; SALT_BYTES],
    pub(super) plain_length: u64,
}

impl Head {
    pub(super) fn write(&self) -> Vec<u8> {
        [
            MAGIC.as_slice(),
            &self.key_id,
            &self.salt,
            &self.plain_length.to_le_bytes(),
        ]
        .concat()
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&MAGIC)?;
        let (key_id, rest) = rest.split_first_chunk::<KEY_ID_BYTES>()?;
        let (salt, rest) = rest.split_first_chunk::<SALT_BYTES>()?;
        Some(Self {
            key_id: *key_id,
            salt: *salt,
            plain_length: u64::from_le_bytes(rest.try_into().ok()?),
        })
    }

    pub(super) fn chunk_key(&self, data_key: &Secret, name: &ObjectName) -> Result<ChunkKey, EncryptionError> {
        let length = self.plain_length.to_le_bytes();
        // One that is kept apart is what it was, whole or not.
        let name = name.as_str();
        let bound = name.strip_prefix(DAMAGED).unwrap_or(name);
        let context: [&[u8]; 4] = [&MAGIC, &self.key_id, &length, bound.as_bytes()];
        ChunkKey::new(&data_key.derive_key(&self.salt, PURPOSE, &context), self.plain_length)
    }
}

/// The pieces of a body as one.
pub(super) struct Whole(pub(super) Body);

impl ReadAt for Whole {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_at(&self, offset: u64, length: usize) -> std::io::Result<Bytes> {
        let (mut start, mut out, mut left) = (0, Vec::new(), length);
        for piece in self.0.pieces() {
            let end = start + piece.len();
            let at = offset + out.len() as u64;
            if at < end && left > 0 {
                let part = piece.read_at(at - start, left)?;
                let wanted = left.min(usize::try_from(end - at).unwrap_or(usize::MAX));
                if part.len() != wanted {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
                if part.len() == length {
                    return Ok(part);
                }
                left -= part.len();
                out.extend_from_slice(&part);
            }
            start = end;
        }
        Ok(out.into())
    }
}
