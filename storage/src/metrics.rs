//! Counters of the store, for whoever watches it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use crate::model::InstanceRecord;

/// The counters at one moment; all count from the start of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Instances stored.
    pub instances_stored: u64,
    /// Bytes of their Part 10 files.
    pub bytes_stored: u64,
    /// Instances that came again, the same or under a UID that was taken.
    pub instances_taken: u64,
    /// Instances that could not be stored.
    pub instances_failed: u64,
    /// Syncs of the intake log; with `instances_synced` the size of an average group.
    pub intake_syncs: u64,
    /// Instances made durable by these syncs.
    pub instances_synced: u64,
    /// Instances kept apart for a person to decide on.
    pub instances_quarantined: u64,
    /// Instances settled into packs.
    pub instances_settled: u64,
    /// Packs put.
    pub packs_settled: u64,
    /// Series that could not be settled and are tried again.
    pub settling_failures: u64,
    /// Segments of the intake log that were trimmed.
    pub segments_trimmed: u64,
    /// Series whose small packs were merged into one.
    pub merges: u64,
    /// Objects repaired from the replica.
    pub objects_repaired: u64,
    /// Times that the index was taken up again after it could not be written.
    pub index_recoveries: u64,
    /// The index cannot be written: nothing is taken in.
    pub is_index_failing: bool,
    /// Bytes of instances on their way in that are in memory now.
    pub intake_memory_bytes: u64,
    /// Instances that wait to be settled now.
    pub instances_waiting: u64,
    /// Objects that the replica has missed so far.
    pub replica_behind: u64,
    /// Blocks that the read cache had.
    pub cache_hits: u64,
    /// Blocks that it did not have.
    pub cache_misses: u64,
    /// Blocks that made room for others.
    pub cache_evictions: u64,
    /// Blocks whose checksum was wrong; they were fetched again.
    pub cache_damaged: u64,
    /// Bytes of the local disk that it uses now.
    pub cache_bytes: u64,
}

/// Counters of the read cache.
#[derive(Debug, Default)]
pub(crate) struct CacheCounters {
    hits: AtomicU64,
    misses: AtomicU64,
    evictions: AtomicU64,
    damaged: AtomicU64,
    bytes: AtomicU64,
}

impl CacheCounters {
    pub(crate) fn hit(&self) {
        add(&self.hits, 1);
    }

    pub(crate) fn missed(&self) {
        add(&self.misses, 1);
    }

    pub(crate) fn evicted(&self) {
        add(&self.evictions, 1);
    }

    pub(crate) fn damaged(&self) {
        add(&self.damaged, 1);
    }

    pub(crate) fn holds(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    fn add_to(&self, metrics: &mut Metrics) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        metrics.cache_hits = read(&self.hits);
        metrics.cache_misses = read(&self.misses);
        metrics.cache_evictions = read(&self.evictions);
        metrics.cache_damaged = read(&self.damaged);
        metrics.cache_bytes = read(&self.bytes);
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    instances_stored: AtomicU64,
    bytes_stored: AtomicU64,
    instances_taken: AtomicU64,
    instances_failed: AtomicU64,
    intake_syncs: AtomicU64,
    instances_synced: AtomicU64,
    instances_quarantined: AtomicU64,
    instances_settled: AtomicU64,
    packs_settled: AtomicU64,
    settling_failures: AtomicU64,
    segments_trimmed: AtomicU64,
    merges: AtomicU64,
    index_failed: AtomicBool,
    index_recoveries: AtomicU64,
    objects_repaired: AtomicU64,
    pub(crate) cache: Arc<CacheCounters>,
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

impl Counters {
    pub(crate) fn stored(&self, records: &[InstanceRecord]) {
        add(&self.instances_stored, records.len() as u64);
        add(&self.bytes_stored, records.iter().map(|record| record.length).sum());
    }

    pub(crate) fn already_stored_or_collided(&self) {
        add(&self.instances_taken, 1);
    }

    pub(crate) fn failed(&self, instances: u64) {
        add(&self.instances_failed, instances);
    }

    pub(crate) fn synced(&self, instances: u64) {
        add(&self.intake_syncs, 1);
        add(&self.instances_synced, instances);
    }

    pub(crate) fn quarantined(&self) {
        add(&self.instances_quarantined, 1);
    }

    pub(crate) fn settled(&self, instances: u64) {
        add(&self.instances_settled, instances);
        add(&self.packs_settled, 1);
    }

    pub(crate) fn settling_failed(&self) {
        add(&self.settling_failures, 1);
    }

    pub(crate) fn trimmed(&self) {
        add(&self.segments_trimmed, 1);
    }

    pub(crate) fn merged(&self) {
        add(&self.merges, 1);
    }

    /// After this nothing is taken in until the index is taken up again.
    pub(crate) fn index_failed(&self) {
        self.index_failed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn repaired(&self) {
        add(&self.objects_repaired, 1);
    }

    pub(crate) fn index_recovered(&self) {
        self.index_failed.store(false, Ordering::Relaxed);
        add(&self.index_recoveries, 1);
    }

    pub(crate) fn has_index_failed(&self) -> bool {
        self.index_failed.load(Ordering::Relaxed)
    }

    pub(crate) fn snapshot(&self, intake_memory_bytes: u64, instances_waiting: u64, replica_behind: u64) -> Metrics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut metrics = Metrics {
            instances_stored: read(&self.instances_stored),
            bytes_stored: read(&self.bytes_stored),
            instances_taken: read(&self.instances_taken),
            instances_failed: read(&self.instances_failed),
            intake_syncs: read(&self.intake_syncs),
            instances_synced: read(&self.instances_synced),
            instances_quarantined: read(&self.instances_quarantined),
            instances_settled: read(&self.instances_settled),
            packs_settled: read(&self.packs_settled),
            settling_failures: read(&self.settling_failures),
            segments_trimmed: read(&self.segments_trimmed),
            merges: read(&self.merges),
            objects_repaired: read(&self.objects_repaired),
            index_recoveries: read(&self.index_recoveries),
            is_index_failing: self.has_index_failed(),
            intake_memory_bytes,
            instances_waiting,
            replica_behind,
            ..Metrics::default()
        };
        self.cache.add_to(&mut metrics);
        metrics
    }
}
