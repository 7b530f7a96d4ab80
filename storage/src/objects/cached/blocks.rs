//! Blocks of objects on the local disk: two files of fixed slots, never synced. What a crash leaves is told by checksums.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use rustix::fs::FallocateFlags;

use crate::metrics::CacheCounters;

/// Objects are cached in blocks of this length. A frame of CT lies in two or three.
pub(super) const BLOCK_BYTES: u64 = 256 << 10;
/// A record of the index file: magic, length, CRC-32 of the block, CRC-32 of the record, key, block number.
const RECORD_BYTES: usize = 40;
const MAGIC: u32 = u32::from_le_bytes(*b"FRB1");
/// So many forgotten names are remembered, for fetches that began before.
const FORGOTTEN_MAX: usize = 1024;

/// Which block: of the object of this key, the one of this number (from 0).
pub(super) type BlockKey = (u128, u64);

pub(super) struct Blocks {
    index: File,
    data: File,
    slots_max: u32,
    state: Mutex<State>,
    has_failed: AtomicBool,
    counters: std::sync::Arc<CacheCounters>,
    /// Whether the file may grow.
    has_room: Box<dyn Fn() -> bool + Send + Sync>,
}

#[derive(Default)]
struct State {
    by_key: BTreeMap<BlockKey, Slot>,
    /// Least recently used first.
    by_age: BTreeMap<u64, BlockKey>,
    clock: u64,
    free: Vec<u32>,
    /// Slots from here on were never used.
    fresh: u32,
    epoch: u64,
    forgotten: VecDeque<(u64, u128)>,
}

#[derive(Clone, Copy)]
struct Slot {
    number: u32,
    length: u32,
    crc32: u32,
    age: u64,
}

