//! A store that may not be there yet: opened when it is first wanted, and again after a while where that fails.
//!
//! For a second store. The archive starts and works without it, and what it missed it catches up with.

use std::{
    ops::Range,
    path::Path,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

use super::{Body, Kept, ObjectError, ObjectName, ObjectStore};

/// After a failure nobody tries for this long.
const AGAIN_AFTER: Duration = Duration::from_secs(if cfg!(test) { 0 } else { 5 });

type Opened = Result<Arc<dyn ObjectStore>, ObjectError>;
/// Opens the store.
pub(crate) type Opener = Box<dyn Fn() -> BoxFuture<'static, Opened> + Send + Sync>;

/// A store that is opened when it is wanted.
pub(crate) struct LateObjects {
    opener: Opener,
    opened: OnceLock<Arc<dyn ObjectStore>>,
    failed: Mutex<Option<(Instant, String)>>,
}

impl LateObjects {
    pub(crate) fn new(opener: Opener) -> Self {
        Self {
            opener,
            opened: OnceLock::new(),
            failed: Mutex::default(),
        }
    }

    async fn store(&self) -> Result<&Arc<dyn ObjectStore>, ObjectError> {
        if let Some(store) = self.opened.get() {
            return Ok(store);
        }
        let mut failed = self.failed.lock().await;
        if let Some((at, why)) = failed.as_ref()
            && at.elapsed() < AGAIN_AFTER
        {
            return Err(ObjectError::Remote(why.clone()));
        }
        if self.opened.get().is_none() {
            match (self.opener)().await {
                Ok(store) => drop(self.opened.set(store)),
                Err(error) => {
                    *failed = Some((Instant::now(), error.to_string()));
                    return Err(error);
                }
            }
        }
        let gone = || ObjectError::Remote("the store could not be opened".to_owned());
        self.opened.get().ok_or_else(gone)
    }
}

#[async_trait]
impl ObjectStore for LateObjects {
    async fn put(&self, name: &ObjectName, body: Body) -> Result<(), ObjectError> {
        self.store().await?.put(name, body).await
    }

    async fn put_file(&self, name: &ObjectName, path: &Path) -> Result<(), ObjectError> {
        self.store().await?.put_file(name, path).await
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, ObjectError> {
        self.store().await?.get_range(name, range).await
    }

    async fn head(&self, name: &ObjectName) -> Result<Option<u64>, ObjectError> {
        self.store().await?.head(name).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Vec<(ObjectName, u64)>, ObjectError> {
        self.store().await?.list(prefix, after, limit).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), ObjectError> {
        self.store().await?.delete(name).await
    }

    async fn purge(&self, prefix: &str) -> Result<Vec<Kept>, ObjectError> {
        self.store().await?.purge(prefix).await
    }

    async fn crc32(&self, name: &ObjectName) -> Result<u32, ObjectError> {
        self.store().await?.crc32(name).await
    }
}
