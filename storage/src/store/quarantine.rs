//! Instances kept apart for a person to decide on.

use std::{fs, sync::Arc};

use bytes::Bytes;

use super::{Sealed, Store, StoreError, commit::member_of};
use crate::{
    intake::{
        incoming::{Body, from_io},
        medium::sync_folder,
        staged::{StagedFile, StagedWriter, blocking},
    },
    model::Origin,
    packs::tar::hexadecimal,
};

impl Store {
    /// Keeps an instance apart, durably, outside the index, for a person to decide on. The same bytes again are kept once.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was kept.
    pub async fn quarantine(&self, sealed: Sealed, origin: &Origin, reason: &str) -> Result<(), StoreError> {
        self.inner.nursery.space.check(sealed.length())?;
        let name = hexadecimal(&sealed.sha256);
        let member = member_of(&sealed, &name, origin, Some(reason));
        let file = self.staged(sealed).await?;
        let folder = self.inner.options.data.join("objects").join("quarantine");
        let kept = blocking(move || {
            file.make_durable(&member)?;
            fs::create_dir_all(&folder)?;
            let target = folder.join(format!("{name}.tar"));
            if !target.exists() {
                fs::rename(file.path(), target)?;
                file.keep();
                sync_folder(&folder)?;
                if let Some(parent) = folder.parent() {
                    sync_folder(parent)?;
                }
            }
            Ok(())
        });
        kept.await.map_err(from_io)?;
        self.inner.counters.quarantined();
        Ok(())
    }

    /// The instance in a staged file, in which it is a pack already.
    async fn staged(&self, sealed: Sealed) -> Result<Arc<StagedFile>, StoreError> {
        match sealed.body {
            Body::Staged(file) => Ok(file),
            Body::Memory(bytes) => {
                let staged: Bytes = bytes;
                let folder = Arc::clone(&self.inner.nursery.staged);
                let writer = StagedWriter::begin(folder, sealed.file_head, staged)
                    .await
                    .map_err(from_io)?;
                Ok(Arc::new(writer.end().await.map_err(from_io)?))
            }
        }
    }
}
