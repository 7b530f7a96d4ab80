//! Reads ZIP archives (APPNOTE 6.3) that come from anywhere: one entry at a time, in bounded memory, with a bound on what
//! an archive may unpack to. Names of entries are only ever printed, never used as paths.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use flate2::bufread::DeflateDecoder;

/// Signature of a local file header, with which almost every archive begins.
pub const LOCAL_HEADER: [u8; 4] = *b"PK\x03\x04";
const CENTRAL_HEADER: [u8; 4] = *b"PK\x01\x02";
const END_OF_DIRECTORY: [u8; 4] = *b"PK\x05\x06";
const END_OF_DIRECTORY_64: [u8; 4] = *b"PK\x06\x06";
const END_LOCATOR_64: [u8; 4] = *b"PK\x06\x07";
/// End of central directory record (22 bytes) with the longest comment.
const END_BYTES_MAX: u64 = 22 + 0xFFFF;
/// What is read of the central directory at a time: longer than one header with the longest name, extra field and comment.
const DIRECTORY_CHUNK_BYTES: usize = 256 << 10;

/// Why an archive, or an entry of it, cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZipError {
    /// It is no ZIP archive, or its directory is damaged.
    #[error("the ZIP archive is damaged: {0}")]
    Damaged(&'static str),
    /// It uses what is not supported.
    #[error("the ZIP archive uses {0}, which is not supported: unpack it first")]
    Unsupported(&'static str),
    /// Reading failed.
    #[error("the ZIP archive cannot be read: {0}")]
    Read(String),
}

impl From<io::Error> for ZipError {
    fn from(error: io::Error) -> Self {
        Self::Read(error.to_string())
    }
}

/// An open archive. Cheap to clone; every reader of it keeps its own place.
#[derive(Debug, Clone)]
pub struct Archive {
    file: Arc<File>,
    length: u64,
    directory: u64,
    directory_end: u64,
    /// What may still be unpacked.
    budget: Arc<AtomicU64>,
}

/// What the central directory says of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// As it stands, bytes that are not UTF-8 replaced.
    pub name: String,
    /// Place in the central directory, from 0.
    pub number: u64,
    /// Bytes in the archive.
    pub compressed_length: u64,
    /// Bytes unpacked, as the directory claims.
    pub length: u64,
    /// CRC-32 of the unpacked bytes.
    pub crc: u32,
    method: u16,
    flags: u16,
    header_offset: u64,
}

impl Entry {
    /// True for what stands for a folder.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.name.ends_with('/') && self.length == 0
    }
}

