//! The one thread that writes: it takes all that waits, writes it at once, and then answers.

use std::{
    sync::{
        Arc, PoisonError,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use ring::rand::SystemRandom;
use time::OffsetDateTime;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::{
    checkpoint::Checkpoint,
    entry::{Encoded, encode},
    error::AuditError,
    event::Event,
    fault, frame,
    merkle::Hash,
    reserve::{Reserve, is_full},
    segment::{SEGMENT_BYTES_MAX, SEGMENT_ENTRIES_MAX, SEGMENT_HEAD_BYTES, Segment},
    shared::{Shared, sync_folder},
    tree::Peaks,
};

/// Most entries of one batch.
const BATCH_ENTRIES_MAX: usize = 1024;
/// A batch with so many bytes is written.
const BATCH_BYTES: usize = 1 << 20;
/// What was written but not synced is synced at least this often.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// When an event counts as recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wait {
    /// It is written: it outlives the process, and within a second also the machine.
    #[default]
    Written,
    /// It is on stable storage.
    Synced,
}

/// What the writer is asked for.
pub(crate) enum Command {
    Record {
        event: Box<Event>,
        wait: Wait,
        answer: oneshot::Sender<Result<u64, AuditError>>,
        /// A place in the queue, given back with the answer.
        place: OwnedSemaphorePermit,
    },
    Checkpoint(oneshot::Sender<Result<Option<Checkpoint>, AuditError>>),
    Close(oneshot::Sender<Result<(), AuditError>>),
}

struct Waiting {
    answer: oneshot::Sender<Result<u64, AuditError>>,
    index: u64,
    _place: OwnedSemaphorePermit,
}

/// A batch that is being put together.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    hashes: Vec<Hash>,
    found_by: Vec<(u32, i64, Vec<u64>)>,
    waiting: Vec<Waiting>,
    is_synced: bool,
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    random: SystemRandom,
    wait: Wait,
    checkpoint_every: Duration,
    peaks: Peaks,
    /// The segment that grows, and its bytes; `None` until something is written.
    segment: Option<(Arc<Segment>, u64)>,
    reserve: Reserve,
    reserve_due: Instant,
    /// Bytes behind the end of the segment that a failed write left.
    is_torn: bool,
    unsynced_since: Option<Instant>,
    checkpoint_due: Instant,
}

