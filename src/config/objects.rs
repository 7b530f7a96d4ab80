//! Where settled instances lie: settings of the object stores.

use std::time::Duration;

use filmroom_storage::{
    objects::{
        Addressing, CredentialSource, CustomerKey, LockMode, PutRetention, S3Options, Secret as Kept, ServerEncryption,
    },
    store::{Acknowledge, ObjectsEngine},
};

use super::{
    Config,
    section::section,
    value::{Secret, Size, words},
};

words! {
    /// Which store holds objects.
    ObjectsAt "local or s3" {
        /// Files of the data folder.
        Local "local",
        /// A bucket of an S3 store.
        S3 "s3",
    }
}

words! {
    /// When a sender is told success.
    AcknowledgeAt "intake or object-store" {
        /// Once the log is synced.
        Intake "intake",
        /// Once the object store has it.
        ObjectStore "object-store",
    }
}

words! {
    /// How the bucket stands in the address.
    PathStyle "auto, true or false" {
        /// As the address needs it.
        Auto "auto",
        /// In the path.
        Yes "true" | "yes" | "on",
        /// In the host.
        No "false" | "no" | "off",
    }
}

words! {
    /// Where the credentials come from.
    CredentialsFrom "auto, keys, environment, profile, instance or web-identity" {
        /// The first that is there.
        Auto "auto",
        /// These settings.
        Keys "keys",
        /// `AWS_ACCESS_KEY_ID` and others.
        Environment "environment",
        /// The shared credentials file.
        Profile "profile",
        /// The metadata service of the container or instance.
        Instance "instance",
        /// A token file.
        WebIdentity "web-identity",
    }
}

words! {
    /// How the store encrypts.
    EncryptedBy "none, s3, kms or customer" {
        /// As the bucket says.
        None "none",
        /// SSE-S3.
        S3 "s3" | "AES256",
        /// SSE-KMS.
        Kms "kms" | "aws:kms",
        /// SSE-C.
        Customer "customer",
    }
}

words! {
    /// Whether packs are locked as they are put.
    LockedAs "none, governance or compliance" {
        /// Not.
        None "none",
        /// A privilege unlocks.
        Governance "governance",
        /// Nobody unlocks.
        Compliance "compliance",
    }
}

fn s3_defaults() -> S3Options {
    S3Options::new("", "")
}

fn empty() -> Secret {
    Secret::default()
}

section! {
    /// Where settled instances lie.
    Objects "objects" {
        engine: ObjectsAt = ObjectsAt::Local,
            unit "",
            about "Where settled instances lie: in the data folder, or in a bucket of an S3 store.",
            why "One machine needs nothing else.";
        cache_max: Size = Size(filmroom_storage::store::StoreOptions::new("").cache_bytes), range Size(0) => Size::mib(1 << 20),
            unit "bytes",
            about "Room on the local disk for what was read from S3; 0: none is kept.",
            why "A day's work of a department is read again and again; about 0.5 MB of memory a GiB.";
    }
}

