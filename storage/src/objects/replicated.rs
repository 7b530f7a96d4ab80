//! Two stores that hold the same: every object goes to both, and is read from the first, else from the second.
//!
//! The first store is the one that counts: what it took is stored. What the second one missed while it could not be reached is
//! written down, on disk, before the call returns, and is caught up with later.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::runtime::Handle;

use super::{Body, Kept, ObjectError, ObjectName, ObjectSource, ObjectStore};
use crate::{intake::medium::sync_folder, source::ReadAt};

/// So many objects are caught up with before it is written down.
const WRITTEN_AFTER: u64 = 100;
/// So many objects that fail one after the other mean that the second store is away.
const FAILED_MAX: u32 = 3;
/// How often it is told how far catching up is.
const TOLD_EVERY: Duration = Duration::from_secs(60);
/// A second store that failed is left alone for this long: nobody waits for it with every object.
const AWAY_FOR: Duration = Duration::from_secs(if cfg!(test) { 0 } else { 10 });

/// A store and its replica.
pub struct ReplicatedObjects {
    first: Arc<dyn ObjectStore>,
    second: Arc<dyn ObjectStore>,
    missed: Mutex<Missed>,
    away_until: Mutex<Option<Instant>>,
}

/// Names whose object the second store may not have as the first has it.
struct Missed {
    path: PathBuf,
    names: BTreeSet<ObjectName>,
}

impl Missed {
    fn open(path: PathBuf) -> io::Result<Self> {
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            other => other?,
        };
        // The last line may be torn: nobody was told that it was written.
        let names = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let names = names.filter_map(|line| ObjectName::new(line.trim_end())).collect();
        Ok(Self { path, names })
    }

    fn add(&mut self, name: &ObjectName) -> io::Result<()> {
        if self.names.contains(name) {
            return Ok(());
        }
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        // What is torn is ended first.
        file.write_all(format!("\n{name}\n").as_bytes())?;
        file.sync_all()?;
        if self.names.is_empty() {
            sync_folder(self.path.parent().unwrap_or(Path::new(".")))?;
        }
        self.names.insert(name.clone());
        Ok(())
    }

    fn write(&self) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let mut file = File::create(&new)?;
        for name in &self.names {
            writeln!(file, "{name}")?;
        }
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        sync_folder(self.path.parent().unwrap_or(Path::new(".")))
    }
}

impl ReplicatedObjects {
    /// Puts two stores together. `missed` is the file that remembers what the second has not got.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(first: Arc<dyn ObjectStore>, second: Arc<dyn ObjectStore>, missed: PathBuf) -> io::Result<Self> {
        Ok(Self {
            first,
            second,
            missed: Mutex::new(Missed::open(missed)?),
            away_until: Mutex::default(),
        })
    }

    fn away_until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.away_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to an object of the second store. Where that fails, or failed just now, it is caught up with later.
    async fn with_second(
        &self,
        name: &ObjectName,
        work: impl Future<Output = Result<(), ObjectError>> + Send,
    ) -> Result<(), ObjectError> {
        if self.away_until().is_some_and(|until| Instant::now() < until) {
            return Ok(self.missed.lock().unwrap_or_else(PoisonError::into_inner).add(name)?);
        }
        let Err(error) = work.await else { return Ok(()) };
        *self.away_until() = Some(Instant::now() + AWAY_FOR);
        self.miss(name, &error)
    }

    fn miss(&self, name: &ObjectName, error: &ObjectError) -> Result<(), ObjectError> {
        tracing::warn!(object = %name, %error, "the replica missed an object; it is caught up with later");
        Ok(self.missed.lock().unwrap_or_else(PoisonError::into_inner).add(name)?)
    }

    /// Brings one object of the second store to what the first has.
    async fn copy(&self, name: &ObjectName) -> Result<(), ObjectError> {
        let Some(length) = self.first.head(name).await? else {
            return self.second.delete(name).await;
        };
        let (first, from, runtime) = (Arc::clone(&self.first), name.clone(), Handle::current());
        let source = tokio::task::spawn_blocking(move || ObjectSource::open(&first, &from, 0, length, &runtime));
        let mut body = Body::default();
        body.push_boxed(source.await.map_err(io::Error::other)??);
        self.second.put(name, body).await
    }
}

