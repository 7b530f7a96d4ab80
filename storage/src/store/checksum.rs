//! SHA-256 of instances: made when they settle, of bytes whose CRC-32 is what it was when they came, and before that for whoever
//! needs it.

use std::io;

use sha2::{Digest, Sha256};

use super::{Store, StoreError};
use crate::{direct::Reader, model::InstanceRecord, packs::tar::Member, source::ReadAt};

/// A Part 10 file whose data set is to be hashed.
pub(super) struct Unhashed<'a> {
    pub(super) part_10: &'a dyn ReadAt,
    /// Bytes before the data set.
    pub(super) data_set_offset: u64,
    /// Of the whole, as it came.
    pub(super) crc32: u32,
}

/// Checksums of one that is read from its beginning to its end.
#[derive(Default)]
struct Sums {
    read: u64,
    crc32: crc32fast::Hasher,
    sha256: Sha256,
}

impl Sums {
    fn update(&mut self, of: &Unhashed<'_>, bytes: &[u8]) {
        self.crc32.update(bytes);
        let head = of.data_set_offset.saturating_sub(self.read);
        let head = usize::try_from(head).unwrap_or(usize::MAX).min(bytes.len());
        self.sha256.update(bytes.get(head..).unwrap_or_default());
        self.read += bytes.len() as u64;
    }
}

/// SHA-256 of each data set; `None` where the bytes are not those that came. Blocks.
///
/// # Errors
/// When some cannot be read at all.
pub(super) fn hash_each(unhashed: &[Unhashed<'_>]) -> io::Result<Vec<Option<[u8; 32]>>> {
    let mut sums = Vec::new();
    sums.resize_with(unhashed.len(), Sums::default);
    let pieces: Vec<_> = unhashed.iter().map(|one| one.part_10).collect();
    let read = Reader::new().read_pieces(&pieces, |at, bytes| {
        if let (Some(sums), Some(of)) = (sums.get_mut(at), unhashed.get(at)) {
            sums.update(of, bytes);
        }
        Ok(())
    });
    match read {
        // Sealed bytes that do not open: which of them is found out one by one.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => match unhashed {
            [_] => return Ok(vec![None]),
            _ => {
                return unhashed
                    .chunks(1)
                    .map(|one| Ok(hash_each(one)?.pop().flatten()))
                    .collect();
            }
        },
        read => read?,
    }
    let ended = sums.into_iter().zip(unhashed).map(|(sums, of)| {
        let is_whole = sums.crc32.finalize() == of.crc32;
        is_whole.then(|| sums.sha256.finalize().into())
    });
    Ok(ended.collect())
}

impl Store {
    /// SHA-256 of the data set of an instance, settled or not. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it has to be made and the bytes are not those that came.
    pub(super) fn sha256(&self, instance: &InstanceRecord) -> Result<[u8; 32], StoreError> {
        if let Some(known) = instance.sha256 {
            return Ok(known);
        }
        self.with_any_source(instance, |part_10| {
            let unhashed = Unhashed {
                part_10,
                data_set_offset: instance.data_set_offset,
                crc32: instance.crc32,
            };
            let hashed = hash_each(&[unhashed])?.pop().flatten();
            hashed.ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    "its CRC-32 is not that of what was received",
                )
            })
        })
    }

    /// True when a member of a pack has the data set of an instance, wherever that lies. Blocks.
    ///
    /// # Errors
    /// [`StoreError`] where nobody can tell; bytes that are damaged are not the same.
    pub(super) fn is_member(&self, instance: &InstanceRecord, member: &Member) -> Result<bool, StoreError> {
        match self.sha256(instance) {
            Ok(sha256) => Ok(sha256 == member.sha256),
            Err(StoreError::Damaged(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