impl Blocks {
    /// Opens the folder and takes over what is whole in it.
    pub(super) fn open(
        folder: &Path,
        bytes_max: u64,
        counters: std::sync::Arc<CacheCounters>,
        has_room: Box<dyn Fn() -> bool + Send + Sync>,
    ) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let open = |name| {
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(false);
            options.open(folder.join(name))
        };
        let (index, data) = (open("index")?, open("blocks")?);
        let slots_max = u32::try_from(bytes_max / BLOCK_BYTES).unwrap_or(u32::MAX);
        if data.metadata()?.len() > bytes_max {
            data.set_len(u64::from(slots_max) * BLOCK_BYTES)?;
            index.set_len(u64::from(slots_max) * RECORD_BYTES as u64)?;
        }
        let state = read_index(&index, slots_max)?;
        // What no record names may be left of something that was destroyed since.
        data.set_len(data.metadata()?.len().min(u64::from(state.fresh) * BLOCK_BYTES))?;
        for number in &state.free {
            clear(&data, *number, 0)?;
        }
        counters.holds(state.by_key.len() as u64 * BLOCK_BYTES);
        Ok(Self {
            index,
            data,
            slots_max,
            state: Mutex::new(state),
            has_failed: AtomicBool::new(false),
            counters,
            has_room,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a fetch that begins now must give back to [`Blocks::put`].
    pub(super) fn epoch(&self) -> u64 {
        self.state().epoch
    }

    pub(super) fn contains(&self, key: BlockKey) -> bool {
        self.state().by_key.contains_key(&key)
    }

    /// Reads a block, if its checksum is right. Blocks.
    pub(super) fn get(&self, key: BlockKey) -> Option<Bytes> {
        let slot = self.state().touch(key)?;
        let mut bytes = vec![0; slot.length as usize];
        let read = self
            .data
            .read_exact_at(&mut bytes, u64::from(slot.number) * BLOCK_BYTES);
        if read.is_ok() && crc32fast::hash(&bytes) == slot.crc32 {
            return Some(bytes.into());
        }
        let mut state = self.state();
        // Unless another block took its place meanwhile, which is no damage.
        if state.by_key.get(&key).is_some_and(|now| now.number == slot.number) {
            state.remove(key);
            self.erase(&[slot.number]);
            state.free.push(slot.number);
            self.counters.damaged();
            tracing::warn!("a block of the read cache was damaged; it is fetched again");
        }
        None
    }

    /// Keeps a block, unless its object was forgotten since `epoch`. Blocks.
    pub(super) fn put(&self, key: BlockKey, bytes: &Bytes, epoch: u64) {
        let Some(number) = self.take_slot(key, epoch) else {
            return;
        };
        let mut slot = Slot {
            number,
            length: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            crc32: crc32fast::hash(bytes),
            age: 0,
        };
        let written = self
            .data
            .write_all_at(bytes, u64::from(number) * BLOCK_BYTES)
            // Nothing stays of a longer block that was there.
            .and_then(|()| clear(&self.data, number, bytes.len() as u64))
            .and_then(|()| self.index.write_all_at(&record(key, slot), place_of_record(number)));
        let mut state = self.state();
        if let Err(error) = written {
            self.erase(&[number]);
            state.free.push(number);
            if !self.has_failed.swap(true, Ordering::Relaxed) {
                tracing::warn!(%error, "the read cache cannot be written; reads go to the object store");
            }
            return;
        }
        self.has_failed.store(false, Ordering::Relaxed);
        if state.was_forgotten(key.0, epoch) || state.by_key.contains_key(&key) {
            // Before it can be taken again.
            self.erase(&[number]);
            state.free.push(number);
            return;
        }
        state.clock += 1;
        slot.age = state.clock;
        state.by_age.insert(slot.age, key);
        state.by_key.insert(key, slot);
        self.counters.holds(state.by_key.len() as u64 * BLOCK_BYTES);
    }

    /// A slot that nobody uses, or the one that was not used for the longest time.
    fn take_slot(&self, key: BlockKey, epoch: u64) -> Option<u32> {
        let mut state = self.state();
        if state.by_key.contains_key(&key) || state.was_forgotten(key.0, epoch) {
            return None;
        }
        if let Some(number) = state.free.pop() {
            return Some(number);
        }
        if state.fresh < self.slots_max && (self.has_room)() {
            let number = state.fresh;
            state.fresh += 1;
            return Some(number);
        }
        let (_, oldest) = state.by_age.first_key_value().map(|(age, key)| (*age, *key))?;
        let slot = state.remove(oldest)?;
        self.counters.evicted();
        Some(slot.number)
    }

    /// Drops all blocks of an object, and those that are being fetched. Blocks.
    pub(super) fn forget(&self, object: u128) {
        let mut state = self.state();
        state.epoch += 1;
        let epoch = state.epoch;
        state.forgotten.push_back((epoch, object));
        if state.forgotten.len() > FORGOTTEN_MAX {
            state.forgotten.pop_front();
        }
        let keys: Vec<BlockKey> = state
            .by_key
            .range((object, 0)..=(object, u64::MAX))
            .map(|(key, _)| *key)
            .collect();
        let slots: Vec<u32> = keys
            .iter()
            .filter_map(|key| state.remove(*key))
            .map(|slot| slot.number)
            .collect();
        // Erased before they can be taken again: what comes back after a crash must not be what was forgotten.
        self.erase(&slots);
        state.free.extend(slots);
        self.counters.holds(state.by_key.len() as u64 * BLOCK_BYTES);
    }

    /// What was forgotten does not come back, whatever happens. Blocks.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.index.sync_data()?;
        self.data.sync_data()
    }

    fn erase(&self, slots: &[u32]) {
        for number in slots {
            let erased = self.index.write_all_at(&[0; RECORD_BYTES], place_of_record(*number));
            if let Err(error) = erased.and_then(|()| clear(&self.data, *number, 0)) {
                tracing::warn!(%error, "a block of the read cache could not be erased");
            }
        }
    }
}

impl State {
    fn touch(&mut self, key: BlockKey) -> Option<Slot> {
        let slot = self.by_key.get_mut(&key)?;
        self.by_age.remove(&slot.age);
        self.clock += 1;
        slot.age = self.clock;
        self.by_age.insert(slot.age, key);
        Some(*slot)
    }

