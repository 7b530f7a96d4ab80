//! Bytes sealed in chunks of fixed length, so that any range can be read by itself.
//!
//! Every chunk but the last has [`CHUNK_BYTES`] of plaintext; each is followed by its tag. The nonce of a chunk is its number
//! and whether it is the last. No bytes at all are one empty chunk, so that there is always a tag to check.

use std::{
    io,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use ring::aead::{Aad, LessSafeKey, Nonce};

use super::{EncryptionError, Secret};
use crate::source::ReadAt;

/// Plaintext of a chunk: a frame of a CT is nine of them, the headers of 32 instances are less than one.
pub(crate) const CHUNK_BYTES: u64 = 64 << 10;
/// Bytes of a tag.
pub(crate) const TAG_BYTES: usize = 16;
const SEALED_CHUNK_BYTES: u64 = CHUNK_BYTES + TAG_BYTES as u64;

fn chunks(plain_length: u64) -> u64 {
    plain_length.div_ceil(CHUNK_BYTES).max(1)
}

/// Bytes that `plain_length` bytes become.
pub(crate) fn sealed_length(plain_length: u64) -> u64 {
    plain_length.saturating_add(chunks(plain_length).saturating_mul(TAG_BYTES as u64))
}

/// Bytes that became `sealed_length`; `None` where none can have.
pub(crate) fn plain_length(length: u64) -> Option<u64> {
    let plain = length.checked_sub(length.div_ceil(SEALED_CHUNK_BYTES) * TAG_BYTES as u64)?;
    (sealed_length(plain) == length).then_some(plain)
}

/// Seals and opens the chunks of one run of bytes. Its key must be used for nothing else.
pub(crate) struct ChunkKey {
    key: LessSafeKey,
    plain_length: u64,
}

impl std::fmt::Debug for ChunkKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ChunkKey(… of {} bytes)", self.plain_length)
    }
}

impl ChunkKey {
    /// For a run of `plain_length` bytes.
    pub(crate) fn new(key: &Secret, plain_length: u64) -> Result<Self, EncryptionError> {
        Ok(Self {
            key: key.aead()?,
            plain_length,
        })
    }

    /// For a run whose end is not known yet: all chunks but the last are sealed with this.
    pub(crate) fn growing(key: &Secret) -> Result<Self, EncryptionError> {
        Self::new(key, u64::MAX)
    }

    /// Seals what follows after the first `from` bytes, which are whole chunks.
    pub(crate) fn seal_more(&self, from: u64, plain: &[u8]) -> Result<Vec<u8>, EncryptionError> {
        let mut out = Vec::with_capacity(plain.len() + (plain.len() / CHUNK_BYTES as usize + 1) * TAG_BYTES);
        for (chunk, part) in (from / CHUNK_BYTES..).zip(plain.chunks(CHUNK_BYTES as usize)) {
            self.seal(chunk, part, &mut out)?;
        }
        if self.plain_length == 0 {
            self.seal(0, &[], &mut out)?;
        }
        Ok(out)
    }

    fn nonce(&self, chunk: u64) -> Nonce {
        let is_last = chunk + 1 == chunks(self.plain_length);
        let mut nonce = [0; 12];
        if let Some((start, number)) = nonce.split_first_chunk_mut::<4>() {
            start.copy_from_slice(&[u8::from(is_last), 0, 0, 0]);
            number.copy_from_slice(&chunk.to_be_bytes());
        }
        Nonce::assume_unique_for_key(nonce)
    }

    /// The bytes of a chunk in the plaintext.
    fn plain_range(&self, chunk: u64) -> Range<u64> {
        let start = (chunk * CHUNK_BYTES).min(self.plain_length);
        start..(start + CHUNK_BYTES).min(self.plain_length)
    }

    /// Where the chunks lie that hold a part of the plaintext.
    pub(crate) fn sealed_range(&self, plain: &Range<u64>) -> Range<u64> {
        sealed_range(plain).start..sealed_range(plain).end.min(sealed_length(self.plain_length))
    }

