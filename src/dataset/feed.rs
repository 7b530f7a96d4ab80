//! Bytes for the scanner, a window at a time: straight from where they lie, or inflated as they are needed.

use std::io;

use bytes::Bytes;
use filmroom_storage::source::ReadAt;
use flate2::{Decompress, FlushDecompress, Status};

use super::DataSetError;

/// Bytes fetched at once; most headers fit.
const WINDOW_BYTES: usize = 128 << 10;
/// Inflated bytes kept at least.
const INFLATE_STEP_BYTES: usize = 64 << 10;
/// A deflated data set may become this long whatever its own length…
const INFLATED_FLOOR_BYTES: u64 = 512 << 20;
/// …and beyond it so many times its own length: real ones shrink to a third, blank masks to a hundredth.
const INFLATED_RATIO: u64 = 128;

/// Windows over a data set. Offsets count from its first byte; of the inflated data set for a deflated one, which can only be
/// read forwards.
pub(crate) enum Feed<'a> {
    Plain {
        source: &'a dyn ReadAt,
        length: u64,
        window: Bytes,
        window_offset: u64,
    },
    Deflated(Box<Inflating<'a>>),
}

impl<'a> Feed<'a> {
    pub(crate) fn plain(source: &'a dyn ReadAt) -> Self {
        Self::Plain {
            source,
            length: source.len(),
            window: Bytes::new(),
            window_offset: 0,
        }
    }

    pub(crate) fn deflated(source: &'a dyn ReadAt) -> Result<Self, DataSetError> {
        Ok(Self::Deflated(Box::new(Inflating::new(source)?)))
    }

    /// Bytes in all; not known of a deflated data set before its end was met.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Plain { length, .. } => Some(*length),
            Self::Deflated(inflating) => inflating.ended.then(|| inflating.window_end()),
        }
    }

    /// Up to `length` bytes from `offset`; fewer only where the data set ends. For a deflated data set `offset` never goes
    /// back behind that of an earlier call.
    #[inline]
    pub(crate) fn view(&mut self, offset: u64, length: usize) -> Result<&[u8], DataSetError> {
        match self {
            Self::Plain {
                source,
                length: total,
                window,
                window_offset,
            } => {
                let start = offset.wrapping_sub(*window_offset);
                let inside = start <= window.len() as u64 && window.len() as u64 - start >= length as u64;
                if !inside {
                    let remaining = total.saturating_sub(offset);
                    let wanted = (length.max(WINDOW_BYTES) as u64).min(remaining);
                    *window = source
                        .read_at(offset, wanted as usize)
                        .map_err(|error| unreadable(&error))?;
                    *window_offset = offset;
                }
                let start = offset.wrapping_sub(*window_offset) as usize;
                let end = start.saturating_add(length).min(window.len());
                Ok(window.get(start..end).unwrap_or_default())
            }
            Self::Deflated(inflating) => inflating.view(offset, length),
        }
    }

    /// Four bytes anywhere, without moving; `None` where they cannot be had cheaply.
    pub(crate) fn peek(&self, offset: u64) -> Option<[u8; 4]> {
        match self {
            Self::Plain {
                source,
                length,
                window,
                window_offset,
            } => {
                let start = offset.wrapping_sub(*window_offset);
                if let Some(found) = usize::try_from(start)
                    .ok()
                    .and_then(|start| window.get(start..)?.first_chunk())
                {
                    return Some(*found);
                }
                if offset.saturating_add(4) > *length {
                    return None;
                }
                source.read_at(offset, 4).ok()?.first_chunk().copied()
            }
            Self::Deflated(inflating) => {
                let start = offset.checked_sub(inflating.window_offset)?;
                inflating
                    .window
                    .get(usize::try_from(start).ok()?..)?
                    .first_chunk()
                    .copied()
            }
        }
    }
}

fn unreadable(error: &io::Error) -> DataSetError {
    DataSetError::Unreadable(error.to_string())
}

/// A deflated data set being inflated.
pub(crate) struct Inflating<'a> {
    source: &'a dyn ReadAt,
    input_offset: u64,
    input: Bytes,
    state: Decompress,
    window: Vec<u8>,
    window_offset: u64,
    limit: u64,
    ended: bool,
}

impl<'a> Inflating<'a> {
    fn new(source: &'a dyn ReadAt) -> Result<Self, DataSetError> {
        let input = source
            .read_at(0, INFLATE_STEP_BYTES)
            .map_err(|error| unreadable(&error))?;
        // Some writers put the header of RFC 1950 before the stream. As a stream of RFC 1951 the same bytes would be a stored
        // block, whose length and its complement follow.
        let zlib = match input.first_chunk::<5>() {
            Some([cmf, flags, b, c, d]) => {
                let stored = u16::from_le_bytes([*flags, *b]) == !u16::from_le_bytes([*c, *d]);
                cmf & 0x8F == 0x08 && (u16::from(*cmf) << 8 | u16::from(*flags)) % 31 == 0 && !stored
            }
            None => false,
        };
        Ok(Self {
            source,
            input_offset: input.len() as u64,
            input,
            state: Decompress::new(zlib),
            window: Vec::new(),
            window_offset: 0,
            limit: INFLATED_FLOOR_BYTES.max(source.len().saturating_mul(INFLATED_RATIO)),
            ended: false,
        })
    }

