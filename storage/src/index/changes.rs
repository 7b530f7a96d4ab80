//! What came and went, in the order in which it was committed: one row a batch, numbered as the batches are.

use std::ops::ControlFlow;

use time::OffsetDateTime;

use super::{
    CatalogWriter, Index, IndexError,
    catalog::Catalog,
    codec::{Decoder, Encoder, Undecodable},
    engine::Batch,
    keys::{self, SeriesId},
    rows::{decode_time, encode_time},
};
use crate::model::{SeriesInstanceUid, SopInstanceUid, StudyInstanceUid};

/// The place of a change: the batch, and its number in the batch from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangePlace {
    /// Number of the batch.
    pub generation: u64,
    /// Number in the batch.
    pub entry: u32,
}

/// What became of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It came.
    Stored,
    /// It was destroyed by a decision.
    Destroyed,
    /// It was rejected by a decision: it is there, and not everybody sees it.
    Rejected,
    /// That was taken back.
    Restored,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where it stands among all changes.
    pub place: ChangePlace,
    /// What became of the instance.
    pub kind: ChangeKind,
    /// When, to within its batch.
    pub at: OffsetDateTime,
    /// Its study.
    pub study_instance_uid: StudyInstanceUid,
    /// Its series.
    pub series_instance_uid: SeriesInstanceUid,
    /// The instance.
    pub sop_instance_uid: SopInstanceUid,
}

const STORED: u8 = 0;
const DESTROYED: u8 = 1;
const REJECTED: u8 = 2;
const RESTORED: u8 = 3;

/// The changes of one batch on their way into its row.
#[derive(Debug)]
pub(super) struct ChangeRow {
    entries: Encoder,
    count: u64,
    at: OffsetDateTime,
}

impl ChangeRow {
    pub(super) fn new(at: OffsetDateTime) -> Self {
        Self {
            entries: Encoder::default(),
            count: 0,
            at,
        }
    }

    /// An instance came.
    pub(super) fn stored(&mut self, series: SeriesId, sop_instance_uid: &str) {
        self.count += 1;
        self.entries
            .byte(STORED)
            .number(series.into())
            .counted(&keys::pack_uid(sop_instance_uid));
    }

    /// An instance went; its series may go with it, so that all is written out.
    pub(super) fn destroyed(&mut self, study: &str, series: &str, sop_instance_uid: &str) {
        self.written_out(DESTROYED, study, series, sop_instance_uid);
    }

    /// An instance was rejected, or restored.
    pub(super) fn shown(&mut self, is_shown: bool, study: &str, series: &str, sop_instance_uid: &str) {
        let kind = if is_shown { RESTORED } else { REJECTED };
        self.written_out(kind, study, series, sop_instance_uid);
    }

    fn written_out(&mut self, kind: u8, study: &str, series: &str, sop_instance_uid: &str) {
        self.count += 1;
        self.entries.byte(kind);
        for uid in [study, series, sop_instance_uid] {
            self.entries.counted(&keys::pack_uid(uid));
        }
    }

    /// Puts the row into the batch of this number.
    pub(super) fn put(self, batch: &mut Batch, generation: u64) {
        if self.count == 0 {
            return;
        }
        let entries = self.entries.finish();
        let mut row = Encoder::with_capacity(entries.len() + 16);
        encode_time(&mut row, self.at);
        row.number(self.count).raw(&entries);
        batch.put(keys::changes(generation), row.finish());
    }
}

/// The changes of a row behind one of its entries.
fn decode(
    catalog: &Catalog,
    generation: u64,
    row: &[u8],
    after: Option<ChangePlace>,
    found: &mut Vec<Change>,
) -> Result<(), IndexError> {
    let mut row = Decoder::new(row, "the changes of a batch");
    let at = decode_time(&mut row)?;
    let count = row.number_u32()?;
    for entry in 0..count {
        let kind = row.byte()?;
        let place = ChangePlace { generation, entry };
        let (kind, study, series, sop) = match kind {
            STORED => {
                let series = row.number_u32()?;
                let sop = row.counted()?;
                if after.is_some_and(|after| place <= after) {
                    continue;
                }
                // A series that was destroyed has no number any more: its end is told further on.
                let Some((study, series)) = catalog.known_uids_of_series(series)? else {
                    continue;
                };
                (ChangeKind::Stored, study, series, sop)
            }
            DESTROYED | REJECTED | RESTORED => {
                let (study, series, sop) = (row.counted()?, row.counted()?, row.counted()?);
                if after.is_some_and(|after| place <= after) {
                    continue;
                }
                let study = StudyInstanceUid::new(&keys::unpack_uid(study))?;
                let series = SeriesInstanceUid::new(&keys::unpack_uid(series))?;
                let kind = match kind {
                    REJECTED => ChangeKind::Rejected,
                    RESTORED => ChangeKind::Restored,
                    _ => ChangeKind::Destroyed,
                };
                (kind, study, series, sop)
            }
            _ => return Err(Undecodable("a change").into()),
        };
        found.push(Change {
            place,
            kind,
            at,
            study_instance_uid: study,
            series_instance_uid: series,
            sop_instance_uid: SopInstanceUid::new(&keys::unpack_uid(sop))?,
        });
    }
    Ok(())
}

