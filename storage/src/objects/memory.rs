//! Objects in memory, for tests.

use std::{
    collections::BTreeMap,
    ops::{Bound, Range},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use super::{Body, ObjectError, ObjectName, ObjectStore};
use crate::source::ReadAt;

/// Objects in memory.
#[derive(Debug, Default)]
pub struct MemoryObjects {
    objects: Mutex<BTreeMap<ObjectName, Bytes>>,
}

impl MemoryObjects {
    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<ObjectName, Bytes>) -> T) -> T {
        work(&mut self.objects.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl ObjectStore for MemoryObjects {
    async fn put(&self, name: &ObjectName, body: Body) -> Result<(), ObjectError> {
        let mut bytes = BytesMut::new();
        for piece in body.pieces() {
            bytes.extend_from_slice(&piece.read_at(0, usize::try_from(piece.len()).unwrap_or(usize::MAX))?);
        }
        self.with(|objects| objects.insert(name.clone(), bytes.freeze()));
        Ok(())
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, ObjectError> {
        let object = self.with(|objects| objects.get(name).cloned());
        let object = object.ok_or_else(|| ObjectError::Missing(name.clone()))?;
        let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        Ok(object.read_at(range.start, length)?)
    }

    async fn head(&self, name: &ObjectName) -> Result<Option<u64>, ObjectError> {
        Ok(self.with(|objects| objects.get(name).map(|bytes| bytes.len() as u64)))
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Vec<(ObjectName, u64)>, ObjectError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(self.with(|objects| {
            let named = objects
                .range((from, Bound::Unbounded))
                .filter(|(name, _)| name.as_str().starts_with(prefix));
            named
                .take(limit)
                .map(|(name, bytes)| (name.clone(), bytes.len() as u64))
                .collect()
        }))
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), ObjectError> {
        self.with(|objects| objects.remove(name));
        Ok(())
    }

    fn local_source(&self, name: &ObjectName) -> Option<Result<Arc<dyn ReadAt>, ObjectError>> {
        let object = self.with(|objects| objects.get(name).cloned());
        Some(match object {
            Some(object) => Ok(Arc::new(object)),
            None => Err(ObjectError::Missing(name.clone())),
        })
    }
}
