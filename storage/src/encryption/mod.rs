//! Encryption at rest: what leaves this process for a disk or an object store is AES-256-GCM.
//!
//! ```text
//! master key   outside of the archive: a file, the environment, a command; wraps every key below, with its id
//!   data key   one or more a study, one for all else; objects of their own under keys/
//!     object key   one a put: HKDF of the data key, a salt drawn for the put, the object's head and its name
//!   segment key  one a segment of the intake log, in its head; seals the descriptions of entries
//!     body key     one an instance, drawn; in its entry's description
//!   staged key   one a staged file, in its head
//! ```
//!
//! # Why no nonce is used twice
//!
//! GCM breaks when one key meets one nonce twice with different bytes. Every key above seals one thing only:
//!
//! * An **object key** belongs to one put: its salt is 32 bytes of the system's randomness. A put that runs twice under one
//!   name, a pack that is written over, two nodes that put the same: different salts, different keys. Within a put the nonce
//!   is the number of the chunk, and a chunk has one plaintext: bodies are immutable, so that a part which is sent again after
//!   a lost connection is the same ciphertext again.
//! * A **body key** and a **staged key** are drawn for one instance, whose chunks are sealed once, in order.
//! * A **segment key** seals descriptions under a counter that only grows, also over entries that were taken back and are
//!   written over. A segment is written by the process that drew its key and by no other: a restart begins a new one.
//! * A **wrapping key** is HKDF of a master or data key and of a salt drawn for the one wrapping.
//! * **Names** are sealed under a nonce that is an HMAC of the name itself (synthetic, as in SIV): the same nonce means the
//!   same name, which shows that two names are equal and nothing else.
//!
//! # What is bound
//!
//! An object's key depends on its name, its length and the data key's id, each chunk's nonce on its number and on whether it
//! is the last: bytes that were changed, cut, put into another order, or moved to another name or place do not open.
//! What is not found: a whole object that was put back as it was at an earlier time under the same name. The index knows length
//! and CRC-32 of every pack and the SHA-256 of every instance, and `verify` compares them.

pub(crate) mod chunks;
mod master;
mod name;
mod secret;
mod wrap;

pub use self::master::{MasterKeyError, MasterKeyId, MasterKeySource, MasterKeys};
pub(crate) use self::{
    chunks::{ChunkKey, OpenedSource, SealedSource, plain_length, sealed_length},
    name::NameKey,
    secret::{Secret, random},
    wrap::{WRAPPED_BYTES, wrap, wrapped_with},
};

use std::sync::Arc;

/// What to do with objects that were put before encryption was turned on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PlainObjects {
    /// They are read.
    #[default]
    Read,
    /// They are not seen: nothing that somebody else put into the object store passes for ours.
    Refuse,
}

/// How the store encrypts.
#[derive(Debug, Clone)]
pub struct Encryption {
    /// The keys that wrap all others; the first wraps what is new.
    pub master: Arc<MasterKeys>,
    /// What to do with objects from before.
    pub plain: PlainObjects,
}

/// Why something does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncryptionError {
    /// Bytes are not what was sealed, or the key is not the one.
    #[error("the encrypted bytes are not what was written, or belong elsewhere")]
    Tampered,
    /// The master key is not among those given.
    #[error("it is encrypted under master key {needed}, and the master keys given are {given}")]
    MasterKey {
        /// What it is wrapped with.
        needed: MasterKeyId,
        /// Those there are.
        given: String,
    },
    /// The system gave no randomness.
    #[error("the operating system gives no random numbers")]
    Randomness,
}

impl From<EncryptionError> for std::io::Error {
    fn from(error: EncryptionError) -> Self {
        Self::new(std::io::ErrorKind::InvalidData, error)
    }
}
