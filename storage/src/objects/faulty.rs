//! A wrapper that fails on purpose: what happens then is a feature, and is tested.

use std::{
    collections::VecDeque,
    fs::File,
    ops::Range,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;

use super::{Body, Kept, ObjectError, ObjectName, ObjectStore};

/// What goes wrong with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The call fails and does nothing.
    Error,
    /// The call takes longer.
    Delay(Duration),
    /// The call is carried out and its answer lost.
    LostAnswer,
    /// A put leaves only the first so many bytes and says nothing; other calls fail.
    Torn(u64),
}

/// Another store with faults: one of the list for each call, none when the list is used up.
#[derive(Debug)]
pub struct FaultyObjects<S> {
    inner: S,
    faults: Mutex<VecDeque<Fault>>,
}

impl<S> FaultyObjects<S> {
    /// Wraps a store.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            faults: Mutex::default(),
        }
    }

    /// Adds faults for the calls to come.
    pub fn inject(&self, faults: impl IntoIterator<Item = Fault>) {
        self.faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(faults);
    }

    async fn fault(&self) -> Result<After, ObjectError> {
        let fault = self.faults.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        match fault.unwrap_or(Fault::None) {
            Fault::None => Ok(After::Answer),
            Fault::Error => Err(failed()),
            Fault::Delay(time) => {
                tokio::time::sleep(time).await;
                Ok(After::Answer)
            }
            Fault::LostAnswer => Ok(After::Loss),
            Fault::Torn(bytes) => Ok(After::Tear(bytes)),
        }
    }
}

enum After {
    Answer,
    Loss,
    Tear(u64),
}

impl After {
    fn answer<T>(self, answer: T) -> Result<T, ObjectError> {
        match self {
            Self::Answer => Ok(answer),
            Self::Loss | Self::Tear(_) => Err(failed()),
        }
    }
}

fn failed() -> ObjectError {
    ObjectError::Remote("a fault was injected".into())
}

fn torn(body: &Body, mut left: u64) -> Result<Body, ObjectError> {
    let mut torn = Body::default();
    for piece in body.pieces() {
        let length = piece.len().min(left);
        torn.push(piece.read_at(0, usize::try_from(length).unwrap_or(usize::MAX))?);
        left -= length;
    }
    Ok(torn)
}

#[async_trait]
impl<S: ObjectStore> ObjectStore for FaultyObjects<S> {
    async fn put(&self, name: &ObjectName, body: Body) -> Result<(), ObjectError> {
        match self.fault().await? {
            After::Tear(bytes) => self.inner.put(name, torn(&body, bytes)?).await,
            after => after.answer(self.inner.put(name, body).await?),
        }
    }

    async fn put_file(&self, name: &ObjectName, path: &Path) -> Result<(), ObjectError> {
        let after = self.fault().await?;
        after.answer(self.inner.put_file(name, path).await?)
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, ObjectError> {
        let after = self.fault().await?;
        after.answer(self.inner.get_range(name, range).await?)
    }

    async fn head(&self, name: &ObjectName) -> Result<Option<u64>, ObjectError> {
        let after = self.fault().await?;
        after.answer(self.inner.head(name).await?)
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Vec<(ObjectName, u64)>, ObjectError> {
        let answer = self.fault().await?;
        answer.answer(self.inner.list(prefix, after, limit).await?)
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), ObjectError> {
        let after = self.fault().await?;
        after.answer(self.inner.delete(name).await?)
    }

    async fn purge(&self, prefix: &str) -> Result<Vec<Kept>, ObjectError> {
        let after = self.fault().await?;
        after.answer(self.inner.purge(prefix).await?)
    }

    async fn crc32(&self, name: &ObjectName) -> Result<u32, ObjectError> {
        let after = self.fault().await?;
        after.answer(self.inner.crc32(name).await?)
    }

    fn local_file(&self, name: &ObjectName) -> Option<Result<File, ObjectError>> {
        self.inner.local_file(name)
    }

    fn locks(&self) -> Option<&dyn super::ObjectLocks> {
        self.inner.locks()
    }
}
