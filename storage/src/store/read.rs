//! Reading back.

use std::{io, ops::Range};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};

use super::{ObjectsEngine, Store, StoreError, settle::from_objects};
use crate::{
    index::Index,
    model::{InstanceRecord, Location},
    objects::{ObjectError, ObjectName, ObjectSource},
    source::ReadAt,
};

/// Streams give pieces of this size.
const PIECE_BYTES: u64 = 512 << 10;
/// Longer ranges are copied on a thread that may block: this much takes below a tenth of a millisecond.
const AT_ONCE_MAX_BYTES: u64 = 1 << 20;
/// How often a location is looked up anew while the instance moves.
const MOVES_MAX: usize = 4;
/// Preamble and `DICM` (PS3.10 §7.1).
const PREAMBLE_BYTES: u64 = 132;

impl Store {
    /// Reads a range of an instance's **data set** (offset 0 is its first byte), as one piece: for headers and frames.
    ///
    /// # Errors
    /// [`StoreError::Range`], [`StoreError::Damaged`], [`StoreError::Objects`].
    pub async fn read(&self, instance: &InstanceRecord, range: Range<u64>) -> Result<Bytes, StoreError> {
        if range.start > range.end || range.end > instance.data_set_length() {
            return Err(StoreError::Range(range));
        }
        let from = instance.data_set_offset;
        self.read_part_10(instance, from + range.start..from + range.end).await
    }