impl Writer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        peaks: Peaks,
        segment: Option<(Arc<Segment>, u64)>,
        wait: Wait,
        checkpoint_every: Duration,
    ) -> Self {
        Self {
            reserve: Reserve::open(&shared.folder.join("reserve")),
            shared,
            random: SystemRandom::new(),
            wait,
            checkpoint_every,
            peaks,
            segment,
            reserve_due: Instant::now() + SYNC_EVERY,
            is_torn: false,
            unsynced_since: None,
            checkpoint_due: Instant::now() + checkpoint_every,
        }
    }

    /// Works until it is told to close, or nobody is left who could tell it anything.
    pub(crate) fn run(mut self, commands: &Receiver<Command>) {
        let mut closing = None;
        while closing.is_none() {
            let patience = self.next_due().saturating_duration_since(Instant::now());
            let first = match commands.recv_timeout(patience) {
                Ok(command) => Some(command),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let mut batch = Batch::default();
            let mut next = first;
            while let Some(command) = next.take() {
                match command {
                    Command::Record {
                        event,
                        wait,
                        answer,
                        place,
                    } => self.add(&mut batch, event, wait, answer, place),
                    Command::Checkpoint(answer) => {
                        self.write(std::mem::take(&mut batch));
                        // Whoever asked may have gone.
                        let _ = answer.send(self.checkpoint());
                    }
                    Command::Close(answer) => {
                        closing = Some(answer);
                        break;
                    }
                }
                let is_full = batch.bytes.len() >= BATCH_BYTES || batch.waiting.len() >= BATCH_ENTRIES_MAX;
                if !is_full {
                    next = commands.try_recv().ok();
                }
            }
            self.write(batch);
            self.keep_up();
        }
        let ended = self.checkpoint().map(drop);
        if let Some(answer) = closing {
            let _ = answer.send(ended);
        }
    }

    fn next_due(&self) -> Instant {
        match self.unsynced_since {
            Some(since) => self.checkpoint_due.min(since + SYNC_EVERY),
            None => self.checkpoint_due,
        }
    }

    fn add(
        &self,
        batch: &mut Batch,
        mut event: Box<Event>,
        wait: Wait,
        answer: oneshot::Sender<Result<u64, AuditError>>,
        place: OwnedSemaphorePermit,
    ) {
        let index = self.peaks.size() + batch.hashes.len() as u64;
        let start = batch.bytes.len();
        let encoded = encode(&mut event, &self.random).and_then(|Encoded { leaf, values, hash }| {
            frame::write(&self.shared.sealer, index, &leaf, &values, &mut batch.bytes).map(|()| hash)
        });
        match encoded {
            Err(error) => {
                batch.bytes.truncate(start);
                let _ = answer.send(Err(error));
            }
            Ok(hash) => {
                batch.hashes.push(hash);
                batch.is_synced |= wait == Wait::Synced || self.wait == Wait::Synced;
                // A batch is far below 4 GiB.
                batch.found_by.push((
                    u32::try_from(start).unwrap_or(u32::MAX),
                    event.at.unix_timestamp(),
                    self.shared.facets.of_event(&event),
                ));
                batch.waiting.push(Waiting {
                    answer,
                    index,
                    _place: place,
                });
            }
        }
    }

    /// Writes a batch and answers all who wait for it.
    fn write(&mut self, batch: Batch) {
        if batch.waiting.is_empty() {
            return;
        }
        let (bytes, hashes, is_synced) = (batch.bytes, batch.hashes, batch.is_synced);
        match self.append(&bytes, &hashes, batch.found_by, is_synced) {
            Ok(()) => {
                for waiting in batch.waiting {
                    let _ = waiting.answer.send(Ok(waiting.index));
                }
            }
            Err(error) => {
                let error = AuditError::Disk(error.to_string());
                tracing::error!(
                    events = batch.waiting.len(),
                    %error,
                    "events are not recorded, and what they are about is refused"
                );
                for waiting in batch.waiting {
                    let _ = waiting.answer.send(Err(error.again()));
                }
            }
        }
    }

    fn append(
        &mut self,
        bytes: &[u8],
        hashes: &[Hash],
        found_by: Vec<(u32, i64, Vec<u64>)>,
        is_synced: bool,
    ) -> std::io::Result<()> {
        while let Err(error) = self.try_append(bytes, hashes, &found_by, is_synced) {
            // On a full disk what was kept for it is used.
            if !is_full(&error) || !self.reserve.give_up() {
                return Err(error);
            }
        }
        Ok(())
    }

    fn try_append(
        &mut self,
        bytes: &[u8],
        hashes: &[Hash],
        found_by: &[(u32, i64, Vec<u64>)],
        is_synced: bool,
    ) -> std::io::Result<()> {
        let (segment, length) = self.writable()?;
        let mut peaks = self.peaks.clone();
        let mut stored = Vec::new();
        for hash in hashes {
            peaks.push(*hash, &mut stored);
        }
        let written = fault::check("write")
            .and_then(|()| segment.write_at(bytes, length))
            .and_then(|()| fault::check("tree"))
            // Only behind the entries: a hash says that the entry was written.
            .and_then(|()| self.shared.tree.write(self.peaks.size(), &stored))
            .and_then(|()| {
                if is_synced {
                    fault::check("sync")?;
                    segment.sync()?;
                }
                Ok(())
            });
        if let Err(error) = written {
            self.is_torn = true;
            // What may have been written is no entry: nobody is told of it. If this fails too, it is done before the next.
            let _ = self.mend();
            return Err(error);
        }
        self.peaks = peaks;
        self.segment = Some((Arc::clone(&segment), length + bytes.len() as u64));
        segment.grown(found_by.iter().map(|(offset, at, hashes)| {
            let offset = length + u64::from(*offset);
            (u32::try_from(offset).unwrap_or(u32::MAX), *at, hashes.clone())
        }));
        self.shared.grow_to(self.peaks.size());
        match (is_synced, self.unsynced_since) {
            (true, _) => self.unsynced_since = None,
            (false, None) => self.unsynced_since = Some(Instant::now()),
            (false, Some(_)) => {}
        }
        Ok(())
    }

    /// Cuts off what a failed write left.
    fn mend(&mut self) -> std::io::Result<()> {
        if let (true, Some((segment, length))) = (self.is_torn, &self.segment) {
            segment.truncate(*length)?;
        }
        self.is_torn = false;
        Ok(())
    }

    /// The segment that grows, and where; a new one where that is full.
    fn writable(&mut self) -> std::io::Result<(Arc<Segment>, u64)> {
        self.mend()?;
        if let Some((segment, length)) = &self.segment {
            if segment.len() < SEGMENT_ENTRIES_MAX && *length < SEGMENT_BYTES_MAX {
                return Ok((Arc::clone(segment), *length));
            }
            segment.sync()?;
            if let Err(error) = segment.settle() {
                // It stays in memory and is made at the next start.
                tracing::warn!(%error, "the index of a full segment of the audit log cannot be written");
            }
        }
        let segment = Arc::new(Segment::create(&self.shared.folder, self.peaks.size())?);
        segment.sync()?;
        sync_folder(&self.shared.folder)?;
        self.shared.add_segment(Arc::clone(&segment));
        self.segment = Some((Arc::clone(&segment), SEGMENT_HEAD_BYTES));
        Ok((segment, SEGMENT_HEAD_BYTES))
    }

    /// What is due by time.
    fn keep_up(&mut self) {
        let now = Instant::now();
        if now >= self.reserve_due {
            self.reserve_due = now + SYNC_EVERY;
            self.reserve.take_back();
        }
        if self.unsynced_since.is_some_and(|since| now >= since + SYNC_EVERY) {
            // Tried again in a second when it fails.
            self.unsynced_since = Some(now);
            match self.sync() {
                Ok(()) => self.unsynced_since = None,
                Err(error) => tracing::error!(%error, "the audit log cannot be synced"),
            }
        }
        if now >= self.checkpoint_due {
            self.checkpoint_due = now + self.checkpoint_every;
            if let Err(error) = self.checkpoint() {
                tracing::error!(%error, "no checkpoint of the audit log can be made");
            }
        }
    }

    fn sync(&self) -> std::io::Result<()> {
        if let Some((segment, _)) = &self.segment {
            segment.sync()?;
        }
        self.shared.tree.sync()
    }

    /// Makes a checkpoint when there is something new, durable with all that it covers. Returns the latest.
    fn checkpoint(&mut self) -> Result<Option<Checkpoint>, AuditError> {
        let disk = |error: std::io::Error| AuditError::Disk(error.to_string());
        let latest = self
            .shared
            .latest_checkpoint
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let size = self.peaks.size();
        if size == 0 || latest.as_ref().is_some_and(|latest| latest.size == size) {
            return Ok(latest);
        }
        self.sync().map_err(disk)?;
        self.unsynced_since = None;
        let made = self
            .shared
            .signer
            .sign(size, self.peaks.root(), OffsetDateTime::now_utc());
        self.shared.keep_checkpoint(made.clone()).map_err(disk)?;
        Ok(Some(made))
    }
}
