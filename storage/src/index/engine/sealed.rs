//! Rows encrypted around any engine.
//!
//! Values are under AES-256-GCM, bound to their keys. In keys, patient IDs, words of names and accession numbers stand as HMACs; the true
//! key is in the encrypted value. What keys still show are study dates, modalities and UIDs, which give the rows their order: an
//! index where that is too much belongs on an encrypted disk.
//!
//! A nonce is 8 bytes drawn when the index opens and a counter of 4; where that is used up, 8 bytes are drawn anew.

use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError},
};

use ring::{
    aead::{Aad, LessSafeKey, NONCE_LEN, Nonce},
    hmac,
};

use super::{Batch, Engine, IndexError, Visit};
use crate::{
    encryption::{EncryptionError, Secret, random},
    index::keys,
};

/// Bytes of a row of the lexicon that are enough to find the rows to look through; a shorter beginning looks through all.
const BUCKET_FROM: usize = 2;
const BUCKET_BYTES: usize = 6;
const TEXT_BYTES: usize = 12;

/// An engine with encrypted rows.
pub struct SealedEngine {
    inner: Arc<dyn Engine>,
    key: LessSafeKey,
    texts: hmac::Key,
    nonces: Mutex<Nonces>,
}

struct Nonces {
    drawn: [u8; 8],
    counter: u32,
}

impl Nonces {
    fn next(&mut self) -> Result<[u8; NONCE_LEN], EncryptionError> {
        let counter = self.counter.to_le_bytes();
        let nonce = [self.drawn.as_slice(), &counter].concat();
        match self.counter.checked_add(1) {
            Some(next) => self.counter = next,
            None => (self.drawn, self.counter) = (random()?, 0),
        }
        nonce.try_into().map_err(|_| EncryptionError::Randomness)
    }
}

/// A key whose text is not to be seen.
struct Text<'a> {
    kind: u8,
    text: &'a [u8],
    place: &'a [u8],
}

impl<'a> Text<'a> {
    fn of(key: &'a [u8]) -> Option<Self> {
        let (kind, rest) = key.split_first()?;
        if !has_text(*kind) {
            return None;
        }
        let end = rest.iter().position(|byte| *byte == 0)?;
        let (text, place) = rest.split_at_checked(end)?;
        Some(Self {
            kind: *kind,
            text,
            place: place.get(1..).unwrap_or_default(),
        })
    }
}

fn has_text(kind: u8) -> bool {
    matches!(
        kind,
        keys::PATIENT_ID | keys::NAME_WORD | keys::LEXICON | keys::ACCESSION
    )
}

fn failed(error: EncryptionError) -> IndexError {
    IndexError::Damaged(error.to_string())
}

impl SealedEngine {
    /// Encrypts rows on their way to `inner` and back.
    ///
    /// # Errors
    /// [`IndexError`] when the system gives no randomness.
    pub(crate) fn new(inner: Arc<dyn Engine>, key: &Secret) -> Result<Self, IndexError> {
        let texts = key.derive_key(&[], "filmroom index 1: texts", &[]);
        let nonces = Nonces {
            drawn: random().map_err(failed)?,
            counter: 0,
        };
        Ok(Self {
            inner,
            key: key
                .derive_key(&[], "filmroom index 1: rows", &[])
                .aead()
                .map_err(failed)?,
            texts: hmac::Key::new(hmac::HMAC_SHA256, texts.as_bytes()),
            nonces: Mutex::new(nonces),
        })
    }

    fn tag(&self, kind: u8, text: &[u8], bytes: usize) -> Vec<u8> {
        let mut context = hmac::Context::with_key(&self.texts);
        context.update(&[kind, u8::try_from(bytes).unwrap_or_default()]);
        context.update(text);
        context.sign().as_ref().get(..bytes).unwrap_or_default().to_vec()
    }

    /// What all rows of a text begin with.
    fn text_prefix(&self, kind: u8, text: &[u8]) -> Vec<u8> {
        let mut key = self.bucket(kind, text);
        key.extend(self.tag(kind, text, TEXT_BYTES));
        key
    }

    /// What all rows begin with whose text begins alike.
    fn bucket(&self, kind: u8, text: &[u8]) -> Vec<u8> {
        let mut key = vec![kind];
        if kind == keys::LEXICON {
            key.extend(self.tag(kind, text.get(..BUCKET_FROM).unwrap_or(text), BUCKET_BYTES));
        }
        key
    }

    fn sealed_key(&self, key: &[u8]) -> Option<Vec<u8>> {
        let text = Text::of(key)?;
        let mut sealed = self.text_prefix(text.kind, text.text);
        sealed.extend_from_slice(text.place);
        Some(sealed)
    }

