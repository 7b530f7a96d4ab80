//! Taking in.

use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use time::OffsetDateTime;
use tokio::sync::oneshot;

use super::{Collision, Committed, Description, Incoming, Sealed, Store, StoreError, read::on_blocking_thread};
use crate::{
    intake::{
        Order, Pending,
        incoming::{Body, from_io},
        index_failed,
        staged::blocking,
    },
    model::Origin,
    packs::tar::Member,
};

/// Takes less time to encrypt than to be handed to another thread and back.
const ENCRYPTED_AT_ONCE_BYTES: u64 = 256 << 10;

impl Store {
    /// Begins an instance. `file_head`: preamble, `DICM` and file meta information that will stand before the data set;
    /// `expected_length`: bytes of the data set when known, else of the last one of this sender, else 0.
    #[must_use]
    pub fn receive(&self, file_head: Bytes, expected_length: u64) -> Incoming {
        Incoming::new(self.inner.nursery.clone(), file_head, expected_length)
    }

    /// Makes an instance durable and visible. Returns after the bytes are on stable storage and the index knows them; with
    /// [`super::Acknowledge::ObjectStore`], after the object store has them.
    ///
    /// Not cancelled by dropping the future once it has begun to wait: the instance may then be stored all the same.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was stored, or nothing that may be acknowledged.
    pub async fn commit(
        &self,
        mut sealed: Sealed,
        description: Description,
        origin: &Origin,
    ) -> Result<Committed, StoreError> {
        if self.inner.counters.has_index_failed() {
            self.inner.nursery.space.check(sealed.length())?;
            return Err(index_failed());
        }
        if let Body::Staged(file, sha256) = &sealed.body {
            let transfer_syntax = description.transfer_syntax_uid.as_str();
            let member = member_of(
                &sealed,
                *sha256,
                description.sop_instance_uid.as_str(),
                transfer_syntax,
                origin,
                None,
            );
            let file = Arc::clone(file);
            blocking(move || file.make_durable(&member)).await.map_err(from_io)?;
        }
        if self.inner.nursery.staged.is_sealing() && !sealed.is_staged() {
            sealed = encrypted(sealed).await.map_err(from_io)?;
        }
        let orders = self.orders()?;
        let (reply, answer) = oneshot::channel();
        let pending = Pending {
            sealed,
            description,
            origin: origin.clone(),
            reply,
        };
        orders
            .send(Order::Commit(Box::new(pending)))
            .await
            .map_err(|_| stopping())?;
        drop(orders);
        let committed = match answer.await.map_err(|_| stopping())?? {
            Committed::Collision(collision) => self.told_apart(collision).await?,
            committed => committed,
        };
        self.acknowledged(committed).await
    }

    /// Finds out whether an instance whose UID is taken is the one that is stored, byte for byte: by SHA-256, made now of those
    /// that have none yet.
    async fn told_apart(&self, collision: Box<Collision>) -> Result<Committed, StoreError> {
        let (stored, description) = (&collision.stored, &collision.description);
        let may_be_same = stored.data_set_length() == collision.incoming.data_set().len()
            && stored.study_instance_uid == description.study_instance_uid
            && stored.series_instance_uid == description.series_instance_uid
            && stored.transfer_syntax_uid == description.transfer_syntax_uid;
        if !may_be_same {
            return Ok(Committed::Collision(collision));
        }
        on_blocking_thread(self, move |store| {
            if store.sha256(&collision.stored)? == collision.incoming.sha256() {
                Ok(Committed::AlreadyStored(collision.stored))
            } else {
                Ok(Committed::Collision(collision))
            }
        })
        .await
    }

    fn orders(&self) -> Result<tokio::sync::mpsc::Sender<Order>, StoreError> {
        let running = self.inner.running.lock().unwrap_or_else(PoisonError::into_inner);
        running
            .as_ref()
            .map(|running| running.orders.clone())
            .ok_or_else(stopping)
    }
}

/// Encrypts an instance before the committer has it, who works for all.
async fn encrypted(mut sealed: Sealed) -> std::io::Result<Sealed> {
    if sealed.length() <= ENCRYPTED_AT_ONCE_BYTES {
        return sealed.encrypt().map(|()| sealed);
    }
    blocking(move || sealed.encrypt().map(|()| sealed)).await
}

fn stopping() -> StoreError {
    StoreError::Unavailable("the store is stopping".into())
}

/// What a pack says about an instance on its way in.
pub(super) fn member_of(
    sealed: &Sealed,
    sha256: [u8; 32],
    sop_instance: &str,
    transfer_syntax: &str,
    origin: &Origin,
    reason: Option<&str>,
) -> Member {
    Member {
        sop_instance: sop_instance.to_owned(),
        length: sealed.length(),
        data_set_offset: sealed.file_head.len() as u64,
        transfer_syntax: transfer_syntax.to_owned(),
        sha256,
        crc32: sealed.crc32,
        received_at: OffsetDateTime::now_utc(),
        origin: Some(origin.clone()),
        reason: reason.map(str::to_owned),
    }
}
