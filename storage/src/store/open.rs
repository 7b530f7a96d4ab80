//! Opening and closing.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{
    Describer, Inner, RebuildReport, Running, Store, StoreError, StoreOptions, acknowledge,
    encryption::{self, Sealing},
    index_folder::{IndexFolder, OpenIndex, When},
    keeper, object_stores,
};
use crate::{
    intake::{
        self, Log, Shelf,
        budget::Budget,
        incoming::Nursery,
        medium::{DiskMedium, Medium, sync_folder},
        recover::Recovery,
        space::Space,
        staged::StagedFolder,
    },
    journal::Journal,
    metrics::Counters,
    objects::{ObjectStore, ReplicatedObjects},
    state::StatePlace,
};

/// The layout of the data folder. A later one is refused.
const LAYOUT: &str = "filmroom data 1\n";
/// Longest wait for who has the data folder, and the pause between two looks.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(2);
const LOCK_PAUSE: Duration = Duration::from_millis(20);

impl Store {
    /// Opens or makes the data folder: takes its lock, cuts torn tails, replays intake into the index, starts the
    /// committer and the settler.
    ///
    /// # Errors
    /// [`StoreError`] when the folder is in use, unreadable, or of a later schema.
    pub async fn open(options: StoreOptions, describer: Arc<dyn Describer>) -> Result<Self, StoreError> {
        let runtime = tokio::runtime::Handle::current();
        let opened =
            tokio::task::spawn_blocking(move || open(options, describer, runtime, When::IfNeeded, &mut |_| {}));
        let (store, rebuilt) = opened.await.map_err(io::Error::other)??;
        store.resume_destroying(&rebuilt.unwrap_or_default().unburied).await?;
        let tasks = [
            tokio::spawn(keeper::keep(Arc::downgrade(&store.inner))).abort_handle(),
            tokio::spawn(keeper::settle(Arc::downgrade(&store.inner))).abort_handle(),
            tokio::spawn(acknowledge::run(Arc::downgrade(&store.inner))).abort_handle(),
            tokio::spawn(encryption::encrypt(Arc::downgrade(&store.inner))).abort_handle(),
            tokio::spawn(super::destroy::go_on(Arc::downgrade(&store.inner))).abort_handle(),
        ];
        if let Some(running) = store
            .inner
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_mut()
        {
            running.tasks.extend(tasks);
        }
        Ok(store)
    }

    /// Makes the index anew from packs and intake alone, and closes the store again. `progress` is called after each pack.
    ///
    /// # Errors
    /// As [`Store::open`]. What single packs lack is in the report.
    pub async fn rebuild(
        options: StoreOptions,
        describer: Arc<dyn Describer>,
        mut progress: impl FnMut(&RebuildReport) + Send + 'static,
    ) -> Result<RebuildReport, StoreError> {
        let runtime = tokio::runtime::Handle::current();
        let rebuilt =
            tokio::task::spawn_blocking(move || open(options, describer, runtime, When::Always, &mut progress));
        let (store, report) = rebuilt.await.map_err(io::Error::other)??;
        let report = report.unwrap_or_default();
        store.resume_destroying(&report.unburied).await?;
        store.close().await?;
        Ok(report)
    }

    /// Stops taking instances in, finishes what is under way, flushes and syncs all.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the last sync fails.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.inner.remember_scrub();
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || inner.stop())
            .await
            .map_err(io::Error::other)?;
        self.flush_and_trim().await?;
        Ok(self.inner.journal.mirror().await?)
    }
}

