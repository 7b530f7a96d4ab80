//! The intake without the instances that go: their segments end, and so do their staged files.

use std::{collections::HashSet, fs, io};

use super::Order;
use crate::{
    intake::staged::staged_path,
    model::SopInstanceUid,
    store::{Store, StoreError, read::on_blocking_thread},
};

impl Store {
    /// Ends the segments that may hold one of the instances: what else is in them settles now.
    pub(super) async fn destroy_in_intake(&self, order: &Order) -> Result<(), StoreError> {
        {
            let inner = std::sync::Arc::clone(&self.inner);
            tokio::task::spawn_blocking(move || {
                let _nothing_comes_in = inner.turnstile.enter();
                inner.segments.close_open();
            })
            .await
            .map_err(io::Error::other)?;
        }
        let closed = self.inner.segments.closed();
        // What others cannot settle matters only where it lies beside what goes.
        let settled = self.settle_all().await;
        self.flush_and_trim().await?;
        for staged in order.instances.iter().filter_map(|instance| instance.staged) {
            match fs::remove_file(staged_path(self.inner.nursery.staged.folder(), staged)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        let (order_uids, left) = (order.uids.clone(), closed);
        let checked = on_blocking_thread(self, move |store| store.check_segments(&left, &order_uids)).await;
        match (checked, settled) {
            (Err(StoreError::Damaged(_)), Err(unsettled)) => Err(unsettled),
            (checked, _) => checked,
        }
    }

    /// A segment that could not be trimmed, since it holds something damaged, must not hold one of the instances.
    fn check_segments(&self, numbers: &[u64], uids: &HashSet<SopInstanceUid>) -> Result<(), StoreError> {
        for number in numbers {
            let Some(segment) = self.inner.segments.get(*number) else {
                continue;
            };
            let mut position = segment.after_zeros(segment.head_bytes())?;
            while position < segment.file.len()? {
                let found = match segment.entry_at(position)? {
                    Some(found) => found,
                    None => match segment.entry_after(position + 1)? {
                        Some(found) => found,
                        None => break,
                    },
                };
                position = segment.after_zeros(found.end)?;
                if uids.contains(&found.entry.sop_instance) {
                    return Err(StoreError::Damaged(format!(
                        "intake segment {number} holds damaged bytes beside what is to be destroyed, and is kept: save what \
                         can be saved of it, remove it, and start again"
                    )));
                }
            }
        }
        Ok(())
    }
}