    /// Appends one chunk, sealed.
    fn seal(&self, chunk: u64, plain: &[u8], out: &mut Vec<u8>) -> Result<(), EncryptionError> {
        let start = out.len();
        out.extend_from_slice(plain);
        let (_, fresh) = out.split_at_mut(start);
        let tag = self
            .key
            .seal_in_place_separate_tag(self.nonce(chunk), Aad::empty(), fresh)
            .map_err(|_| EncryptionError::Tampered)?;
        out.extend_from_slice(tag.as_ref());
        Ok(())
    }

    /// Seals a whole run that lies in memory, in pieces.
    pub(crate) fn seal_all(&self, pieces: &[&[u8]]) -> Result<Vec<u8>, EncryptionError> {
        let capacity = usize::try_from(sealed_length(self.plain_length)).unwrap_or_default();
        let mut out = Vec::with_capacity(capacity);
        let mut gathered = Vec::new();
        let (mut chunk, mut left) = (0, self.plain_length);
        let mut rest: Vec<&[u8]> = pieces.to_vec();
        rest.reverse();
        loop {
            let wanted = left.min(CHUNK_BYTES) as usize;
            gathered.clear();
            // Most chunks lie within one piece, and are sealed without a copy.
            let mut whole = None;
            while gathered.len() < wanted {
                let Some(piece) = rest.pop() else {
                    return Err(EncryptionError::Tampered);
                };
                let (now, later) = piece.split_at(piece.len().min(wanted - gathered.len()));
                if !later.is_empty() {
                    rest.push(later);
                }
                if gathered.is_empty() && now.len() == wanted {
                    whole = Some(now);
                    break;
                }
                gathered.extend_from_slice(now);
            }
            self.seal(chunk, whole.unwrap_or(&gathered), &mut out)?;
            left -= wanted as u64;
            chunk += 1;
            if left == 0 {
                return Ok(out);
            }
        }
    }

    /// Opens whole chunks, the first of which is `chunk`, and appends their plaintext to `out`.
    pub(crate) fn open(&self, mut chunk: u64, sealed: &[u8], out: &mut Vec<u8>) -> Result<(), EncryptionError> {
        for sealed in sealed.chunks(SEALED_CHUNK_BYTES as usize) {
            let plain = self.plain_range(chunk);
            let start = out.len();
            if chunk >= chunks(self.plain_length) || sealed.len() as u64 != plain.end - plain.start + TAG_BYTES as u64 {
                return Err(EncryptionError::Tampered);
            }
            out.extend_from_slice(sealed);
            let (_, fresh) = out.split_at_mut(start);
            let opened = self.key.open_in_place(self.nonce(chunk), Aad::empty(), fresh);
            let length = opened.map_err(|_| EncryptionError::Tampered)?.len();
            out.truncate(start + length);
            chunk += 1;
        }
        Ok(())
    }

    /// Opens the chunks that [`ChunkKey::sealed_range`] named and cuts out the part that was asked for.
    pub(crate) fn open_range(&self, plain: &Range<u64>, sealed: &[u8]) -> Result<Bytes, EncryptionError> {
        let mut opened = Vec::with_capacity(sealed.len());
        self.open(first_chunk(plain), sealed, &mut opened)?;
        cut(plain, opened)
    }

    /// As many bytes of the plaintext as there are in a range.
    pub(crate) fn clip(&self, range: &Range<u64>) -> Range<u64> {
        range.start.min(self.plain_length)..range.end.clamp(range.start.min(self.plain_length), self.plain_length)
    }
}

/// The first chunk with a part of a range.
pub(crate) fn first_chunk(plain: &Range<u64>) -> u64 {
    plain.start / CHUNK_BYTES
}

/// Where the chunks lie that hold a part of the plaintext, whatever its length.
pub(crate) fn sealed_range(plain: &Range<u64>) -> Range<u64> {
    let last = plain.end.max(plain.start + 1).div_ceil(CHUNK_BYTES);
    first_chunk(plain).saturating_mul(SEALED_CHUNK_BYTES)..last.saturating_mul(SEALED_CHUNK_BYTES)
}

