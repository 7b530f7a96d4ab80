//! The one place, beside `credentials.rs`, that names the `s3` crate: signing, and the calls that the crate has whole. Requests with
//! headers of ours (checksums, encryption, storage class, locks) are signed by it in their address and sent from here.

use std::time::Duration;

use ::s3::{AddressingStyle, AsyncTlsRootStore, Auth};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{CONTENT_LENGTH, RETRY_AFTER},
};
use reqx::prelude::{RedirectPolicy, RetryPolicy, TlsRootStore};
use time::OffsetDateTime;

use super::{
    credentials::auth,
    options::{Addressing, S3Options},
    put::Payload,
    retry::Trouble,
    xml,
};

/// A signature is good for this long: as long as servers bear clocks to differ.
const SIGNED_FOR: Duration = Duration::from_secs(900);
/// Answers that are no objects are at most this long.
const ANSWER_MAX_BYTES: usize = 1 << 20;
/// A link slower than this is as good as broken.
const BYTES_A_SECOND_MIN: u64 = 256 << 10;
/// Connections kept open.
const IDLE_CONNECTIONS: usize = 32;
/// Shorter than the 60 s and more after which servers close what is idle.
const IDLE_FOR: Duration = Duration::from_secs(20);
/// Longer than any limit here: ours are set around each attempt.
const NO_LIMIT: Duration = Duration::from_secs(24 * 3600);

pub(super) struct Client {
    s3: ::s3::Client,
    http: reqx::Client,
    auth: Auth,
    bucket: String,
    request_timeout: Duration,
}

/// A request that may be sent more than once.
pub(super) struct Request {
    method: Method,
    key: String,
    query: Vec<(&'static str, String)>,
    headers: HeaderMap,
    body: Option<Payload>,
    answer_max: usize,
}

/// A successful answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Request {
    pub(super) fn new(method: Method, key: String) -> Self {
        Self {
            method,
            key,
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: None,
            answer_max: ANSWER_MAX_BYTES,
        }
    }

