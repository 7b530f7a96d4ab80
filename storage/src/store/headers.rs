//! Whole headers: from the shelf or the bytes before settling, from the block beside the pack after it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;

use super::{
    Store, StoreError,
    read::{Part, on_blocking_thread},
    settle::from_objects,
};
use crate::{
    model::{Header, InstanceRecord, Location},
    objects::ObjectName,
    packs::headers::{Directory, FIRST_READ_BYTES, directory_end},
};

/// Directories kept at hand.
const DIRECTORIES_MAX: usize = 64;
/// Inflated groups kept at hand; some hundred kilobytes each.
const GROUPS_MAX: usize = 16;

/// Blocks of headers that were read just now, newest last.
#[derive(Default)]
pub(super) struct HeaderCache {
    directories: Mutex<VecDeque<(ObjectName, Arc<Directory>)>>,
    groups: Mutex<VecDeque<GroupAtHand>>,
}

impl HeaderCache {
    /// A pack may be written over that the index does not know any more.
    pub(super) fn clear(&self) {
        self.directories.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

type GroupAtHand = ((ObjectName, usize), Arc<Vec<Header>>);

fn look_up<K: PartialEq, V: Clone>(cache: &Mutex<VecDeque<(K, V)>>, key: &K) -> Option<V> {
    let cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
    cache
        .iter()
        .rev()
        .find(|(found, _)| found == key)
        .map(|(_, value)| value.clone())
}

fn keep<K, V>(cache: &Mutex<VecDeque<(K, V)>>, key: K, value: V, max: usize) {
    let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
    if cache.len() >= max {
        cache.pop_front();
    }
    cache.push_back((key, value));
}

impl Store {
    /// The whole header of one instance.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn header(&self, instance: &InstanceRecord) -> Result<Header, StoreError> {
        if let Location::Pack { pack, offset } = instance.location {
            let name = ObjectName::pack_headers(&instance.study_instance_uid, &instance.series_instance_uid, pack);
            match self.header_from_block(&name, offset).await {
                Ok(Some(header)) => return Ok(header),
                // A block can be made again; until then the instance itself tells.
                Ok(None) => tracing::warn!(block = %name, "a block of headers lacks an instance"),
                Err(error) => tracing::warn!(block = %name, %error, "a block of headers cannot be read"),
            }
        } else if let Some(header) = self.inner.shelf.get(&instance.sop_instance_uid) {
            return Ok(header);
        }
        let instance = instance.clone();
        on_blocking_thread(self, move |store| store.header_from_bytes(&instance)).await
    }

    /// Reads the data set of an instance anew. Blocks.
    pub(super) fn header_from_bytes(&self, instance: &InstanceRecord) -> Result<Header, StoreError> {
        Ok(self.describe(instance)?.header)
    }

    /// Describes an instance anew. Blocks.
    pub(super) fn describe(&self, instance: &InstanceRecord) -> Result<crate::model::Description, StoreError> {
        let described = self.with_source(instance, |source| {
            let data_set = Part {
                whole: source,
                offset: instance.data_set_offset,
            };
            Ok(self.inner.describer.describe(&data_set, &instance.transfer_syntax_uid))
        })?;
        described.map_err(|reason| {
            StoreError::Damaged(format!(
                "instance {} does not read: {reason}",
                instance.sop_instance_uid
            ))
        })
    }

    /// The header from the block beside the pack, and from nowhere else.
    pub(super) async fn header_from_pack(&self, instance: &InstanceRecord) -> Result<Header, StoreError> {
        let missing = || StoreError::Damaged(format!("instance {} has no header", instance.sop_instance_uid));
        let Location::Pack { pack, offset } = instance.location else {
            return Err(missing());
        };
        let name = ObjectName::pack_headers(&instance.study_instance_uid, &instance.series_instance_uid, pack);
        self.header_from_block(&name, offset).await?.ok_or_else(missing)
    }

    async fn header_from_block(&self, name: &ObjectName, offset: u64) -> Result<Option<Header>, StoreError> {
        let directory = self.directory(name).await?;
        let Some(place) = directory.find(offset) else {
            return Ok(None);
        };
        let key = (name.clone(), place.group);
        let group = match look_up(&self.inner.headers.groups, &key) {
            Some(group) => group,
            None => {
                let range = directory.range(place.group).unwrap_or_default();
                let bytes = self.inner.objects.get_range(name, range).await.map_err(from_objects)?;
                let group = directory.decode_group(place.group, &bytes);
                let group = Arc::new(group.map_err(|error| StoreError::Damaged(error.to_string()))?);
                keep(&self.inner.headers.groups, key, Arc::clone(&group), GROUPS_MAX);
                group
            }
        };
        // A copy of its own, so that one header does not keep its whole group in memory.
        Ok(group.get(place.index).map(|header| Header {
            attributes: crate::model::Attributes::from_normal_form(Bytes::copy_from_slice(
                header.attributes.as_bytes(),
            )),
            bulk: header.bulk.clone(),
        }))
    }

    pub(super) async fn directory(&self, name: &ObjectName) -> Result<Arc<Directory>, StoreError> {
        if let Some(directory) = look_up(&self.inner.headers.directories, name) {
            return Ok(directory);
        }
        let objects = &self.inner.objects;
        let mut start = objects
            .get_range(name, 0..FIRST_READ_BYTES)
            .await
            .map_err(from_objects)?;
        let end = directory_end(&start).ok_or_else(|| StoreError::Damaged(format!("{name} is no block of headers")))?;
        if end > start.len() as u64 {
            start = objects.get_range(name, 0..end).await.map_err(from_objects)?;
        }
        let directory = Directory::decode(&start).map_err(|error| StoreError::Damaged(error.to_string()))?;
        let directory = Arc::new(directory);
        keep(
            &self.inner.headers.directories,
            name.clone(),
            Arc::clone(&directory),
            DIRECTORIES_MAX,
        );
        Ok(directory)
    }
}
