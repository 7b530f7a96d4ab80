//! Segments: files of entries, one behind the other, each named after the index of its first.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

use crate::{
    entry::{self, Entry},
    error::AuditError,
    facets::FacetKey,
    frame::{self, HEAD_BYTES, Head, Part, Sealer},
    merkle::{Hash, leaf_hash},
    postings::{Growing, MISSING, Settled, Span},
};

const MAGIC: &[u8; 8] = b"AUDSEG1\n";
/// Bytes before the first entry: magic, index of the first entry, CRC-32 of both.
pub(crate) const SEGMENT_HEAD_BYTES: u64 = 20;
/// A segment with so many entries is full.
pub(crate) const SEGMENT_ENTRIES_MAX: u32 = if cfg!(test) { 512 } else { 16_384 };
/// A segment with so many bytes is full.
pub(crate) const SEGMENT_BYTES_MAX: u64 = 16 << 20;
/// How the names of segments end.
pub(crate) const EXTENSION: &str = "log";

/// A segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) first: u64,
    pub(crate) path: PathBuf,
    file: File,
    index: RwLock<Index>,
}

#[derive(Debug)]
enum Index {
    Growing(Growing),
    Settled(Settled),
}

/// The segment whose first entry is `first`.
pub(crate) fn path_of(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:020}.{EXTENSION}"))
}

fn head(first: u64) -> Vec<u8> {
    let mut head = MAGIC.to_vec();
    head.extend_from_slice(&first.to_le_bytes());
    let crc = crc32fast::hash(&head);
    head.extend_from_slice(&crc.to_le_bytes());
    head
}

/// True for the head of the segment whose first entry is `first`.
pub(crate) fn is_head(bytes: &[u8], first: u64) -> bool {
    bytes == head(first)
}