/// Sealed chunks that are opened at a time where others wait for the thread.
pub(crate) const TURN_BYTES: usize = 4 * SEALED_CHUNK_BYTES as usize;
/// Chunks in a turn.
pub(crate) const TURN_CHUNKS: u64 = 4;

/// Cuts a range out of the chunks that hold it.
pub(crate) fn cut(plain: &Range<u64>, opened: Vec<u8>) -> Result<Bytes, EncryptionError> {
    let from = (plain.start % CHUNK_BYTES) as usize;
    let to = from + usize::try_from(plain.end - plain.start).unwrap_or(usize::MAX);
    if to > opened.len() {
        return Err(EncryptionError::Tampered);
    }
    Ok(Bytes::from(opened).slice(from..to))
}

/// Plaintext as it will be sealed; sealed while it is read.
pub(crate) struct SealedSource {
    plain: Box<dyn ReadAt>,
    key: ChunkKey,
    /// The chunk that was sealed last: a reader that goes on in the middle of it need not have it sealed again.
    last: Mutex<Option<(u64, Bytes)>>,
}

impl SealedSource {
    /// `key` must be for the length of `plain`.
    pub(crate) fn new(plain: Box<dyn ReadAt>, key: ChunkKey) -> Self {
        Self {
            plain,
            key,
            last: Mutex::default(),
        }
    }

    fn chunk(&self, chunk: u64) -> io::Result<Bytes> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((number, sealed)) = last.as_ref()
            && *number == chunk
        {
            return Ok(sealed.clone());
        }
        let range = self.key.plain_range(chunk);
        let length = (range.end - range.start) as usize;
        let plain = self.plain.read_at(range.start, length)?;
        if plain.len() != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut sealed = Vec::with_capacity(length + TAG_BYTES);
        self.key.seal(chunk, &plain, &mut sealed)?;
        let sealed = Bytes::from(sealed);
        *last = Some((chunk, sealed.clone()));
        Ok(sealed)
    }
}

impl ReadAt for SealedSource {
    fn len(&self) -> u64 {
        sealed_length(self.plain.len())
    }

    fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let end = offset.saturating_add(length as u64).min(self.len());
        if offset >= end {
            return Ok(Bytes::new());
        }
        let mut out = Vec::with_capacity((end - offset) as usize);
        let mut at = offset;
        while at < end {
            let (chunk, from) = (at / SEALED_CHUNK_BYTES, at % SEALED_CHUNK_BYTES);
            let sealed = self.chunk(chunk)?;
            let part = sealed.slice(from as usize..((from + end - at) as usize).min(sealed.len()));
            if part.len() as u64 == end - offset {
                return Ok(part);
            }
            at += part.len() as u64;
            out.extend_from_slice(&part);
        }
        Ok(out.into())
    }
}

impl std::fmt::Debug for OpenedSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpenedSource({:?})", self.key)
    }
}

/// Sealed bytes as their plaintext; opened while it is read.
pub(crate) struct OpenedSource {
    sealed: Arc<dyn ReadAt>,
    /// First byte of the first chunk.
    offset: u64,
    key: Arc<ChunkKey>,
}

impl OpenedSource {
    pub(crate) fn new(sealed: Arc<dyn ReadAt>, offset: u64, key: Arc<ChunkKey>) -> Self {
        Self { sealed, offset, key }
    }
}

impl ReadAt for OpenedSource {
    fn len(&self) -> u64 {
        self.key.plain_length
    }

    fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let plain = self.key.clip(&(offset..offset.saturating_add(length as u64)));
        if plain.is_empty() {
            return Ok(Bytes::new());
        }
        let range = self.key.sealed_range(&plain);
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let sealed = self.sealed.read_at(self.offset + range.start, length)?;
        if sealed.len() != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(self.key.open_range(&plain, &sealed)?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sealed(key: &Secret, plain: &[u8]) -> Vec<u8> {
        ChunkKey::new(key, plain.len() as u64)
            .unwrap()
            .seal_all(&[plain])
            .unwrap()
    }

    fn opened(key: &Secret, length: usize, sealed: Vec<u8>) -> OpenedSource {
        let key = Arc::new(ChunkKey::new(key, length as u64).unwrap());
        OpenedSource::new(Arc::new(Bytes::from(sealed)), 0, key)
    }

    fn plain(length: usize) -> Vec<u8> {
        (0..length).map(|n| (n * 7 + n / 251) as u8).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn any_range_comes_back(length in 0_usize..300_000, from in 0_u64..310_000, count in 0_usize..200_000, cuts in prop::collection::vec(0_usize..300_000, 0..4)) {
            let (key, plain) = (Secret::random().unwrap(), plain(length));
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(length)).chain([0, length]).collect();
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|cut| &plain[cut[0]..cut[1]]).collect();
            let sealed = ChunkKey::new(&key, length as u64).unwrap().seal_all(&pieces).unwrap();
            prop_assert_eq!(sealed.len() as u64, sealed_length(length as u64));
            prop_assert_eq!(plain_length(sealed.len() as u64), Some(length as u64));
            let source = SealedSource::new(Box::new(Bytes::from(plain.clone())), ChunkKey::new(&key, length as u64).unwrap());
            let part = source.read_at(from, count).unwrap();
            let at = (from as usize).min(sealed.len());
            prop_assert_eq!(&part[..], &sealed[at..(at + count).min(sealed.len())]);
            let read = opened(&key, length, sealed).read_at(from, count).unwrap();
            let at = (from as usize).min(length);
            prop_assert_eq!(&read[..], &plain[at..(at + count).min(length)]);
        }

        #[test]
        fn one_changed_bit_is_found(length in 0_usize..140_000, place in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let (key, plain) = (Secret::random().unwrap(), plain(length));
            let mut sealed = sealed(&key, &plain);
            let at = place.index(sealed.len());
            sealed[at] ^= 1 << bit;
            let chunk_key = ChunkKey::new(&key, length as u64).unwrap();
            prop_assert!(chunk_key.open(0, &sealed, &mut Vec::new()).is_err());
        }

        #[test]
        fn lengths_that_cannot_be_are_told(length in 0_u64..(1 << 40)) {
            prop_assert_eq!(plain_length(sealed_length(length)), Some(length));
            if let Some(plain) = plain_length(length) {
                prop_assert_eq!(sealed_length(plain), length);
            }
        }
    }

    #[test]
    fn chunks_cannot_be_cut_reordered_or_swapped() {
        const CHUNK: usize = SEALED_CHUNK_BYTES as usize;
        let (key, plain) = (Secret::random().unwrap(), plain(3 * CHUNK_BYTES as usize));
        let whole = sealed(&key, &plain);
        let opens = |key: &Secret, length: u64, sealed: &[u8]| {
            ChunkKey::new(key, length)
                .unwrap()
                .open(0, sealed, &mut Vec::new())
                .is_ok()
        };
        let length = plain.len() as u64;
        assert!(opens(&key, length, &whole));
        let cut = &whole[..2 * CHUNK];
        assert!(!opens(&key, length - CHUNK_BYTES, cut), "the last chunk is none");
        let mut reordered = whole.clone();
        reordered[..CHUNK].copy_from_slice(&whole[CHUNK..2 * CHUNK]);
        assert!(!opens(&key, length, &reordered));
        let other = sealed(&Secret::random().unwrap(), &plain);
        let mut swapped = whole.clone();
        swapped[CHUNK..2 * CHUNK].copy_from_slice(&other[CHUNK..2 * CHUNK]);
        assert!(!opens(&key, length, &swapped));
        let mut longer = whole;
        longer.extend_from_slice(&other[..CHUNK]);
        assert!(!opens(&key, length + CHUNK_BYTES, &longer));
    }
}