impl Inner {
    /// Ends the committer after all that was given to it is done.
    pub(super) fn stop(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Running {
            orders,
            committer,
            tasks,
        }) = running
        else {
            return;
        };
        for task in tasks {
            task.abort();
        }
        drop(orders);
        if committer.join().is_err() {
            tracing::error!("the committer panicked");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}

fn open(
    options: StoreOptions,
    describer: Arc<dyn Describer>,
    runtime: tokio::runtime::Handle,
    when: When,
    progress: &mut (dyn FnMut(&RebuildReport) + Send),
) -> Result<(Store, Option<RebuildReport>), StoreError> {
    let data = options.data.as_path();
    let (intake, staged) = (data.join("intake"), data.join("intake").join("staged"));
    for folder in [
        data,
        &data.join("index"),
        &intake,
        &staged,
        &data.join("objects"),
        &data.join("journal"),
    ] {
        fs::create_dir_all(folder)?;
    }
    let lock = take_lock(data)?;
    check_layout(data)?;

    let master = options.encryption.as_ref();
    let master = master.map(|encryption| Arc::clone(&encryption.master));
    let medium: Arc<dyn Medium> = Arc::new(DiskMedium::new(intake, master.clone()));
    let primary = object_stores::open(&options, &runtime)?;
    let replica = object_stores::replica(&options, &runtime)?;
    let below: Arc<dyn ObjectStore> = match &replica {
        Some(replica) => {
            let missed = data.join("replica.missed");
            Arc::new(ReplicatedObjects::open(
                Arc::clone(&primary),
                Arc::clone(replica),
                missed,
            )?)
        }
        None => Arc::clone(&primary),
    };
    // A cache and a second store hold what is encrypted already.
    let sealing = Sealing::open(&below, options.encryption.as_ref(), &runtime)?;
    let stored = sealing.around(&below);
    let sealed_primary = primary;
    let primary = sealing.around(&sealed_primary);
    let sealed_replica = replica;
    let replica = sealed_replica.as_ref().map(|replica| sealing.around(replica));
    let keys = sealing.local_keys(&runtime)?;
    let state = StatePlace::new(data, keys.state.as_ref()).map_err(io::Error::from)?;
    let folder = data.join("journal");
    let journal = runtime.block_on(Journal::open(&folder, Arc::clone(&stored), keys.journal.as_ref()))?;
    let decisions = runtime.block_on(journal.read(0))?;
    let tombstones = super::destroy::tombstones(&decisions)?;
    let reinstated = super::destroy::Reinstatements::of(&decisions)?;
    drop(decisions);
    let folder = IndexFolder {
        data,
        engine: options.index_engine,
        cache_bytes: options.index_cache_bytes,
        key: keys.index,
        mark: keeper::read_mark(data)?,
        objects: &stored,
        runtime: &runtime,
        describer: describer.as_ref(),
        tombstones: &tombstones,
    };
    let OpenIndex {
        engine,
        catalog,
        mut writer,
        mut rebuilt,
    } = folder.open(when, progress)?;
    // Before what came again is taken up from the log.
    reinstated.lift(&mut writer)?;
    let recovery = Recovery {
        medium: medium.as_ref(),
        staged_folder: &staged,
        catalog: &catalog,
        writer: &mut writer,
        describer: describer.as_ref(),
        when: intake::recover::When::Opening,
    };
    let recovered = recovery.run()?;
    if let Some(report) = &mut rebuilt {
        report.from_intake = recovered.replayed;
        report.problems.extend(recovered.problems);
    }

    let counters = Arc::new(Counters::default());
    let turnstile = Arc::new(intake::Turnstile::default());
    let space = Arc::new(Space::new(data.to_owned(), options.free_space_min_bytes));
    let objects = sealing.around_cache(&object_stores::cached(&options, &below, &space, &counters)?);
    let nursery = Nursery {
        budget: Budget::new(options.intake_memory_max_bytes),
        staged: StagedFolder::new(staged, recovered.next_staged, master),
        space: Arc::clone(&space),
        staged_from_bytes: options.staged_from_bytes,
    };
    let writer = Arc::new(Mutex::new(writer));
    let waiting = Arc::new(Mutex::new(recovered.waiting));
    let segments = recovered.segments;
    let shelf = Arc::new(Shelf::default());
    let log = Log::new(
        Arc::clone(&medium),
        Arc::clone(&segments),
        options.segment_max_bytes,
        recovered.next_segment,
    );
    let parts = intake::Parts {
        log,
        catalog: Arc::clone(&catalog),
        writer: Arc::clone(&writer),
        waiting: Arc::clone(&waiting),
        shelf: Arc::clone(&shelf),
        space,
        counters: Arc::clone(&counters),
        turnstile: Arc::clone(&turnstile),
    };
    let (orders, committer) = intake::start(parts)?;
    let running = Mutex::new(Some(Running {
        orders,
        committer,
        tasks: Vec::new(),
    }));
    let inner = Inner {
        options,
        describer,
        engine,
        catalog,
        writer,
        segments,
        waiting,
        nursery,
        shelf,
        headers: super::headers::HeaderCache::default(),
        medium,
        objects,
        stored,
        encrypted: sealing.into_objects(),
        audit_key: keys.audit,
        journal,
        state,
        retired: Mutex::default(),
        flushed: Mutex::new(0),
        acknowledging: acknowledge::Acknowledging::default(),
        series_locks: Mutex::default(),
        settling: acknowledge::Settling::default(),
        destroying: Arc::default(),
        encrypting: tokio::sync::Mutex::default(),
        keeping: tokio::sync::Mutex::default(),
        runtime,
        counters,
        turnstile,
        scrub: Mutex::default(),
        replica,
        sealed_replica,
        primary,
        sealed_primary,
        running,
        _lock: lock,
    };
    Ok((Store::whole(Arc::new(inner)), rebuilt))
}

fn take_lock(data: &Path) -> Result<File, StoreError> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(data.join("lock"))?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            // Whoever has just been stopped may be at its last write.
            Err(TryLockError::WouldBlock) if begun.elapsed() < LOCK_WAIT_MAX => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Unavailable(format!(
                    "{} is in use by another process",
                    data.display()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
}

fn check_layout(data: &Path) -> Result<(), StoreError> {
    let path = data.join("layout");
    match fs::read_to_string(&path) {
        Ok(layout) if layout == LAYOUT => Ok(()),
        Ok(layout) => {
            let layout = layout.trim();
            Err(StoreError::Unavailable(format!(
                "the data folder is of another version of filmroom: {layout:?}"
            )))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut file = File::create(&path)?;
            file.write_all(LAYOUT.as_bytes())?;
            file.sync_all()?;
            Ok(sync_folder(data)?)
        }
        Err(error) => Err(error.into()),
    }
}
