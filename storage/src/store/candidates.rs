//! What is to be settled: entries of intake, checked, hashed, and put together to a pack.

use std::{io, sync::PoisonError, thread};

use super::{
    Store, StoreError,
    checksum::{Unhashed, hash_each},
};
use crate::{
    index::{Index, InstancePlace},
    intake::{WaitingEntry, recover::location_of, segment::Found},
    model::{Header, InstanceRecord},
    packs::{
        compose::{Composed, SharedPart, compose},
        tar::Member,
    },
};

/// How far work that can wait steps back behind other threads: the least that the system knows is 19.
const NICE: i32 = 15;

/// An entry that is to be settled.
pub(super) struct Candidate {
    pub(super) waiting: WaitingEntry,
    pub(super) found: Found,
    pub(super) record: InstanceRecord,
    place: InstancePlace,
}

/// An entry that is part of a pack.
pub(super) struct Composing {
    pub(super) candidate: Candidate,
    /// Of the data set.
    pub(super) sha256: [u8; 32],
}

impl Store {
    /// The entries that the index still finds in intake, in the order of the series. Others are let go.
    pub(super) fn candidates(&self, entries: &[WaitingEntry]) -> Result<Vec<Candidate>, StoreError> {
        let mut candidates = Vec::with_capacity(entries.len());
        for waiting in entries {
            let segment = self.inner.segments.get(waiting.segment);
            let found = segment
                .map(|segment| segment.entry_at(waiting.position))
                .transpose()?
                .flatten();
            let Some(found) = found else {
                // Its segment stays, for whoever can still read it; the rest of the series goes on.
                let WaitingEntry { segment, position } = *waiting;
                tracing::error!(segment, position, "an entry of intake is damaged and cannot be settled");
                continue;
            };
            match self.inner.catalog.instance(&found.entry.sop_instance)? {
                Some(record) if record.location == location_of(waiting.segment, &found) => {
                    let place = InstancePlace::of(&record);
                    candidates.push(Candidate {
                        waiting: *waiting,
                        found,
                        record,
                        place,
                    });
                }
                _ => self.release(*waiting),
            }
        }
        candidates.sort_by(|a, b| a.place.cmp(&b.place));
        Ok(candidates)
    }

    fn release(&self, entry: WaitingEntry) {
        let mut waiting = self.inner.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.release(entry);
    }

    /// Puts a pack together of those whose bytes are what came. Blocks.
    pub(super) fn compose(
        &self,
        candidates: Vec<Candidate>,
    ) -> Result<(Composed, Vec<Header>, Vec<Composing>), StoreError> {
        let mut parts = Vec::with_capacity(candidates.len());
        for candidate in &candidates {
            let found = &candidate.found;
            parts.push(match found.entry.staged {
                Some(file) => self.inner.nursery.staged.part_10(file, found.entry.length)?,
                None => {
                    let segment = self.inner.segments.get(candidate.waiting.segment);
                    let segment = segment.ok_or_else(|| StoreError::Damaged("a segment is gone".into()))?;
                    segment.part_10(found)?
                }
            });
        }
        let hashed = hashed(&candidates, &parts)?;
        let mut headers = Vec::with_capacity(candidates.len());
        let mut members = Vec::with_capacity(candidates.len());
        let mut composing = Vec::with_capacity(candidates.len());
        for ((candidate, part_10), sha256) in candidates.into_iter().zip(parts).zip(hashed) {
            let Some(sha256) = sha256 else {
                // Its segment stays, for whoever can still read it; the rest of the series goes on.
                let sop = &candidate.record.sop_instance_uid;
                tracing::error!(%sop, "an instance in intake is damaged and cannot be settled");
                self.mark(sop, Some("its bytes in intake are not what was received"))?;
                continue;
            };
            headers.push(self.header_of(&candidate)?);
            members.push((member_of(&candidate.found, sha256), part_10));
            composing.push(Composing { candidate, sha256 });
        }
        Ok((compose(members)?, headers, composing))
    }

    /// The header from the shelf, else from the bytes. Blocks.
    pub(super) fn header_of(&self, candidate: &Candidate) -> Result<Header, StoreError> {
        if let Some(header) = self.inner.shelf.take(&candidate.record.sop_instance_uid) {
            return Ok(header);
        }
        self.header_from_bytes(&candidate.record)
    }
}

/// SHA-256 of each: as its entry has it, else made now; `None` where the bytes are not what came.
fn hashed(candidates: &[Candidate], parts: &[SharedPart]) -> Result<Vec<Option<[u8; 32]>>, StoreError> {
    let mut hashed: Vec<_> = candidates
        .iter()
        .map(|candidate| candidate.found.entry.sha256)
        .collect();
    let lacking = candidates
        .iter()
        .zip(parts)
        .filter(|(candidate, _)| candidate.found.entry.sha256.is_none());
    let unhashed: Vec<_> = lacking
        .map(|(candidate, part)| Unhashed {
            part_10: part,
            data_set_offset: candidate.found.entry.data_set_offset,
            crc32: candidate.found.entry.crc32,
        })
        .collect();
    let mut made = aside(|| hash_each(&unhashed))?.into_iter();
    for sha256 in hashed.iter_mut().filter(|sha256| sha256.is_none()) {
        *sha256 = made.next().flatten();
    }
    Ok(hashed)
}

/// Does work on a thread of its own that waits for those who send: a processor that is wanted elsewhere goes there. Blocks.
fn aside<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let worker = thread::Builder::new().name("settling".into()).spawn_scoped(scope, || {
            // Of this thread alone (Linux); where it is not let, it works like the others.
            let _ = rustix::process::nice(NICE);
            work()
        })?;
        worker
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("a thread of settling gave up")))
    })
}

fn member_of(found: &Found, sha256: [u8; 32]) -> Member {
    let entry = &found.entry;
    Member {
        sop_instance: entry.sop_instance.as_str().to_owned(),
        length: entry.length,
        data_set_offset: entry.data_set_offset,
        transfer_syntax: entry.transfer_syntax.as_str().to_owned(),
        sha256,
        crc32: entry.crc32,
        received_at: entry.received_at,
        origin: Some(entry.origin.clone()),
        reason: None,
    }
}
