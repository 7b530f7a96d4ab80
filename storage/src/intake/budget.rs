//! Memory for instances on their way in: counted, bounded, and used again.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

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

/// A buffer that counts towards the budget as long as it lives.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
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
        let bytes = self.take_spare(capacity);
        let capacity = bytes.as_ref().map_or(capacity, Vec::capacity);
        if !self.charge(capacity as u64) {
            return None;
        }
        let bytes = bytes.unwrap_or_else(|| Vec::with_capacity(capacity));
        Some(Buffer {
            charged: capacity as u64,
            bytes,
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

impl Buffer {
    /// Appends; false, and unchanged, when the budget does not allow it.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> bool {
        let needed = self.bytes.len() + bytes.len();
        if needed > self.bytes.capacity() {
            let wanted = needed.max(self.bytes.capacity().saturating_mul(2)).max(4096);
            let more = (wanted as u64).saturating_sub(self.charged);
            if !self.budget.charge(more) {
                return false;
            }
            self.charged += more;
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
        self.bytes.extend_from_slice(bytes);
        true
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
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

    #[test]
    fn buffers_count_until_they_are_dropped() {
        let budget = Budget::new(1000);
        let mut first = budget.buffer(600).unwrap();
        assert!(budget.buffer(600).is_none());
        assert!(first.append(&[1; 600]));
        assert!(!first.append(&[1; 500]), "growing beyond the budget is refused");
        assert_eq!(first.as_ref().len(), 600);
        drop(first);
        assert_eq!(budget.held(), 0);
        assert!(budget.buffer(600).is_some());
    }

    #[test]
    fn a_freed_buffer_serves_again() {
        let budget = Budget::new(1 << 20);
        let mut first = budget.buffer(100_000).unwrap();
        first.append(&[1; 10]);
        drop(first);
        let second = budget.buffer(90_000).unwrap();
        assert_eq!((second.as_ref().len(), budget.held()), (0, 100_000));
    }
}