    /// Streams a range of an instance's data set in pieces of bounded size.
    #[must_use]
    pub fn stream(
        &self,
        instance: &InstanceRecord,
        range: Range<u64>,
    ) -> BoxStream<'static, Result<Bytes, StoreError>> {
        if range.start > range.end || range.end > instance.data_set_length() {
            return stream::iter([Err(StoreError::Range(range))]).boxed();
        }
        let place = (self.clone(), instance.clone(), range);
        stream::try_unfold(place, |(store, instance, range)| async move {
            if range.is_empty() {
                return Ok(None);
            }
            let next = range.end.min(range.start + PIECE_BYTES);
            let piece = store.read(&instance, range.start..next).await?;
            Ok(Some((piece, (store, instance, next..range.end))))
        })
        .boxed()
    }

    /// The file meta information as stored (`DICM` and preamble not included).
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn file_meta(&self, instance: &InstanceRecord) -> Result<Bytes, StoreError> {
        // A head too short for a preamble has none.
        let from = if instance.data_set_offset < PREAMBLE_BYTES {
            0
        } else {
            PREAMBLE_BYTES
        };
        self.read_part_10(instance, from..instance.data_set_offset).await
    }

    async fn read_part_10(&self, instance: &InstanceRecord, range: Range<u64>) -> Result<Bytes, StoreError> {
        let length = usize::try_from(range.end - range.start).map_err(|_| StoreError::Range(range.clone()))?;
        if let Some(bytes) = self.read_at_once(instance, &range) {
            return Ok(bytes);
        }
        if let Some(bytes) = self.read_distant(instance, &range).await? {
            return Ok(bytes);
        }
        let (store, instance) = (self.clone(), instance.clone());
        let read = tokio::task::spawn_blocking(move || {
            let bytes = store.with_source(&instance, |source| source.read_at(range.start, length))?;
            if bytes.len() == length {
                Ok(bytes)
            } else {
                Err(StoreError::Damaged(format!("{range:?} is cut short")))
            }
        });
        read.await.map_err(io::Error::other)?
    }

    /// A distant store is waited for without a thread: many who wait would hold all there are. `None` where the instance is
    /// elsewhere, or moves.
    async fn read_distant(&self, instance: &InstanceRecord, range: &Range<u64>) -> Result<Option<Bytes>, StoreError> {
        let Location::Pack { pack, offset } = instance.location else {
            return Ok(None);
        };
        if self.inner.options.objects == ObjectsEngine::Local || range.end > instance.length {
            return Ok(None);
        }
        let name = ObjectName::pack(&instance.study_instance_uid, &instance.series_instance_uid, pack);
        let within = offset.saturating_add(range.start)..offset.saturating_add(range.end);
        match self.inner.objects.get_range(&name, within.clone()).await {
            Ok(bytes) if bytes.len() as u64 == within.end - within.start => Ok(Some(bytes)),
            Ok(_) => Err(StoreError::Damaged(format!("{name} is cut short"))),
            Err(ObjectError::Missing(_)) => Ok(None),
            Err(error) => Err(from_objects(error)),
        }
    }

    /// What the system has in memory needs no other thread, which would cost more than the reading.
    fn read_at_once(&self, instance: &InstanceRecord, range: &Range<u64>) -> Option<Bytes> {
        let Location::Pack { pack, offset } = instance.location else {
            return None;
        };
        if range.end - range.start > AT_ONCE_MAX_BYTES || range.end > instance.length {
            return None;
        }
        if !matches!(self.inner.catalog.damage(&instance.sop_instance_uid), Ok(None)) {
            // The other way says why it is not served.
            return None;
        }
        let name = ObjectName::pack(&instance.study_instance_uid, &instance.series_instance_uid, pack);
        let objects = &self.inner.objects;
        objects.get_range_at_once(&name, offset.checked_add(range.start)?..offset.checked_add(range.end)?)
    }

    /// Gives the Part 10 file of an instance to `read`. Blocks. An instance that moves meanwhile is looked up again.
    pub(super) fn with_source<T>(
        &self,
        instance: &InstanceRecord,
        read: impl FnMut(&dyn ReadAt) -> io::Result<T>,
    ) -> Result<T, StoreError> {
        if let Some(damage) = self.inner.catalog.damage(&instance.sop_instance_uid)? {
            return Err(StoreError::Damaged(format!(
                "instance {} is kept apart: {damage}",
                instance.sop_instance_uid
            )));
        }
        self.with_any_source(instance, read)
    }

    /// The same also where the bytes are known to be damaged.
    pub(super) fn with_any_source<T>(
        &self,
        instance: &InstanceRecord,
        mut read: impl FnMut(&dyn ReadAt) -> io::Result<T>,
    ) -> Result<T, StoreError> {
        let mut moved;
        let mut instance = instance;
        for _ in 0..MOVES_MAX {
            match self.source(instance).and_then(|source| read(source.as_ref())) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Err(StoreError::Damaged(format!(
                        "instance {}: {error}",
                        instance.sop_instance_uid
                    )));
                }
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(StoreError::Damaged(format!(
                        "instance {} is cut short",
                        instance.sop_instance_uid
                    )));
                }
                other => return Ok(other?),
            }
            match self.inner.catalog.instance(&instance.sop_instance_uid)? {
                Some(now) if now.version() == instance.version() => moved = now,
                _ => break,
            }
            instance = &moved;
        }
        Err(StoreError::Damaged(format!(
            "the bytes of instance {} are gone",
            instance.sop_instance_uid
        )))
    }

    /// The Part 10 file where it lies now.
    fn source(&self, instance: &InstanceRecord) -> io::Result<Box<dyn ReadAt>> {
        match instance.location {
            Location::Intake { segment, entry, offset } => {
                let segment = self.inner.segments.get(segment).ok_or(io::ErrorKind::NotFound)?;
                if !segment.is_sealed() {
                    return Ok(Box::new(segment.section(offset, instance.length)));
                }
                let found = segment.entry_at(entry)?.ok_or(io::ErrorKind::InvalidData)?;
                Ok(Box::new(segment.part_10(&found)?))
            }
            Location::Staged { file, .. } => Ok(Box::new(self.inner.nursery.staged.part_10(file, instance.length)?)),
            Location::Pack { pack, offset } => {
                let name = ObjectName::pack(&instance.study_instance_uid, &instance.series_instance_uid, pack);
                ObjectSource::open(&self.inner.objects, &name, offset, instance.length, &self.inner.runtime)
            }
        }
    }
}

/// A part of another source.
pub(super) struct Part<'a> {
    pub(super) whole: &'a dyn ReadAt,
    pub(super) offset: u64,
}

impl ReadAt for Part<'_> {
    fn len(&self) -> u64 {
        self.whole.len().saturating_sub(self.offset)
    }

    fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        self.whole.read_at(self.offset.saturating_add(offset), length)
    }
}

/// The store behind a reference that ends with the work.
pub(super) async fn on_blocking_thread<T: Send + 'static>(
    store: &Store,
    work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let store = store.clone();
    tokio::task::spawn_blocking(move || work(&store))
        .await
        .map_err(io::Error::other)?
}
