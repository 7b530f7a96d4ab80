//! The log as the archive has it: to record into, and to read.

use std::{
    fs,
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, mpsc},
    task::{Context, Poll},
    time::Duration,
};

use tokio::sync::{Semaphore, oneshot, watch};

use crate::{
    checkpoint::{Checkpoint, Verifier},
    entry::Entry,
    erase::{self, Erased},
    error::AuditError,
    event::{Event, Participant, Patient, Security},
    events,
    merkle::{self, Hash},
    recover,
    search::{self, Page, Search},
    shared::{Damage, Shared},
    verify::{self, Verified},
    writer::{Command, Wait, Writer},
};

/// How the log is kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// When an event counts as recorded. Destructive acts always wait for stable storage.
    pub wait: Wait,
    /// A checkpoint is signed this often, when there is something new.
    pub checkpoint_every: Duration,
    /// Most events that wait to be written; more wait for a place. Each has at most some hundred kilobytes, most one.
    pub queue_max: usize,
    /// With a key, all that is written is encrypted with AES-256-GCM.
    pub key: Option<[u8; 32]>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            wait: Wait::default(),
            checkpoint_every: Duration::from_secs(600),
            queue_max: 4096,
            key: None,
        }
    }
}

/// The log, to record into. Cheap to clone.
#[derive(Clone)]
pub struct Audit {
    log: Log,
    commands: mpsc::Sender<Command>,
    places: Arc<Semaphore>,
    thread: Arc<Mutex<Option<std::thread::JoinHandle<()>>>>,
}

/// The log, to read. Cheap to clone. What blocks says so.
#[derive(Clone)]
pub struct Log {
    shared: Arc<Shared>,
}

/// An event on its way into the log: wait for it before anything is answered.
#[derive(Debug)]
#[must_use = "an event is recorded when this was awaited"]
pub struct Recorded(oneshot::Receiver<Result<u64, AuditError>>);

impl Future for Recorded {
    /// The entry's index.
    type Output = Result<u64, AuditError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|answer| answer.unwrap_or(Err(AuditError::Closed)))
    }
}

/// An entry, and what shows that it is in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Index of the entry.
    pub index: u64,
    /// Its hash.
    pub leaf_hash: Hash,
    /// Hashes from the leaf upwards (RFC 9162 §2.1.3).
    pub path: Vec<Hash>,
    /// What it leads to.
    pub checkpoint: Checkpoint,
}

impl Proof {
    /// True when it holds, and the checkpoint is signed by this key.
    #[must_use]
    pub fn holds(&self, verifier: &Verifier) -> bool {
        let Checkpoint { size, root, .. } = &self.checkpoint;
        verifier.has_signed(&self.checkpoint)
            && merkle::verify_inclusion(&self.leaf_hash, self.index, *size, &self.path, root)
    }
}

impl Audit {
    /// Opens or makes the log in a folder, and cuts what was never acknowledged. Blocks. One process at a time, which the lock
    /// of the data folder sees to.
    ///
    /// A log that cannot be gone on with, because neither its entries nor their hashes reach as far as its latest checkpoint,
    /// is put aside whole, and a new one begins with saying so.
    ///
    /// # Errors
    /// [`AuditError`] when the disk fails or the key is another.
    pub fn open(folder: &Path, options: &Options) -> Result<Self, AuditError> {
        match Self::start(folder, options, |_| {}) {
            Err(AuditError::Damaged { index, reason }) => {
                let aside = put_aside(folder)?;
                tracing::error!(entry = index, reason, aside = %aside.display(), "the audit log cannot be gone on with: puts it aside");
                let audit = Self::start(folder, options, |_| {})?;
                let why = format!(
                    "the log before is damaged at entry {index}: {reason}; it is kept as {}",
                    aside.display()
                );
                audit.log.shared.note_damage(0, &why)?;
                Ok(audit)
            }
            other => other,
        }
    }

    /// As [`Audit::open`]; `first` runs on the thread that writes.
    pub(crate) fn start(
        folder: &Path,
        options: &Options,
        first: impl FnOnce(&Shared) + Send + 'static,
    ) -> Result<Self, AuditError> {
        fs::create_dir_all(folder)?;
        let shared = Arc::new(Shared::open(folder, options.key.as_ref(), true)?);
        let recovered = recover::recover(&shared, true)?;
        let writer = Writer::new(
            Arc::clone(&shared),
            recovered.peaks,
            recovered.growing,
            options.wait,
            options.checkpoint_every,
        );
        let (commands, received) = mpsc::channel();
        let shared_there = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("audit".into()).spawn(move || {
            first(&shared_there);
            writer.run(&received);
        })?;
        Ok(Self {
            log: Log { shared },
            commands,
            places: Arc::new(Semaphore::new(options.queue_max.clamp(1, Semaphore::MAX_PERMITS))),
            thread: Arc::new(Mutex::new(Some(thread))),
        })
    }

