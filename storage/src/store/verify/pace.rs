//! Reading below a rate, so that whoever else reads does not notice.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

use crate::source::ReadAt;

/// Bytes read at once.
const PIECE_BYTES: usize = 1 << 20;
/// One pause is at most this long, so that a store that stops is not held up.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Counts what is read and pauses where it was too much. Clones count together.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    began: Instant,
    read: Arc<AtomicU64>,
    bytes_per_second: Option<u64>,
}

impl Pace {
    pub(super) fn new(bytes_per_second: Option<u64>) -> Self {
        Self {
            began: Instant::now(),
            read: Arc::default(),
            bytes_per_second: bytes_per_second.filter(|rate| *rate > 0),
        }
    }

    /// Blocks.
    fn count(&self, bytes: usize) {
        let read = self.read.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        let Some(rate) = self.bytes_per_second else { return };
        let due = Duration::from_secs_f64(read as f64 / rate as f64);
        if let Some(early) = due.checked_sub(self.began.elapsed()) {
            thread::sleep(early.min(PAUSE_MAX));
        }
    }

    /// SHA-256 of a part. Blocks.
    pub(super) fn hash(&self, source: &dyn ReadAt, offset: u64, length: u64) -> io::Result<[u8; 32]> {
        let mut hasher = Sha256::new();
        self.read(source, offset, length, |piece| hasher.update(piece))?;
        Ok(hasher.finalize().into())
    }

    /// CRC-32 of the whole. Blocks.
    pub(super) fn sum(&self, source: &dyn ReadAt) -> io::Result<u32> {
        let mut hasher = crc32fast::Hasher::new();
        self.read(source, 0, source.len(), |piece| hasher.update(piece))?;
        Ok(hasher.finalize())
    }

    fn read(
        &self,
        source: &dyn ReadAt,
        mut offset: u64,
        mut length: u64,
        mut take: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        while length > 0 {
            let piece = source.read_at(offset, usize::try_from(length).unwrap_or(usize::MAX).min(PIECE_BYTES))?;
            if piece.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            take(&piece);
            offset += piece.len() as u64;
            length -= piece.len() as u64;
            self.count(piece.len());
        }
        Ok(())
    }
}
