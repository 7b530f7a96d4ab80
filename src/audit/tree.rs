//! The hashes of the tree on the disk, in the order in which subtrees become whole: 32 bytes each, 64 bytes an entry.
//!
//! They can be made again from the entries; that they were written says that the entry was.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use crate::merkle::{Hash, Subtrees, leaves_of, node_hash, stored_count, stored_position};

const HASH_BYTES: u64 = 32;

/// Roots of the whole subtrees that the leaves so far make up, the largest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Peaks {
    size: u64,
    peaks: Vec<Hash>,
}

impl Peaks {
    /// Those of the first `size` leaves.
    pub(crate) fn read(tree: &impl Subtrees, size: u64) -> io::Result<Self> {
        let mut peaks = Vec::new();
        let mut start = 0;
        for level in (0..64).rev() {
            if size >> level & 1 == 1 {
                peaks.push(tree.subtree(level, start >> level)?);
                start += 1 << level;
            }
        }
        Ok(Self { size, peaks })
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf. Appends the hashes that are to be stored.
    pub(crate) fn push(&mut self, leaf: Hash, stored: &mut Vec<Hash>) {
        let mut hash = leaf;
        stored.push(hash);
        let mut rest = self.size;
        while rest & 1 == 1 {
            let Some(left) = self.peaks.pop() else { break };
            hash = node_hash(&left, &hash);
            stored.push(hash);
            rest >>= 1;
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    pub(crate) fn root(&self) -> Hash {
        let mut smaller = self.peaks.iter().rev().copied();
        let Some(last) = smaller.next() else {
            return crate::merkle::empty_root();
        };
        smaller.fold(last, |right, left| node_hash(&left, &right))
    }
}

/// The file of hashes.
#[derive(Debug)]
pub(crate) struct TreeFile {
    file: File,
}

impl TreeFile {
    /// Opens it, or makes it.
    pub(crate) fn open(path: &Path, is_writable: bool) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(is_writable)
            .create(is_writable)
            .truncate(false)
            .open(path)?;
        Ok(Self { file })
    }

    /// Leaves whose hashes, and those of all that they make whole, are there.
    pub(crate) fn size(&self) -> io::Result<u64> {
        Ok(leaves_of(self.file.metadata()?.len() / HASH_BYTES))
    }

    /// Writes the hashes that follow those of the first `size` leaves.
    pub(crate) fn write(&self, size: u64, hashes: &[Hash]) -> io::Result<()> {
        self.file
            .write_all_at(hashes.as_flattened(), stored_count(size) * HASH_BYTES)
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// All hashes that stand stored from the one at `position` on, `into.len()` of them.
    pub(crate) fn read(&self, position: u64, into: &mut [Hash]) -> io::Result<()> {
        self.file.read_exact_at(into.as_flattened_mut(), position * HASH_BYTES)
    }
}

impl Subtrees for TreeFile {
    fn subtree(&self, level: u32, position: u64) -> io::Result<Hash> {
        let mut hash = [0; 32];
        let at = stored_position(level, position) * HASH_BYTES;
        self.file.read_exact_at(&mut hash, at)?;
        Ok(hash)
    }
}
