//! Segments: files of the intake log, written at the end, read anywhere.

use std::{
    hash::{BuildHasher, Hasher},
    io,
    sync::Arc,
};

use bytes::Bytes;

use super::{
    entry::{Entry, FRAME_BYTES, Frame, Salt},
    medium::{BLOCK_BYTES, MediumFile},
    seal::{Place, SegmentSeal},
};
use crate::{
    buffers::Buffer,
    encryption::{ChunkKey, MasterKeys, OpenedSource, Secret, WRAPPED_BYTES, sealed_length},
    packs::compose::SharedPart,
    source::ReadAt,
};

const MAGIC: [u8; 8] = *b"FRlog\x001\n";
/// Of an encrypted segment, whose key stands behind the salt.
const SEALED_MAGIC: [u8; 8] = *b"FRlog\x002\n";
/// Bytes before the first entry: magic, number, salt, CRC-32.
pub(crate) const SEGMENT_HEAD_BYTES: u64 = 36;
const SEALED_HEAD_BYTES: u64 = SEGMENT_HEAD_BYTES + WRAPPED_BYTES as u64;
/// An entry's start is read in pieces of this size; most descriptions fit.
const READ_BYTES: usize = 2048;

/// A segment that can be read.
#[derive(Clone)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) salt: Salt,
    pub(crate) file: Arc<dyn MediumFile>,
    /// Where the segment is encrypted.
    seal: Option<SegmentSeal>,
}

/// An entry and where it lies.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// First byte of the entry.
    pub(crate) position: u64,
    /// First byte of the Part 10 file.
    pub(crate) body: u64,
    /// First byte after the entry.
    pub(crate) end: u64,
    pub(crate) entry: Entry,
    /// The key of the body, where the segment is encrypted.
    body_key: Option<Secret>,
}

impl Segment {
    /// Writes the head of a new segment. It becomes durable with the first entries.
    pub(crate) fn begin(number: u64, file: Arc<dyn MediumFile>, master: Option<&MasterKeys>) -> io::Result<Self> {
        let salt = new_salt(number);
        let (seal, wrapped) = match master {
            Some(master) => {
                let (seal, wrapped) = SegmentSeal::begin(master, number, &salt)?;
                (Some(seal), Some(wrapped))
            }
            None => (None, None),
        };
        let mut head = head(number, &salt, wrapped.as_ref());
        head.resize(BLOCK_BYTES, 0);
        file.write_at(&mut [io::IoSlice::new(&head)], 0)?;
        Ok(Self {
            number,
            salt,
            file,
            seal,
        })
    }

    /// Reads the head; `None` when it is not that of this segment.
    ///
    /// # Errors
    /// Also when the segment is encrypted and its master key is not there.
    pub(crate) fn read(
        number: u64,
        file: Arc<dyn MediumFile>,
        master: Option<&MasterKeys>,
    ) -> io::Result<Option<Self>> {
        let length = file.len()?.min(SEALED_HEAD_BYTES);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        file.read_exact_at(&mut bytes, 0)?;
        let Some(salt) = bytes.get(16..32).and_then(|salt| Salt::try_from(salt).ok()) else {
            return Ok(None);
        };
        let wrapped = bytes.get(32..).and_then(<[u8]>::first_chunk::<WRAPPED_BYTES>);
        let seal = match wrapped.filter(|_| bytes.starts_with(&SEALED_MAGIC)) {
            Some(wrapped) if bytes == head(number, &salt, Some(wrapped)) => {
                Some(SegmentSeal::open(master, wrapped, number, &salt)?)
            }
            Some(_) => return Ok(None),
            None if bytes.starts_with(&head(number, &salt, None)) => None,
            None => return Ok(None),
        };
        Ok(Some(Self {
            number,
            salt,
            file,
            seal,
        }))
    }

    /// Bytes before the first entry.
    pub(crate) fn head_bytes(&self) -> u64 {
        match self.seal {
            Some(_) => SEALED_HEAD_BYTES,
            None => SEGMENT_HEAD_BYTES,
        }
    }

    /// True where the segment is encrypted.
    pub(crate) fn is_sealed(&self) -> bool {
        self.seal.is_some()
    }