#[async_trait]
impl ObjectStore for ReplicatedObjects {
    async fn put(&self, name: &ObjectName, body: Body) -> Result<(), ObjectError> {
        self.first.put(name, body.clone()).await?;
        self.with_second(name, self.second.put(name, body)).await
    }

    async fn put_file(&self, name: &ObjectName, path: &Path) -> Result<(), ObjectError> {
        self.first.put_file(name, path).await?;
        // Never a link: bytes that both share are damaged in both.
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut body = Body::default();
        body.push(crate::source::FileSection::new(file, 0, length));
        self.with_second(name, self.second.put(name, body)).await
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, ObjectError> {
        match self.first.get_range(name, range.clone()).await {
            Err(error @ (ObjectError::Io(_) | ObjectError::Remote(_))) => {
                tracing::warn!(object = %name, %error, "reads from the replica");
                self.second.get_range(name, range).await.map_err(|_| error)
            }
            other => other,
        }
    }

    async fn head(&self, name: &ObjectName) -> Result<Option<u64>, ObjectError> {
        self.first.head(name).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Vec<(ObjectName, u64)>, ObjectError> {
        self.first.list(prefix, after, limit).await
    }

    /// What the second store does not let go now, it does when it is caught up with.
    async fn delete(&self, name: &ObjectName) -> Result<(), ObjectError> {
        self.with_second(name, self.second.delete(name)).await?;
        self.first.delete(name).await
    }

    async fn purge(&self, prefix: &str) -> Result<Vec<Kept>, ObjectError> {
        let first = self.first.purge(prefix).await;
        let mut kept = self.second.purge(prefix).await?;
        kept.extend(first?);
        Ok(kept)
    }

    async fn crc32(&self, name: &ObjectName) -> Result<u32, ObjectError> {
        self.first.crc32(name).await
    }

    fn get_range_at_once(&self, name: &ObjectName, range: Range<u64>) -> Option<Bytes> {
        self.first.get_range_at_once(name, range)
    }

    fn local_source(&self, name: &ObjectName) -> Option<Result<Arc<dyn ReadAt>, ObjectError>> {
        self.first.local_source(name)
    }

    fn local_file(&self, name: &ObjectName) -> Option<Result<File, ObjectError>> {
        self.first.local_file(name)
    }

    async fn catch_up(&self, prefix: &str) -> Result<u64, ObjectError> {
        let mut names = self.missed.lock().unwrap_or_else(PoisonError::into_inner).names.clone();
        names.retain(|name| name.as_str().starts_with(prefix));
        if names.is_empty() {
            return Ok(0);
        }
        let mut caught_up = 0;
        let mut result = Ok(());
        let mut told = Instant::now();
        let mut failed_in_a_row = 0;
        for name in names {
            // One that cannot be read holds up no other; one store that is away holds up all.
            if let Err(error) = self.copy(&name).await {
                tracing::warn!(object = %name, %error, "the replica still lacks an object");
                result = Err(error);
                failed_in_a_row += 1;
                if failed_in_a_row == FAILED_MAX {
                    break;
                }
                continue;
            }
            failed_in_a_row = 0;
            let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
            missed.names.remove(&name);
            caught_up += 1;
            if told.elapsed() >= TOLD_EVERY {
                told = Instant::now();
                tracing::info!(
                    objects = caught_up,
                    left = missed.names.len(),
                    "the replica is catching up"
                );
            }
            // What is not written down is copied once more after a crash.
            if caught_up % WRITTEN_AFTER == 0 {
                missed.write()?;
            }
        }
        self.missed.lock().unwrap_or_else(PoisonError::into_inner).write()?;
        *self.away_until() = result.is_err().then(|| Instant::now() + AWAY_FOR);
        result.map(|()| caught_up)
    }

    async fn share(&self, name: &ObjectName) -> Result<(), ObjectError> {
        let shared = match self.second.head(name).await {
            // Which of two is the good one is not decided here.
            Ok(Some(_)) => return Ok(()),
            Ok(None) => self.copy(name).await,
            Err(error) => Err(error),
        };
        match shared {
            Ok(()) => Ok(()),
            Err(error) => self.miss(name, &error),
        }
    }

    fn locks(&self) -> Option<&dyn super::ObjectLocks> {
        self.first.locks()
    }

    fn behind(&self) -> u64 {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner).names.len() as u64
    }
}
