//! The data keys of studies that are gone: with them goes what copies and backups hold, and what a store does not let go.

use super::{Kept, Order};
use crate::{
    objects::{DAMAGED, ObjectStore},
    store::{Store, StoreError, settle::from_objects},
};

impl Store {
    pub(super) async fn destroy_keys(&self, order: &Order) -> Result<Vec<Kept>, StoreError> {
        let Some(encrypted) = &self.inner.encrypted else {
            return Ok(Vec::new());
        };
        // What comes for the study from now on is put under a new key.
        let _nothing_settles = self.inner.settling.lock().await;
        let mut kept = Vec::new();
        for study in order.series.keys() {
            if !self.is_gone(study)? {
                continue;
            }
            let mut is_alone = true;
            for prefix in [format!("studies/{study}/"), format!("{DAMAGED}studies/{study}/")] {
                let beside = encrypted.list(&prefix, None, 1).await.map_err(from_objects)?;
                if let Some((name, _)) = beside.first() {
                    is_alone = false;
                    kept.push(Kept {
                        place: format!("the key of study {study}"),
                        reason: format!("{name} is still there, and needs it: verify the archive"),
                        until: None,
                    });
                }
            }
            if is_alone {
                kept.extend(encrypted.destroy_key(study).await.map_err(from_objects)?);
            }
        }
        Ok(kept)
    }
}
