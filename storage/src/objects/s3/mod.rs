//! Objects in a bucket of an S3 store.
//!
//! What is relied on: a put is whole or not there, is durable once it is answered, and is seen by the next request; lists
//! follow the bytes of the names. Conditional puts are not relied on: some stores ignore the condition. No redirect is
//! followed: it would take our signature elsewhere.

mod client;
mod credentials;
mod instance;
mod lock;
mod options;
mod put;
mod retry;
#[cfg(test)]
pub(crate) mod tests;
mod versions;
pub(crate) mod xml;

pub use self::{
    lock::{LegalHold, LockMode, ObjectLocks, Retention},
    options::{Addressing, CredentialSource, CustomerKey, PutRetention, S3Options, Secret, ServerEncryption},
};

use std::{fmt, ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{Method, StatusCode};
use tokio::sync::Semaphore;

use self::{
    client::{Answer, Client, Request},
    put::{MEMORY_UNIT, customer_headers},
    retry::Trouble,
};
use super::{Body, Kept, ObjectError, ObjectName, ObjectStore};

/// Keys of one page of a list: the most that servers give.
const PAGE_KEYS: usize = if cfg!(test) { 20 } else { 1000 };
/// Reading a whole object back goes in pieces of this length, so many at a time.
const PIECE_BYTES: u64 = 4 << 20;
const PIECES_AT_ONCE: usize = 4;

/// Objects in a bucket. Cheap to clone.
#[derive(Clone)]
pub struct S3Objects {
    client: Arc<Client>,
    options: Arc<S3Options>,
    /// Empty, or with a slash at the end.
    prefix: Arc<str>,
    memory: Arc<Semaphore>,
    memory_units: u64,
}

impl fmt::Debug for S3Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Objects").field("options", &self.options).finish()
    }
}