    pub(super) fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// Adds a header, which is signed. One that cannot be written is left out: the server then refuses what lacks it.
    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }

    /// Sends bytes, with their MD5, which the server checks.
    pub(super) fn body(self, payload: Payload) -> Self {
        let mut request = self.header("content-md5", &payload.md5_base64());
        request.body = Some(payload);
        request
    }

    pub(super) fn answer_max(mut self, bytes: usize) -> Self {
        self.answer_max = bytes.max(ANSWER_MAX_BYTES);
        self
    }
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Client {
    /// Finds the credentials.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub(super) async fn new(options: &S3Options) -> Result<Self, String> {
        let region = options.region()?;
        let endpoint = match options.endpoint.as_str() {
            "" => format!("https://s3.{region}.amazonaws.com"),
            endpoint => endpoint.to_owned(),
        };
        let auth = auth(&options.credentials).await?;
        let wrong = |error: ::s3::Error| format!("the S3 store {endpoint} cannot be used: {error}");
        let s3 = ::s3::Client::builder(&endpoint)
            .map_err(wrong)?
            .region(region)
            .auth(auth.clone())
            .addressing_style(match options.addressing {
                Addressing::Auto => AddressingStyle::Auto,
                Addressing::Path => AddressingStyle::Path,
                Addressing::VirtualHost => AddressingStyle::VirtualHosted,
            })
            .timeout(options.request_timeout)
            .max_attempts(1)
            // With the certificates of the system, hospitals run authorities of their own.
            .tls_root_store(AsyncTlsRootStore::System)
            .build()
            .map_err(wrong)?;
        let http = reqx::Client::builder("http://localhost")
            .retry_policy(RetryPolicy::disabled())
            .redirect_policy(RedirectPolicy::none())
            .auto_accept_encoding(false)
            .connect_timeout(options.connect_timeout)
            .request_timeout(NO_LIMIT)
            .pool_idle_timeout(IDLE_FOR)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .tls_root_store(TlsRootStore::System)
            .client_name("filmroom")
            .build()
            .map_err(|error| format!("no client for S3 can be made: {error}"))?;
        Ok(Self {
            s3,
            http,
            auth,
            bucket: options.bucket.clone(),
            request_timeout: options.request_timeout,
        })
    }

    /// One attempt.
    pub(super) async fn send(&self, request: &Request) -> Result<Answer, Trouble> {
        let bytes = request.body.as_ref().map_or(0, Payload::len) + request.answer_max as u64;
        let limit = self.request_timeout + Duration::from_secs(bytes / BYTES_A_SECOND_MIN);
        match tokio::time::timeout(limit, self.send_unbounded(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(Trouble::passing(format!("no answer came within {} s", limit.as_secs()))),
        }
    }

    async fn send_unbounded(&self, request: &Request) -> Result<Answer, Trouble> {
        let mut presign = self
            .s3
            .objects()
            .presign(request.method.clone(), &self.bucket, &request.key)
            .expires_in(self.signed_for().await?);
        for (name, value) in &request.query {
            presign = presign.query_param(*name, value);
        }
        for (name, value) in &request.headers {
            presign = presign.header(name.clone(), value.clone());
        }
        let signed = presign.build_async().await.map_err(of_crate)?;
        let mut http = self.http.request(signed.method, signed.url.as_str());
        for (name, value) in &request.headers {
            http = http.header(name.clone(), value.clone());
        }
        match &request.body {
            Some(payload) if !payload.bytes.is_empty() => http = http.body(payload.bytes.clone()),
            // Some servers insist on the length, also of nothing.
            _ if request.method == Method::PUT || request.method == Method::POST => {
                http = http.header(CONTENT_LENGTH, HeaderValue::from_static("0"));
            }
            _ => {}
        }
        let answer = http.send_response_stream().await.map_err(of_transport)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        if request.method == Method::HEAD {
            return accepted(status, headers, Bytes::new());
        }
        let max = if status.is_success() {
            request.answer_max
        } else {
            ANSWER_MAX_BYTES
        };
        let body = answer.into_bytes_limited(max).await.map_err(of_transport)?;
        accepted(status, headers, body)
    }

    /// Credentials that end before the signature would are refused by the crate.
    async fn signed_for(&self) -> Result<Duration, Trouble> {
        let Auth::Provider(provider) = &self.auth else {
            return Ok(SIGNED_FOR);
        };
        let snapshot = provider.credentials_async().await.map_err(of_crate)?;
        let Some(end) = snapshot.expires_at() else {
            return Ok(SIGNED_FOR);
        };
        let left = (end - OffsetDateTime::now_utc()).whole_seconds() - 5;
        Ok(Duration::from_secs(u64::try_from(left).unwrap_or(1).max(1)).min(SIGNED_FOR))
    }

    pub(super) async fn head_bucket(&self) -> Result<(), Trouble> {
        let head = self.s3.buckets().head(&self.bucket).send();
        head.await.map(drop).map_err(of_crate)
    }

    /// One page: keys and lengths, and the token of the next one.
    pub(super) async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        token: Option<&str>,
        keys_max: u32,
    ) -> Result<(Vec<(String, u64)>, Option<String>), Trouble> {
        let mut list = self
            .s3
            .objects()
            .list_v2(&self.bucket)
            .prefix(prefix)
            .max_keys(keys_max);
        match (token, after) {
            (Some(token), _) => list = list.continuation_token(token),
            (None, Some(after)) => list = list.start_after(after),
            (None, None) => {}
        }
        let page = list.send().await.map_err(of_crate)?;
        let found = page.contents.into_iter().map(|object| (object.key, object.size));
        let next = page.next_continuation_token.filter(|_| page.is_truncated);
        Ok((found.collect(), next))
    }

    pub(super) async fn delete(&self, key: &str) -> Result<(), Trouble> {
        let delete = self.s3.objects().delete(&self.bucket, key).send();
        delete.await.map(drop).map_err(of_crate)
    }

    pub(super) async fn complete(&self, key: &str, upload: &str, etags: &[String]) -> Result<(), Trouble> {
        let mut complete = self.s3.objects().complete_multipart_upload(&self.bucket, key, upload);
        for (number, etag) in (1..).zip(etags) {
            complete = complete.part(number, etag);
        }
        complete.send().await.map(drop).map_err(of_crate)
    }

    pub(super) async fn abort(&self, key: &str, upload: &str) -> Result<(), Trouble> {
        let abort = self.s3.objects().abort_multipart_upload(&self.bucket, key, upload);
        abort.send().await.map(drop).map_err(of_crate)
    }
}

/// Some servers report a failure in the body of a success.
fn accepted(status: StatusCode, headers: HeaderMap, body: Bytes) -> Result<Answer, Trouble> {
    if status.is_success() {
        return Ok(Answer { status, headers, body });
    }
    let pause = headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    let code = xml::text_of(&body, "Code").unwrap_or_default();
    let message = xml::text_of(&body, "Message").unwrap_or_default();
    Err(Trouble::of_answer(status, &code, &message, pause))
}

fn of_transport(error: reqx::Error) -> Trouble {
    // Not the whole error: it may name the address, and that carries the signature.
    Trouble::passing(format!("the connection failed: {}", innermost(&error)))
}

fn of_crate(error: ::s3::Error) -> Trouble {
    match &error {
        ::s3::Error::Transport { .. } => Trouble::passing(format!("the connection failed: {}", innermost(&error))),
        ::s3::Error::Decode { message, .. } => Trouble::passing(format!("its answer cannot be read: {message}")),
        ::s3::Error::RateLimited {
            status, retry_after, ..
        } => Trouble::of_answer(
            *status,
            error.code().unwrap_or("SlowDown"),
            error.message().unwrap_or_default(),
            *retry_after,
        ),
        _ => match error.status() {
            Some(status) => Trouble::of_answer(
                status,
                error.code().unwrap_or_default(),
                error.message().unwrap_or_default(),
                None,
            ),
            None => Trouble::refused(error.to_string()),
        },
    }
}

/// The cause at the bottom, in its words: `Connection refused`.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error.source();
    let mut last = None;
    while let Some(error) = cause {
        last = Some(error);
        cause = error.source();
    }
    last.map_or_else(|| "no answer".to_owned(), ToString::to_string)
}
