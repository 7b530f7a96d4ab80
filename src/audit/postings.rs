//! What finds the entries of one segment: where each stands, and which have a hash of [`crate::facets`].
//!
//! In memory while the segment grows; sorted into a file of its own (`.find`) when it is full. The file can be thrown away.
//!
//! ```text
//! head      8 "AUDFIND1", 8 first index, 4 entries, 4 postings, 8 + 8 earliest and latest time (Unix, seconds),
//!           8 bytes of the segment, 4 CRC-32 of all that
//! offsets   4 bytes an entry; FFFFFFFF for one that is missing
//! postings  8 hash, 4 number of the entry within the segment; sorted, in blocks of 340, each with a CRC-32 behind it
//! fences    the first hash of each block, 8 bytes each, then the CRC-32 of all of them
//! ```

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Write},
    os::unix::fs::FileExt,
    path::Path,
};

const MAGIC: &[u8; 8] = b"AUDFIND1";
const HEAD_BYTES: usize = 52;
const POSTING_BYTES: usize = 12;
const BLOCK_POSTINGS: usize = 340;
const BLOCK_BYTES: usize = BLOCK_POSTINGS * POSTING_BYTES + 4;
/// In the place of an offset: the entry is not there.
pub(crate) const MISSING: u32 = u32::MAX;

/// Times of entries, in seconds since 1970, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) earliest: i64,
    pub(crate) latest: i64,
}

impl Default for Span {
    fn default() -> Self {
        Self {
            earliest: i64::MAX,
            latest: i64::MIN,
        }
    }
}

/// The index of a segment that grows.
#[derive(Debug, Default)]
pub(crate) struct Growing {
    offsets: Vec<u32>,
    postings: HashMap<u64, Vec<u32>>,
    pub(crate) span: Span,
}

impl Growing {
    /// Adds the next entry; `offset`: [`MISSING`] when it is not there.
    pub(crate) fn push(&mut self, offset: u32, at: Option<i64>, hashes: &[u64]) {
        let number = self.len();
        self.offsets.push(offset);
        for hash in hashes {
            self.postings.entry(*hash).or_default().push(number);
        }
        if let Some(at) = at {
            self.span.earliest = self.span.earliest.min(at);
            self.span.latest = self.span.latest.max(at);
        }
    }

    /// Entries so far; a segment has far fewer than 2^32.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.offsets.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn offset(&self, number: u32) -> Option<u32> {
        self.offsets.get(number as usize).copied()
    }

    pub(crate) fn having(&self, hash: u64) -> Vec<u32> {
        self.postings.get(&hash).cloned().unwrap_or_default()
    }

    /// Finds entries by these hashes no more.
    pub(crate) fn forget(&mut self, gone: &[(u64, u32)]) {
        for (hash, number) in gone {
            if let Some(numbers) = self.postings.get_mut(hash) {
                numbers.retain(|other| other != number);
            }
        }
    }

    /// Writes the file, under another name first.
    pub(crate) fn write(&self, path: &Path, first: u64, segment_bytes: u64) -> io::Result<()> {
        let mut postings: Vec<(u64, u32)> = self
            .postings
            .iter()
            .flat_map(|(hash, numbers)| numbers.iter().map(|number| (*hash, *number)))
            .collect();
        postings.sort_unstable();
        let mut bytes = Vec::with_capacity(HEAD_BYTES + self.offsets.len() * 4 + postings.len() * 13);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&first.to_le_bytes());
        bytes.extend_from_slice(&self.len().to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(postings.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend_from_slice(&self.span.earliest.to_le_bytes());
        bytes.extend_from_slice(&self.span.latest.to_le_bytes());
        bytes.extend_from_slice(&segment_bytes.to_le_bytes());
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        for offset in &self.offsets {
            bytes.extend_from_slice(&offset.to_le_bytes());
        }
        let mut fences = Vec::new();
        for block in postings.chunks(BLOCK_POSTINGS) {
            let mut written = Vec::with_capacity(BLOCK_BYTES);
            for (hash, number) in block {
                written.extend_from_slice(&hash.to_le_bytes());
                written.extend_from_slice(&number.to_le_bytes());
            }
            if let Some((hash, _)) = block.first() {
                fences.extend_from_slice(&hash.to_le_bytes());
            }
            let crc = crc32fast::hash(&written);
            bytes.extend_from_slice(&written);
            bytes.extend_from_slice(&crc.to_le_bytes());
        }
        let crc = crc32fast::hash(&fences);
        bytes.extend_from_slice(&fences);
        bytes.extend_from_slice(&crc.to_le_bytes());
        let new = path.with_extension("find-new");
        File::create(&new)?.write_all(&bytes)?;
        std::fs::rename(&new, path)
    }
}

