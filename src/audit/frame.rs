//! How an entry stands on the disk: a head, the leaf, and beside it what can be erased. Encrypted where the archive is.
//!
//! ```text
//! 4  "AUD1", or "AUDS" where leaf and values are sealed
//!            8  index, little endian       4  bytes of the leaf      4  bytes of the values
//! 4  CRC-32 of the head so far and of the leaf     4  CRC-32 of the values   then leaf, then values
//! ```
//!
//! Values are erased in place: their bytes become zeros and their CRC-32 that of zeros. The leaf is never written again.

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};

use crate::error::AuditError;

/// Longest leaf and longest values, in bytes, sealed.
pub const PART_BYTES_MAX: usize = 1 << 20;
/// Bytes of a head.
pub(crate) const HEAD_BYTES: usize = 28;
const PLAIN: &[u8; 4] = b"AUD1";
const SEALED: &[u8; 4] = b"AUDS";

/// Seals what goes to the disk.
pub(crate) struct Sealer {
    key: Option<LessSafeKey>,
    random: SystemRandom,
}

/// Which part of an entry is sealed; bound to its place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Leaf,
    Values,
}

impl Sealer {
    /// With a key, everything is sealed with AES-256-GCM.
    pub(crate) fn new(key: Option<&[u8; 32]>) -> Result<Self, AuditError> {
        let key = key
            .map(|key| UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new))
            .transpose()
            .map_err(|_| AuditError::Key("the key is none".into()))?;
        Ok(Self {
            key,
            random: SystemRandom::new(),
        })
    }

    fn seal(&self, index: u64, part: Part, plain: &[u8], into: &mut Vec<u8>) -> Result<(), AuditError> {
        let Some(key) = &self.key else {
            into.extend_from_slice(plain);
            return Ok(());
        };
        // What was erased stays seen to be so.
        if plain.is_empty() || part == Part::Values && is_erased(plain) {
            into.extend_from_slice(plain);
            return Ok(());
        }
        let mut nonce = [0; NONCE_LEN];
        self.random
            .fill(&mut nonce)
            .map_err(|_| AuditError::Disk("the operating system gives no random numbers".into()))?;
        let mut sealed = plain.to_vec();
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(place(index, part)),
            &mut sealed,
        )
        .map_err(|_| AuditError::Key("it cannot be sealed".into()))?;
        into.extend_from_slice(&nonce);
        into.extend_from_slice(&sealed);
        Ok(())
    }

    /// Opens a part. What was written before there was a key is plain.
    pub(crate) fn open(&self, head: &Head, part: Part, bytes: &[u8]) -> Result<Vec<u8>, AuditError> {
        if !head.is_sealed || bytes.is_empty() {
            return Ok(bytes.to_vec());
        }
        let index = head.index;
        let key = self.key.as_ref().ok_or_else(|| AuditError::Damaged {
            index,
            reason: "it is encrypted, and there is no key".into(),
        })?;
        let damaged = || AuditError::Damaged {
            index,
            reason: "it does not open: it was changed, or the key is another".into(),
        };
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>().ok_or_else(damaged)?;
        let mut sealed = sealed.to_vec();
        let plain = key
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(place(index, part)),
                &mut sealed,
            )
            .map_err(|_| damaged())?;
        Ok(plain.to_vec())
    }
}

fn place(index: u64, part: Part) -> [u8; 9] {
    let mut place = [0; 9];
    for (to, from) in place.iter_mut().zip(index.to_le_bytes()) {
        *to = from;
    }
    if let Some(last) = place.last_mut() {
        *last = u8::from(part == Part::Values);
    }
    place
}