    /// Bytes that the Part 10 file of an entry takes in this segment.
    pub(crate) fn body_length(&self, entry: &Entry) -> u64 {
        match (&entry.staged, &self.seal) {
            (Some(_), _) => 0,
            (None, Some(_)) => sealed_length(entry.length),
            (None, None) => entry.length,
        }
    }

    /// Frame and description of an entry that is to be written at `position`; its body follows. `in_place`: the length of the
    /// Part 10 file's head, when the data set behind it is to begin at a block; zeros then follow the description.
    pub(crate) fn encode(
        &self,
        entry: &Entry,
        body_key: Option<&Secret>,
        position: u64,
        in_place: Option<usize>,
    ) -> io::Result<Vec<u8>> {
        let body_length = self.body_length(entry);
        let mut description = entry.describe();
        if let Some(file_head) = in_place {
            let data_set = position + (FRAME_BYTES + description.len() + file_head) as u64;
            let zeros = usize::try_from(next_block(data_set) - data_set).unwrap_or_default();
            description.resize(description.len() + zeros, 0);
        }
        let description = match &self.seal {
            Some(_) if entry.staged.is_none() && body_key.is_none() => {
                return Err(io::Error::other("an instance was not encrypted for an encrypted log"));
            }
            Some(seal) => {
                let place = Place { position, body_length };
                seal.seal(place, &description, body_key)?
            }
            None => description,
        };
        Ok(Entry::frame(&self.salt, position, body_length, &description))
    }

    /// The entry that begins at `position`; `None` when there is no whole one.
    pub(crate) fn entry_at(&self, position: u64) -> io::Result<Option<Found>> {
        let length = self.file.len()?;
        let room = length.saturating_sub(position);
        let mut start = vec![0; READ_BYTES.min(usize::try_from(room).unwrap_or(usize::MAX))];
        self.file.read_exact_at(&mut start, position)?;
        let Some((frame_bytes, rest)) = start.split_first_chunk::<FRAME_BYTES>() else {
            return Ok(None);
        };
        let Some(frame) = Frame::decode(frame_bytes, position) else {
            return Ok(None);
        };
        let description_length = frame.description_length as usize;
        let body = position + FRAME_BYTES as u64 + u64::from(frame.description_length);
        let Some(end) = body.checked_add(frame.body_length).filter(|end| *end <= length) else {
            return Ok(None);
        };
        let long;
        let description = match rest.get(..description_length) {
            Some(description) => description,
            None => {
                let mut bytes = vec![0; description_length];
                self.file.read_exact_at(&mut bytes, position + FRAME_BYTES as u64)?;
                long = bytes;
                &long
            }
        };
        if !frame.agrees(&self.salt, frame_bytes, description) {
            return Ok(None);
        }
        let opened;
        let (description, body_key) = match &self.seal {
            None => (description, None),
            Some(seal) => {
                let body_length = frame.body_length;
                match seal.open_description(Place { position, body_length }, description) {
                    Some((description, key)) => {
                        opened = description;
                        (opened.as_slice(), Some(key))
                    }
                    None => return Ok(None),
                }
            }
        };
        match Entry::decode(&frame, description) {
            Ok(entry) if self.body_length(&entry) == frame.body_length => Ok(Some(Found {
                position,
                body,
                end,
                entry,
                body_key,
            })),
            _ => Ok(None),
        }
    }