impl CatalogWriter {
    /// Has followers of the changes know that instances were rejected, or restored. Those that are not there are passed over.
    ///
    /// # Errors
    /// [`IndexError`]: nothing was written.
    pub fn tell_shown(&mut self, is_shown: bool, instances: &[SopInstanceUid]) -> Result<(), IndexError> {
        let mut changes = ChangeRow::new(OffsetDateTime::now_utc());
        for uid in instances {
            if let Some(record) = self.catalog.instance(uid)? {
                let (study, series) = (&record.study_instance_uid, &record.series_instance_uid);
                changes.shown(is_shown, study.as_str(), series.as_str(), uid.as_str());
            }
        }
        let mut batch = Batch::default();
        changes.put(&mut batch, self.generation() + 1);
        self.apply(batch)
    }
}

impl Catalog {
    /// The changes after a place, oldest first: at least `limit` where there are so many, and no more than the last batch
    /// makes it.
    ///
    /// # Errors
    /// [`IndexError`] when the engine fails.
    pub fn changes(&self, after: Option<ChangePlace>, limit: usize) -> Result<Vec<Change>, IndexError> {
        let mut found = Vec::new();
        let mut from = keys::changes(after.map_or(0, |place| place.generation));
        while found.len() < limit {
            let mut rows: Vec<(u64, Vec<u8>)> = Vec::new();
            let end = keys::after_prefix(&[keys::CHANGES]);
            self.engine.scan(&from, end.as_deref(), &mut |key, row| {
                if let Some(generation) = keys::generation_of_changes(key) {
                    rows.push((generation, row.to_vec()));
                }
                if rows.len() < ROWS_AT_A_TIME {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            })?;
            let Some((last, _)) = rows.last() else { break };
            from = keys::changes(last.saturating_add(1));
            let is_end = rows.len() < ROWS_AT_A_TIME;
            for (generation, row) in rows {
                if found.len() >= limit {
                    return Ok(found);
                }
                decode(self, generation, &row, after, &mut found)?;
            }
            if is_end {
                break;
            }
        }
        Ok(found)
    }

    /// The place behind all changes so far.
    ///
    /// # Errors
    /// [`IndexError`] when the engine fails.
    pub fn latest_change(&self) -> Result<ChangePlace, IndexError> {
        Ok(ChangePlace {
            generation: self.state()?.generation,
            entry: u32::MAX,
        })
    }

    /// Tells one index from another that was made anew in its place, whose changes are in another order.
    ///
    /// # Errors
    /// [`IndexError`] when the engine fails.
    pub fn epoch(&self) -> Result<u64, IndexError> {
        let row = self.engine.get(keys::EPOCH)?.unwrap_or_default();
        Ok(<[u8; 8]>::try_from(row.as_slice()).map_or(0, u64::from_be_bytes))
    }
}

/// Rows read in one go.
const ROWS_AT_A_TIME: usize = 256;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::index::engine::MemoryEngine;

    fn rows(catalog: &Catalog, sizes: &[u32]) {
        for (generation, size) in (1..).zip(sizes) {
            let mut row = ChangeRow::new(OffsetDateTime::UNIX_EPOCH);
            for entry in 0..*size {
                row.destroyed("1.2", "1.2.3", &format!("1.2.3.{generation}.{entry}"));
            }
            let mut batch = Batch::default();
            row.put(&mut batch, generation);
            catalog.engine.apply(batch).unwrap();
        }
    }

    #[test]
    fn a_walk_in_pages_meets_every_change_once() {
        let catalog = Catalog::open(Arc::new(MemoryEngine::default())).unwrap();
        let sizes: Vec<u32> = (0..600).map(|batch| batch % 4).collect();
        rows(&catalog, &sizes);
        let all = catalog.changes(None, usize::MAX).unwrap();
        assert_eq!(all.len() as u32, sizes.iter().sum::<u32>());
        assert!(all.is_sorted_by_key(|change| change.place));
        assert!(all.iter().all(|change| change.kind == ChangeKind::Destroyed));
        for limit in [1, 7, 300] {
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let mut page = catalog.changes(after, limit).unwrap();
                page.truncate(limit);
                let Some(last) = page.last() else { break };
                after = Some(last.place);
                seen.extend(page);
            }
            assert_eq!(seen, all, "{limit} at a time");
        }
    }

    #[test]
    fn a_stored_instance_of_a_series_that_went_is_passed_over() {
        let catalog = Catalog::open(Arc::new(MemoryEngine::default())).unwrap();
        let mut row = ChangeRow::new(OffsetDateTime::UNIX_EPOCH);
        row.stored(7, "1.2.3.4");
        row.destroyed("1.2", "1.2.3", "1.2.3.4");
        let mut batch = Batch::default();
        row.put(&mut batch, 1);
        catalog.engine.apply(batch).unwrap();
        let kinds: Vec<_> = catalog
            .changes(None, 10)
            .unwrap()
            .into_iter()
            .map(|change| change.kind)
            .collect();
        assert_eq!(kinds, [ChangeKind::Destroyed]);
    }
}