/// The index of a full segment, on the disk.
#[derive(Debug)]
pub(crate) struct Settled {
    file: File,
    entries: u32,
    postings: usize,
    pub(crate) span: Span,
    fences: Vec<u64>,
}

fn damaged() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "the index of a segment of the audit log is damaged",
    )
}

impl Settled {
    /// Opens the file of the segment that begins with entry `first` and has `segment_bytes`. An error of the kind
    /// `InvalidData` or `NotFound` says that it has to be made anew.
    pub(crate) fn open(path: &Path, first: u64, segment_bytes: u64) -> io::Result<Self> {
        let file = File::open(path)?;
        let mut head = [0; HEAD_BYTES];
        file.read_exact_at(&mut head, 0).map_err(|_| damaged())?;
        let (checked, crc) = head.split_last_chunk::<4>().ok_or_else(damaged)?;
        if crc32fast::hash(checked) != u32::from_le_bytes(*crc) {
            return Err(damaged());
        }
        let mut fields = Fields(checked);
        let is_ours = fields.take::<8>()? == *MAGIC && u64::from_le_bytes(fields.take()?) == first;
        let entries = u32::from_le_bytes(fields.take()?);
        let postings = u32::from_le_bytes(fields.take()?) as usize;
        let span = Span {
            earliest: i64::from_le_bytes(fields.take()?),
            latest: i64::from_le_bytes(fields.take()?),
        };
        if !is_ours || u64::from_le_bytes(fields.take()?) != segment_bytes {
            return Err(damaged());
        }
        let blocks = postings.div_ceil(BLOCK_POSTINGS);
        let fences_at = HEAD_BYTES + entries as usize * 4 + postings * POSTING_BYTES + blocks * 4;
        let mut bytes = vec![0; blocks * 8 + 4];
        file.read_exact_at(&mut bytes, fences_at as u64)
            .map_err(|_| damaged())?;
        let (fences, crc) = bytes.split_last_chunk::<4>().ok_or_else(damaged)?;
        if crc32fast::hash(fences) != u32::from_le_bytes(*crc) {
            return Err(damaged());
        }
        let (fences, _) = fences.as_chunks::<8>();
        Ok(Self {
            file,
            entries,
            postings,
            span,
            fences: fences.iter().map(|fence| u64::from_le_bytes(*fence)).collect(),
        })
    }

    pub(crate) fn len(&self) -> u32 {
        self.entries
    }

    pub(crate) fn offset(&self, number: u32) -> io::Result<Option<u32>> {
        if number >= self.entries {
            return Ok(None);
        }
        let mut offset = [0; 4];
        let at = HEAD_BYTES as u64 + u64::from(number) * 4;
        self.file.read_exact_at(&mut offset, at)?;
        Ok(Some(u32::from_le_bytes(offset)))
    }

    /// Numbers of the entries with a hash, in order.
    pub(crate) fn having(&self, hash: u64) -> io::Result<Vec<u32>> {
        // Equal hashes may begin in the block before the first whose fence is not below.
        let start = self.fences.partition_point(|fence| *fence < hash).saturating_sub(1);
        let mut found = Vec::new();
        for block in start..self.fences.len() {
            if self.fences.get(block).is_some_and(|fence| *fence > hash) {
                break;
            }
            let count = (self.postings - block * BLOCK_POSTINGS).min(BLOCK_POSTINGS);
            let mut bytes = vec![0; count * POSTING_BYTES + 4];
            let at = HEAD_BYTES + self.entries as usize * 4 + block * BLOCK_BYTES;
            self.file.read_exact_at(&mut bytes, at as u64).map_err(|_| damaged())?;
            let (written, crc) = bytes.split_last_chunk::<4>().ok_or_else(damaged)?;
            if crc32fast::hash(written) != u32::from_le_bytes(*crc) {
                return Err(damaged());
            }
            let (postings, _) = written.as_chunks::<POSTING_BYTES>();
            for posting in postings {
                let mut fields = Fields(posting);
                let of = u64::from_le_bytes(fields.take()?);
                if of == hash {
                    found.push(u32::from_le_bytes(fields.take()?));
                }
            }
        }
        Ok(found)
    }
}

/// Takes fields of a fixed length off the front.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or_else(damaged)?;
        self.0 = rest;
        Ok(*field)
    }
}
