//! Group commit: one thread gathers what waits, decides on duplicates, writes once, syncs once, and has the batch indexed. A
//! thread of its own for the last step would cost more than the step: the index takes batches in memory.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    thread::{Builder, JoinHandle},
};

use time::OffsetDateTime;
use tokio::sync::{mpsc, oneshot};

use super::{
    Shelf, Turnstile, Waiting, WaitingEntry,
    applier::{self, Applier, Batch, Indexed},
    entry::Entry,
    incoming::{Body, Sealed, from_io},
    log::Log,
    space::Space,
};
use crate::{
    index::{Addition, Catalog, CatalogWriter, Index},
    metrics::Counters,
    model::{Description, InstanceRecord, Location, Origin, SopInstanceUid},
    packs::tar::STAGED_HEAD_BYTES,
    store::{Collision, Committed, StoreError},
};

/// Instances in one batch at most.
const BATCH_MAX_INSTANCES: usize = 256;
/// Bytes in one batch, about.
const BATCH_MAX_BYTES: u64 = 32 << 20;
/// Orders that may wait for the committer; more wait with the callers.
const ORDERS_MAX: usize = 1024;

/// What the committer is asked.
pub(crate) enum Order {
    /// Make an instance durable.
    Commit(Box<Pending>),
}

/// An instance that waits for its receipt.
pub(crate) struct Pending {
    pub(crate) sealed: Sealed,
    pub(crate) description: Description,
    pub(crate) origin: Origin,
    pub(crate) reply: oneshot::Sender<Result<Committed, StoreError>>,
}

/// Instances that are written and not yet indexed, each with those of the same UID that came meanwhile.
pub(super) type InFlight = Mutex<HashMap<SopInstanceUid, Vec<Pending>>>;

impl Pending {
    pub(super) fn answer(self, answer: Result<Committed, StoreError>) {
        // A caller that went away needs no answer.
        let _ = self.reply.send(answer);
    }

    /// Answers an instance whose UID is taken. Whoever brought it finds out whether it is the same.
    pub(super) fn answer_taken(self, stored: InstanceRecord) {
        let collision = Collision {
            stored,
            incoming: self.sealed,
            description: self.description,
        };
        let _ = self.reply.send(Ok(Committed::Collision(Box::new(collision))));
    }
}

/// What the thread works on.
pub(crate) struct Parts {
    pub(crate) log: Log,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) writer: Arc<Mutex<CatalogWriter>>,
    pub(crate) waiting: Arc<Mutex<Waiting>>,
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) space: Arc<Space>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) turnstile: Arc<Turnstile>,
}

/// Starts the thread. It ends, with all work done, when every sender is gone.
pub(crate) fn start(parts: Parts) -> io::Result<(mpsc::Sender<Order>, JoinHandle<()>)> {
    let (orders, receiver) = mpsc::channel(ORDERS_MAX);
    let in_flight = Arc::new(InFlight::default());
    let applier = Applier {
        in_flight: Arc::clone(&in_flight),
        writer: parts.writer,
        waiting: Arc::clone(&parts.waiting),
        shelf: parts.shelf,
        counters: Arc::clone(&parts.counters),
    };
    let committer = Committer {
        orders: receiver,
        applier,
        in_flight,
        log: parts.log,
        catalog: parts.catalog,
        waiting: parts.waiting,
        space: parts.space,
        counters: parts.counters,
        turnstile: parts.turnstile,
    };
    let committer = Builder::new().name("committer".into()).spawn(move || committer.run())?;
    Ok((orders, committer))
}

struct Committer {
    orders: mpsc::Receiver<Order>,
    applier: Applier,
    in_flight: Arc<InFlight>,
    log: Log,
    catalog: Arc<Catalog>,
    waiting: Arc<Mutex<Waiting>>,
    space: Arc<Space>,
    counters: Arc<Counters>,
    turnstile: Arc<Turnstile>,
}

impl Committer {
    fn run(mut self) {
        while let Some(Order::Commit(first)) = self.orders.blocking_recv() {
            let batch = self.gather(*first);
            let admitted = self.admit(batch);
            if !admitted.is_empty() {
                self.commit(admitted);
            }
        }
    }

    fn gather(&mut self, first: Pending) -> Vec<Pending> {
        let mut bytes = first.sealed.length();
        let mut batch = vec![first];
        while batch.len() < BATCH_MAX_INSTANCES && bytes < BATCH_MAX_BYTES {
            let Ok(Order::Commit(next)) = self.orders.try_recv() else {
                break;
            };
            bytes += next.sealed.length();
            batch.push(*next);
        }
        batch
    }

