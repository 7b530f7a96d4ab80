//! Putting: in one request, or in parts, from memory that is bounded for all puts together.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream};
use http::Method;
use md5::{Digest, Md5};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    S3Objects,
    client::Request,
    options::{CustomerKey, ServerEncryption},
    retry::Trouble,
    xml,
};
use crate::{
    hexadecimal::hexadecimal,
    objects::{Body, ObjectError, ObjectName},
    source::ReadAt,
};

/// Parts of one object under way at the same time, memory permitting.
const PARTS_AT_ONCE: usize = 4;
/// Memory is counted in units of this many bytes.
pub(super) const MEMORY_UNIT: u64 = 64 << 10;

/// Bytes on their way up.
#[derive(Clone)]
pub(super) struct Payload {
    pub(super) bytes: Bytes,
    md5: [u8; 16],
    /// The memory is given back when all that was made of it is gone.
    _memory: Option<Arc<OwnedSemaphorePermit>>,
}

/// What a whole object must be found as.
#[derive(Clone, Copy)]
struct Expected {
    length: u64,
    crc32: u32,
}

impl Payload {
    pub(super) fn new(bytes: Bytes) -> Self {
        Self {
            md5: Md5::digest(&bytes).into(),
            bytes,
            _memory: None,
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub(super) fn md5_base64(&self) -> String {
        BASE64.encode(self.md5)
    }
}

impl S3Objects {
    pub(super) async fn put_body(&self, name: &ObjectName, body: Body) -> Result<(), ObjectError> {
        let part_bytes = self.options.part_bytes_for(body.len());
        if body.len() <= part_bytes {
            self.put_at_once(name, body).await
        } else {
            self.put_in_parts(name, body, part_bytes).await
        }
    }

    async fn put_at_once(&self, name: &ObjectName, body: Body) -> Result<(), ObjectError> {
        let length = body.len();
        let (payload, crc32) = self.gather(body, 0, length).await?;
        let md5 = payload.md5;
        let request = self
            .describe(name, Request::new(Method::PUT, self.key(name)))
            .body(payload);
        let answer = self.call(name, &request).await?;
        // The store checked the MD5 that it was sent, and tells the one of what it took; where it does not, as when it
        // encrypts, what it has is read back.
        let etag = answer.header("etag").unwrap_or_default().trim_matches('"');
        if etag.eq_ignore_ascii_case(&hexadecimal(&md5)) || self.has(name, Expected { length, crc32 }).await? {
            return Ok(());
        }
        Err(ObjectError::Remote(format!(
            "the store has {name} otherwise than it was sent"
        )))
    }

    async fn has(&self, name: &ObjectName, expected: Expected) -> Result<bool, ObjectError> {
        Ok(self.length_of(name).await? == Some(expected.length)
            && (expected.length == 0 || self.crc32_of(name).await? == expected.crc32))
    }

    async fn put_in_parts(&self, name: &ObjectName, body: Body, part_bytes: u64) -> Result<(), ObjectError> {
        let request = self
            .describe(name, Request::new(Method::POST, self.key(name)))
            .query("uploads", "");
        let answer = self.call(name, &request).await?;
        let upload = xml::text_of(&answer.body, "UploadId")
            .filter(|upload| !upload.is_empty())
            .ok_or_else(|| ObjectError::Remote("the store names no upload to send parts to".into()))?;
        let mut guard = Unfinished {
            objects: self.clone(),
            key: self.key(name),
            upload: upload.clone(),
            is_done: false,
        };
        let put = self.send_parts(name, body, part_bytes, &upload).await;
        if put.is_err() {
            guard.abort().await;
        }
        guard.is_done = true;
        put
    }

    async fn send_parts(
        &self,
        name: &ObjectName,
        body: Body,
        part_bytes: u64,
        upload: &str,
    ) -> Result<(), ObjectError> {
        let length = body.len();
        let parts = (1..).zip((0..length.div_ceil(part_bytes)).map(|part| part * part_bytes));
        let sent: Vec<(String, u32, u64)> = stream::iter(parts)
            .map(|(number, from)| {
                let body = body.clone();
                async move {
                    let part_length = part_bytes.min(length - from);
                    let (payload, crc32) = self.gather(body, from, part_length).await?;
                    let request = customer_headers(Request::new(Method::PUT, self.key(name)), self.customer_key())
                        .query("partNumber", u32::to_string(&number))
                        .query("uploadId", upload)
                        .body(payload);
                    let answer = self.call(name, &request).await?;
                    let etag = answer.header("etag").unwrap_or_default().to_owned();
                    Ok::<_, ObjectError>((etag, crc32, part_length))
                }
            })
            .buffered(PARTS_AT_ONCE)
            .try_collect()
            .await?;
        let mut whole = crc32fast::Hasher::new();
        let mut etags = Vec::with_capacity(sent.len());
        for (etag, crc32, length) in sent {
            whole.combine(&crc32fast::Hasher::new_with_initial_len(crc32, length));
            etags.push(etag);
        }
        let expected = Expected {
            length,
            crc32: whole.finalize(),
        };
        self.complete(name, upload, &etags, expected).await
    }

    /// An upload that is not there any more was completed by an earlier attempt whose answer was lost, if the object is there.
    async fn complete(
        &self,
        name: &ObjectName,
        upload: &str,
        etags: &[String],
        expected: Expected,
    ) -> Result<(), ObjectError> {
        let key = self.key(name);
        let tried_before = AtomicBool::new(false);
        let completed = self
            .retry(&format!("completing {name}"), || {
                let again = tried_before.swap(true, Ordering::Relaxed);
                let attempt = self.client.complete(&key, upload, etags);
                async move {
                    match attempt.await {
                        Err(Trouble::Refused { code, .. }) if again && code == "NoSuchUpload" => Ok(true),
                        other => other.map(|()| false),
                    }
                }
            })
            .await
            .map_err(|trouble| trouble.into_error(name))?;
        let is_there = if completed {
            self.has(name, expected).await?
        } else {
            self.length_of(name).await? == Some(expected.length)
        };
        if is_there {
            Ok(())
        } else {
            Err(ObjectError::Remote(format!(
                "the store has {name} otherwise than it was sent"
            )))
        }
    }

    /// Reads a part of a body into memory, when there is memory for it.
    async fn gather(&self, body: Body, from: u64, length: u64) -> Result<(Payload, u32), ObjectError> {
        let units = length.div_ceil(MEMORY_UNIT).min(self.memory_units);
        let memory = Arc::clone(&self.memory)
            .acquire_many_owned(u32::try_from(units).unwrap_or(u32::MAX))
            .await
            .map_err(|_| ObjectError::Remote("the store is closing".into()))?;
        let read = tokio::task::spawn_blocking(move || {
            let bytes = read(&body, from, length)?;
            let crc32 = crc32fast::hash(&bytes);
            let mut payload = Payload::new(bytes);
            payload._memory = Some(Arc::new(memory));
            Ok::<_, std::io::Error>((payload, crc32))
        });
        Ok(read.await.map_err(std::io::Error::other)??)
    }

    /// What is said of an object as it is put.
    fn describe(&self, name: &ObjectName, request: Request) -> Request {
        let mut request = match &self.options.encryption {
            ServerEncryption::Bucket => request,
            ServerEncryption::S3 => request.header("x-amz-server-side-encryption", "AES256"),
            ServerEncryption::Kms(key) => {
                let request = request.header("x-amz-server-side-encryption", "aws:kms");
                match key {
                    Some(key) => request.header("x-amz-server-side-encryption-aws-kms-key-id", key),
                    None => request,
                }
            }
            ServerEncryption::Customer(key) => customer_headers(request, Some(key)),
        };
        // Headers beside packs are read for every query, and can be made anew: neither cold nor locked.
        let is_pack = std::path::Path::new(name.as_str())
            .extension()
            .is_some_and(|extension| extension == "tar");
        if is_pack && !self.options.storage_class.is_empty() {
            request = request.header("x-amz-storage-class", &self.options.storage_class);
        }
        if let Some(retention) = self.options.retention.filter(|_| is_pack) {
            let until = time::OffsetDateTime::now_utc() + retention.period;
            if let Ok(until) = super::lock::date(until) {
                request = request
                    .header("x-amz-object-lock-mode", retention.mode.as_str())
                    .header("x-amz-object-lock-retain-until-date", &until);
            }
        }
        request
    }

    pub(super) fn customer_key(&self) -> Option<&CustomerKey> {
        match &self.options.encryption {
            ServerEncryption::Customer(key) => Some(key),
            _ => None,
        }
    }
}

/// The key goes along with every request for an object that is encrypted with it.
pub(super) fn customer_headers(request: Request, key: Option<&CustomerKey>) -> Request {
    let Some(key) = key else { return request };
    request
        .header("x-amz-server-side-encryption-customer-algorithm", "AES256")
        .header("x-amz-server-side-encryption-customer-key", key.base64.expose())
        .header("x-amz-server-side-encryption-customer-key-md5", &key.md5)
}

/// Reads `length` bytes of a body from `from` on. Blocks.
fn read(body: &Body, from: u64, length: u64) -> std::io::Result<Bytes> {
    let mut bytes = BytesMut::with_capacity(usize::try_from(length).unwrap_or(0));
    let (mut start, mut wanted) = (0, length);
    let mut from = from;
    for piece in body.pieces() {
        let end = start + piece.len();
        if wanted > 0 && from < end {
            let there = (end - from).min(wanted);
            append(&mut bytes, piece.as_ref(), from - start, there)?;
            from += there;
            wanted -= there;
        }
        start = end;
    }
    if wanted > 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes.freeze())
}

fn append(bytes: &mut BytesMut, piece: &dyn ReadAt, mut from: u64, mut length: u64) -> std::io::Result<()> {
    while length > 0 {
        let read = piece.read_at(from, usize::try_from(length).unwrap_or(usize::MAX))?;
        if read.is_empty() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&read);
        from += read.len() as u64;
        length = length.saturating_sub(read.len() as u64);
    }
    Ok(())
}

/// An upload whose parts lie in the store, unseen and paid for, until it is completed or aborted.
struct Unfinished {
    objects: S3Objects,
    key: String,
    upload: String,
    is_done: bool,
}

impl Unfinished {
    async fn abort(&self) {
        let aborted = self
            .objects
            .retry("aborting an upload", || {
                self.objects.client.abort(&self.key, &self.upload)
            })
            .await;
        match aborted {
            Ok(()) | Err(Trouble::Missing) => {}
            Err(Trouble::Refused { code, .. }) if code == "NoSuchUpload" => {}
            Err(trouble) => tracing::warn!(
                key = self.key,
                "an upload was given up and its parts could not be removed: {}; a rule of the bucket's lifecycle can",
                trouble.why()
            ),
        }
    }
}

impl Drop for Unfinished {
    /// The put was dropped in the middle.
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let unfinished = Self {
                objects: self.objects.clone(),
                key: std::mem::take(&mut self.key),
                upload: std::mem::take(&mut self.upload),
                is_done: true,
            };
            runtime.spawn(async move { unfinished.abort().await });
        }
    }
}
