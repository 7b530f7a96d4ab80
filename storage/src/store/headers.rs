//! Whole headers.

use std::collections::VecDeque;

use futures_util::stream::{self, BoxStream, StreamExt};

use super::{
    Store, StoreError,
    read::{Part, on_blocking_thread},
};
use crate::{
    index::{Index, InstanceCursor},
    model::{Header, InstanceRecord, SeriesInstanceUid, StudyInstanceUid},
};

/// Instances whose headers are read in one go.
const PAGE_INSTANCES: usize = 64;

struct Walk {
    store: Store,
    study: StudyInstanceUid,
    series: SeriesInstanceUid,
    after: Option<InstanceCursor>,
    ready: VecDeque<(InstanceRecord, Header)>,
    is_at_end: bool,
}

impl Store {
    /// The whole header of one instance.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn header(&self, instance: &InstanceRecord) -> Result<Header, StoreError> {
        let instance = instance.clone();
        on_blocking_thread(self, move |store| store.header_blocking(&instance)).await
    }

    /// The headers of a whole series in order of instance number, in pieces of bounded size.
    #[must_use]
    pub fn headers_of_series(
        &self,
        study: &StudyInstanceUid,
        series: &SeriesInstanceUid,
    ) -> BoxStream<'static, Result<(InstanceRecord, Header), StoreError>> {
        let walk = Walk {
            store: self.clone(),
            study: study.clone(),
            series: series.clone(),
            after: None,
            ready: VecDeque::new(),
            is_at_end: false,
        };
        stream::try_unfold(walk, |mut walk| async move {
            if walk.ready.is_empty() && !walk.is_at_end {
                walk.next_page().await?;
            }
            Ok(walk.ready.pop_front().map(|header| (header, walk)))
        })
        .boxed()
    }

    fn header_blocking(&self, instance: &InstanceRecord) -> Result<Header, StoreError> {
        let described = self.with_source(instance, |source| {
            let data_set = Part {
                whole: source,
                offset: instance.data_set_offset,
            };
            Ok(self.inner.describer.describe(&data_set, &instance.transfer_syntax_uid))
        })?;
        let described = described.map_err(|reason| {
            StoreError::Damaged(format!(
                "instance {} does not read: {reason}",
                instance.sop_instance_uid
            ))
        })?;
        Ok(described.header)
    }
}

impl Walk {
    async fn next_page(&mut self) -> Result<(), StoreError> {
        let (study, series, after) = (self.study.clone(), self.series.clone(), self.after.take());
        let page = on_blocking_thread(&self.store, move |store| {
            let page = store
                .inner
                .catalog
                .instances_of(&study, &series, after.as_ref(), PAGE_INSTANCES)?;
            let mut headers = Vec::with_capacity(page.len());
            for (cursor, instance) in page {
                let header = store.header_blocking(&instance)?;
                headers.push((cursor, instance, header));
            }
            Ok(headers)
        })
        .await?;
        self.is_at_end = page.len() < PAGE_INSTANCES;
        for (cursor, instance, header) in page {
            self.after = Some(cursor);
            self.ready.push_back((instance, header));
        }
        Ok(())
    }
}