    /// Hands an event over, when there is a place for it. It is recorded when what is returned was awaited.
    ///
    /// # Errors
    /// [`AuditError::Closed`].
    pub async fn enqueue(&self, event: Event) -> Result<Recorded, AuditError> {
        self.hand_over(event, Wait::Written).await
    }

    async fn hand_over(&self, event: Event, wait: Wait) -> Result<Recorded, AuditError> {
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(|_| AuditError::Closed)?;
        let (answer, answered) = oneshot::channel();
        let command = Command::Record {
            event: Box::new(event),
            wait,
            answer,
            place,
        };
        self.commands.send(command).map_err(|_| AuditError::Closed)?;
        Ok(Recorded(answered))
    }

    /// Records an event. Returns its index when it is in the log, as [`Options::wait`] says.
    ///
    /// # Errors
    /// [`AuditError`]: it is not in the log, and what it is about must not happen.
    pub async fn record(&self, event: Event) -> Result<u64, AuditError> {
        self.enqueue(event).await?.await
    }

    /// Records what is about to be destroyed, on stable storage. Only with its `Ok` anything may be.
    ///
    /// # Errors
    /// [`AuditError::Unacknowledged`] while there is damage that nobody has acknowledged; else as [`Audit::record`].
    pub async fn record_destructive(&self, event: Event) -> Result<u64, AuditError> {
        if let Some(damage) = self.log.shared.damage() {
            return Err(AuditError::Unacknowledged { index: damage.index });
        }
        self.hand_over(event, Wait::Synced).await?.await
    }

    /// Signs a checkpoint over all that is recorded, durable with it. `None` while there is nothing.
    ///
    /// # Errors
    /// [`AuditError::Disk`], [`AuditError::Closed`].
    pub async fn checkpoint(&self) -> Result<Option<Checkpoint>, AuditError> {
        let (answer, answered) = oneshot::channel();
        self.commands
            .send(Command::Checkpoint(answer))
            .map_err(|_| AuditError::Closed)?;
        answered.await.map_err(|_| AuditError::Closed)?
    }

    /// Says that a person knows of the damage that was found. That is an entry itself.
    ///
    /// # Errors
    /// [`AuditError`]: the damage stands unacknowledged.
    pub async fn acknowledge_damage(&self, us: &Participant, who: Participant) -> Result<Option<Damage>, AuditError> {
        let Some(damage) = self.log.shared.damage() else {
            return Ok(None);
        };
        let subject = Security {
            id: "audit log".into(),
            kind: crate::event::SecurityKind::Uri,
            details: vec![crate::event::Detail::new(
                "Alert Description",
                &format!("damage at entry {} is acknowledged: {}", damage.index, damage.reason),
            )],
        };
        let event = events::alert(crate::codes::EventType::SecurityConfiguration, us, Some(who), subject);
        self.hand_over(event, Wait::Synced).await?.await?;
        self.log.shared.forget_damage()?;
        Ok(Some(damage))
    }

    /// Erases the values that stand beside the tree in all entries about a patient, and in queries that name it. The erasure is
    /// an entry itself, on stable storage before the first value goes.
    ///
    /// # Errors
    /// As [`Audit::record_destructive`]; [`AuditError::Io`] when it was begun and not ended: it can be done again.
    pub async fn erase(
        &self,
        us: &Participant,
        who: Participant,
        patient: Patient,
        why: &str,
    ) -> Result<Erased, AuditError> {
        let known = self.checkpoint().await?;
        let proposal = events::patient_record(crate::codes::Action::Delete, who, us, Vec::new()).about(
            crate::event::Object::Security(Security {
                id: "audit log".into(),
                kind: crate::event::SecurityKind::Uri,
                details: vec![crate::event::Detail::new("reason", why)],
            }),
        );
        self.record_destructive(proposal).await?;
        let (shared, size) = (Arc::clone(&self.log.shared), known.map_or(0, |known| known.size));
        tokio::task::spawn_blocking(move || erase::erase(&shared, &patient, size))
            .await
            .map_err(std::io::Error::other)?
    }