    fn seal(&self, key: &[u8], value: &[&[u8]]) -> Result<Vec<u8>, IndexError> {
        let nonce = self.nonces.lock().unwrap_or_else(PoisonError::into_inner).next();
        let nonce = nonce.map_err(failed)?;
        let mut sealed = nonce.to_vec();
        for part in value {
            sealed.extend_from_slice(part);
        }
        let (_, plain) = sealed.split_at_mut(NONCE_LEN);
        let tag = self
            .key
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(key), plain)
            .map_err(|_| failed(EncryptionError::Tampered))?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    fn open(&self, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, IndexError> {
        let damaged = || failed(EncryptionError::Tampered);
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>().ok_or_else(damaged)?;
        let mut opened = sealed.to_vec();
        let length = self
            .key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(key), &mut opened)
            .map_err(|_| damaged())?
            .len();
        opened.truncate(length);
        Ok(opened)
    }

    /// Visits rows with texts among those from `from` to `to` at the engine, and shows those between the true bounds.
    fn scan_texts(
        &self,
        within: (&[u8], Option<&[u8]>),
        (from, to): (&[u8], Option<&[u8]>),
        visit: &mut Visit<'_>,
    ) -> Result<(), IndexError> {
        let mut damaged = None;
        self.inner.scan(within.0, within.1, &mut |key, value| {
            let opened = match self.open(key, value) {
                Ok(opened) => opened,
                Err(error) => {
                    damaged = Some(error);
                    return ControlFlow::Break(());
                }
            };
            let (key, value) = match opened.split_first_chunk::<2>() {
                Some((length, rest)) => rest
                    .split_at_checked(usize::from(u16::from_le_bytes(*length)))
                    .unwrap_or_default(),
                None => return ControlFlow::Continue(()),
            };
            if key < from || to.is_some_and(|to| key >= to) {
                return ControlFlow::Continue(());
            }
            visit(key, value)
        })?;
        damaged.map_or(Ok(()), Err)
    }
}