    /// Where the next entry is to be looked for: `position`, or the next block where only zeros are before that.
    pub(crate) fn after_zeros(&self, position: u64) -> io::Result<u64> {
        let next = next_block(position).min(self.file.len()?);
        let length = usize::try_from(next.saturating_sub(position)).unwrap_or_default();
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, position)?;
        Ok(if bytes.iter().all(|byte| *byte == 0) {
            next
        } else {
            position
        })
    }

    /// The first whole entry after `position`, past damaged bytes.
    pub(crate) fn entry_after(&self, mut position: u64) -> io::Result<Option<Found>> {
        const WINDOW: usize = 1 << 20;
        let length = self.file.len()?;
        while position + (FRAME_BYTES as u64) < length {
            let size = usize::try_from(length - position).unwrap_or(usize::MAX).min(WINDOW);
            let mut window = vec![0; size];
            self.file.read_exact_at(&mut window, position)?;
            for (at, bytes) in window.windows(FRAME_BYTES).enumerate() {
                let here = position + at as u64;
                let Some(bytes) = bytes.first_chunk::<FRAME_BYTES>() else {
                    continue;
                };
                if Frame::decode(bytes, here).is_some()
                    && let Some(found) = self.entry_at(here)?
                    && self.body_is_whole(&found)?
                {
                    return Ok(Some(found));
                }
            }
            position += (size - FRAME_BYTES + 1) as u64;
        }
        Ok(None)
    }

    /// True when the Part 10 file in the log is as it was written.
    pub(crate) fn body_is_whole(&self, found: &Found) -> io::Result<bool> {
        if found.entry.staged.is_some() {
            return Ok(true);
        }
        match crc32_of(&self.part_10(found)?) {
            // Sealed bytes that are not what was written.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(false),
            crc32 => Ok(crc32? == found.entry.crc32),
        }
    }

    /// The Part 10 file of an entry that has it in the log.
    pub(crate) fn part_10(&self, found: &Found) -> io::Result<SharedPart> {
        let length = found.entry.length;
        let whole: Arc<dyn ReadAt> = match &found.body_key {
            None => Arc::new(self.section(found.body, length)),
            Some(key) => {
                let sealed = self.section(found.body, sealed_length(length));
                let key = ChunkKey::new(key, length)?;
                Arc::new(OpenedSource::new(Arc::new(sealed), 0, Arc::new(key)))
            }
        };
        Ok(SharedPart {
            whole,
            offset: 0,
            length,
        })
    }

    /// A part of the segment.
    pub(crate) fn section(&self, offset: u64, length: u64) -> SegmentSection {
        SegmentSection {
            file: Arc::clone(&self.file),
            offset,
            length,
        }
    }
}

/// The first multiple of [`BLOCK_BYTES`] that is not before `position`.
pub(crate) fn next_block(position: u64) -> u64 {
    position.next_multiple_of(BLOCK_BYTES as u64)
}

fn head(number: u64, salt: &Salt, wrapped: Option<&[u8; WRAPPED_BYTES]>) -> Vec<u8> {
    let mut head = Vec::with_capacity(SEALED_HEAD_BYTES as usize);
    head.extend_from_slice(if wrapped.is_some() { &SEALED_MAGIC } else { &MAGIC });
    head.extend_from_slice(&number.to_le_bytes());
    head.extend_from_slice(salt);
    head.extend_from_slice(wrapped.map_or(&[], |wrapped| wrapped.as_slice()));
    head.extend_from_slice(&crc32fast::hash(&head).to_le_bytes());
    head
}

/// Unforeseeable to peers, from the randomness that every hash map is seeded with.
fn new_salt(number: u64) -> Salt {
    let half = || {
        let mut hasher = std::hash::RandomState::new().build_hasher();
        hasher.write_u64(number);
        hasher.finish()
    };
    (u128::from(half()) << 64 | u128::from(half())).to_le_bytes()
}

/// CRC-32 of all bytes, read in pieces.
pub(crate) fn crc32_of(source: &dyn ReadAt) -> io::Result<u32> {
    const PIECE: usize = 1 << 20;
    let mut hasher = crc32fast::Hasher::new();
    let mut offset = 0;
    while offset < source.len() {
        let piece = source.read_at(offset, PIECE)?;
        if piece.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        hasher.update(&piece);
        offset += piece.len() as u64;
    }
    Ok(hasher.finalize())
}

/// A part of a segment for reading.
#[derive(Clone)]
pub(crate) struct SegmentSection {
    file: Arc<dyn MediumFile>,
    offset: u64,
    length: u64,
}

impl ReadAt for SegmentSection {
    fn len(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let wanted = usize::try_from(self.length.saturating_sub(offset))
            .unwrap_or(usize::MAX)
            .min(length);
        let mut buffer = Buffer::new(wanted);
        self.file.read_exact_at(buffer.bytes_mut(), self.offset + offset)?;
        Ok(buffer.freeze(wanted))
    }

    fn as_file(&self) -> Option<(&std::fs::File, u64)> {
        self.file.as_file().map(|file| (file, self.offset))
    }

    fn as_direct_file(&self) -> Option<(&std::fs::File, u64)> {
        self.file.as_direct_file().map(|file| (file, self.offset))
    }
}