impl Archive {
    /// Opens an archive that may unpack to `unpacked_max` bytes in all.
    ///
    /// # Errors
    /// [`ZipError`] when there is no readable central directory.
    pub fn open(path: &Path, unpacked_max: u64) -> Result<Self, ZipError> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let tail_at = length.saturating_sub(END_BYTES_MAX);
        let mut tail = vec![0; usize::try_from(length - tail_at).unwrap_or(0)];
        file.read_exact_at(&mut tail, tail_at)?;
        let (end_at, end) = find_end(&tail).ok_or(ZipError::Damaged("it has no central directory"))?;
        let end_at = tail_at + end_at as u64;
        let mut directory = u64::from(end.u32_at(16));
        let mut directory_length = u64::from(end.u32_at(12));
        if end.u16_at(4) != end.u16_at(6) {
            return Err(ZipError::Unsupported("several volumes"));
        }
        if end.u16_at(10) == u16::MAX || directory == u64::from(u32::MAX) || directory_length == u64::from(u32::MAX) {
            (directory, directory_length) = end_64(&file, end_at)?;
        }
        let directory_end = directory.checked_add(directory_length).filter(|end| *end <= end_at);
        let directory_end = directory_end.ok_or(ZipError::Damaged("its directory lies outside of it"))?;
        Ok(Self {
            file: Arc::new(file),
            length,
            directory,
            directory_end,
            budget: Arc::new(AtomicU64::new(unpacked_max)),
        })
    }

    /// The entries in the order of the directory, read as they are asked for.
    #[must_use]
    pub fn entries(&self) -> Entries {
        Entries {
            archive: self.clone(),
            at: self.directory,
            number: 0,
            buffer: Vec::new(),
            buffer_at: 0,
            ended: false,
        }
    }

    /// Begins to unpack an entry. The reader fails at the end when the checksum is wrong, and as soon as the bytes exceed
    /// what the entry or the archive may have.
    ///
    /// # Errors
    /// [`ZipError`] when the entry's own header is damaged, or its method is none that is supported.
    pub fn read(&self, entry: &Entry) -> Result<Box<dyn Read + Send>, ZipError> {
        if entry.flags & 1 != 0 {
            return Err(ZipError::Unsupported("encryption"));
        }
        let mut head = [0; 30];
        self.file.read_exact_at(&mut head, entry.header_offset)?;
        if !head.starts_with(&LOCAL_HEADER) {
            return Err(ZipError::Damaged("an entry does not begin with its header"));
        }
        let start = entry.header_offset + 30 + u64::from(head.u16_at(26)) + u64::from(head.u16_at(28));
        let end = start
            .checked_add(entry.compressed_length)
            .filter(|end| *end <= self.length);
        let end = end.ok_or(ZipError::Damaged("an entry reaches beyond its end"))?;
        let packed = io::BufReader::with_capacity(
            64 << 10,
            Section {
                file: Arc::clone(&self.file),
                at: start,
                end,
            },
        );
        let unpacked: Box<dyn Read + Send> = match entry.method {
            0 => Box::new(packed),
            8 => Box::new(DeflateDecoder::new(packed)),
            _ => return Err(ZipError::Unsupported("a compression other than deflate")),
        };
        Ok(Box::new(Checked {
            unpacked,
            left: entry.length,
            hasher: crc32fast::Hasher::new(),
            crc: entry.crc,
            budget: Arc::clone(&self.budget),
        }))
    }
}

/// Little-endian numbers at places; 0 beyond the end.
trait Numbers {
    fn slice(&self, at: usize, length: usize) -> &[u8];
    fn u16_at(&self, at: usize) -> u16 {
        self.slice(at, 2).try_into().map(u16::from_le_bytes).unwrap_or_default()
    }
    fn u32_at(&self, at: usize) -> u32 {
        self.slice(at, 4).try_into().map(u32::from_le_bytes).unwrap_or_default()
    }
    fn u64_at(&self, at: usize) -> u64 {
        self.slice(at, 8).try_into().map(u64::from_le_bytes).unwrap_or_default()
    }
}

impl Numbers for [u8] {
    fn slice(&self, at: usize, length: usize) -> &[u8] {
        at.checked_add(length)
            .and_then(|end| self.get(at..end))
            .unwrap_or_default()
    }
}

/// The last end-of-directory record whose comment fills the rest exactly; else the last that looks like one.
fn find_end(tail: &[u8]) -> Option<(usize, &[u8])> {
    let candidates = || {
        let last = tail.len().checked_sub(22)?;
        (0..=last).rev().find_map(|at| {
            let record = tail.get(at..)?;
            record.starts_with(&END_OF_DIRECTORY).then_some((at, record))
        })
    };
    let last = tail.len().checked_sub(22)?;
    let exact = (0..=last).rev().find_map(|at| {
        let record = tail.get(at..)?;
        let fits = record.starts_with(&END_OF_DIRECTORY) && usize::from(record.u16_at(20)) + 22 == record.len();
        fits.then_some((at, record))
    });
    exact.or_else(candidates)
}

/// Offset and length of the directory as the ZIP64 record says.
fn end_64(file: &File, end_at: u64) -> Result<(u64, u64), ZipError> {
    const MISSING: ZipError = ZipError::Damaged("its ZIP64 directory is missing");
    let mut locator = [0; 20];
    file.read_exact_at(&mut locator, end_at.checked_sub(20).ok_or(MISSING)?)?;
    if !locator.starts_with(&END_LOCATOR_64) {
        return Err(MISSING);
    }
    let mut record = [0; 56];
    file.read_exact_at(&mut record, locator.u64_at(8))?;
    if !record.starts_with(&END_OF_DIRECTORY_64) {
        return Err(MISSING);
    }
    Ok((record.u64_at(48), record.u64_at(40)))
}

