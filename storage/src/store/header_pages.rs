//! The headers of a whole series, page by page, without a copy of each.

use std::{collections::VecDeque, sync::Arc};

use futures_util::stream::{self, BoxStream, StreamExt};

use super::{Store, StoreError, read::on_blocking_thread};
use crate::{
    index::{Index, InstanceCursor},
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
    block: Option<Block>,
}

/// The block of headers that was read last.
struct Block {
    name: ObjectName,
    directory: Arc<Directory>,
    /// Inflated groups with their bytes, the latest last.
    groups: VecDeque<(usize, usize, Arc<Vec<Header>>)>,
}

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
            block: None,
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
        let (catalog, limit) = (&self.store.inner.catalog, self.page_instances);
        let records = catalog.instances_of(&self.study, &self.series, self.after.as_ref(), limit)?;
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
            match self.header_from_block(&name, offset) {
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

    fn header_from_block(&mut self, name: &ObjectName, offset: u64) -> Result<Option<Header>, StoreError> {
        let inner = &self.store.inner;
        let block = match &mut self.block {
            Some(block) if block.name == *name => block,
            other => other.insert(Block {
                name: name.clone(),
                directory: inner.runtime.block_on(self.store.directory(name))?,
                groups: VecDeque::new(),
            }),
        };
        let Some(place) = block.directory.find(offset) else {
            return Ok(None);
        };
        if let Some((_, _, headers)) = block.groups.iter().rev().find(|(group, ..)| *group == place.group) {
            return Ok(headers.get(place.index).cloned());
        }
        let range = block.directory.range(place.group).unwrap_or_default();
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let source = ObjectSource::open(&inner.objects, name, range.start, length as u64, &inner.runtime)?;
        let headers = block.directory.decode_group(place.group, &source.read_at(0, length)?);
        let headers = Arc::new(headers.map_err(|error| StoreError::Damaged(error.to_string()))?);
        let bytes = headers.iter().map(|header| header.attributes.as_bytes().len()).sum();
        let found = headers.get(place.index).cloned();
        block.groups.push_back((place.group, bytes, headers));
        let mut held: usize = block.groups.iter().map(|(_, bytes, _)| bytes).sum();
        while held > GROUPS_MAX_BYTES
            && let Some((_, bytes, _)) = block.groups.pop_front()
        {
            held -= bytes;
        }
        Ok(found)
    }
}