    fn window_end(&self) -> u64 {
        self.window_offset + self.window.len() as u64
    }

    fn view(&mut self, offset: u64, length: usize) -> Result<&[u8], DataSetError> {
        let wanted = offset.saturating_add(length as u64);
        if self.window_end() < wanted && !self.ended {
            self.advance(offset, wanted)?;
        }
        let start = usize::try_from(offset.saturating_sub(self.window_offset)).unwrap_or(usize::MAX);
        let end = start.saturating_add(length).min(self.window.len());
        Ok(self.window.get(start..end).unwrap_or_default())
    }

    /// Forgets what lies before `keep_from` and inflates up to `wanted` at least.
    fn advance(&mut self, keep_from: u64, wanted: u64) -> Result<(), DataSetError> {
        let wanted = wanted.max(keep_from + INFLATE_STEP_BYTES as u64);
        while self.window_end() < wanted && !self.ended {
            let forget = (keep_from - self.window_offset.min(keep_from)).min(self.window.len() as u64);
            if forget > 0 {
                self.window.drain(..forget as usize);
                self.window_offset += forget;
            }
            self.step()?;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), DataSetError> {
        if self.window_end() > self.limit {
            return Err(DataSetError::Limit("what a deflated data set of its length may become"));
        }
        if self.input.is_empty() {
            self.input = self
                .source
                .read_at(self.input_offset, INFLATE_STEP_BYTES)
                .map_err(|error| unreadable(&error))?;
            self.input_offset += self.input.len() as u64;
        }
        self.window.reserve(INFLATE_STEP_BYTES);
        let (before_in, before_out) = (self.state.total_in(), self.state.total_out());
        let status = self
            .state
            .decompress_vec(&self.input, &mut self.window, FlushDecompress::None)
            .map_err(|error| DataSetError::Malformed(format!("the deflated stream is damaged: {error}")))?;
        let consumed = (self.state.total_in() - before_in) as usize;
        let progress = consumed > 0 || self.state.total_out() > before_out;
        self.input = self.input.slice(consumed.min(self.input.len())..);
        match status {
            Status::StreamEnd => self.ended = true,
            _ if !progress => return Err(DataSetError::Truncated("the deflated stream".into())),
            _ => {}
        }
        Ok(())
    }
}

/// Inflates a whole small data set, at most `max_bytes`.
///
/// # Errors
/// [`DataSetError::Limit`] when it would be longer, [`DataSetError::Truncated`] when it is no whole stream (PS3.5 §A.5),
/// [`DataSetError::Unreadable`] when the source fails.
pub fn inflate(source: &dyn ReadAt, max_bytes: usize) -> Result<Bytes, DataSetError> {
    let mut inflating = Inflating::new(source)?;
    inflating.limit = max_bytes as u64;
    while !inflating.ended {
        inflating.step()?;
    }
    if inflating.window.len() > max_bytes {
        return Err(DataSetError::Limit("the length that is allowed here"));
    }
    Ok(inflating.window.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::DeflateEncoder};

    use super::*;

    fn deflated(bytes: &[u8]) -> Bytes {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap().into()
    }

    #[test]
    fn inflates_forwards_in_bounded_windows() {
        let bytes: Vec<u8> = (0..1_000_000u32).flat_map(u32::to_le_bytes).collect();
        let source = deflated(&bytes);
        let mut feed = Feed::deflated(&source).unwrap();
        for offset in [0usize, 4, 4000, 70_000, 2_000_000, 3_999_990] {
            let expected = &bytes[offset..(offset + 100).min(bytes.len())];
            assert_eq!(feed.view(offset as u64, 100).unwrap(), expected);
        }
        assert_eq!(feed.view(4_000_000, 8).unwrap(), b"");
        assert_eq!(feed.length(), Some(4_000_000));
        let Feed::Deflated(inflating) = feed else { panic!() };
        assert!(inflating.window.capacity() < 1 << 20);
    }

    #[test]
    fn refuses_a_stream_that_is_cut_or_too_long() {
        let source = deflated(&[7; 1 << 20]);
        assert!(matches!(inflate(&source, 1000), Err(DataSetError::Limit(_))));
        assert_eq!(inflate(&source, 1 << 20).unwrap().len(), 1 << 20);
        let cut = source.slice(..source.len() / 2);
        assert!(matches!(inflate(&cut, 2 << 20), Err(DataSetError::Truncated(_))));
    }
}
