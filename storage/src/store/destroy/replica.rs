//! The replica: what it has and the first store has not, and what a store keeps besides what is seen.

use std::sync::Arc;

use super::{Kept, Order, apart::may_hold};
use crate::{
    intake::SeriesKey,
    objects::{DAMAGED, ObjectName, ObjectStore, QUARANTINE, series_prefix},
    store::{Store, StoreError, read::on_blocking_thread, settle::from_objects},
};

impl Store {
    /// What was deleted while the replica was away, packs of an older time, and copies that say otherwise than the first store.
    pub(super) async fn destroy_in_replica(&self, order: &Order) -> Result<(), StoreError> {
        let Some(replica) = self.inner.replica.clone() else {
            return Ok(());
        };
        for sha256 in &order.quarantined {
            if let Some(name) = ObjectName::new(&format!("{QUARANTINE}{sha256}.tar")) {
                replica.delete(&name).await.map_err(from_objects)?;
            }
        }
        for (study, series) in &order.series {
            for series in series {
                let key = (study.clone(), series.clone());
                let lock = self.series_lock(&key);
                let _nothing_is_put = lock.lock().await;
                // What it was to delete, and could not.
                let prefix = series_prefix(&key.0, &key.1);
                self.inner.stored.catch_up(&prefix).await.map_err(from_objects)?;
                self.destroy_series_in_replica(&replica, &key, order).await?;
            }
        }
        Ok(())
    }

    async fn destroy_series_in_replica(
        &self,
        replica: &Arc<dyn ObjectStore>,
        series: &SeriesKey,
        order: &Order,
    ) -> Result<(), StoreError> {
        let first = &self.inner.primary;
        for name in self.all_of(&**replica, &series_prefix(&series.0, &series.1)).await? {
            let is_in_first = first.head(&name).await.map_err(from_objects)?.is_some();
            let goes = if name.as_pack().is_some() {
                let (replica, name, uids) = (Arc::clone(replica), name.clone(), order.uids.clone());
                on_blocking_thread(self, move |store| {
                    Ok(may_hold(&replica, &store.inner.runtime, &name, &uids))
                })
                .await?
            } else {
                // Headers are made again wherever they lack.
                !is_in_first
            };
            if goes {
                replica.delete(&name).await.map_err(from_objects)?;
                if is_in_first {
                    self.inner.stored.share(&name).await.map_err(from_objects)?;
                }
            }
        }
        Ok(())
    }

    /// Earlier versions of all objects that held the instances.
    pub(super) async fn destroy_versions(&self, order: &Order) -> Result<Vec<Kept>, StoreError> {
        let objects = &self.inner.objects;
        let mut kept = Vec::new();
        let mut purged = async |prefix: String| {
            kept.extend(objects.purge(&prefix).await.map_err(from_objects)?);
            Ok::<(), StoreError>(())
        };
        for sha256 in &order.quarantined {
            purged(format!("{QUARANTINE}{sha256}")).await?;
            purged(format!("{DAMAGED}{QUARANTINE}{sha256}")).await?;
        }
        for (study, series) in &order.series {
            for series in series {
                let lock = self.series_lock(&(study.clone(), series.clone()));
                let _nothing_is_put = lock.lock().await;
                let prefix = series_prefix(study, series);
                purged(format!("{DAMAGED}{prefix}")).await?;
                purged(prefix).await?;
            }
        }
        Ok(kept)
    }
}
