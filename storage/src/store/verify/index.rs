//! Every instance of the index and every entry of the intake log: whether the other side has it.

use std::collections::HashMap;

use super::{ProblemKind, Run, VerifyPosition};
use crate::{
    hexadecimal::hexadecimal,
    index::{Index, Position, StudyCursor, StudySelector},
    intake::{SeriesKey, segment::Segment},
    model::{InstanceRecord, Location, StudyRecord},
    objects::ObjectName,
    store::{StoreError, read::on_blocking_thread, settle::from_objects},
};

/// Records looked at in one go.
const PAGE: usize = 256;

impl Run<'_> {
    /// Looks for the bytes of every instance of the index.
    pub(super) async fn index(&mut self, mut after: Option<StudyCursor>) -> Result<(), StoreError> {
        loop {
            let catalog = &self.store.inner.catalog;
            let page = catalog.studies(&StudySelector::All, after.as_ref(), 1)?;
            let Some((cursor, study)) = page.into_iter().next() else {
                return Ok(());
            };
            self.study(&study).await?;
            self.reached(VerifyPosition::Study(hexadecimal(&cursor.0)));
            after = Some(cursor);
        }
    }

    async fn study(&mut self, study: &StudyRecord) -> Result<(), StoreError> {
        for series in self.store.inner.catalog.series_of(&study.study_instance_uid)? {
            let key = (series.study_instance_uid, series.series_instance_uid);
            self.packs_of(&key).await?;
            let mut after = None;
            loop {
                let page = self
                    .store
                    .inner
                    .catalog
                    .instances_of(&key.0, &key.1, after.as_ref(), PAGE)?;
                let Some((cursor, _)) = page.last() else { break };
                after = Some(cursor.clone());
                for (_, record) in page {
                    self.report.indexed += 1;
                    self.unsettled(record).await?;
                }
            }
        }
        Ok(())
    }

    /// Every pack that the index names must be there, and as long as it was.
    async fn packs_of(&mut self, series: &SeriesKey) -> Result<(), StoreError> {
        let inner = &self.store.inner;
        let rows: HashMap<_, _> = inner.catalog.packs_of(&series.0, &series.1)?.into_iter().collect();
        for (pack, instances) in self.store.instances_by_pack(series)? {
            let name = ObjectName::pack(&series.0, &series.1, pack);
            let is_right = |length: Option<u64>| length.is_some() && length == rows.get(&pack).map(|row| row.length);
            if is_right(inner.stored.head(&name).await.map_err(from_objects)?) {
                continue;
            }
            // Between looking at the index and at the objects a merge may have moved them all.
            if !self.store.instances_by_pack(series)?.contains_key(&pack) {
                continue;
            }
            if self.store.repair(&name).await? {
                self.report.repaired += 1;
                tracing::warn!(object = %name, "a missing object was taken over from the replica");
                continue;
            }
            let sentence = format!("{instances} instances lie in this pack, and it is not there as it was put");
            self.report.problem(ProblemKind::Missing, name, sentence);
        }
        Ok(())
    }

    /// Instances in packs were read with their pack; those in intake are read here.
    async fn unsettled(&mut self, record: InstanceRecord) -> Result<(), StoreError> {
        if matches!(record.location, Location::Pack { .. }) {
            return Ok(());
        }
        self.report.instances += 1;
        self.report.bytes += record.length;
        let (sop, pace) = (record.sop_instance_uid.clone(), self.pace.clone());
        let hashed = on_blocking_thread(self.store, move |store| {
            let (offset, length) = (record.data_set_offset, record.data_set_length());
            match record.sha256 {
                Some(sha256) => {
                    Ok(store.with_any_source(&record, |source| pace.hash(source, offset, length))? == sha256)
                }
                None => Ok(store.with_any_source(&record, |source| pace.sum(source))? == record.crc32),
            }
        });
        match hashed.await {
            Ok(true) => self.store.mark(&sop, None)?,
            Ok(false) => {
                let sentence = "its bytes in intake are not what was received";
                self.store.mark(&sop, Some(sentence))?;
                self.report.problem(ProblemKind::Damaged, sop, sentence);
            }
            Err(error) => self.report.problem(ProblemKind::Missing, sop, error.to_string()),
        }
        Ok(())
    }

    /// Looks for every entry of the log in the index, as far as the log has been applied.
    pub(super) async fn intake(&mut self) -> Result<(), StoreError> {
        let inner = &self.store.inner;
        let checkpoint = {
            let writer = inner.writer.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            writer.checkpoint()
        };
        for number in inner.segments.numbers() {
            let Some(segment) = inner.segments.get(number) else {
                continue;
            };
            let found = on_blocking_thread(self.store, move |store| store.segment(&segment, checkpoint)).await?;
            self.report.entries += found.0;
            for (kind, sentence) in found.1 {
                self.report.problem(kind, format!("intake segment {number}"), sentence);
            }
        }
        Ok(())
    }
}

impl super::Store {
    /// Entries of a segment, and what is wrong with them. Blocks.
    fn segment(
        &self,
        segment: &Segment,
        checkpoint: Position,
    ) -> Result<(u64, Vec<(ProblemKind, String)>), StoreError> {
        let (mut entries, mut problems) = (0, Vec::new());
        let mut offset = segment.after_zeros(segment.head_bytes())?;
        let at = |offset| Position {
            segment: segment.number,
            offset,
        };
        while at(offset) < checkpoint && offset < segment.file.len()? {
            let Some(found) = segment.entry_at(offset)? else {
                let next = segment.entry_after(offset + 1)?;
                let end = next.as_ref().map_or(segment.file.len()?, |found| found.position);
                let sentence = format!("{} bytes at {offset} are damaged", end - offset);
                problems.push((ProblemKind::Damaged, sentence));
                offset = segment.after_zeros(end)?;
                continue;
            };
            entries += 1;
            offset = segment.after_zeros(found.end)?;
            let sop = &found.entry.sop_instance;
            if self.inner.catalog.instance(sop)?.is_none() && self.inner.catalog.tombstone(sop)?.is_none() {
                let sentence = format!("{sop} at {} is not indexed", found.position);
                problems.push((ProblemKind::NotIndexed, sentence));
            }
        }
        Ok((entries, problems))
    }
}