impl Engine for SealedEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        if let Some(sealed_key) = self.sealed_key(key) {
            let Some(value) = self.inner.get(&sealed_key)? else {
                return Ok(None);
            };
            let opened = self.open(&sealed_key, &value)?;
            return Ok(opened.get(2 + key.len()..).map(<[u8]>::to_vec));
        }
        let value = self.inner.get(key)?;
        value.map(|value| self.open(key, &value)).transpose()
    }

    fn scan(&self, from: &[u8], to: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<(), IndexError> {
        if to.is_some_and(|to| to <= from) {
            return Ok(());
        }
        let kind = from.first().copied().unwrap_or_default();
        if has_text(kind) {
            // One text, after a place; or all that begin alike; or whatever of the kind.
            let whole_text = Text::of(from).filter(|text| {
                let prefix = [&[kind], text.text, &[0]].concat();
                to.is_some_and(|to| keys::after_prefix(&prefix).as_deref() == Some(to))
            });
            let (begin, end) = match whole_text {
                Some(text) => {
                    let prefix = self.text_prefix(kind, text.text);
                    ([prefix.as_slice(), text.place].concat(), keys::after_prefix(&prefix))
                }
                None if from.len() > BUCKET_FROM && keys::after_prefix(from).as_deref() == to => {
                    let bucket = self.bucket(kind, from.get(1..).unwrap_or_default());
                    (bucket.clone(), keys::after_prefix(&bucket))
                }
                None => (vec![kind], keys::after_prefix(&[kind])),
            };
            return self.scan_texts((&begin, end.as_deref()), (from, to), visit);
        }
        let mut damaged = None;
        self.inner
            .scan(from, to, &mut |key, value| match self.open(key, value) {
                Ok(value) => visit(key, &value),
                Err(error) => {
                    damaged = Some(error);
                    ControlFlow::Break(())
                }
            })?;
        damaged.map_or(Ok(()), Err)
    }

    fn apply(&self, batch: Batch) -> Result<(), IndexError> {
        let mut sealed = Batch::default();
        for (key, value) in batch.rows {
            let sealed_key = self.sealed_key(&key);
            match (sealed_key, value) {
                (Some(sealed_key), Some(value)) => {
                    let length =
                        u16::try_from(key.len()).map_err(|_| IndexError::Engine("a key is too long".into()))?;
                    let value = self.seal(&sealed_key, &[&length.to_le_bytes(), &key, &value])?;
                    sealed.put(sealed_key, value);
                }
                (Some(sealed_key), None) => sealed.remove(sealed_key),
                (None, Some(value)) => {
                    let value = self.seal(&key, &[&value])?;
                    sealed.put(key, value);
                }
                (None, None) => sealed.remove(key),
            }
        }
        self.inner.apply(sealed)
    }

    fn flush(&self) -> Result<(), IndexError> {
        self.inner.flush()
    }

    fn recover(&self) -> Result<(), IndexError> {
        self.inner.recover()
    }

    fn rewrite(&self) -> Result<(), IndexError> {
        self.inner.rewrite()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::engine::MemoryEngine;

    fn scanned(engine: &dyn Engine, from: &[u8], to: Option<&[u8]>) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut rows = Vec::new();
        engine
            .scan(from, to, &mut |key, value| {
                rows.push((key.to_vec(), value.to_vec()));
                ControlFlow::Continue(())
            })
            .unwrap();
        rows
    }

    #[test]
    fn texts_are_found_and_not_seen() {
        let inner = Arc::new(MemoryEngine::default());
        let engine = SealedEngine::new(inner.clone(), &Secret::random().unwrap()).unwrap();
        let mut batch = Batch::default();
        let names = ["d", "do", "doe^jane", "doe^john", "dot", "smith", ""];
        for (n, name) in names.iter().enumerate() {
            batch.put(keys::by_text(keys::LEXICON, name, &[n as u8; 9]), vec![n as u8]);
            batch.put(keys::by_text(keys::PATIENT_ID, name, &[n as u8; 9]), vec![n as u8]);
        }
        batch.put(b"sother".to_vec(), b"secret".to_vec());
        engine.apply(batch).unwrap();
        for kind in [keys::LEXICON, keys::PATIENT_ID] {
            for prefix in ["", "d", "do", "doe", "doe^jane", "s", "x", "smiths"] {
                let begin = keys::text_beginning(kind, prefix);
                let found = scanned(&engine, &begin, keys::after_prefix(&begin).as_deref());
                let expected = names.iter().filter(|name| name.starts_with(prefix)).count();
                assert_eq!(found.len(), expected, "{prefix}");
                for (key, value) in found {
                    assert!(key.ends_with(&[&[0], [value[0]; 9].as_slice()].concat()));
                    assert_eq!(engine.get(&key).unwrap(), Some(value));
                }
            }
        }
        for name in names {
            let prefix = keys::text_prefix(keys::PATIENT_ID, name);
            assert_eq!(
                scanned(&engine, &prefix, keys::after_prefix(&prefix).as_deref()).len(),
                1
            );
            let mut after = [prefix.as_slice(), &[200; 9]].concat();
            after.push(0);
            assert!(scanned(&engine, &after, keys::after_prefix(&prefix).as_deref()).is_empty());
        }
        for (key, value) in scanned(inner.as_ref(), &[], None) {
            for text in ["doe", "smith", "secret"] {
                let row = [key.as_slice(), &value].concat();
                assert!(row.windows(text.len()).all(|window| window != text.as_bytes()));
            }
        }
        let mut batch = Batch::default();
        batch.remove(keys::by_text(keys::LEXICON, "smith", &[5; 9]));
        engine.apply(batch).unwrap();
        let begin = keys::text_beginning(keys::LEXICON, "smi");
        assert!(scanned(&engine, &begin, keys::after_prefix(&begin).as_deref()).is_empty());
    }

    #[test]
    fn rows_of_another_key_or_another_place_are_damage() {
        let inner = Arc::new(MemoryEngine::default());
        let engine = SealedEngine::new(inner.clone(), &Secret::random().unwrap()).unwrap();
        let mut batch = Batch::default();
        batch.put(b"s1".to_vec(), b"one".to_vec());
        engine.apply(batch).unwrap();
        let mut moved = Batch::default();
        moved.put(b"s2".to_vec(), inner.get(b"s1").unwrap().unwrap());
        inner.apply(moved).unwrap();
        assert!(matches!(engine.get(b"s2"), Err(IndexError::Damaged(_))));
        let other = SealedEngine::new(inner, &Secret::random().unwrap()).unwrap();
        assert!(matches!(other.get(b"s1"), Err(IndexError::Damaged(_))));
    }

    #[test]
    fn nonces_go_on_when_the_counter_ends() {
        let mut nonces = Nonces {
            drawn: [1; 8],
            counter: u32::MAX - 1,
        };
        let drawn: std::collections::BTreeSet<_> = (0..4).map(|_| nonces.next().unwrap()).collect();
        assert_eq!(drawn.len(), 4);
        assert_ne!(nonces.drawn, [1; 8]);
    }
}
