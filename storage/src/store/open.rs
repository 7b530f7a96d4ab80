//! Opening and closing.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, RecvTimeoutError},
    },
    thread::Builder,
    time::Duration,
};

use super::{Describer, Inner, Running, Store, StoreError, StoreOptions};
use crate::{
    index::{
        Catalog, CatalogWriter,
        engine::{Engine, SledEngine},
    },
    intake::{
        self, Log,
        budget::Budget,
        incoming::Nursery,
        medium::{DiskMedium, sync_folder},
        recover::Recovery,
        space::Space,
        staged::StagedFolder,
    },
    metrics::Counters,
};

/// The layout of the data folder. A later one is refused.
const LAYOUT: &str = "filmroom data 1\n";
/// The index is brought to stable storage this often; what it misses after a crash is in the intake log.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

impl Store {
    /// Opens or makes the data folder: takes its lock, cuts torn tails, replays intake into the index, starts the
    /// committer and the settler.
    ///
    /// # Errors
    /// [`StoreError`] when the folder is in use, unreadable, or of a later schema.
    pub async fn open(options: StoreOptions, describer: Arc<dyn Describer>) -> Result<Self, StoreError> {
        let opened = tokio::task::spawn_blocking(move || open(options, describer)).await;
        opened.map_err(io::Error::other)?
    }

    /// Settles everything that waits, now; for tests, `import` and a clean stop. Returns when all is in packs.
    ///
    /// # Errors
    /// [`StoreError`] of the first series that could not be settled.
    pub async fn settle_now(&self) -> Result<(), StoreError> {
        let engine = Arc::clone(&self.inner.engine);
        tokio::task::spawn_blocking(move || engine.flush())
            .await
            .map_err(io::Error::other)?
            .map_err(StoreError::from)
    }

    /// Stops taking instances in, finishes what is under way, flushes and syncs all.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the last sync fails.
    pub async fn close(&self) -> Result<(), StoreError> {
        let inner = Arc::clone(&self.inner);
        let closed = tokio::task::spawn_blocking(move || {
            inner.stop();
            inner.engine.flush()
        });
        closed.await.map_err(io::Error::other)?.map_err(StoreError::from)
    }
}

impl Inner {
    /// Ends the threads after all that was given to them is done.
    fn stop(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Running { orders, threads }) = running else {
            return;
        };
        drop(orders);
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the store panicked");
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}

fn open(options: StoreOptions, describer: Arc<dyn Describer>) -> Result<Store, StoreError> {
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

    let engine: Arc<dyn Engine> = Arc::new(SledEngine::open(&data.join("index"), options.index_cache_bytes)?);
    let catalog = Arc::new(Catalog::open(Arc::clone(&engine))?);
    let mut writer = CatalogWriter::new(Arc::clone(&catalog))?;
    let medium = Arc::new(DiskMedium::new(intake));
    let recovery = Recovery {
        medium: medium.as_ref(),
        staged_folder: &staged,
        catalog: &catalog,
        writer: &mut writer,
        describer: describer.as_ref(),
    };
    let recovered = recovery.run()?;

    let counters = Arc::new(Counters::default());
    let space = Arc::new(Space::new(data.to_owned(), options.free_space_min_bytes));
    let nursery = Nursery {
        budget: Budget::new(options.intake_memory_max_bytes),
        staged: StagedFolder::new(staged, recovered.next_staged),
        space: Arc::clone(&space),
        staged_from_bytes: options.staged_from_bytes,
    };
    let writer = Arc::new(Mutex::new(writer));
    let waiting = Arc::new(Mutex::new(recovered.waiting));
    let segments = recovered.segments;
    let log = Log::new(
        medium,
        Arc::clone(&segments),
        options.segment_max_bytes,
        recovered.next_segment,
    );
    let parts = intake::Parts {
        log,
        catalog: Arc::clone(&catalog),
        writer: Arc::clone(&writer),
        waiting: Arc::clone(&waiting),
        space,
        counters: Arc::clone(&counters),
    };
    let (orders, threads) = intake::start(parts)?;
    let running = Mutex::new(Some(Running { orders, threads }));
    let inner = Inner {
        options,
        describer,
        engine,
        catalog,
        writer,
        segments,
        waiting,
        nursery,
        counters,
        running,
        _lock: lock,
    };
    Ok(Store { inner: Arc::new(inner) })
}

fn take_lock(data: &Path) -> Result<File, StoreError> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(data.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Unavailable(format!(
            "{} is in use by another process",
            data.display()
        ))),
        Err(TryLockError::Error(error)) => Err(error.into()),
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