impl S3Objects {
    /// Finds the credentials and looks whether the bucket can be reached.
    ///
    /// # Errors
    /// [`ObjectError::Remote`]: a sentence that says what to do.
    pub async fn open(options: S3Options) -> Result<Self, ObjectError> {
        options.check().map_err(ObjectError::Remote)?;
        let client = Client::new(&options).await.map_err(ObjectError::Remote)?;
        let prefix = match options.prefix.trim_matches('/') {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        let memory_units = options
            .upload_memory_bytes
            .max(2 * options.part_bytes)
            .div_ceil(MEMORY_UNIT);
        let objects = Self {
            client: Arc::new(client),
            prefix: prefix.into(),
            memory: Arc::new(Semaphore::new(
                usize::try_from(memory_units).unwrap_or(Semaphore::MAX_PERMITS),
            )),
            memory_units,
            options: Arc::new(options),
        };
        objects.reach_bucket().await?;
        Ok(objects)
    }

    async fn reach_bucket(&self) -> Result<(), ObjectError> {
        let reached = self.retry("reaching the bucket", || self.client.head_bucket()).await;
        reached.map_err(|trouble| {
            let S3Options { endpoint, bucket, .. } = &*self.options;
            let place = if endpoint.is_empty() { "Amazon S3" } else { endpoint };
            let why = match trouble {
                Trouble::Missing => "there is no such bucket: make it, or correct objects.s3.bucket".to_owned(),
                other => other.why(),
            };
            ObjectError::Remote(format!("the bucket {bucket} at {place} cannot be used: {why}"))
        })
    }

    fn key(&self, name: &ObjectName) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Attempts until one succeeds, or another cannot help.
    async fn retry<T, F: Future<Output = Result<T, Trouble>>>(
        &self,
        what: &str,
        attempt: impl Fn() -> F,
    ) -> Result<T, Trouble> {
        let mut number = 1;
        loop {
            let trouble = match attempt().await {
                Ok(answer) => return Ok(answer),
                Err(trouble) => trouble,
            };
            number += 1;
            let Some(pause) = trouble.pause(number).filter(|_| number <= self.options.attempts_max) else {
                return Err(trouble);
            };
            tracing::debug!(what, attempt = number, pause = ?pause, "S3 is tried again: {}", trouble.why());
            tokio::time::sleep(pause).await;
        }
    }

    async fn call(&self, name: &ObjectName, request: &Request) -> Result<Answer, ObjectError> {
        let answer = self.retry(name.as_str(), || self.client.send(request)).await;
        answer.map_err(|trouble| trouble.into_error(name))
    }

    async fn head_of(&self, name: &ObjectName) -> Result<Answer, ObjectError> {
        let request = customer_headers(Request::new(Method::HEAD, self.key(name)), self.customer_key());
        self.call(name, &request).await
    }

    async fn length_of(&self, name: &ObjectName) -> Result<Option<u64>, ObjectError> {
        match self.head_of(name).await {
            Ok(answer) => {
                let length = answer.header("content-length").and_then(|length| length.parse().ok());
                let length =
                    length.ok_or_else(|| ObjectError::Remote(format!("the store tells no length of {name}")))?;
                Ok(Some(length))
            }
            Err(ObjectError::Missing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn range_of(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, ObjectError> {
        let wanted = range.end.saturating_sub(range.start);
        if wanted == 0 {
            // An empty range cannot be asked for; whether there is an object still matters.
            let length = self.length_of(name).await?;
            return length
                .map(|_| Bytes::new())
                .ok_or_else(|| ObjectError::Missing(name.clone()));
        }
        let request = customer_headers(Request::new(Method::GET, self.key(name)), self.customer_key())
            .header("range", &format!("bytes={}-{}", range.start, range.end - 1))
            .answer_max(usize::try_from(wanted).unwrap_or(usize::MAX));
        let answer = self
            .retry(name.as_str(), || async {
                match self.client.send(&request).await {
                    Ok(answer) => cut(answer, &range).map(Some),
                    Err(Trouble::Refused { code, .. }) if code == "InvalidRange" => Ok(None),
                    Err(trouble) => Err(trouble),
                }
            })
            .await;
        // Behind the end there are no bytes.
        answer
            .map(Option::unwrap_or_default)
            .map_err(|trouble| trouble.into_error(name))
    }

    async fn crc32_of(&self, name: &ObjectName) -> Result<u32, ObjectError> {
        let length = self
            .length_of(name)
            .await?
            .ok_or_else(|| ObjectError::Missing(name.clone()))?;
        let pieces = (0..length.div_ceil(PIECE_BYTES)).map(|piece| piece * PIECE_BYTES);
        let pieces = stream::iter(pieces).map(|from| self.range_of(name, from..length.min(from + PIECE_BYTES)));
        let hasher =
            pieces
                .buffered(PIECES_AT_ONCE)
                .try_fold(crc32fast::Hasher::new(), |mut hasher, piece| async move {
                    hasher.update(&piece);
                    Ok(hasher)
                });
        Ok(hasher.await?.finalize())
    }
}

/// The bytes that were asked for; what else the server may have sent is no success.
fn cut(answer: Answer, range: &Range<u64>) -> Result<Bytes, Trouble> {
    let length = answer.body.len() as u64;
    if answer.status != StatusCode::PARTIAL_CONTENT {
        // The whole object: a short one is no loss, a long one was cut off by the limit of an answer.
        let (from, to) = (range.start.min(length), range.end.min(length));
        let (Ok(from), Ok(to)) = (usize::try_from(from), usize::try_from(to)) else {
            return Err(Trouble::refused("the store ignores ranges"));
        };
        return Ok(answer.body.slice(from..to));
    }
    // bytes 0-4/1000
    let told = answer
        .header("content-range")
        .and_then(|told| told.strip_prefix("bytes "));
    let told = told.and_then(|told| told.split_once('/'));
    let Some((told, total)) = told else {
        return Err(Trouble::passing("it sent a part and did not say which"));
    };
    let end = total.parse().map_or(range.end, |total: u64| range.end.min(total));
    if told == format!("{}-{}", range.start, end.saturating_sub(1)) && length == end - range.start {
        Ok(answer.body)
    } else {
        Err(Trouble::passing(format!(
            "it sent bytes {told} ({length} of them) for {}-{}",
            range.start,
            range.end - 1
        )))
    }
}

#[async_trait]
impl ObjectStore for S3Objects {
    async fn put(&self, name: &ObjectName, body: Body) -> Result<(), ObjectError> {
        self.put_body(name, body).await
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, ObjectError> {
        self.range_of(name, range).await
    }

    async fn head(&self, name: &ObjectName) -> Result<Option<u64>, ObjectError> {
        self.length_of(name).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Vec<(ObjectName, u64)>, ObjectError> {
        let prefix = format!("{}{prefix}", self.prefix);
        let after = after.map(|after| self.key(after));
        let (mut found, mut token) = (Vec::new(), None::<String>);
        while found.len() < limit {
            let keys_max = u32::try_from((limit - found.len()).min(PAGE_KEYS)).unwrap_or(1);
            let page = self
                .retry("listing", || {
                    self.client.list(&prefix, after.as_deref(), token.as_deref(), keys_max)
                })
                .await;
            let (page, next) = page.map_err(|trouble| match trouble {
                Trouble::Full(why) => ObjectError::Full(why),
                other => ObjectError::Remote(other.why()),
            })?;
            for (key, length) in page {
                // Others may keep things in the bucket too.
                let name = key.strip_prefix(&*self.prefix).and_then(ObjectName::new);
                found.extend(name.map(|name| (name, length)));
            }
            match next {
                Some(next) => token = Some(next),
                None => break,
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), ObjectError> {
        let key = self.key(name);
        match self.retry("deleting", || self.client.delete(&key)).await {
            Ok(()) | Err(Trouble::Missing) => Ok(()),
            Err(trouble) => Err(trouble.into_error(name)),
        }
    }

    async fn crc32(&self, name: &ObjectName) -> Result<u32, ObjectError> {
        self.crc32_of(name).await
    }

    async fn purge(&self, prefix: &str) -> Result<Vec<Kept>, ObjectError> {
        self.purge_hidden(prefix).await
    }

    fn locks(&self) -> Option<&dyn ObjectLocks> {
        Some(self)
    }
}
