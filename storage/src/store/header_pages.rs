//! The headers of a whole series, page by page, without a copy of each.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use futures_util::stream::{self, BoxStream, StreamExt};

use super::{Store, StoreError, read::on_blocking_thread};
use crate::{
    index::InstanceCursor,
    model::{Header, InstanceRecord, Location, SeriesInstanceUid, StudyInstanceUid},
    objects::{ObjectName, ObjectSource},
    packs::headers::Directory,
};

/// Instances whose headers are read in one go; fewer in the first page, so that an answer begins soon.
const PAGE_INSTANCES: usize = 192;
const FIRST_PAGE_INSTANCES: usize = 32;
/// A page ends when its headers come to so many bytes.
const PAGE_MAX_BYTES: usize = 2 << 20;
/// Groups of a block that are kept for the pages to come, where instances do not lie in their order: bytes of headers.
const GROUPS_MAX_BYTES: usize = 4 << 20;

/// Directories of packs that are kept for the pages to come.
const DIRECTORIES_MAX: usize = 64;

/// An instance and its header.
pub type InstanceHeader = (InstanceRecord, Header);

/// A walk through the headers of a series in order of instance number. Its steps block: use it on a blocking thread.
pub struct HeaderPages {
    store: Store,
    study: StudyInstanceUid,
    series: SeriesInstanceUid,
    after: Option<InstanceCursor>,
    page_instances: usize,
    is_at_end: bool,
    ready: VecDeque<InstanceRecord>,
    directories: HashMap<u64, Arc<Directory>>,
    /// The latest last.
    groups: VecDeque<Group>,
}

/// Inflated headers of a group, found by pack and group, and their bytes.
type Group = ((u64, usize), usize, Arc<Vec<Header>>);

impl Store {
    /// The headers of a series in order of instance number, to be taken page by page on a blocking thread.
    #[must_use]
    pub fn header_pages(&self, study: &StudyInstanceUid, series: &SeriesInstanceUid) -> HeaderPages {
        HeaderPages {
            store: self.clone(),
            study: study.clone(),
            series: series.clone(),
            after: None,
            page_instances: FIRST_PAGE_INSTANCES,
            is_at_end: false,
            ready: VecDeque::new(),
            directories: HashMap::new(),
            groups: VecDeque::new(),
        }
    }

    /// As [`Store::header_pages`], one by one.
    #[must_use]
    pub fn headers_of_series(
        &self,
        study: &StudyInstanceUid,
        series: &SeriesInstanceUid,
    ) -> BoxStream<'static, Result<InstanceHeader, StoreError>> {
        stream::try_unfold(self.header_pages(study, series), |pages| async move {
            let store = pages.store.clone();
            on_blocking_thread(&store, move |_| {
                let mut pages = pages;
                let page = pages.next_page()?;
                Ok(page.map(|page| (stream::iter(page.into_iter().map(Ok)), pages)))
            })
            .await
        })
        .flat_map(|page| match page {
            Ok(headers) => headers.boxed(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        })
        .boxed()
    }
}

impl HeaderPages {
    /// The next headers; `None` at the end. Blocks.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub fn next_page(&mut self) -> Result<Option<Vec<InstanceHeader>>, StoreError> {
        if self.ready.is_empty() && !self.is_at_end {
            self.read_index()?;
        }
        let mut page = Vec::with_capacity(self.ready.len());
        let mut bytes = 0;
        while bytes < PAGE_MAX_BYTES
            && let Some(instance) = self.ready.pop_front()
        {
            let header = self.header(&instance)?;
            bytes += header.attributes.as_bytes().len();
            page.push((instance, header));
        }
        Ok((!page.is_empty()).then_some(page))
    }

    fn read_index(&mut self) -> Result<(), StoreError> {
        let (index, limit) = (self.store.index(), self.page_instances);
        let records = index.instances_of(&self.study, &self.series, self.after.as_ref(), limit)?;
        self.is_at_end = records.len() < limit;
        self.page_instances = PAGE_INSTANCES;
        for (cursor, instance) in records {
            self.after = Some(cursor);
            self.ready.push_back(instance);
        }
        Ok(())
    }

    fn header(&mut self, instance: &InstanceRecord) -> Result<Header, StoreError> {
        if let Location::Pack { pack, offset } = instance.location {
            let name = ObjectName::pack_headers(&instance.study_instance_uid, &instance.series_instance_uid, pack);
            match self.header_from_block(&name, pack, offset) {
                Ok(Some(header)) => return Ok(header),
                // A block can be made again; until then the instance itself tells.
                Ok(None) => tracing::warn!(block = %name, "a block of headers lacks an instance"),
                Err(error) => tracing::warn!(block = %name, %error, "a block of headers cannot be read"),
            }
        } else if let Some(header) = self.store.inner.shelf.get(&instance.sop_instance_uid) {
            return Ok(header);
        }
        self.store.header_from_bytes(instance)
    }

    fn header_from_block(&mut self, name: &ObjectName, pack: u64, offset: u64) -> Result<Option<Header>, StoreError> {
        let directory = self.directory(name, pack)?;
        let Some(place) = directory.find(offset) else {
            return Ok(None);
        };
        let key = (pack, place.group);
        // Instances that came by several ways at once lie in several packs by turns.
        if let Some((_, _, headers)) = self.groups.iter().rev().find(|(found, ..)| *found == key) {
            return Ok(headers.get(place.index).cloned());
        }
        let inner = &self.store.inner;
        let range = directory.range(place.group).unwrap_or_default();
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let source = ObjectSource::open(&inner.objects, name, range.start, length as u64, &inner.runtime)?;
        let headers = directory.decode_group(place.group, &source.read_at(0, length)?);
        let headers = Arc::new(headers.map_err(|error| StoreError::Damaged(error.to_string()))?);
        let bytes = headers.iter().map(|header| header.attributes.as_bytes().len()).sum();
        let found = headers.get(place.index).cloned();
        self.groups.push_back((key, bytes, headers));
        let mut held: usize = self.groups.iter().map(|(_, bytes, _)| bytes).sum();
        while held > GROUPS_MAX_BYTES
            && let Some((_, bytes, _)) = self.groups.pop_front()
        {
            held -= bytes;
        }
        Ok(found)
    }

    fn directory(&mut self, name: &ObjectName, pack: u64) -> Result<Arc<Directory>, StoreError> {
        if let Some(directory) = self.directories.get(&pack) {
            return Ok(Arc::clone(directory));
        }
        if self.directories.len() >= DIRECTORIES_MAX {
            self.directories.clear();
        }
        let directory = self.store.inner.runtime.block_on(self.store.directory(name))?;
        self.directories.insert(pack, Arc::clone(&directory));
        Ok(directory)
    }
}
