//! What happens to the log when the store opens: torn tails are cut, what the index missed is applied again, and what
//! waits to be settled is found.

use std::{collections::HashSet, sync::Arc};

use super::{
    Segments, Waiting, WaitingEntry,
    medium::{BLOCK_BYTES, Medium},
    segment::{Found, SEGMENT_HEAD_BYTES, Segment},
    staged::{StagedFolder, staged_part_10, staged_path},
};
use crate::{
    index::{Addition, Catalog, CatalogWriter, Index, IndexError, Position},
    model::{Location, SopInstanceUid},
    packs::tar::STAGED_HEAD_BYTES,
    source::ReadAt,
    store::{Describer, StoreError},
};

/// Entries applied to the index in one batch.
const BATCH_INSTANCES: usize = 256;
/// Problems that are named; each is logged in any case.
const PROBLEMS_MAX: usize = 1000;

/// The log and all that it is compared with.
pub(crate) struct Recovery<'a> {
    pub(crate) medium: &'a dyn Medium,
    pub(crate) staged_folder: &'a std::path::Path,
    pub(crate) catalog: &'a Catalog,
    pub(crate) writer: &'a mut CatalogWriter,
    pub(crate) describer: &'a dyn Describer,
    pub(crate) when: When,
}

/// When the log is walked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Nobody has begun to send.
    Opening,
    /// Senders have staged files under way, which nothing knows yet.
    Running,
}

/// What was found.
#[derive(Default)]
pub(crate) struct Recovered {
    pub(crate) segments: Arc<Segments>,
    pub(crate) waiting: Waiting,
    pub(crate) next_segment: u64,
    pub(crate) next_staged: u64,
    /// Entries that the index did not know.
    pub(crate) replayed: u64,
    /// What is kept and yet cannot be found by a query, one sentence each; at most [`PROBLEMS_MAX`].
    pub(crate) problems: Vec<String>,
}

impl Recovered {
    fn problem(&mut self, sentence: String) {
        tracing::error!("{sentence}");
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(sentence);
        }
    }
}

struct Batch {
    additions: Vec<Addition>,
    places: Vec<WaitingEntry>,
    uids: HashSet<SopInstanceUid>,
    end: Position,
}

