//! Packs without the instances that go.

use std::{collections::HashSet, io, sync::PoisonError};

use crate::{
    index::{Index, PackRow, Settled, SettledMember},
    intake::SeriesKey,
    model::{InstanceRecord, Location, SopInstanceUid},
    objects::{ObjectName, series_prefix},
    packs::{
        compose::{SharedPart, compose},
        tar::Member,
        walk::walk,
    },
    store::{
        Store, StoreError,
        read::on_blocking_thread,
        rebuild::open_object,
        settle::{MOVE_INSTANCES, from_objects},
    },
};

/// Objects listed at once.
const PAGE: usize = 1000;

impl Store {
    /// Writes every pack anew that holds one of the instances, without them, whether the index knows the pack or not.
    pub(super) async fn destroy_in_packs(
        &self,
        series: &SeriesKey,
        uids: &HashSet<SopInstanceUid>,
    ) -> Result<(), StoreError> {
        let prefix = series_prefix(&series.0, &series.1);
        let objects = &self.inner.objects;
        let (mut after, mut packs) = (None, Vec::new());
        loop {
            let page = objects
                .list(&prefix, after.as_ref(), PAGE)
                .await
                .map_err(from_objects)?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            packs.extend(page.into_iter().filter_map(|(name, _)| name.as_pack()));
        }
        let mut needless = Vec::new();
        for (.., pack) in packs {
            if self.rewrite_pack(series, pack, uids).await? {
                needless.push(pack);
            }
        }
        if needless.is_empty() {
            return Ok(());
        }
        // The index that finds the others elsewhere comes first.
        let inner = std::sync::Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || inner.engine.flush())
            .await
            .map_err(io::Error::other)??;
        for pack in needless {
            for name in [
                ObjectName::pack(&series.0, &series.1, pack),
                ObjectName::pack_headers(&series.0, &series.1, pack),
            ] {
                objects.delete(&name).await.map_err(from_objects)?;
            }
        }
        Ok(())
    }

    /// True when the pack is needless now: it held one of the instances, and all others of the index lie elsewhere.
    async fn rewrite_pack(
        &self,
        series: &SeriesKey,
        pack: u64,
        uids: &HashSet<SopInstanceUid>,
    ) -> Result<bool, StoreError> {
        let name = ObjectName::pack(&series.0, &series.1, pack);
        let read = {
            let (name, uids) = (name.clone(), uids.clone());
            on_blocking_thread(self, move |store| store.staying_members(&name, pack, &uids)).await?
        };
        let Some(staying) = read else { return Ok(false) };
        if staying.is_empty() {
            return Ok(true);
        }
        let mut headers = Vec::with_capacity(staying.len());
        let (mut records, mut members, mut sums) = (Vec::new(), Vec::new(), Vec::new());
        for (record, member, part) in staying {
            sums.push(member.sha256);
            headers.push(self.header(&record).await?);
            records.push(record);
            members.push((member, part));
        }
        let composed = compose(members)?;
        let new = self.inner.catalog.next_pack(&series.0, &series.1)?;
        let row = PackRow {
            length: composed.body.len(),
            crc32: composed.crc32,
            instances: records.len() as u64,
        };
        self.put_and_verify(series, new, composed.body, row).await?;
        self.put_headers(series, new, &composed.offsets, &headers).await?;
        crash_point!("destroy.rewritten");
        let moving: Vec<_> = records
            .iter()
            .zip(&composed.offsets)
            .zip(&sums)
            .map(|((record, offset), sha256)| SettledMember {
                sop_instance: record.sop_instance_uid.clone(),
                from: record.location.clone(),
                offset: *offset,
                sha256: *sha256,
            })
            .collect();
        let mut writer = self.inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let chunks = moving.chunks(MOVE_INSTANCES);
        let last = chunks.len().saturating_sub(1);
        for (n, chunk) in chunks.enumerate() {
            writer.settle(&Settled {
                study: series.0.clone(),
                series: series.1.clone(),
                pack: new,
                row,
                members: chunk.to_vec(),
                replaced: if n == last { vec![pack] } else { Vec::new() },
            })?;
        }
        Ok(true)
    }

    /// The members of a pack that stay, and that the index finds there; `None` when the pack holds none of the instances.
    /// Blocks.
    #[allow(clippy::type_complexity, reason = "used in one place")]
    fn staying_members(
        &self,
        name: &ObjectName,
        pack: u64,
        uids: &HashSet<SopInstanceUid>,
    ) -> Result<Option<Vec<(InstanceRecord, Member, SharedPart)>>, StoreError> {
        let source = match open_object(&self.inner.objects, &self.inner.runtime, name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let walked = walk(source.as_ref()).map_err(|reason| StoreError::Damaged(format!("{name}: {reason}")))?;
        let is_going = |member: &Member| uids.iter().any(|uid| uid.as_str() == member.sop_instance);
        if !walked.members.iter().any(|(member, _)| is_going(member)) {
            return Ok(None);
        }
        let mut staying = Vec::new();
        for (member, offset) in walked.members {
            if is_going(&member) {
                continue;
            }
            let sop = SopInstanceUid::new(&member.sop_instance)
                .map_err(|error| StoreError::Damaged(format!("{name}: {error}")))?;
            match self.inner.catalog.instance(&sop)? {
                Some(record) if record.location == (Location::Pack { pack, offset }) => {
                    let part = SharedPart {
                        whole: source.clone(),
                        offset,
                        length: member.length,
                    };
                    staying.push((record, member, part));
                }
                Some(record) if self.is_member(&record, &member)? => {}
                // Only a decision destroys, and none names this one.
                _ => {
                    return Err(StoreError::Damaged(format!(
                        "{name} holds {sop}, which the index does not have: verify the archive first"
                    )));
                }
            }
        }
        Ok(Some(staying))
    }
}
