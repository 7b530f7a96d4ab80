//! Instances kept apart for a person to decide on.

use std::sync::Arc;

use super::{Sealed, Store, StoreError, commit::member_of, settle::from_objects};
use crate::{
    hexadecimal::hexadecimal,
    intake::{
        incoming::{Body, from_io},
        staged::blocking,
    },
    model::Origin,
    objects::ObjectName,
    packs::compose::compose,
};

impl Store {
    /// Keeps an instance apart, durably, outside the index, for a person to decide on: one tar
    /// `quarantine/<SHA-256>.tar` with origin and reason in its PAX header. The same bytes again are kept once.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was kept.
    pub async fn quarantine(&self, sealed: Sealed, origin: &Origin, reason: &str) -> Result<(), StoreError> {
        self.inner.nursery.space.check(sealed.length())?;
        let (sealed, sha256) = blocking(move || {
            let sha256 = sealed.sha256();
            Ok((sealed, sha256))
        })
        .await?;
        let name = ObjectName::quarantine(&sha256);
        let objects = &self.inner.objects;
        if objects.head(&name).await.map_err(from_objects)?.is_none() {
            // The bytes may be no data set at all: the name is the only thing that is sure.
            let member = member_of(&sealed, sha256, &hexadecimal(&sha256), "", origin, Some(reason));
            match sealed.body {
                Body::Memory(held) => {
                    let mut whole = Vec::with_capacity(sealed.file_head.len() + held.content.len());
                    whole.extend_from_slice(&sealed.file_head);
                    whole.extend_from_slice(&held.content);
                    let composed = compose(vec![(member, bytes::Bytes::from(whole))])?;
                    objects.put(&name, composed.body).await.map_err(from_objects)?;
                }
                Body::Staged(file, _) if file.opened().is_some() => {
                    let composed = compose(file.opened().map(|part_10| (member, part_10)).into_iter().collect())?;
                    objects.put(&name, composed.body).await.map_err(from_objects)?;
                }
                Body::Staged(file, _) => {
                    let staged = Arc::clone(&file);
                    blocking(move || staged.make_durable(&member)).await.map_err(from_io)?;
                    objects.put_file(&name, file.path()).await.map_err(from_objects)?;
                }
            }
        }
        self.inner.counters.quarantined();
        Ok(())
    }
}
