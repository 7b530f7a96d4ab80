//! Buffers for reads, used again and again: a fresh one of half a megabyte costs 128 page faults and as many zeroed pages,
//! which is more than reading the bytes from the system's cache.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// Shorter buffers are the allocator's business.
const POOLED_FROM_BYTES: usize = 64 << 10;
/// Longer ones are too rare to be kept.
const POOLED_TO_BYTES: usize = 1 << 20;
/// Bytes that lie ready at most.
const POOL_MAX_BYTES: usize = 16 << 20;

static POOL: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Bytes to be read into. What it holds at first is of no meaning.
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    length: usize,
}

impl Buffer {
    pub(crate) fn new(length: usize) -> Self {
        let pooled = if is_pooled(length) { take(length) } else { None };
        Self {
            bytes: pooled.unwrap_or_else(|| vec![0; length]),
            length,
        }
    }

    /// The bytes to be written.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.length).unwrap_or_default()
    }

    /// The first `length` bytes, which were written. They come back to the pool when the last reader let go.
    pub(crate) fn freeze(mut self, length: usize) -> Bytes {
        self.length = self.length.min(length);
        if is_pooled(self.bytes.len()) {
            return Bytes::from_owner(self);
        }
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.truncate(self.length);
        bytes.into()
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if !is_pooled(self.bytes.len()) {
            return;
        }
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        let held: usize = pool.iter().map(Vec::len).sum();
        if held + self.bytes.len() <= POOL_MAX_BYTES {
            pool.push(std::mem::take(&mut self.bytes));
        }
    }
}

fn is_pooled(length: usize) -> bool {
    (POOLED_FROM_BYTES..=POOLED_TO_BYTES).contains(&length)
}

/// A buffer that is long enough, and not so long that much of it would lie idle. The latest first: it is still in the
/// processor's cache.
fn take(length: usize) -> Option<Vec<u8>> {
    let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    let found = pool
        .iter()
        .rposition(|bytes| bytes.len() >= length && bytes.len() / 2 <= length)?;
    Some(pool.remove(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_used_buffer_shows_only_what_was_read_into_it() {
        let mut first = Buffer::new(200_000);
        first.bytes_mut().fill(7);
        drop(first.freeze(200_000));
        for length in [150_000, 200_000, 100] {
            let mut buffer = Buffer::new(length);
            assert_eq!(buffer.bytes_mut().len(), length);
            buffer.bytes_mut()[..50].fill(1);
            let bytes = buffer.freeze(50);
            assert_eq!(&bytes[..], &[1; 50]);
        }
    }

    #[test]
    fn bytes_outlive_their_neighbours() {
        let mut one = Buffer::new(100_000);
        one.bytes_mut().fill(1);
        let one = one.freeze(100_000);
        let slice = one.slice(10..20);
        drop(one);
        let mut two = Buffer::new(100_000);
        two.bytes_mut().fill(2);
        assert_eq!(&slice[..], &[1; 10]);
    }
}
