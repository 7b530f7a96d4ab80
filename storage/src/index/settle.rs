//! Instances that move into a pack.

use super::{
    CatalogWriter, IndexError,
    catalog::FoundRow,
    engine::Batch,
    keys,
    place_in_row::{location_of, relocate},
    rows::PackRow,
};
use crate::model::{Location, SeriesInstanceUid, SopInstanceUid, StudyInstanceUid};

/// Instances of one series that now lie in a pack.
#[derive(Debug)]
pub struct Settled {
    /// The study.
    pub study: StudyInstanceUid,
    /// The series.
    pub series: SeriesInstanceUid,
    /// The new pack.
    pub pack: u64,
    /// What is kept about it.
    pub row: PackRow,
    /// The instances. One that is elsewhere by now is left alone.
    pub members: Vec<SettledMember>,
    /// Packs that the new one stands for and that hold nothing any more.
    pub replaced: Vec<u64>,
}

/// An instance that now lies in a pack.
#[derive(Debug, Clone)]
pub struct SettledMember {
    /// The instance.
    pub sop_instance: SopInstanceUid,
    /// Where it was.
    pub from: Location,
    /// Its first byte in the pack.
    pub offset: u64,
    /// SHA-256 of the data set.
    pub sha256: [u8; 32],
}

impl CatalogWriter {
    /// Moves instances into a pack.
    ///
    /// Returns the instances that were not where they were thought to be, and stay as they are.
    ///
    /// # Errors
    /// [`IndexError`]: nothing was written.
    pub fn settle(&mut self, settled: &Settled) -> Result<Vec<SopInstanceUid>, IndexError> {
        let result = self.try_settle(settled);
        if result.is_err() {
            self.forget()?;
        }
        result
    }

    fn try_settle(&mut self, settled: &Settled) -> Result<Vec<SopInstanceUid>, IndexError> {
        let Some((_, series)) = self.catalog.find_series(&settled.study, &settled.series)? else {
            return Err(IndexError::Damaged(format!(
                "series {} is not in the index",
                settled.series
            )));
        };
        let mut batch = Batch::default();
        let mut left_alone = Vec::new();
        for member in &settled.members {
            match self.catalog.instance_row(&member.sop_instance)? {
                Some(FoundRow { series: id, key, row }) if id == series.id && location_of(&row)? == member.from => {
                    let location = Location::Pack {
                        pack: settled.pack,
                        offset: member.offset,
                    };
                    batch.put(key, relocate(&row, &location, &member.sha256)?);
                }
                _ => left_alone.push(member.sop_instance.clone()),
            }
        }
        batch.put(keys::pack(series.id, settled.pack), settled.row.encode());
        for pack in &settled.replaced {
            batch.remove(keys::pack(series.id, *pack));
        }
        let mut counts = self.catalog.series_counts(series.id)?;
        counts.next_pack = counts.next_pack.max(settled.pack.saturating_add(1));
        batch.put(keys::by_id(keys::SERIES_COUNTS, series.id), counts.encode());
        if let Some(at_hand) = self.series.values_mut().find(|at_hand| at_hand.id == series.id) {
            at_hand.counts.next_pack = counts.next_pack;
        }
        self.apply(batch)?;
        Ok(left_alone)
    }
}
