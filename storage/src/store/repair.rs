//! Repairing what is damaged from the second store; what cannot be repaired is marked, and never served as if it were whole.

use std::{
    io,
    sync::{Arc, PoisonError},
};

use super::{Store, StoreError, read::on_blocking_thread, rebuild::open_object, settle::from_objects};
use crate::{
    index::Index,
    intake::SeriesKey,
    model::{Header, Location, SopInstanceUid},
    objects::{Body, EncryptedObjects, ObjectName, ObjectStore},
    packs::{compose::SharedPart, walk::walk},
    source::ReadAt,
};

/// Bytes compared at once.
const PIECE_BYTES: usize = 1 << 20;
/// An object that holds a key is shorter.
const KEY_BYTES_MAX: u64 = 1024;

impl Store {
    /// Puts the replica's copy of an object in the place of one that is damaged or missing. The damaged one is kept apart,
    /// under `damaged/`. False where there is no replica, or its copy is no better.
    pub(super) async fn repair(&self, name: &ObjectName) -> Result<bool, StoreError> {
        let Some(replica) = self.inner.replica.clone() else {
            return Ok(false);
        };
        let good = {
            let (replica, name) = (Arc::clone(&replica), name.clone());
            on_blocking_thread(self, move |store| Ok(whole_copy(&replica, &store.inner.runtime, &name))).await?
        };
        let Some((good, crc32)) = good else {
            tracing::error!(object = %name, "the replica has no good copy");
            return Ok(false);
        };
        let objects = &self.inner.primary;
        self.keep_apart(name).await?;
        let mut body = Body::default();
        let length = good.len();
        body.push(SharedPart {
            whole: good,
            offset: 0,
            length,
        });
        objects.put(name, body).await.map_err(from_objects)?;
        self.inner.objects.changed(name).await.map_err(from_objects)?;
        if objects.crc32(name).await.map_err(from_objects)? != crc32 {
            return Err(StoreError::Damaged(format!(
                "{name} does not read back as it was repaired"
            )));
        }
        self.inner.counters.repaired();
        Ok(true)
    }

    /// Puts the replica's copy of a data key in the place of one that does not open. False where there is no replica, or its copy
    /// does not open either.
    pub(super) async fn repair_key(&self, encrypted: &EncryptedObjects, name: &ObjectName) -> Result<bool, StoreError> {
        let Some(replica) = &self.inner.sealed_replica else {
            return Ok(false);
        };
        let bytes = match replica.get_range(name, 0..KEY_BYTES_MAX).await {
            Ok(bytes) if encrypted.opens(name, &bytes) => bytes,
            _ => return Ok(false),
        };
        let objects = &self.inner.sealed_primary;
        objects.put(name, bytes.into()).await.map_err(from_objects)?;
        self.inner.counters.repaired();
        Ok(true)
    }

    /// Copies a damaged object to where nobody looks for it but a person. Its bytes as they lie: what is encrypted and damaged
    /// does not open.
    async fn keep_apart(&self, name: &ObjectName) -> Result<(), StoreError> {
        let objects = &self.inner.sealed_primary;
        let (at, apart) = match &self.inner.encrypted {
            Some(encrypted) => encrypted.places(name, &name.damaged()).await.map_err(from_objects)?,
            None => (name.clone(), name.damaged()),
        };
        let Some(length) = objects.head(&at).await.map_err(from_objects)? else {
            return Ok(());
        };
        let (sealed, runtime) = (Arc::clone(objects), self.inner.runtime.clone());
        let source = tokio::task::spawn_blocking(move || open_object(&sealed, &runtime, &at));
        let mut body = Body::default();
        body.push(SharedPart {
            whole: source.await.map_err(io::Error::other)??,
            offset: 0,
            length,
        });
        objects.put(&apart, body).await.map_err(from_objects)
    }

    /// Makes the headers beside a pack again, of the instances that the index finds in it and that read.
    pub(super) async fn make_headers(&self, series: &SeriesKey, pack: u64) -> Result<(), StoreError> {
        let _nothing_settles = self.inner.settling.lock().await;
        let read = {
            let series = series.clone();
            on_blocking_thread(self, move |store| store.describe_pack(&series, pack)).await?
        };
        let (offsets, headers): (Vec<_>, Vec<_>) = read.into_iter().unzip();
        self.put_headers(series, pack, &offsets, &headers).await?;
        self.inner.headers.clear();
        Ok(())
    }

    fn describe_pack(&self, series: &SeriesKey, pack: u64) -> Result<Vec<(u64, Header)>, StoreError> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = self
                .inner
                .catalog
                .instances_of(&series.0, &series.1, after.as_ref(), 1000)?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (_, record) in page {
                if let Location::Pack { pack: of, offset } = record.location
                    && of == pack
                    && self.inner.catalog.damage(&record.sop_instance_uid)?.is_none()
                {
                    found.push((offset, self.header_from_bytes(&record)?));
                }
            }
        }
        found.sort_by_key(|(offset, _)| *offset);
        Ok(found)
    }

    /// Marks the bytes of an instance as damaged, or takes the mark away.
    pub(super) fn mark(&self, sop: &SopInstanceUid, damage: Option<&str>) -> Result<(), StoreError> {
        if self.inner.catalog.damage(sop)?.as_deref() == damage {
            return Ok(());
        }
        let mut writer = self.inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(writer.mark_damaged(sop, damage)?)
    }
}

/// An object whose every byte is as it was put, and its CRC-32. Blocks.
fn whole_copy(
    objects: &Arc<dyn ObjectStore>,
    runtime: &tokio::runtime::Handle,
    name: &ObjectName,
) -> Option<(Arc<dyn ReadAt>, u32)> {
    let source = open_object(objects, runtime, name).ok()?;
    let walked = walk(source.as_ref()).ok()?;
    let mut crc32 = crc32fast::Hasher::new();
    let mut offset = 0;
    while offset < source.len() {
        let piece = source
            .read_at(offset, PIECE_BYTES)
            .ok()
            .filter(|piece| !piece.is_empty())?;
        crc32.update(&piece);
        offset += piece.len() as u64;
    }
    // That of a pack whose members all have theirs.
    (walked.length == source.len() && crc32.finalize() == walked.crc32).then_some((source, walked.crc32))
}