    fn remove(&mut self, key: BlockKey) -> Option<Slot> {
        let slot = self.by_key.remove(&key)?;
        self.by_age.remove(&slot.age);
        Some(slot)
    }

    fn was_forgotten(&self, object: u128, since: u64) -> bool {
        let known_from = self.forgotten.front().map_or(self.epoch, |(epoch, _)| epoch - 1);
        since < known_from
            || self
                .forgotten
                .iter()
                .any(|(epoch, forgotten)| *epoch > since && *forgotten == object)
    }
}

/// Gives the room of a slot back from its byte `from` on, or where the file system cannot, fills it with zeros. The file keeps its
/// length.
fn clear(data: &File, number: u32, from: u64) -> io::Result<()> {
    let place = u64::from(number) * BLOCK_BYTES + from;
    let length = BLOCK_BYTES
        .saturating_sub(from)
        .min(data.metadata()?.len().saturating_sub(place));
    if length == 0 {
        return Ok(());
    }
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    if rustix::fs::fallocate(data, flags, place, length).is_ok() {
        return Ok(());
    }
    let zeros = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    data.write_all_at(&zeros, place)
}

fn place_of_record(number: u32) -> u64 {
    u64::from(number) * RECORD_BYTES as u64
}

fn record(key: BlockKey, slot: Slot) -> [u8; RECORD_BYTES] {
    let mut record = Vec::with_capacity(RECORD_BYTES);
    record.extend_from_slice(&MAGIC.to_le_bytes());
    record.extend_from_slice(&slot.length.to_le_bytes());
    record.extend_from_slice(&slot.crc32.to_le_bytes());
    record.extend_from_slice(&key.0.to_le_bytes());
    record.extend_from_slice(&key.1.to_le_bytes());
    let crc32 = crc32fast::hash(&record);
    record.extend_from_slice(&crc32.to_le_bytes());
    record.try_into().unwrap_or([0; RECORD_BYTES])
}

fn parse(record: &[u8]) -> Option<(BlockKey, u32, u32)> {
    let (fields, crc32) = record.split_last_chunk::<4>()?;
    if crc32fast::hash(fields) != u32::from_le_bytes(*crc32) {
        return None;
    }
    let (magic, fields) = fields.split_first_chunk::<4>()?;
    let (length, fields) = fields.split_first_chunk::<4>()?;
    let (crc32, fields) = fields.split_first_chunk::<4>()?;
    let (object, fields) = fields.split_first_chunk::<16>()?;
    let (block, _) = fields.split_first_chunk::<8>()?;
    let length = u32::from_le_bytes(*length);
    let is_ours = u32::from_le_bytes(*magic) == MAGIC && u64::from(length) <= BLOCK_BYTES;
    let key = (u128::from_le_bytes(*object), u64::from_le_bytes(*block));
    is_ours.then_some((key, length, u32::from_le_bytes(*crc32)))
}

fn read_index(index: &File, slots_max: u32) -> io::Result<State> {
    let records = (index.metadata()?.len() / RECORD_BYTES as u64).min(u64::from(slots_max));
    let mut bytes = vec![0; usize::try_from(records).map_err(io::Error::other)? * RECORD_BYTES];
    index.read_exact_at(&mut bytes, 0)?;
    let mut state = State::default();
    for (number, record) in (0..).zip(bytes.chunks_exact(RECORD_BYTES)) {
        state.fresh = number + 1;
        match parse(record) {
            Some((key, length, crc32)) if !state.by_key.contains_key(&key) => {
                state.clock += 1;
                let age = state.clock;
                state.by_age.insert(age, key);
                state.by_key.insert(
                    key,
                    Slot {
                        number,
                        length,
                        crc32,
                        age,
                    },
                );
            }
            _ => state.free.push(number),
        }
    }
    Ok(state)
}