/// Appends an entry.
pub(crate) fn write(
    sealer: &Sealer,
    index: u64,
    leaf: &[u8],
    values: &[u8],
    into: &mut Vec<u8>,
) -> Result<(), AuditError> {
    let (mut sealed_leaf, mut sealed_values) = (Vec::new(), Vec::new());
    sealer.seal(index, Part::Leaf, leaf, &mut sealed_leaf)?;
    sealer.seal(index, Part::Values, values, &mut sealed_values)?;
    let longest = sealed_leaf.len().max(sealed_values.len());
    if longest > PART_BYTES_MAX {
        return Err(AuditError::TooLong(longest));
    }
    let start = into.len();
    into.extend_from_slice(if sealer.key.is_some() { SEALED } else { PLAIN });
    into.extend_from_slice(&index.to_le_bytes());
    // Both are at most PART_BYTES_MAX.
    into.extend_from_slice(&(sealed_leaf.len() as u32).to_le_bytes());
    into.extend_from_slice(&(sealed_values.len() as u32).to_le_bytes());
    let crc = leaf_crc(into.get(start..).unwrap_or_default(), &sealed_leaf);
    into.extend_from_slice(&crc.to_le_bytes());
    into.extend_from_slice(&crc32fast::hash(&sealed_values).to_le_bytes());
    into.extend_from_slice(&sealed_leaf);
    into.extend_from_slice(&sealed_values);
    Ok(())
}

fn leaf_crc(head: &[u8], leaf: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(head);
    crc.update(leaf);
    crc.finalize()
}

/// What a head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) index: u64,
    pub(crate) leaf_bytes: usize,
    pub(crate) value_bytes: usize,
    is_sealed: bool,
    leaf_crc: u32,
    values_crc: u32,
    checked: [u8; 20],
}

impl Head {
    /// Bytes of the whole entry.
    pub(crate) fn bytes(&self) -> u64 {
        (HEAD_BYTES + self.leaf_bytes + self.value_bytes) as u64
    }

    /// Reads a head; `None` when it is none.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (checked, rest) = bytes.split_first_chunk::<20>()?;
        let (leaf_crc, rest) = rest.split_first_chunk::<4>()?;
        let (values_crc, _) = rest.split_first_chunk::<4>()?;
        let (magic, rest) = checked.split_first_chunk::<4>()?;
        let (index, rest) = rest.split_first_chunk::<8>()?;
        let (leaf_bytes, rest) = rest.split_first_chunk::<4>()?;
        let (value_bytes, _) = rest.split_first_chunk::<4>()?;
        let head = Self {
            index: u64::from_le_bytes(*index),
            leaf_bytes: u32::from_le_bytes(*leaf_bytes) as usize,
            value_bytes: u32::from_le_bytes(*value_bytes) as usize,
            is_sealed: magic == SEALED,
            leaf_crc: u32::from_le_bytes(*leaf_crc),
            values_crc: u32::from_le_bytes(*values_crc),
            checked: *checked,
        };
        let is_ours = magic == PLAIN || magic == SEALED;
        (is_ours && head.leaf_bytes <= PART_BYTES_MAX && head.value_bytes <= PART_BYTES_MAX).then_some(head)
    }

    /// True for an entry that is encrypted.
    pub(crate) fn is_sealed(&self) -> bool {
        self.is_sealed
    }

    /// The two parts of what stands behind the head, each `None` when it is not what was written.
    pub(crate) fn parts<'a>(&self, behind: &'a [u8]) -> (Option<&'a [u8]>, Option<&'a [u8]>) {
        let leaf = behind
            .get(..self.leaf_bytes)
            .filter(|leaf| leaf_crc(&self.checked, leaf) == self.leaf_crc);
        let values = behind
            .get(self.leaf_bytes..self.leaf_bytes + self.value_bytes)
            .filter(|values| crc32fast::hash(values) == self.values_crc);
        (leaf, values)
    }

    /// The CRC-32 of erased values.
    pub(crate) fn erased_crc(&self) -> u32 {
        crc32fast::hash(&vec![0; self.value_bytes])
    }

    /// Where in the entry the CRC-32 of the values stands, and where they begin.
    pub(crate) fn values_at(&self) -> (u64, u64) {
        (HEAD_BYTES as u64 - 4, (HEAD_BYTES + self.leaf_bytes) as u64)
    }
}

/// True for values that were erased.
pub(crate) fn is_erased(values: &[u8]) -> bool {
    !values.is_empty() && values.iter().all(|byte| *byte == 0)
}
