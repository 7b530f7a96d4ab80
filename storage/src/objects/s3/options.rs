//! Where an S3 store is, who we are to it, and what is asked of it.

use std::{fmt, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use md5::{Digest, Md5};

use super::lock::LockMode;

/// A text that is never shown: neither by `Debug` nor in an error.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a text into custody.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// How the bucket stands in the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Addressing {
    /// In the path for addresses of numbers, `localhost` and buckets that are no host names, else in the host.
    #[default]
    Auto,
    /// In the path: most stores but Amazon's.
    Path,
    /// In the name of the host.
    VirtualHost,
}

/// Who we are to the store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum CredentialSource {
    /// The first that is there: environment, web identity, container, shared credentials file, instance profile.
    #[default]
    Auto,
    /// These.
    Keys {
        /// Access key ID.
        access_key_id: String,
        /// Secret access key.
        secret_access_key: Secret,
    },
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, where it is set, `AWS_SESSION_TOKEN`.
    Environment,
    /// A profile of the shared credentials file; without a name `AWS_PROFILE`, else `default`.
    Profile(Option<String>),
    /// The metadata service of the container or instance (IMDSv2).
    Instance,
    /// A token file of a web identity (`AWS_WEB_IDENTITY_TOKEN_FILE`, `AWS_ROLE_ARN`).
    WebIdentity,
}

/// How the store encrypts what it writes to its disks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ServerEncryption {
    /// As the bucket says.
    #[default]
    Bucket,
    /// SSE-S3: with a key of the store's (AES-256).
    S3,
    /// SSE-KMS: with a key of its key service; the bucket's default key without a name.
    Kms(Option<String>),
    /// SSE-C: with a key of ours, which goes along with every request.
    Customer(CustomerKey),
}

/// A key of 256 bits that we keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerKey {
    pub(super) base64: Secret,
    pub(super) md5: String,
}

impl CustomerKey {
    /// Reads a key of 32 bytes in Base64.
    #[must_use]
    pub fn new(base64: &str) -> Option<Self> {
        let bytes = BASE64.decode(base64.trim()).ok().filter(|bytes| bytes.len() == 32)?;
        Some(Self {
            base64: Secret::new(BASE64.encode(&bytes)),
            md5: BASE64.encode(Md5::digest(&bytes)),
        })
    }
}

/// Packs are locked for this long as they are put (Object Lock).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PutRetention {
    /// Who may shorten it.
    pub mode: LockMode,
    /// From the put on.
    pub period: Duration,
}

/// All that is said about an S3 store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Options {
    /// `https://s3.example.org`; empty: Amazon's for the region.
    pub endpoint: String,
    /// The region; empty: as the environment says (`AWS_REGION`, `AWS_DEFAULT_REGION`), else `us-east-1` at an endpoint.
    pub region: String,
    /// The bucket; it must exist.
    pub bucket: String,
    /// Names of all our objects in the bucket begin with this, `/` added at its end. May be empty.
    pub prefix: String,
    /// How the bucket stands in the address.
    pub addressing: Addressing,
    /// Who we are to the store.
    pub credentials: CredentialSource,
    /// How the store encrypts.
    pub encryption: ServerEncryption,
    /// Storage class of packs; empty: as the bucket says. Headers and journal are read often and stay in the default class.
    pub storage_class: String,
    /// Packs are locked as they are put.
    pub retention: Option<PutRetention>,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for one answer, beside what its bytes take at 256 KiB a second.
    pub request_timeout: Duration,
    /// A request is tried so often.
    pub attempts_max: u32,
    /// An object longer than this goes up in parts of this length: 5 MiB at least.
    pub part_bytes: u64,
    /// Memory for what is on its way up, all puts together; two parts at least.
    pub upload_memory_bytes: u64,
}

impl S3Options {
    /// The defaults for a bucket.
    #[must_use]
    pub fn new(endpoint: impl Into<String>, bucket: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            region: String::new(),
            bucket: bucket.into(),
            prefix: String::new(),
            addressing: Addressing::Auto,
            credentials: CredentialSource::Auto,
            encryption: ServerEncryption::Bucket,
            storage_class: String::new(),
            retention: None,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            attempts_max: 6,
            part_bytes: 16 << 20,
            upload_memory_bytes: 64 << 20,
        }
    }

    /// What is wrong, as a sentence that says what to do.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.bucket.is_empty() {
            return Err("no bucket is named: set objects.s3.bucket".into());
        }
        let prefix = self.prefix.trim_end_matches('/');
        if !prefix.is_empty() && super::ObjectName::new(prefix).is_none() {
            return Err(format!(
                "\"{prefix}\" cannot stand before the names of objects: parts of A-Z a-z 0-9 . _ - joined by /, none \
                 beginning with a dot"
            ));
        }
        if ["GLACIER", "DEEP_ARCHIVE"].contains(&self.storage_class.as_str()) {
            return Err(format!(
                "objects of the storage class {} cannot be read at once; take GLACIER_IR, or leave it to another archive",
                self.storage_class
            ));
        }
        let is_plain = self.endpoint.starts_with("http://");
        if is_plain && matches!(self.encryption, ServerEncryption::Customer(_)) && !self.is_on_this_machine() {
            return Err("a key of ours would be sent unencrypted to an endpoint without TLS; take https://".into());
        }
        Ok(())
    }

    fn is_on_this_machine(&self) -> bool {
        let host = self.endpoint.split("//").nth(1).unwrap_or_default();
        ["127.", "localhost", "[::1]"].iter().any(|own| host.starts_with(own))
    }

    /// The part length for an object: at most 10,000 parts are allowed.
    pub(super) fn part_bytes_for(&self, length: u64) -> u64 {
        self.part_bytes.max(5 << 20).max(length.div_ceil(9_999))
    }

    pub(super) fn region(&self) -> Result<String, String> {
        if !self.region.is_empty() {
            return Ok(self.region.clone());
        }
        let of_environment = ["AWS_REGION", "AWS_DEFAULT_REGION"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok().filter(|region| !region.is_empty()));
        match of_environment {
            Some(region) => Ok(region),
            None if self.endpoint.is_empty() => {
                Err("no region is named: set objects.s3.region, or objects.s3.endpoint for another store".into())
            }
            None => Ok("us-east-1".into()),
        }
    }
}
