//! Merging: many small packs of one series become one. The old ones are deleted behind a flush of the index.

use std::{collections::HashMap, sync::PoisonError};

use super::{
    Store, StoreError,
    read::on_blocking_thread,
    rebuild::open_object,
    settle::{MOVE_INSTANCES, from_objects},
};
use crate::{
    index::{Index, InstancePlace, PackRow, Settled, SettledMember},
    intake::{Retired, SeriesKey},
    model::{Header, InstanceRecord, Location, SopInstanceUid},
    objects::ObjectName,
    packs::{
        compose::{Composed, SharedPart, compose},
        tar::Member,
        walk::walk,
    },
};

/// Packs smaller than this are worth merging.
const SMALL_BYTES: u64 = 32 << 20;
/// So many small packs of one series are merged.
const SMALL_PACKS: usize = 8;
/// A merged pack is at most about this large.
const MERGED_MAX_BYTES: u64 = 256 << 20;

/// Packs that are merged.
struct Merged {
    old: Vec<u64>,
    /// The new one.
    composed: Composed,
    /// What it holds, and where.
    moving: Vec<SettledMember>,
    records: Vec<InstanceRecord>,
}

/// An instance that moves from one pack to another.
struct Moving {
    record: InstanceRecord,
    member: Member,
    source: SharedPart,
    place: InstancePlace,
}

impl Store {
    /// Merges the small packs of a series, when there are many. The caller settles nothing else meanwhile.
    pub(super) async fn merge_small_packs(&self, series: &SeriesKey) -> Result<(), StoreError> {
        let mut packs = self.inner.catalog.packs_of(&series.0, &series.1)?;
        packs.retain(|(_, row)| row.length < SMALL_BYTES);
        let mut bytes = 0;
        packs.retain(|(_, row)| {
            bytes += row.length;
            bytes <= MERGED_MAX_BYTES
        });
        if packs.len() < SMALL_PACKS {
            return Ok(());
        }
        let small: Vec<u64> = packs.iter().map(|(pack, _)| *pack).collect();
        let composed = {
            let series = series.clone();
            on_blocking_thread(self, move |store| store.compose_merged(&series, &small)).await?
        };
        let Some(merged) = composed else {
            return Ok(());
        };
        let mut headers = Vec::with_capacity(merged.records.len());
        for record in &merged.records {
            headers.push(self.header(record).await?);
        }
        self.put_merged(series, merged, &headers).await
    }