impl Segment {
    /// Makes an empty one. It is on the disk when this returns, its folder is not yet synced.
    pub(crate) fn create(folder: &Path, first: u64) -> io::Result<Self> {
        let path = path_of(folder, first);
        // One that a crash left empty, or one from an attempt that failed, holds nothing that was acknowledged.
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)?;
        file.write_all(&head(first))?;
        Ok(Self {
            first,
            path,
            file,
            index: RwLock::new(Index::Growing(Growing::default())),
        })
    }

    /// Opens one with an index that was made before.
    pub(crate) fn open_settled(path: &Path, first: u64, is_writable: bool) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(is_writable).open(path)?;
        let settled = Settled::open(&path.with_extension("find"), first, file.metadata()?.len())?;
        Ok(Self {
            first,
            path: path.to_owned(),
            file,
            index: RwLock::new(Index::Settled(settled)),
        })
    }

    /// One that was scanned.
    pub(crate) fn scanned(path: &Path, first: u64, index: Growing, is_writable: bool) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(is_writable).open(path)?;
        Ok(Self {
            first,
            path: path.to_owned(),
            file,
            index: RwLock::new(Index::Growing(index)),
        })
    }

    fn with<T>(&self, growing: impl FnOnce(&Growing) -> T, settled: impl FnOnce(&Settled) -> T) -> T {
        match &*self.index.read().unwrap_or_else(PoisonError::into_inner) {
            Index::Growing(index) => growing(index),
            Index::Settled(index) => settled(index),
        }
    }

    /// Entries that it has or should have.
    pub(crate) fn len(&self) -> u32 {
        self.with(Growing::len, Settled::len)
    }

    pub(crate) fn span(&self) -> Span {
        self.with(|index| index.span, |index| index.span)
    }

    /// Numbers of the entries with a hash, in order.
    pub(crate) fn having(&self, hash: u64) -> io::Result<Vec<u32>> {
        self.with(|index| Ok(index.having(hash)), |index| index.having(hash))
    }

    /// Bytes that it has.
    pub(crate) fn bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    pub(crate) fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, at)
    }

    pub(crate) fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Says that entries were written, so that they are found.
    pub(crate) fn grown(&self, entries: impl IntoIterator<Item = (u32, i64, Vec<u64>)>) {
        if let Index::Growing(index) = &mut *self.index.write().unwrap_or_else(PoisonError::into_inner) {
            for (offset, at, hashes) in entries {
                index.push(offset, Some(at), &hashes);
            }
        }
    }

    /// Writes the index of a full segment to the disk and frees the memory that it took.
    pub(crate) fn settle(&self) -> io::Result<()> {
        let bytes = self.bytes()?;
        let path = self.path.with_extension("find");
        let is_growing = self.with(
            |index| index.write(&path, self.first, bytes).map(|()| true),
            |_| Ok(false),
        )?;
        if is_growing {
            let settled = Settled::open(&path, self.first, bytes)?;
            *self.index.write().unwrap_or_else(PoisonError::into_inner) = Index::Settled(settled);
        }
        Ok(())
    }

    /// Has entries that were erased found by these hashes no more.
    pub(crate) fn forget(&self, gone: &[(u64, u32)], sealer: &Sealer, facets: &FacetKey) -> io::Result<()> {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        match &mut *index {
            Index::Growing(index) => index.forget(gone),
            Index::Settled(settled) => {
                let mut anew = Scan::read(&self.path, self.first, sealer, facets)?.index;
                while anew.len() < settled.len() {
                    anew.push(MISSING, None, &[]);
                }
                let path = self.path.with_extension("find");
                let bytes = self.bytes()?;
                anew.write(&path, self.first, bytes)?;
                *index = Index::Settled(Settled::open(&path, self.first, bytes)?);
            }
        }
        Ok(())
    }

    /// Makes the index of a full segment anew: it was damaged.
    pub(crate) fn reindex(&self, sealer: &Sealer, facets: &FacetKey) -> io::Result<()> {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        if let Index::Settled(settled) = &*index {
            let mut anew = Scan::read(&self.path, self.first, sealer, facets)?.index;
            while anew.len() < settled.len() {
                anew.push(MISSING, None, &[]);
            }
            // In memory: a disk that damaged the file may do so again. It is written at the next start.
            *index = Index::Growing(anew);
        }
        Ok(())
    }

    fn offset(&self, number: u32) -> io::Result<Option<u32>> {
        self.with(|index| Ok(index.offset(number)), |index| index.offset(number))
    }

    /// Head and place of an entry.
    pub(crate) fn head(&self, number: u32) -> Result<(Head, u64), AuditError> {
        let index = self.first + u64::from(number);
        let missing = |reason: &str| AuditError::Damaged {
            index,
            reason: reason.to_owned(),
        };
        let offset = self
            .offset(number)?
            .filter(|offset| *offset != MISSING)
            .ok_or_else(|| missing("the entry is not there"))?;
        let mut head = [0; HEAD_BYTES];
        self.file
            .read_exact_at(&mut head, u64::from(offset))
            .map_err(|_| missing("the entry is cut short"))?;
        let head = Head::read(&head)
            .filter(|head| head.index == index)
            .ok_or_else(|| missing("its head is not what was written"))?;
        Ok((head, u64::from(offset)))
    }

    /// Reads an entry.
    pub(crate) fn entry(&self, number: u32, sealer: &Sealer) -> Result<Entry, AuditError> {
        let (head, offset) = self.head(number)?;
        let mut behind = vec![0; head.leaf_bytes + head.value_bytes];
        self.file
            .read_exact_at(&mut behind, offset + HEAD_BYTES as u64)
            .map_err(|_| AuditError::Damaged {
                index: head.index,
                reason: "the entry is cut short".into(),
            })?;
        whole_entry(&head, &behind, sealer)
    }

    /// Puts zeros in the place of an entry's values.
    pub(crate) fn erase(&self, number: u32) -> Result<(), AuditError> {
        let (head, offset) = self.head(number)?;
        let (crc_at, values_at) = head.values_at();
        self.file.write_all_at(&vec![0; head.value_bytes], offset + values_at)?;
        self.file
            .write_all_at(&head.erased_crc().to_le_bytes(), offset + crc_at)?;
        Ok(())
    }
}