impl Recovery<'_> {
    /// Walks through the whole log. Blocks.
    pub(crate) fn run(mut self) -> Result<Recovered, StoreError> {
        let mut recovered = Recovered {
            next_segment: 1,
            next_staged: 1,
            ..Recovered::default()
        };
        let mut needed_staged = HashSet::new();
        let mut batch = Batch {
            additions: vec![],
            places: vec![],
            uids: HashSet::new(),
            end: Position::default(),
        };
        for number in self.medium.list()? {
            recovered.next_segment = number + 1;
            let file = self.medium.open(number)?;
            let length = file.len()?;
            match Segment::read(number, file, self.medium.master_keys().map(AsRef::as_ref))? {
                Some(segment) => {
                    let segment = recovered.segments.insert(segment);
                    self.walk(&segment, &mut recovered, &mut batch, &mut needed_staged)?;
                }
                // Nothing was acknowledged of a segment that has its head alone, which was not synced.
                None if length <= SEGMENT_HEAD_BYTES || is_zero(self.medium, number, length)? => {
                    self.medium.remove(number)?;
                }
                None => {
                    recovered.problem(format!(
                        "the head of intake segment {number} is damaged; the segment is left as it is"
                    ));
                }
            }
        }
        self.apply(&mut recovered, &mut batch)?;
        // A file that the index does not need is one that it is known to have in a pack, or that nobody was told about.
        self.catalog.flush()?;
        for number in StagedFolder::list(self.staged_folder)? {
            recovered.next_staged = recovered.next_staged.max(number + 1);
            if self.when == When::Opening && !needed_staged.contains(&number) {
                tracing::info!(file = number, "removes a staged file that nothing needs");
                std::fs::remove_file(staged_path(self.staged_folder, number))?;
            }
        }
        if recovered.replayed > 0 {
            tracing::info!(instances = recovered.replayed, "indexed instances from the intake log");
        }
        Ok(recovered)
    }

    fn walk(
        &mut self,
        segment: &Segment,
        recovered: &mut Recovered,
        batch: &mut Batch,
        needed_staged: &mut HashSet<u64>,
    ) -> Result<(), StoreError> {
        let checkpoint = self.writer.checkpoint();
        let mut position = segment.head_bytes();
        let at = |position| WaitingEntry {
            segment: segment.number,
            position,
        };
        loop {
            position = segment.after_zeros(position)?;
            let is_checked = Position {
                segment: segment.number,
                offset: position,
            } < checkpoint;
            let found = match segment.entry_at(position)? {
                Some(found) if is_checked || segment.body_is_whole(&found)? => found,
                _ if position >= segment.file.len()? => return Ok(()),
                _ => match segment.entry_after(position + 1)? {
                    Some(found) => {
                        let bytes = found.position - position;
                        recovered.problem(format!(
                            "{bytes} bytes of intake segment {} at {position} are damaged; they are kept",
                            segment.number
                        ));
                        // The damaged bytes are kept for whoever can still read them.
                        recovered.waiting.need(at(position));
                        found
                    }
                    None if is_checked => {
                        recovered.problem(format!(
                            "the end of intake segment {} is damaged from {position} on; it is kept",
                            segment.number
                        ));
                        recovered.waiting.need(at(position));
                        return Ok(());
                    }
                    None => {
                        tracing::warn!(
                            segment = segment.number,
                            position,
                            "cuts the torn end of the intake log"
                        );
                        segment.file.set_len(position)?;
                        segment.file.sync()?;
                        return Ok(());
                    }
                },
            };
            position = found.end;
            self.handle(segment, found, recovered, batch, needed_staged)?;
            if batch.additions.len() >= BATCH_INSTANCES {
                self.apply(recovered, batch)?;
            }
        }
    }

    fn handle(
        &mut self,
        segment: &Segment,
        found: Found,
        recovered: &mut Recovered,
        batch: &mut Batch,
        needed_staged: &mut HashSet<u64>,
    ) -> Result<(), StoreError> {
        let place = WaitingEntry {
            segment: segment.number,
            position: found.position,
        };
        let location = location_of(segment.number, &found);
        if let Some(file) = found.entry.staged {
            recovered.next_staged = recovered.next_staged.max(file + 1);
        }
        if batch.uids.contains(&found.entry.sop_instance) {
            return Ok(());
        }
        if self.catalog.tombstone(&found.entry.sop_instance)?.is_some() {
            // It goes with its segment.
            return Ok(());
        }
        if let Some(record) = self.catalog.instance(&found.entry.sop_instance)? {
            if record.location == location {
                if let Location::Staged { file, .. } = location {
                    needed_staged.insert(file);
                    if !staged_path(self.staged_folder, file).exists() {
                        recovered.problem(format!(
                            "staged file {file} of instance {} is missing",
                            record.sop_instance_uid
                        ));
                    }
                }
                recovered.waiting.need(place);
                let series = (record.study_instance_uid, record.series_instance_uid);
                recovered.waiting.add(series, place, record.length);
            }
            // Elsewhere: settled, or a later try of the same instance was the one that was acknowledged.
            return Ok(());
        }
        recovered.waiting.need(place);
        batch.end = Position {
            segment: segment.number,
            offset: found.end,
        };
        if let Some(file) = found.entry.staged {
            needed_staged.insert(file);
        }
        match self.describe(segment, &found) {
            Ok(description) => {
                recovered.replayed += 1;
                batch.uids.insert(found.entry.sop_instance.clone());
                batch.places.push(place);
                batch.additions.push(Addition {
                    description,
                    location,
                    length: found.entry.length,
                    data_set_offset: found.entry.data_set_offset,
                    sha256: found.entry.sha256,
                    crc32: found.entry.crc32,
                    received_at: found.entry.received_at,
                });
            }
            Err(reason) => {
                recovered.problem(format!(
                    "instance {} in intake segment {} at {} cannot be indexed and is kept: {reason}",
                    found.entry.sop_instance, segment.number, found.position
                ));
            }
        }
        Ok(())
    }

    fn describe(&self, segment: &Segment, found: &Found) -> Result<crate::model::Description, String> {
        let (from, length) = (found.entry.data_set_offset, found.entry.length);
        let data_set: Box<dyn ReadAt> = match found.entry.staged {
            None => {
                let mut part = segment.part_10(found).map_err(|error| error.to_string())?;
                part.offset = from;
                part.length = length.saturating_sub(from);
                Box::new(part)
            }
            Some(file) => {
                let master = self.medium.master_keys().map(AsRef::as_ref);
                let part = staged_part_10(self.staged_folder, file, length, master);
                let mut part = part.map_err(|error| format!("its staged file cannot be opened: {error}"))?;
                part.offset += from;
                part.length = length.saturating_sub(from);
                Box::new(part)
            }
        };
        self.describer.describe(data_set.as_ref(), &found.entry.transfer_syntax)
    }

    fn apply(&mut self, recovered: &mut Recovered, batch: &mut Batch) -> Result<(), IndexError> {
        if batch.additions.is_empty() {
            return Ok(());
        }
        let records = self.writer.add(&batch.additions, batch.end)?;
        for (record, place) in records.into_iter().zip(batch.places.drain(..)) {
            let series = (record.study_instance_uid, record.series_instance_uid);
            recovered.waiting.add(series, place, record.length);
        }
        batch.additions.clear();
        batch.uids.clear();
        Ok(())
    }
}

/// True for one block of zeros: the head of a segment that never came to the disk.
fn is_zero(medium: &dyn Medium, number: u64, length: u64) -> std::io::Result<bool> {
    if length != BLOCK_BYTES as u64 {
        return Ok(false);
    }
    let mut bytes = [0; BLOCK_BYTES];
    medium.open(number)?.read_exact_at(&mut bytes, 0)?;
    Ok(bytes.iter().all(|byte| *byte == 0))
}

/// Where the index finds the instance of an entry that is not settled.
pub(crate) fn location_of(segment: u64, found: &Found) -> Location {
    match found.entry.staged {
        Some(file) => Location::Staged {
            file,
            offset: STAGED_HEAD_BYTES as u64,
        },
        None => Location::Intake {
            segment,
            entry: found.position,
            offset: found.body,
        },
    }
}