    /// Answers duplicates and returns the rest. What is in flight is looked at before the index: the applier indexes an
    /// instance first and takes it out of flight then.
    fn admit(&self, batch: Vec<Pending>) -> Vec<Pending> {
        let mut admitted = Vec::with_capacity(batch.len());
        for pending in batch {
            let sop = &pending.description.sop_instance_uid;
            let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(followers) = in_flight.get_mut(sop) {
                followers.push(pending);
                continue;
            }
            match self.catalog.instance(sop) {
                Ok(None) if let Ok(Some(decision)) = self.catalog.tombstone(sop) => {
                    pending.answer(Err(StoreError::Destroyed(decision)));
                }
                Ok(None) => {
                    in_flight.insert(sop.clone(), Vec::new());
                    admitted.push(pending);
                }
                Ok(Some(stored)) => {
                    self.counters.already_stored_or_collided();
                    pending.answer_taken(stored);
                }
                Err(error) => pending.answer(Err(error.into())),
            }
        }
        admitted
    }

    fn commit(&mut self, batch: Vec<Pending>) {
        let turnstile = Arc::clone(&self.turnstile);
        let _turn = turnstile.enter();
        let received_at = OffsetDateTime::now_utc();
        match self.write(&batch, received_at) {
            Ok((places, end)) => {
                crash_point!("intake.synced");
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                for place in &places {
                    waiting.need(WaitingEntry {
                        segment: place.segment,
                        position: place.position,
                    });
                }
                drop(waiting);
                self.counters.synced(batch.len() as u64);
                let indexed = batch
                    .into_iter()
                    .zip(places)
                    .map(|(pending, place)| indexed(pending, place, received_at));
                self.applier.apply(Batch {
                    instances: indexed.collect(),
                    end,
                });
            }
            Err(error) => {
                tracing::error!(%error, instances = batch.len(), "intake could not be written");
                self.counters.failed(batch.len() as u64);
                for pending in batch {
                    for follower in applier::land(&self.in_flight, &pending.description.sop_instance_uid) {
                        follower.answer(Err(like(&error)));
                    }
                    pending.answer(Err(like(&error)));
                }
            }
        }
    }

    fn write(
        &mut self,
        batch: &[Pending],
        received_at: OffsetDateTime,
    ) -> Result<(Vec<super::log::Written>, crate::index::Position), StoreError> {
        if self.counters.has_index_failed() {
            return Err(applier::index_failed());
        }
        let in_log = |pending: &&Pending| !pending.sealed.is_staged();
        self.space
            .check(batch.iter().filter(in_log).map(|pending| pending.sealed.length()).sum())?;
        let entries: Vec<_> = batch
            .iter()
            .map(|pending| (entry_of(pending, received_at), &pending.sealed))
            .collect();
        let places = self.log.append(&entries).map_err(from_io)?;
        let end = self.log.sync().map_err(from_io)?;
        for pending in batch {
            if let Body::Staged(file, _) = &pending.sealed.body {
                file.keep();
            }
        }
        Ok((places, end))
    }
}

fn entry_of(pending: &Pending, received_at: OffsetDateTime) -> Entry {
    let (sealed, description) = (&pending.sealed, &pending.description);
    Entry {
        staged: match &sealed.body {
            Body::Staged(file, _) => Some(file.number),
            Body::Memory(_) => None,
        },
        study: description.study_instance_uid.clone(),
        series: description.series_instance_uid.clone(),
        sop_instance: description.sop_instance_uid.clone(),
        sop_class: description.sop_class_uid.clone(),
        transfer_syntax: description.transfer_syntax_uid.clone(),
        length: sealed.length(),
        data_set_offset: sealed.file_head.len() as u64,
        sha256: sealed.known_sha256(),
        crc32: sealed.crc32,
        received_at,
        origin: pending.origin.clone(),
    }
}

/// What the applier needs; the bytes themselves are let go.
fn indexed(pending: Pending, place: super::log::Written, received_at: OffsetDateTime) -> Indexed {
    let sealed = pending.sealed;
    let location = match &sealed.body {
        Body::Staged(file, _) => Location::Staged {
            file: file.number,
            offset: STAGED_HEAD_BYTES as u64,
        },
        Body::Memory(_) => Location::Intake {
            segment: place.segment,
            entry: place.position,
            offset: place.body,
        },
    };
    let addition = Addition {
        location,
        length: sealed.length(),
        data_set_offset: sealed.file_head.len() as u64,
        sha256: sealed.known_sha256(),
        crc32: sealed.crc32,
        received_at,
        description: pending.description,
    };
    Indexed {
        addition,
        segment: place.segment,
        position: place.position,
        reply: pending.reply,
    }
}

/// The same error for each of a batch.
pub(super) fn like(error: &StoreError) -> StoreError {
    match error {
        StoreError::OutOfSpace(text) => StoreError::OutOfSpace(text.clone()),
        StoreError::Io(error) => StoreError::Io(io::Error::new(error.kind(), error.to_string())),
        other => StoreError::Unavailable(other.to_string()),
    }
}
