//! The end of the log, where entries are appended.

use std::{
    io::{self, IoSlice},
    sync::Arc,
};

use bytes::Bytes;

use super::{
    entry::Entry,
    incoming::{Body, Sealed},
    medium::{BLOCK_BYTES, Medium},
    segment::{Segment, next_block},
    segments::Segments,
};
use crate::index::Position;

/// Appends to the log. What was not synced may be taken back.
pub(crate) struct Log {
    medium: Arc<dyn Medium>,
    segments: Arc<Segments>,
    segment_max_bytes: u64,
    next_number: u64,
    current: Option<Current>,
}

struct Current {
    segment: Arc<Segment>,
    written: u64,
    synced: u64,
}

/// Data sets from this length on are written from where they lie in memory; others are put together with what is around them.
const IN_PLACE_FROM_BYTES: usize = 64 << 10;

/// The blocks of a data set that is written from where it lies.
fn in_place(sealed: &Sealed) -> Option<&Bytes> {
    match (&sealed.body, &sealed.encrypted) {
        (Body::Memory(held), None) if held.content.len() >= IN_PLACE_FROM_BYTES => Some(&held.blocks),
        _ => None,
    }
}

/// Where an entry was written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written {
    pub(crate) segment: u64,
    /// First byte of the entry.
    pub(crate) position: u64,
    /// First byte of the Part 10 file.
    pub(crate) body: u64,
}

impl Log {
    /// Goes on with a new segment, `next_number` or later.
    pub(crate) fn new(
        medium: Arc<dyn Medium>,
        segments: Arc<Segments>,
        segment_max_bytes: u64,
        next_number: u64,
    ) -> Self {
        segments.set_open(next_number);
        Self {
            medium,
            segments,
            segment_max_bytes,
            next_number,
            current: None,
        }
    }

    /// Appends entries in one write, which ends at a block: zeros follow the last entry.
    ///
    /// # Errors
    /// Nothing of this call, nor of any since the last sync, counts as written.
    pub(crate) fn append(&mut self, entries: &[(Entry, &Sealed)]) -> io::Result<Vec<Written>> {
        let result = self.try_append(entries);
        if result.is_err() {
            self.take_back();
        }
        result
    }

    fn try_append(&mut self, entries: &[(Entry, &Sealed)]) -> io::Result<Vec<Written>> {
        let current = self.current()?;
        let start = current.written;
        let mut position = start;
        let mut places = Vec::with_capacity(entries.len());
        let mut heads = Vec::with_capacity(entries.len());
        for (entry, sealed) in entries {
            let body_key = sealed.encrypted.as_ref().map(|encrypted| &encrypted.key);
            // The head of a large instance is drawn out so that its data set begins at a block, and goes to the disk from where
            // it lies in memory.
            let in_place = in_place(sealed).map(|_| sealed.file_head.len());
            let head = current.segment.encode(entry, body_key, position, in_place)?;
            let body = position + head.len() as u64;
            places.push(Written {
                segment: current.segment.number,
                position,
                body,
            });
            position = body + current.segment.body_length(entry);
            if in_place.is_some() {
                position = next_block(position);
            }
            heads.push(head);
        }
        let end = next_block(position);
        let zeros = [0; BLOCK_BYTES];
        let mut pieces = Vec::with_capacity(entries.len() * 3 + 1);
        for (head, (_, sealed)) in heads.iter().zip(entries) {
            pieces.push(IoSlice::new(head));
            match (&sealed.body, &sealed.encrypted) {
                (Body::Staged(..), _) => {}
                (Body::Memory(_), Some(encrypted)) => pieces.push(IoSlice::new(&encrypted.bytes)),
                (Body::Memory(held), None) => {
                    pieces.push(IoSlice::new(&sealed.file_head));
                    pieces.push(IoSlice::new(in_place(sealed).unwrap_or(&held.content)));
                }
            }
        }
        let rest = usize::try_from(end - position).unwrap_or_default();
        pieces.push(IoSlice::new(zeros.get(..rest).unwrap_or_default()));
        current.segment.file.write_at(&mut pieces, start)?;
        current.written = end;
        Ok(places)
    }

    /// Makes all that was appended durable. Returns the end of the log.
    ///
    /// # Errors
    /// Nothing since the last sync counts as written.
    pub(crate) fn sync(&mut self) -> io::Result<Position> {
        let Some(current) = &mut self.current else {
            return Ok(Position::default());
        };
        if let Err(error) = current.segment.file.sync() {
            // After a failed sync the system may have dropped the bytes and say nothing of it at the next: nothing more is
            // written to this file.
            self.take_back();
            self.current = None;
            return Err(error);
        }
        current.synced = current.written;
        let end = Position {
            segment: current.segment.number,
            offset: current.written,
        };
        if current.written >= self.segment_max_bytes {
            self.current = None;
        }
        Ok(end)
    }

    fn current(&mut self) -> io::Result<&mut Current> {
        let is_closed = |current: &Current| self.segments.is_closed(current.segment.number);
        if self.current.as_ref().is_some_and(is_closed) {
            self.current = None;
        }
        if self.current.is_none() {
            let number = self.next_number;
            // A number that failed is not tried again: what lies there is looked at when the store opens next.
            self.next_number += 1;
            let master = self.medium.master_keys().map(AsRef::as_ref);
            let segment = Segment::begin(number, self.medium.create(number)?, master)?;
            let segment = self.segments.insert(segment);
            self.segments.set_open(number);
            self.current = Some(Current {
                segment,
                written: BLOCK_BYTES as u64,
                synced: BLOCK_BYTES as u64,
            });
        }
        self.current
            .as_mut()
            .ok_or_else(|| io::Error::other("no segment is open"))
    }

    /// Cuts what was written since the last sync. Where even that fails the segment is left as it is: an entry that
    /// nobody was told about may then be found at the next start, which does no harm.
    fn take_back(&mut self) {
        let Some(current) = &mut self.current else { return };
        if let Err(error) = current.segment.file.set_len(current.synced) {
            tracing::warn!(%error, segment = current.segment.number, "the end of a segment could not be cut");
            self.current = None;
        } else {
            current.written = current.synced;
        }
    }
}