/// Takes an entry from its bytes.
pub(crate) fn whole_entry(head: &Head, behind: &[u8], sealer: &Sealer) -> Result<Entry, AuditError> {
    let damaged = |reason: &str| AuditError::Damaged {
        index: head.index,
        reason: reason.to_owned(),
    };
    let (leaf, values) = head.parts(behind);
    let leaf = leaf.ok_or_else(|| damaged("its bytes are not those that were written"))?;
    let leaf = sealer.open(head, Part::Leaf, leaf)?;
    let values = values.ok_or_else(|| damaged("the values beside it are not those that were written"))?;
    if frame::is_erased(values) {
        return entry::decode(head.index, &leaf, None);
    }
    let values = sealer.open(head, Part::Values, values)?;
    entry::decode(head.index, &leaf, Some(&values))
}

/// What a segment was found to hold.
pub(crate) struct Scan {
    pub(crate) index: Growing,
    /// Hashes of the leaves; `None` for those that are missing or damaged.
    pub(crate) leaves: Vec<Option<Hash>>,
    /// Where the last whole entry ends.
    pub(crate) whole_bytes: u64,
    /// Bytes of the file.
    pub(crate) bytes: u64,
    /// The first entry that is wrong, though others follow it.
    pub(crate) damage: Option<(u64, String)>,
}

impl Scan {
    /// Reads a whole segment: at most [`SEGMENT_BYTES_MAX`] and one batch.
    pub(crate) fn read(path: &Path, first: u64, sealer: &Sealer, facets: &FacetKey) -> io::Result<Self> {
        let bytes = std::fs::read(path)?;
        let mut scan = Self {
            index: Growing::default(),
            leaves: Vec::new(),
            whole_bytes: SEGMENT_HEAD_BYTES.min(bytes.len() as u64),
            bytes: bytes.len() as u64,
            damage: None,
        };
        if !bytes.starts_with(&head(first)) {
            scan.wrong(first, "the head of its segment is not what was written");
        }
        let mut at = scan.whole_bytes as usize;
        while let Some((found, head)) = next_head(&bytes, at, first + scan.leaves.len() as u64) {
            let next = first + scan.leaves.len() as u64;
            if head.index > next || found > at {
                scan.wrong(next, "the entry is not there, or its head is not what was written");
            }
            while first + (scan.leaves.len() as u64) < head.index {
                scan.leaves.push(None);
                scan.index.push(MISSING, None, &[]);
            }
            let behind = bytes.get(found + HEAD_BYTES..).unwrap_or_default();
            match whole_entry(&head, behind, sealer) {
                Ok(entry) => scan.take(found, &entry, facets),
                Err(error) => {
                    scan.wrong(head.index, &error.to_string());
                    // Its leaf may be whole, and only what stands beside it not.
                    let leaf = head
                        .parts(behind)
                        .0
                        .and_then(|leaf| sealer.open(&head, Part::Leaf, leaf).ok());
                    scan.leaves.push(leaf.map(|leaf| leaf_hash(&leaf)));
                    scan.index.push(offset(found), None, &[]);
                }
            }
            at = found + head.bytes() as usize;
            scan.whole_bytes = at as u64;
        }
        Ok(scan)
    }

    fn take(&mut self, at: usize, entry: &Entry, facets: &FacetKey) {
        self.leaves.push(Some(entry.leaf_hash));
        self.index.push(
            offset(at),
            Some(entry.event.at.unix_timestamp()),
            &facets.of_event(&entry.event),
        );
    }

    fn wrong(&mut self, index: u64, reason: &str) {
        if self.damage.is_none() {
            self.damage = Some((index, reason.to_owned()));
        }
    }
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(MISSING)
}

/// The next entry from `at` on that has index `next` or a later one of this segment, and is all there. Where none begins at
/// `at` itself, it is looked for: what stands between is damaged, or a torn end.
pub(crate) fn next_head(bytes: &[u8], at: usize, next: u64) -> Option<(usize, Head)> {
    let whole_at = |at: usize| {
        let head = bytes.get(at..).and_then(Head::read)?;
        let is_near = head.index >= next && head.index - next < u64::from(SEGMENT_ENTRIES_MAX) * 2;
        let is_there = bytes.len() as u64 >= at as u64 + head.bytes();
        // Lengths are believed only where the CRC-32 of head and leaf is right.
        let behind = bytes.get(at + HEAD_BYTES..).unwrap_or_default();
        (is_near && is_there && head.parts(behind).0.is_some()).then_some((at, head))
    };
    (at..=bytes.len().saturating_sub(HEAD_BYTES)).find_map(whole_at)
}
