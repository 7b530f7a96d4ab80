//! Counting and leaving out without reading what is passed.

use super::*;

impl Search {
    /// Passes studies without reading their records; returns how many are still to be left out.
    pub(super) fn skip_studies(&mut self, count: u64) -> Result<u64, QueryError> {
        let index = Arc::clone(&self.index);
        let Studies::Selected {
            selector,
            after,
            buffer,
            ..
        } = &mut self.studies
        else {
            return Ok(count);
        };
        if !buffer.is_empty() {
            return Ok(count);
        }
        let mut left = count;
        let mut read = 0;
        while left > 0 {
            let step = usize::try_from(left).unwrap_or(KEYS_BATCH).min(KEYS_BATCH);
            let batch = index.study_places(selector, after.as_ref(), step)?;
            let found = batch.len();
            if let Some(cursor) = batch.into_iter().next_back() {
                *after = Some(cursor);
            }
            left -= found as u64;
            read += found as u64;
            if found < step {
                break;
            }
        }
        self.spend(read)?;
        Ok(left)
    }

    /// What is left of the last series of an instance search by the counts that the index keeps, the match that was found
    /// last among them. `None` when that does not say all.
    pub(super) fn instances_left(&mut self) -> Result<Option<u64>, QueryError> {
        if self.plan.level != Level::Instance || self.plan.has_instance_tests() {
            return Ok(None);
        }
        let (InstancesAhead::OfSeries { buffer, ended, .. }, SeriesAhead::Known(series)) =
            (&self.instances, &self.series)
        else {
            return Ok(None);
        };
        if series.len() > 0 {
            return Ok(None);
        }
        let buffered = buffer.len() as u64 + 1;
        if *ended {
            return Ok(Some(buffered));
        }
        let Some(series) = &self.current_series else {
            return Ok(None);
        };
        let found = self.index.series_by_uid(&series.uid)?;
        let record = found
            .into_iter()
            .find(|record| record.study_instance_uid == series.study);
        Ok(record.map(|record| {
            (record.number_of_instances + 1)
                .saturating_sub(self.taken_of_series)
                .max(buffered)
        }))
    }
}
