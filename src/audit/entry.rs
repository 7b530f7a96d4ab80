//! An event as leaf and values, and back.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use ring::rand::{SecureRandom, SystemRandom};

use crate::{
    error::AuditError,
    event::Event,
    merkle::{Hash, leaf_hash},
    protected::SALT_BYTES,
};

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Counts from 0 without gaps.
    pub index: u64,
    /// What happened.
    pub event: Event,
    /// Its hash in the tree.
    pub leaf_hash: Hash,
}

/// An event as it is written.
pub(crate) struct Encoded {
    pub(crate) leaf: Vec<u8>,
    pub(crate) values: Vec<u8>,
    pub(crate) hash: Hash,
}

/// Commits to the values of an event, and takes both apart: the leaf is JSON of the event with commitments in the place of
/// values; the values are JSON too, pairs of salt and value in the same order.
pub(crate) fn encode(event: &mut Event, random: &SystemRandom) -> Result<Encoded, AuditError> {
    let count = event.protected().count();
    let mut salts = vec![0; count * SALT_BYTES];
    random
        .fill(&mut salts)
        .map_err(|_| AuditError::Disk("the operating system gives no random numbers".into()))?;
    let (salts, _) = salts.as_chunks::<SALT_BYTES>();
    for (value, salt) in event.protected_mut().zip(salts) {
        value.commit(*salt);
    }
    let json = |error: serde_json::Error| AuditError::Disk(error.to_string());
    let leaf = serde_json::to_vec(&*event).map_err(json)?;
    let mut values = Vec::new();
    if count > 0 {
        let pairs: Vec<_> = event
            .protected()
            .map(|value| (STANDARD_NO_PAD.encode(value.salt()), value.value().unwrap_or_default()))
            .collect();
        values = serde_json::to_vec(&pairs).map_err(json)?;
    }
    let hash = leaf_hash(&leaf);
    Ok(Encoded { leaf, values, hash })
}

/// Puts leaf and values together again. `values`: `None` when they were erased.
pub(crate) fn decode(index: u64, leaf: &[u8], values: Option<&[u8]>) -> Result<Entry, AuditError> {
    let damaged = |reason: &str| AuditError::Damaged {
        index,
        reason: reason.to_owned(),
    };
    let mut event: Event = serde_json::from_slice(leaf).map_err(|_| damaged("it is no event"))?;
    if let Some(values) = values {
        reveal(&mut event, values).map_err(damaged)?;
    }
    Ok(Entry {
        index,
        event,
        leaf_hash: leaf_hash(leaf),
    })
}

fn reveal(event: &mut Event, values: &[u8]) -> Result<(), &'static str> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    if !values.is_empty() {
        pairs = serde_json::from_slice(values).map_err(|_| "the values beside it do not read")?;
    }
    let mut pairs = pairs.into_iter();
    for value in event.protected_mut() {
        let (salt, text) = pairs.next().ok_or("a value beside it is missing")?;
        let salt = STANDARD_NO_PAD.decode(salt).unwrap_or_default();
        let salt = salt.try_into().map_err(|_| "a salt does not read")?;
        if !value.reveal(salt, text) {
            return Err("a value beside it is not the one that was committed to");
        }
    }
    match pairs.next() {
        Some(_) => Err("there is a value too many beside it"),
        None => Ok(()),
    }
}