    /// The packs that can be merged, and the new pack of all instances that the index finds in them. `None` where too few
    /// can be. Blocks.
    ///
    /// The old packs are deleted afterwards, so a pack with a member that the index does not have is left alone: only a
    /// decision destroys.
    fn compose_merged(&self, series: &SeriesKey, small: &[u64]) -> Result<Option<Merged>, StoreError> {
        let (mut old, mut moving) = (Vec::new(), Vec::new());
        'packs: for pack in small {
            let mut found = Vec::new();
            let name = ObjectName::pack(&series.0, &series.1, *pack);
            let source = open_object(&self.inner.objects, &self.inner.runtime, &name)?;
            let walked = walk(source.as_ref()).map_err(|reason| StoreError::Damaged(format!("{name}: {reason}")))?;
            for (member, offset) in walked.members {
                let sop = SopInstanceUid::new(&member.sop_instance);
                let sop = sop.map_err(|error| StoreError::Damaged(format!("{name}: {error}")))?;
                let record = self.inner.catalog.instance(&sop)?;
                // The same bytes elsewhere: a merge that was cut short left them twice.
                let Some(record) = record.filter(|record| record.sha256 == Some(member.sha256)) else {
                    tracing::warn!(pack = %name, instance = %sop, "a pack is not merged: the index does not have all that it holds");
                    continue 'packs;
                };
                if record.location == (Location::Pack { pack: *pack, offset }) {
                    let place = InstancePlace::of(&record);
                    let source = SharedPart {
                        whole: source.clone(),
                        offset,
                        length: member.length,
                    };
                    found.push(Moving {
                        record,
                        member,
                        source,
                        place,
                    });
                }
            }
            old.push(*pack);
            moving.append(&mut found);
        }
        if old.len() < SMALL_PACKS {
            return Ok(None);
        }
        moving.sort_by(|a, b| a.place.cmp(&b.place));
        let (mut members, mut records) = (Vec::new(), Vec::new());
        for moving in moving {
            members.push((moving.member, moving.source));
            records.push(moving.record);
        }
        let sums: Vec<_> = members.iter().map(|(member, _)| member.sha256).collect();
        let composed = compose(members)?;
        let places = sums.into_iter().zip(&composed.offsets);
        let moving = records
            .iter()
            .zip(places)
            .map(|(record, (sha256, offset))| SettledMember {
                sop_instance: record.sop_instance_uid.clone(),
                from: record.location.clone(),
                offset: *offset,
                sha256,
            });
        Ok(Some(Merged {
            moving: moving.collect(),
            old,
            composed,
            records,
        }))
    }

    async fn put_merged(&self, series: &SeriesKey, merged: Merged, headers: &[Header]) -> Result<(), StoreError> {
        let Merged {
            old, composed, moving, ..
        } = merged;
        let pack = self.inner.catalog.next_pack(&series.0, &series.1)?;
        let row = PackRow {
            length: composed.body.len(),
            crc32: composed.crc32,
            instances: moving.len() as u64,
        };
        self.put_and_verify(series, pack, composed.body, row).await?;
        self.put_headers(series, pack, &composed.offsets, headers).await?;
        crash_point!("merge.put");
        let series_key = series.clone();
        let replaced = old.clone();
        on_blocking_thread(self, move |store| {
            let chunks = moving.chunks(MOVE_INSTANCES);
            let last = chunks.len().saturating_sub(1);
            for (n, chunk) in chunks.enumerate() {
                let settled = Settled {
                    study: series_key.0.clone(),
                    series: series_key.1.clone(),
                    pack,
                    row,
                    members: chunk.to_vec(),
                    replaced: if n == last { replaced.clone() } else { Vec::new() },
                };
                store
                    .inner
                    .writer
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .settle(&settled)?;
                crash_point!("merge.moved");
            }
            Ok(())
        })
        .await?;
        for pack in old {
            self.retire(Retired::Object(ObjectName::pack(&series.0, &series.1, pack)));
            self.retire(Retired::Object(ObjectName::pack_headers(&series.0, &series.1, pack)));
        }
        self.inner.counters.merged();
        Ok(())
    }

    /// Puts a pack and reads it back.
    pub(super) async fn put_and_verify(
        &self,
        series: &SeriesKey,
        pack: u64,
        body: crate::objects::Body,
        row: PackRow,
    ) -> Result<(), StoreError> {
        self.inner.nursery.space.check_settling(row.length)?;
        let name = ObjectName::pack(&series.0, &series.1, pack);
        let objects = &self.inner.objects;
        objects.put(&name, body).await.map_err(from_objects)?;
        if objects.head(&name).await.map_err(from_objects)? != Some(row.length)
            || objects.crc32(&name).await.map_err(from_objects)? != row.crc32
        {
            return Err(StoreError::Damaged(format!(
                "{name} does not read back as it was written"
            )));
        }
        Ok(())
    }

    /// Instances of a series by the pack that the index finds them in.
    pub(super) fn instances_by_pack(&self, series: &SeriesKey) -> Result<HashMap<u64, u64>, StoreError> {
        let (mut by_pack, mut after) = (HashMap::new(), None);
        loop {
            let page = self
                .inner
                .catalog
                .instances_of(&series.0, &series.1, after.as_ref(), 1000)?;
            let Some((last, _)) = page.last() else {
                return Ok(by_pack);
            };
            after = Some(last.clone());
            for (_, record) in page {
                if let Location::Pack { pack, .. } = record.location {
                    *by_pack.entry(pack).or_default() += 1;
                }
            }
        }
    }
}
