//! Mending: an index that could not be written is taken up again in place, as if the store had been opened anew.
//!
//! Nothing is taken in meanwhile and everything else goes on. What the index lost with the failure is in the log, which was
//! not trimmed behind anything that was not flushed.

use std::{
    io,
    sync::{Arc, PoisonError},
};

use super::{Inner, Store, StoreError, keeper};
use crate::{
    index::CatalogWriter,
    intake::recover::{Recovery, When},
};

impl Store {
    /// Tries to take the index up again. Where it fails it is said, and tried again later.
    pub(super) async fn mend(&self) {
        // In the order in which others take them.
        let _nothing_settles = self.inner.settling.lock().await;
        let _nothing_is_trimmed = self.inner.keeping.lock().await;
        let inner = Arc::clone(&self.inner);
        let mended = tokio::task::spawn_blocking(move || inner.mend()).await;
        match mended.map_err(|error| StoreError::Io(io::Error::other(error))) {
            Ok(Ok(replayed)) => tracing::warn!(replayed, "the index is taken up again, and instances are taken in"),
            Ok(Err(error)) | Err(error) => {
                tracing::error!(%error, "the index cannot be taken up again yet; nothing is taken in");
            }
        }
    }
}

impl Inner {
    /// Returns how many instances the index had missed.
    fn mend(&self) -> Result<u64, StoreError> {
        self.nursery.space.check(0)?;
        let _nothing_comes_in = self.turnstile.enter();
        let mut flushed = self.flushed.lock().unwrap_or_else(PoisonError::into_inner);
        self.engine.recover()?;
        self.catalog.reload()?;
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        *writer = CatalogWriter::new(Arc::clone(&self.catalog))?;
        let mark = keeper::read_mark(&self.options.data)?;
        if writer.generation() < mark {
            // Only packs and log together can tell then, which is for the next start.
            let has = writer.generation();
            return Err(StoreError::Damaged(format!(
                "the index has come back with batch {has} and had reached {mark}: restart to make it anew"
            )));
        }
        *flushed = 0;
        // Moves may have been lost: what was needless is looked at anew with the next start.
        self.retired.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.headers.clear();
        let recovery = Recovery {
            medium: self.medium.as_ref(),
            staged_folder: self.nursery.staged.folder(),
            catalog: &self.catalog,
            writer: &mut writer,
            describer: self.describer.as_ref(),
            when: When::Running,
        };
        let recovered = recovery.run()?;
        self.segments.replace(&recovered.segments);
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = recovered.waiting;
        self.counters.index_recovered();
        Ok(recovered.replayed)
    }
}