section! {
    /// An S3 store.
    S3 "objects.s3" {
        endpoint: String = String::new(),
            unit "",
            about "Address of the store, such as https://s3.example.org:9000; none: Amazon's for the region.",
            why "Certificates are checked against those of the system, or of SSL_CERT_FILE.";
        region: String = String::new(),
            unit "",
            about "Region; none: AWS_REGION, else us-east-1 at an endpoint.",
            why "Most stores but Amazon's take any.";
        bucket: String = String::new(),
            unit "",
            about "The bucket; it must exist.",
            why "Whoever owns the store decides on versions, locks and replication when making it.";
        prefix: String = String::new(),
            unit "",
            about "Names of all objects begin with this and a slash.",
            why "Several archives can share a bucket.";
        path_style: PathStyle = PathStyle::Auto,
            unit "",
            about "Whether the bucket stands in the path of addresses; auto: where the endpoint is a number or localhost, or the bucket no host name.",
            why "Stores in the house often answer to one name only: say true.";
        credentials: CredentialsFrom = CredentialsFrom::Auto,
            unit "",
            about "Where the credentials come from; auto: the keys below, else environment, web identity, container, shared credentials file, instance (IMDSv2), whichever is there first.",
            why "As other programs find them.";
        profile: String = String::new(),
            unit "",
            about "Profile of the shared credentials file; none: AWS_PROFILE, else default.",
            why "As other programs do.";
        access_key_id: String = String::new(),
            unit "",
            about "Access key ID, for credentials = keys.",
            why "It is no secret, but belongs to one.";
        secret_access_key: Secret = empty(),
            unit "",
            about "Secret access key; better in the environment than in a file that others read.",
            why "It is never shown or logged.";
        sse: EncryptedBy = EncryptedBy::None,
            unit "",
            about "Server-side encryption: none (as the bucket says), s3 (a key of the store's), kms, customer (a key of ours goes along with every request).",
            why "Buckets have a default of their own.";
        sse_kms_key_id: String = String::new(),
            unit "",
            about "Key of the key service, for sse = kms; none: the bucket's default.",
            why "The bucket knows its key.";
        sse_customer_key: Secret = empty(),
            unit "",
            about "32 bytes in Base64, for sse = customer. Whoever loses it loses the archive.",
            why "It is never shown or logged.";
        storage_class: String = String::new(),
            unit "",
            about "Storage class of packs, such as STANDARD_IA; none: as the bucket says. Classes that must be restored first are refused.",
            why "Headers and journal stay in the default class: they are read often.";
        lock_mode: LockedAs = LockedAs::None,
            unit "",
            about "Lock packs as they are put (Object Lock); the bucket must have been made for it.",
            why "Locks are a decision: what is locked cannot be destroyed when it should be.";
        lock_days: u32 = 1, range 1 => 36_500,
            unit "days",
            about "How long packs are locked.",
            why "As short as a mistake is worth; raise it by the rules of the house.";
        connect_timeout: Duration = s3_defaults().connect_timeout, range Duration::from_millis(100) => Duration::from_secs(3600),
            unit "",
            about "Longest wait for a connection.",
            why "A store that is there answers within a second.";
        request_timeout: Duration = s3_defaults().request_timeout, range Duration::from_millis(100) => Duration::from_secs(3600),
            unit "",
            about "Longest wait for one answer, beside what its bytes take at 256 KiB a second.",
            why "Busy stores take seconds; a dead connection must be found.";
        attempts_max: u32 = s3_defaults().attempts_max, range 1 => 100,
            unit "attempts",
            about "Attempts of one request, with growing random pauses, before it fails.",
            why "Gets over a hiccup of seconds; what settles is tried again anyway.";
        part_size: Size = Size(s3_defaults().part_bytes), range Size::mib(5) => Size::mib(1024),
            unit "bytes",
            about "Objects longer than this go up in parts of this length.",
            why "A part that fails is sent again; S3 allows 5 MiB and more.";
        upload_memory_max: Size = Size(s3_defaults().upload_memory_bytes), range Size::mib(10) => Size::mib(65_536),
            unit "bytes",
            about "Memory for what is on its way up, all puts together; at least two parts.",
            why "Four parts under way fill most links.";
    }
}

section! {
    /// The second store in a bucket.
    ReplicaS3 "replica.s3" {
        endpoint: String = String::new(),
            unit "",
            about "Address of the store that holds the replica; none: Amazon's for the region.",
            why "Best another store than that of the objects, in another place.";
        region: String = String::new(),
            unit "",
            about "Region of the replica; none: AWS_REGION, else us-east-1 at an endpoint.",
            why "Most stores but Amazon's take any.";
        bucket: String = String::new(),
            unit "",
            about "Bucket that every object is put into as well; damaged ones are repaired from it. None: no replica in a bucket. It must exist.",
            why "Only whoever runs the archive knows of a second store. What it misses while it is away it catches up with.";
        prefix: String = String::new(),
            unit "",
            about "Names of all objects of the replica begin with this and a slash.",
            why "Several archives can share a bucket.";
        path_style: PathStyle = PathStyle::Auto,
            unit "",
            about "Whether the bucket stands in the path of addresses, as for objects.s3.path_style.",
            why "Stores in the house often answer to one name only: say true.";
        credentials: CredentialsFrom = CredentialsFrom::Auto,
            unit "",
            about "Where the credentials come from, as for objects.s3.credentials.",
            why "As other programs find them.";
        profile: String = String::new(),
            unit "",
            about "Profile of the shared credentials file; none: AWS_PROFILE, else default.",
            why "Another store has another profile.";
        access_key_id: String = String::new(),
            unit "",
            about "Access key ID, for credentials = keys.",
            why "It is no secret, but belongs to one.";
        secret_access_key: Secret = empty(),
            unit "",
            about "Secret access key; better in the environment than in a file that others read.",
            why "It is never shown or logged.";
        storage_class: String = String::new(),
            unit "",
            about "Storage class of the replica's packs; none: as the bucket says.",
            why "A replica is read when something is damaged: a class for what is seldom read fits.";
    }
}

impl ReplicaS3 {
    /// What is not said of the replica is as for the objects; nothing in it is locked, and its server keeps the keys.
    fn options(&self, objects: &S3) -> S3Options {
        let like = S3 {
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
            bucket: self.bucket.clone(),
            prefix: self.prefix.clone(),
            path_style: self.path_style,
            credentials: self.credentials,
            profile: self.profile.clone(),
            access_key_id: self.access_key_id.clone(),
            secret_access_key: self.secret_access_key.clone(),
            storage_class: self.storage_class.clone(),
            sse: EncryptedBy::None,
            lock_mode: LockedAs::None,
            ..objects.clone()
        };
        like.options()
    }
}

impl Config {
    /// The second store, where it is a bucket.
    pub(super) fn replica_s3(&self) -> Option<Box<S3Options>> {
        let is_wanted = !self.replica_s3.bucket.is_empty();
        is_wanted.then(|| Box::new(self.replica_s3.options(&self.s3)))
    }