    /// The same log, to read.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Writes all that waits, signs a checkpoint, and ends. What comes after is refused.
    ///
    /// # Errors
    /// [`AuditError::Disk`] when the last checkpoint cannot be made; entries are written in any case.
    pub async fn close(&self) -> Result<(), AuditError> {
        let (answer, answered) = oneshot::channel();
        if self.commands.send(Command::Close(answer)).is_err() {
            return Ok(());
        }
        let ended = answered.await.unwrap_or(Err(AuditError::Closed));
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                return Err(AuditError::Closed);
            }
        }
        ended
    }
}

impl Log {
    /// Opens the log of a folder to read it, also while another process records into it. Blocks.
    ///
    /// # Errors
    /// [`AuditError`]; that of the kind `NotFound` where there is no log.
    pub fn open(folder: &Path, key: Option<&[u8; 32]>) -> Result<Self, AuditError> {
        let shared = Arc::new(Shared::open(folder, key, false)?);
        match recover::recover(&shared, false) {
            // It is read as far as it goes; `verify` says what is wrong.
            Ok(_) | Err(AuditError::Damaged { .. }) => Ok(Self { shared }),
            Err(error) => Err(error),
        }
    }

    /// Entries there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.shared.size()
    }

    /// Told of each new size.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.shared.grown.subscribe()
    }

    /// Damage that nobody has acknowledged.
    #[must_use]
    pub fn damage(&self) -> Option<Damage> {
        self.shared.damage()
    }

    /// Whom checkpoints are signed by.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        self.shared.signer.verifier()
    }

    /// The latest checkpoint.
    #[must_use]
    pub fn latest_checkpoint(&self) -> Option<Checkpoint> {
        self.shared
            .latest_checkpoint
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Reads an entry. Blocks.
    ///
    /// # Errors
    /// [`AuditError::Damaged`] when it is not there, or not as it was written.
    pub fn entry(&self, index: u64) -> Result<Entry, AuditError> {
        self.shared.entry(index)
    }

    /// Finds a page of entries. Blocks.
    ///
    /// # Errors
    /// [`AuditError::Io`].
    pub fn search_blocking(&self, search: &Search) -> Result<Page, AuditError> {
        search::search(&self.shared, search)
    }

    /// Finds a page of entries.
    ///
    /// # Errors
    /// [`AuditError::Io`].
    pub async fn search(&self, search: Search) -> Result<Page, AuditError> {
        let log = self.clone();
        tokio::task::spawn_blocking(move || log.search_blocking(&search))
            .await
            .map_err(std::io::Error::other)?
    }

    /// Reads everything and says what is wrong. Blocks, for seconds a million entries. `witnessed`: checkpoints that were kept
    /// elsewhere, which have to agree too; `verifier`: the key as it is known elsewhere; `progress` is told how far it is.
    ///
    /// # Errors
    /// [`AuditError::Io`].
    pub fn verify(
        &self,
        verifier: Option<&Verifier>,
        witnessed: &[Checkpoint],
        progress: impl FnMut(u64),
    ) -> Result<Verified, AuditError> {
        verify::verify(&self.shared, verifier, witnessed, progress)
    }

    /// Proves that an entry is under the latest checkpoint. Blocks. `None` when that is older.
    ///
    /// # Errors
    /// [`AuditError::Io`].
    pub fn prove(&self, index: u64) -> Result<Option<Proof>, AuditError> {
        let Some(checkpoint) = self.latest_checkpoint().filter(|latest| latest.size > index) else {
            return Ok(None);
        };
        Ok(Some(Proof {
            index,
            leaf_hash: merkle::Subtrees::subtree(&self.shared.tree, 0, index)?,
            path: merkle::inclusion_proof(&self.shared.tree, index, checkpoint.size)?,
            checkpoint,
        }))
    }

    /// Proves that the log of `old` entries is the beginning of that of `new` (RFC 9162 §2.1.4). Blocks.
    ///
    /// # Errors
    /// [`AuditError::Io`] of kind `InvalidInput` when there are not so many.
    pub fn prove_consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, AuditError> {
        if new > self.size() {
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "the log has fewer entries").into());
        }
        Ok(merkle::consistency_proof(&self.shared.tree, old, new)?)
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }
}

fn put_aside(folder: &Path) -> std::io::Result<std::path::PathBuf> {
    let stamp = time::OffsetDateTime::now_utc().unix_timestamp();
    let mut aside = folder.to_owned().into_os_string();
    aside.push(format!(".aside-{stamp}"));
    let aside = std::path::PathBuf::from(aside);
    fs::rename(folder, &aside)?;
    Ok(aside)
}

impl std::fmt::Debug for Audit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Audit").field(&self.log).finish()
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log")
            .field("folder", &self.shared.folder)
            .field("size", &self.size())
            .finish()
    }
}