/// Walks through the central directory. Ends after the first error.
pub struct Entries {
    archive: Archive,
    at: u64,
    number: u64,
    buffer: Vec<u8>,
    buffer_at: u64,
    ended: bool,
}

impl Entries {
    /// Bytes of the directory from `self.at` on: as many as asked for, or what is left.
    fn bytes(&mut self, count: usize) -> Result<&[u8], ZipError> {
        let offset = usize::try_from(self.at - self.buffer_at).unwrap_or(usize::MAX);
        let left = self.archive.directory_end - self.at;
        let count = count.min(usize::try_from(left).unwrap_or(usize::MAX));
        let held = offset.checked_add(count).is_some_and(|end| end <= self.buffer.len());
        if held {
            return Ok(self.buffer.slice(offset, count));
        }
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(DIRECTORY_CHUNK_BYTES);
        self.buffer.resize(length, 0);
        self.archive.file.read_exact_at(&mut self.buffer, self.at)?;
        self.buffer_at = self.at;
        Ok(self.buffer.slice(0, count))
    }

    fn entry(&mut self) -> Result<Option<Entry>, ZipError> {
        if self.at >= self.archive.directory_end {
            return Ok(None);
        }
        let number = self.number;
        let head = self.bytes(46)?;
        if !head.starts_with(&CENTRAL_HEADER) || head.len() < 46 {
            return Err(ZipError::Damaged("its directory is torn"));
        }
        let (name_length, extra_length, comment_length) = (
            usize::from(head.u16_at(28)),
            usize::from(head.u16_at(30)),
            usize::from(head.u16_at(32)),
        );
        let length = 46 + name_length + extra_length + comment_length;
        let record = self.bytes(length)?;
        if record.len() < length {
            return Err(ZipError::Damaged("its directory is torn"));
        }
        let mut entry = Entry {
            name: String::from_utf8_lossy(record.slice(46, name_length)).into_owned(),
            number,
            compressed_length: u64::from(record.u32_at(20)),
            length: u64::from(record.u32_at(24)),
            crc: record.u32_at(16),
            method: record.u16_at(10),
            flags: record.u16_at(8),
            header_offset: u64::from(record.u32_at(42)),
        };
        widen(&mut entry, record.slice(46 + name_length, extra_length));
        self.at += length as u64;
        self.number += 1;
        Ok(Some(entry))
    }
}

/// Takes the numbers that did not fit into 32 bits from the ZIP64 extra field.
fn widen(entry: &mut Entry, mut extra: &[u8]) {
    while let Some((head, rest)) = extra.split_first_chunk::<4>() {
        let Some((field, rest)) = rest.split_at_checked(usize::from(head.u16_at(2))) else {
            return;
        };
        extra = rest;
        if head.u16_at(0) != 1 {
            continue;
        }
        let mut at = 0;
        for number in [
            &mut entry.length,
            &mut entry.compressed_length,
            &mut entry.header_offset,
        ] {
            if *number == u64::from(u32::MAX) {
                *number = field.u64_at(at);
                at += 8;
            }
        }
    }
}

impl Iterator for Entries {
    type Item = Result<Entry, ZipError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.entry().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

/// A range of a file, read without moving anybody else's place in it.
struct Section {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        let count = self
            .file
            .read_at(buffer.get_mut(..length).unwrap_or_default(), self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// Counts, and checks the end.
struct Checked {
    unpacked: Box<dyn Read + Send>,
    left: u64,
    hasher: crc32fast::Hasher,
    crc: u32,
    budget: Arc<AtomicU64>,
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self.unpacked.read(buffer)?;
        let bad = |why| Err(io::Error::new(io::ErrorKind::InvalidData, why));
        if count == 0 {
            if self.left > 0 {
                return bad("the entry ends early");
            }
            if self.hasher.clone().finalize() != self.crc {
                return bad("the checksum of the entry is wrong");
            }
            return Ok(0);
        }
        let Some(left) = self.left.checked_sub(count as u64) else {
            return bad("the entry is longer than the archive says");
        };
        self.left = left;
        let spent = self
            .budget
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |budget| {
                budget.checked_sub(count as u64)
            });
        if spent.is_err() {
            return bad("the archive unpacks to more than is allowed (--zip-max)");
        }
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}
