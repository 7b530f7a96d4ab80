//! The store as its callers use it.

use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;

use super::*;
use crate::{
    model::Location,
    testing::{Refusing, Sample, describer, origin},
};

mod acknowledging;
mod crashing;
mod destroying;
mod encrypting;
mod failing_index;
mod hiding;
mod merging;
mod on_s3;
mod rebuilding;
mod repairing;
mod settling;
mod taking_in;
mod verifying;

/// A store in a folder of its own, with small limits.
struct Fixture {
    folder: tempfile::TempDir,
    options: StoreOptions,
    store: Option<Store>,
}

impl Fixture {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut StoreOptions)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = StoreOptions::new(folder.path());
        options.free_space_min_bytes = 0;
        options.staged_from_bytes = 20_000;
        options.intake_memory_max_bytes = 1 << 20;
        options.segment_max_bytes = 100_000;
        options.settle_after = Duration::from_secs(3600);
        options.index_cache_bytes = 8 << 20;
        change(&mut options);
        let store = Store::open(options.clone(), describer()).await.unwrap();
        Self {
            folder,
            options,
            store: Some(store),
        }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    /// Ends the store without closing it, and whatever goes on in it.
    async fn close_at_once(&mut self) {
        let Some(store) = self.store.take() else { return };
        let inner = Arc::clone(&store.inner);
        tokio::task::spawn_blocking(move || inner.stop()).await.unwrap();
        while Arc::strong_count(&store.inner) > 1 {
            tokio::task::yield_now().await;
        }
    }

    /// Ends the store without closing it, and opens the folder again.
    async fn reopen(&mut self) {
        drop(self.store.take());
        self.store = Some(Store::open(self.options.clone(), describer()).await.unwrap());
    }

    /// Makes the index anew with a describer that refuses one instance, and opens the folder again. Gives the problems.
    async fn rebuild_without(&mut self, refused: &Sample) -> Vec<String> {
        drop(self.store.take());
        let refusing: Arc<dyn Describer> = Arc::new(Refusing(refused.sop_uid()));
        let rebuilt = Store::rebuild(self.options.clone(), Arc::clone(&refusing), |_| {}).await;
        self.store = Some(Store::open(self.options.clone(), refusing).await.unwrap());
        rebuilt.unwrap().problems
    }

    async fn seal(&self, sample: &Sample) -> Sealed {
        let data_set = sample.data_set();
        let mut incoming = self.store().receive(sample.file_head(), data_set.len() as u64);
        for piece in data_set.chunks(7_000) {
            incoming.write(piece).await.unwrap();
        }
        incoming.seal().await.unwrap()
    }

    async fn commit(&self, sample: &Sample) -> Committed {
        let sealed = self.seal(sample).await;
        self.store()
            .commit(sealed, sample.description(), &origin())
            .await
            .unwrap()
    }

    async fn put(&self, sample: &Sample) -> InstanceRecord {
        match self.commit(sample).await {
            Committed::Stored(record) => record,
            other => panic!("{sample:?} was not stored: {other:?}"),
        }
    }

    #[track_caller]
    fn record(&self, sample: &Sample) -> InstanceRecord {
        let uid = crate::model::SopInstanceUid::new(&sample.sop_uid()).unwrap();
        self.store()
            .index()
            .instance(&uid)
            .unwrap()
            .unwrap_or_else(|| panic!("{sample:?} is not in the index"))
    }

    /// The instance is in the index and reads back, whole, in part, and as a header.
    async fn check(&self, sample: &Sample) {
        let record = self.record(sample);
        let data_set = sample.data_set();
        assert_eq!(record.data_set_length(), data_set.len() as u64);
        let all = self.store().stream(&record, 0..data_set.len() as u64);
        let all: Vec<Bytes> = all.try_collect().await.unwrap();
        assert_eq!(all.concat(), data_set);
        let pixels = record.pixel_data.clone().unwrap();
        let frame = self
            .store()
            .read(&record, pixels.offset..pixels.offset + pixels.length)
            .await
            .unwrap();
        assert!(frame.len() == sample.pixels && frame.iter().all(|byte| *byte == sample.fill));
        assert_eq!(self.store().header(&record).await.unwrap(), sample.description().header);
        let meta = self.store().file_meta(&record).await.unwrap();
        assert_eq!(meta, sample.file_head().slice(132..));
    }
}