    /// Which store, and how it is reached.
    pub(super) fn objects_engine(&self) -> ObjectsEngine {
        match self.objects.engine {
            ObjectsAt::Local => ObjectsEngine::Local,
            ObjectsAt::S3 => ObjectsEngine::S3(Box::new(self.s3.options())),
        }
    }

    pub(super) fn acknowledge(&self) -> Acknowledge {
        match self.storage.acknowledge {
            AcknowledgeAt::Intake => Acknowledge::Intake,
            AcknowledgeAt::ObjectStore => Acknowledge::ObjectStore,
        }
    }

    /// What does not go together.
    pub(super) fn object_problems(&self) -> Vec<String> {
        let s3 = &self.s3;
        let mut problems = Vec::new();
        if self.objects.engine == ObjectsAt::S3 && s3.bucket.is_empty() {
            problems.push("objects.engine is s3, but objects.s3.bucket names no bucket".to_owned());
        }
        let has_keys = (!s3.access_key_id.is_empty(), !s3.secret_access_key.reveal().is_empty());
        if has_keys.0 != has_keys.1 || (s3.credentials == CredentialsFrom::Keys && has_keys != (true, true)) {
            problems.push(
                "objects.s3.access_key_id and objects.s3.secret_access_key belong together: set both, the secret best as \
                 FILMROOM_OBJECTS_S3_SECRET_ACCESS_KEY in the environment"
                    .to_owned(),
            );
        }
        let replica = &self.replica_s3;
        if !replica.bucket.is_empty() && self.replica.folder.is_some() {
            problems.push(
                "replica.folder and replica.s3.bucket both name a replica: there is one; take one of them out"
                    .to_owned(),
            );
        }
        let same = (&replica.endpoint, &replica.bucket, &replica.prefix) == (&s3.endpoint, &s3.bucket, &s3.prefix);
        if !replica.bucket.is_empty() && same && self.objects.engine == ObjectsAt::S3 {
            problems.push("replica.s3 names the place that objects.s3 names: a replica is a second store".to_owned());
        }
        let has_keys = (
            !replica.access_key_id.is_empty(),
            !replica.secret_access_key.reveal().is_empty(),
        );
        if has_keys.0 != has_keys.1 || (replica.credentials == CredentialsFrom::Keys && has_keys != (true, true)) {
            problems.push(
                "replica.s3.access_key_id and replica.s3.secret_access_key belong together: set both, the secret best as \
                 FILMROOM_REPLICA_S3_SECRET_ACCESS_KEY in the environment"
                    .to_owned(),
            );
        }
        if s3.sse == EncryptedBy::Customer && CustomerKey::new(s3.sse_customer_key.reveal()).is_none() {
            problems.push(
                "objects.s3.sse is customer, but objects.s3.sse_customer_key is not 32 bytes in Base64 (`openssl rand \
                 -base64 32` makes a key)"
                    .to_owned(),
            );
        }
        problems
    }
}

impl S3 {
    fn options(&self) -> S3Options {
        let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let keys = || CredentialSource::Keys {
            access_key_id: self.access_key_id.clone(),
            secret_access_key: Kept::new(self.secret_access_key.reveal()),
        };
        S3Options {
            region: self.region.clone(),
            prefix: self.prefix.clone(),
            addressing: match self.path_style {
                PathStyle::Auto => Addressing::Auto,
                PathStyle::Yes => Addressing::Path,
                PathStyle::No => Addressing::VirtualHost,
            },
            credentials: match self.credentials {
                CredentialsFrom::Keys => keys(),
                CredentialsFrom::Auto if !self.access_key_id.is_empty() => keys(),
                CredentialsFrom::Auto => CredentialSource::Auto,
                CredentialsFrom::Environment => CredentialSource::Environment,
                CredentialsFrom::Profile => CredentialSource::Profile(given(&self.profile)),
                CredentialsFrom::Instance => CredentialSource::Instance,
                CredentialsFrom::WebIdentity => CredentialSource::WebIdentity,
            },
            encryption: match self.sse {
                EncryptedBy::None => ServerEncryption::Bucket,
                EncryptedBy::S3 => ServerEncryption::S3,
                EncryptedBy::Kms => ServerEncryption::Kms(given(&self.sse_kms_key_id)),
                EncryptedBy::Customer => CustomerKey::new(self.sse_customer_key.reveal())
                    .map_or(ServerEncryption::Bucket, ServerEncryption::Customer),
            },
            storage_class: self.storage_class.clone(),
            retention: match self.lock_mode {
                LockedAs::None => None,
                LockedAs::Governance => Some(LockMode::Governance),
                LockedAs::Compliance => Some(LockMode::Compliance),
            }
            .map(|mode| PutRetention {
                mode,
                period: Duration::from_secs(86_400) * self.lock_days,
            }),
            connect_timeout: self.connect_timeout,
            request_timeout: self.request_timeout,
            attempts_max: self.attempts_max,
            part_bytes: self.part_size.0,
            upload_memory_bytes: self.upload_memory_max.0,
            ..S3Options::new(self.endpoint.clone(), self.bucket.clone())
        }
    }
}
