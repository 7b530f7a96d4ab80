//! The applier: indexes what is durable and gives the answers.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::{
    Shelf, Waiting, WaitingEntry,
    committer::{InFlight, Pending},
};
use crate::{
    index::{Addition, CatalogWriter, Position},
    metrics::Counters,
    model::SopInstanceUid,
    store::{Committed, StoreError},
};

/// A batch that is on stable storage.
pub(super) struct Batch {
    pub(super) instances: Vec<Indexed>,
    /// The end of the log behind it.
    pub(super) end: Position,
}

/// An instance that waits to be indexed.
pub(super) struct Indexed {
    pub(super) addition: Addition,
    pub(super) segment: u64,
    pub(super) position: u64,
    pub(super) reply: oneshot::Sender<Result<Committed, StoreError>>,
}

pub(super) struct Applier {
    pub(super) in_flight: Arc<InFlight>,
    pub(super) writer: Arc<Mutex<CatalogWriter>>,
    pub(super) waiting: Arc<Mutex<Waiting>>,
    pub(super) shelf: Arc<Shelf>,
    pub(super) counters: Arc<Counters>,
}

impl Applier {
    pub(super) fn apply(&self, batch: Batch) {
        if self.counters.has_index_failed() {
            // Applying a later batch would move the checkpoint past the one that failed.
            return self.refuse(batch);
        }
        let mut additions = Vec::with_capacity(batch.instances.len());
        let mut others = Vec::with_capacity(batch.instances.len());
        for instance in batch.instances {
            others.push((
                WaitingEntry {
                    segment: instance.segment,
                    position: instance.position,
                },
                instance.reply,
            ));
            additions.push(instance.addition);
        }
        let added = {
            let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            writer.add(&additions, batch.end)
        };
        match added {
            Ok(records) => {
                crash_point!("intake.indexed");
                self.counters.stored(&records);
                for addition in additions {
                    self.shelf
                        .put(addition.description.sop_instance_uid, addition.description.header);
                }
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                for (record, (entry, _)) in records.iter().zip(&others) {
                    let series = (record.study_instance_uid.clone(), record.series_instance_uid.clone());
                    waiting.add(series, *entry, record.length);
                }
                drop(waiting);
                for (record, (_, reply)) in records.into_iter().zip(others) {
                    for follower in land(&self.in_flight, &record.sop_instance_uid) {
                        self.counters.already_stored_or_collided();
                        follower.answer_taken(record.clone());
                    }
                    let _ = reply.send(Ok(Committed::Stored(record)));
                }
            }
            Err(error) => {
                self.counters.index_failed();
                // The bytes are in the log and will be indexed when the index is taken up again; until then nobody is told
                // success.
                tracing::error!(%error, instances = additions.len(), "the index could not be written");
                for (addition, (_, reply)) in additions.into_iter().zip(others) {
                    self.refuse_one(&addition.description.sop_instance_uid, reply);
                }
            }
        }
    }

    fn refuse(&self, batch: Batch) {
        for instance in batch.instances {
            self.refuse_one(&instance.addition.description.sop_instance_uid, instance.reply);
        }
    }

    fn refuse_one(&self, sop: &SopInstanceUid, reply: oneshot::Sender<Result<Committed, StoreError>>) {
        self.counters.failed(1);
        for follower in land(&self.in_flight, sop) {
            follower.answer(Err(index_failed()));
        }
        let _ = reply.send(Err(index_failed()));
    }
}

/// What is said while the index cannot be written.
pub(crate) fn index_failed() -> StoreError {
    StoreError::Io(std::io::Error::other(
        "the index cannot be written; it is taken up again as soon as the disk lets it",
    ))
}

/// Takes an instance out of flight; returns those that waited for it.
pub(super) fn land(in_flight: &InFlight, sop: &SopInstanceUid) -> Vec<Pending> {
    in_flight
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .remove(sop)
        .unwrap_or_default()
}
