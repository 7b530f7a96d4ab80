//! Memory for instances on their way in: counted, bounded, and used again.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;

use super::medium::BLOCK_BYTES;

/// Freed buffers that are kept, so that the next instance finds its pages mapped.
const SPARE_MAX: usize = 64;

/// Bytes that instances on their way in hold together.
#[derive(Debug)]
pub(crate) struct Budget {
    max_bytes: u64,
    held: AtomicU64,
    spare: Mutex<Spare>,
}

#[derive(Debug, Default)]
struct Spare {
    buffers: Vec<Vec<u8>>,
    bytes: u64,
}

/// A buffer that counts towards the budget as long as it lives. Its content begins at a multiple of [`BLOCK_BYTES`] in memory,
/// so that it can be written to the disk from where it is.
#[derive(Debug)]
pub(crate) struct Buffer {
    /// `start` bytes of no meaning, then the content.
    bytes: Vec<u8>,
    start: usize,
    charged: u64,
    budget: Arc<Budget>,
}

impl Budget {
    pub(crate) fn new(max_bytes: u64) -> Arc<Self> {
        Arc::new(Self {
            max_bytes,
            held: AtomicU64::new(0),
            spare: Mutex::default(),
        })
    }

    /// Bytes held now.
    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    fn charge(&self, bytes: u64) -> bool {
        let charged = self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
            held.checked_add(bytes).filter(|held| *held <= self.max_bytes)
        });
        charged.is_ok()
    }

    /// An empty buffer with room for `capacity` bytes; `None` when the budget does not allow it.
    pub(crate) fn buffer(self: &Arc<Self>, capacity: usize) -> Option<Buffer> {
        let capacity = with_slack(capacity);
        let bytes = self.take_spare(capacity);
        let capacity = bytes.as_ref().map_or(capacity, Vec::capacity);
        if !self.charge(capacity as u64) {
            return None;
        }
        let (bytes, start) = aligned(bytes.unwrap_or_else(|| Vec::with_capacity(capacity)));
        Some(Buffer {
            charged: capacity as u64,
            bytes,
            start,
            budget: Arc::clone(self),
        })
    }

    /// A spare buffer that is large enough, yet not far too large.
    fn take_spare(&self, capacity: usize) -> Option<Vec<u8>> {
        let enough = capacity.saturating_mul(2).max(64 << 10);
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let found = spare
            .buffers
            .iter()
            .rposition(|buffer| (capacity..=enough).contains(&buffer.capacity()))?;
        let buffer = spare.buffers.swap_remove(found);
        spare.bytes -= buffer.capacity() as u64;
        Some(buffer)
    }

    fn give_back(&self, mut bytes: Vec<u8>) {
        bytes.clear();
        let capacity = bytes.capacity() as u64;
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.buffers.len() < SPARE_MAX && spare.bytes + capacity <= self.max_bytes / 4 {
            spare.bytes += capacity;
            spare.buffers.push(bytes);
        }
    }
}

/// Room for a start at a block, and for zeros up to the end of the last one.
fn with_slack(capacity: usize) -> usize {
    capacity.saturating_add(2 * BLOCK_BYTES)
}

/// An empty buffer, filled up to its first block.
fn aligned(mut bytes: Vec<u8>) -> (Vec<u8>, usize) {
    let start = bytes.as_ptr().align_offset(BLOCK_BYTES);
    bytes.clear();
    bytes.resize(start, 0);
    (bytes, start)
}

impl Buffer {
    /// Appends; false, and unchanged, when the budget does not allow it.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> bool {
        let needed = self.as_ref().len() + bytes.len();
        if self.start + needed + BLOCK_BYTES > self.bytes.capacity() {
            let wanted = with_slack(needed.max(self.bytes.capacity().saturating_mul(2)));
            let more = (wanted as u64).saturating_sub(self.charged);
            if !self.budget.charge(more) {
                return false;
            }
            self.charged += more;
            let (mut grown, start) = aligned(Vec::with_capacity(wanted));
            grown.extend_from_slice(self.as_ref());
            (self.bytes, self.start) = (grown, start);
        }
        self.bytes.extend_from_slice(bytes);
        true
    }

    /// The content, and the same with zeros up to a whole block.
    pub(crate) fn seal(mut self) -> Held {
        let length = self.as_ref().len();
        self.bytes.resize(self.start + length.next_multiple_of(BLOCK_BYTES), 0);
        let blocks = Bytes::from_owner(self);
        Held {
            content: blocks.slice(..length),
            blocks,
        }
    }
}

/// The content of a buffer that is not written any more.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) content: Bytes,
    /// The content and zeros up to a whole block, from a multiple of [`BLOCK_BYTES`] in memory on.
    pub(crate) blocks: Bytes,
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.charged, Ordering::Relaxed);
        self.budget.give_back(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLACK: u64 = 2 * BLOCK_BYTES as u64;

    #[test]
    fn buffers_count_until_they_are_dropped() {
        let budget = Budget::new(100_000);
        let mut first = budget.buffer(60_000).unwrap();
        assert!(budget.buffer(60_000).is_none());
        assert!(first.append(&[1; 60_000]));
        assert!(!first.append(&[1; 50_000]), "growing beyond the budget is refused");
        assert_eq!(first.as_ref().len(), 60_000);
        drop(first);
        assert_eq!(budget.held(), 0);
        assert!(budget.buffer(60_000).is_some());
    }

    #[test]
    fn a_freed_buffer_serves_again() {
        let budget = Budget::new(1 << 20);
        let mut first = budget.buffer(100_000).unwrap();
        first.append(&[1; 10]);
        drop(first);
        let second = budget.buffer(90_000).unwrap();
        assert_eq!((second.as_ref().len(), budget.held()), (0, 100_000 + SLACK));
    }

    #[test]
    fn the_content_begins_and_ends_at_blocks_however_it_grew() {
        let budget = Budget::new(1 << 20);
        for capacity in [0, 10, 5000, 70_000] {
            let mut buffer = budget.buffer(capacity).unwrap();
            let content: Vec<u8> = (0..60_001u32).map(|number| number as u8).collect();
            for piece in content.chunks(7919) {
                assert!(buffer.append(piece));
            }
            let held = buffer.seal();
            assert_eq!(held.content, content);
            assert_eq!(held.blocks.as_ptr().align_offset(BLOCK_BYTES), 0);
            let (before, after) = held.blocks.split_at(content.len());
            assert!(before == content && after.iter().all(|byte| *byte == 0));
            assert_eq!(held.blocks.len(), content.len().next_multiple_of(BLOCK_BYTES));
        }
    }
}
