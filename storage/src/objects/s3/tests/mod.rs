//! Against real servers over a socket: moto, or the one that `tests/run --s3` starts.

mod faults;
mod instance;
pub(crate) mod server;
mod versions;

use std::time::Duration;

use bytes::Bytes;
use time::OffsetDateTime;

use self::server::Server;
use super::*;
use crate::objects::suite;

fn name(text: &str) -> ObjectName {
    ObjectName::new(text).unwrap()
}

fn pattern(length: usize) -> Bytes {
    (0..length).map(|n| (n * 7 % 251) as u8).collect::<Vec<_>>().into()
}

/// In pieces of odd lengths, as a pack comes.
fn body(bytes: &Bytes) -> Body {
    let mut body = Body::default();
    let mut from = 0;
    for length in [1, 511, 70_001].into_iter().cycle() {
        let to = bytes.len().min(from + length);
        body.push(bytes.slice(from..to));
        from = to;
        if from == bytes.len() {
            return body;
        }
    }
    body
}

async fn read_all(objects: &S3Objects, name: &ObjectName) -> Bytes {
    objects.get_range(name, 0..1 << 40).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_keeps_the_contract() {
    let mut server = Server::start();
    suite::run(&S3Objects::open(server.options()).await.unwrap()).await;
    // The same with a prefix, beside what others keep in the bucket.
    let bucket = server.bucket.clone();
    server.ask(&format!("put {bucket} archive/one/.hidden/foreign foreign"));
    server.ask(&format!("put {bucket} archive/oneforeign foreign"));
    let prefixed = S3Objects::open(S3Options {
        prefix: "archive/one".into(),
        ..server.options()
    });
    let prefixed = prefixed.await.unwrap();
    suite::run(&prefixed).await;
    let keys = server.ask(&format!("keys {bucket}"));
    let keys: Vec<&str> = keys
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key.as_str().unwrap())
        .collect();
    assert!(keys.contains(&"archive/one/list/1.2.3/a") && keys.contains(&"list/1.2.3/a"));
    all_of_them_are_ours(&prefixed).await;

    lists_beyond_one_page(&prefixed).await;
    puts_large_objects_in_parts(&mut server).await;
    says_what_it_asks_of_the_store(&mut server).await;
    encrypts_with_a_key_of_ours(&mut server).await;
    says_what_is_wrong_with_the_settings(&server).await;
    locks_objects(&mut server).await;
}

async fn all_of_them_are_ours(objects: &S3Objects) {
    let all = objects.list("", None, 10_000).await.unwrap();
    assert!(all.iter().all(|(name, _)| !name.as_str().contains("foreign")) && all.len() > 20);
}

async fn lists_beyond_one_page(objects: &S3Objects) {
    let names: Vec<_> = (0..50).map(|n| name(&format!("paged/{n:04}"))).collect();
    stream::iter(&names)
        .for_each_concurrent(
            16,
            |name| async move { objects.put(name, Body::default()).await.unwrap() },
        )
        .await;
    let found = objects.list("paged/", None, 5_000).await.unwrap();
    assert!(found.iter().map(|(name, _)| name).eq(&names));
    let found = objects.list("paged/", Some(&names[9]), 35).await.unwrap();
    assert!(found.iter().map(|(name, _)| name).eq(&names[10..45]));
}

async fn puts_large_objects_in_parts(server: &mut Server) {
    let options = S3Options {
        part_bytes: 5 << 20,
        upload_memory_bytes: 0,
        ..server.options()
    };
    let objects = S3Objects::open(options).await.unwrap();
    assert_eq!(
        objects.memory_units * MEMORY_UNIT,
        10 << 20,
        "two parts are in memory at a time"
    );
    let bytes = pattern((12 << 20) + 12_345);
    let large = name("studies/1.2/3/00000001.tar");
    objects.put(&large, body(&bytes)).await.unwrap();
    assert_eq!(objects.head(&large).await.unwrap(), Some(bytes.len() as u64));
    assert_eq!(objects.crc32(&large).await.unwrap(), crc32fast::hash(&bytes));
    let across = (5 << 20) - 10..(10 << 20) + 10;
    assert_eq!(
        objects.get_range(&large, across.clone()).await.unwrap(),
        bytes.slice(across.start as usize..across.end as usize)
    );
    let said = server.ask(&format!("head {} {large}", server.bucket.clone()));
    assert!(said["etag"].as_str().unwrap().ends_with("-3\""), "three parts: {said}");

    let mut cut_short = body(&bytes);
    cut_short.push(Liar);
    objects
        .put(&name("studies/1.2/3/00000002.tar"), cut_short)
        .await
        .unwrap_err();
    assert_eq!(objects.head(&name("studies/1.2/3/00000002.tar")).await.unwrap(), None);
    assert_eq!(
        server.ask(&format!("uploads {}", server.bucket.clone())),
        0,
        "nothing is left lying"
    );
    assert_eq!(
        objects.memory.available_permits() as u64,
        objects.memory_units,
        "all memory is given back"
    );
}

/// Says that it has bytes, and has none.
struct Liar;

impl crate::source::ReadAt for Liar {
    fn len(&self) -> u64 {
        100
    }

    fn read_at(&self, _: u64, _: usize) -> std::io::Result<Bytes> {
        Ok(Bytes::new())
    }
}

async fn says_what_it_asks_of_the_store(server: &mut Server) {
    let (pack, headers) = (
        name("studies/1.3/4/00000001.tar"),
        name("studies/1.3/4/00000001.headers"),
    );
    let bucket = server.bucket.clone();
    let options = S3Options {
        encryption: ServerEncryption::S3,
        storage_class: "STANDARD_IA".into(),
        part_bytes: 5 << 20,
        ..server.options()
    };
    let objects = S3Objects::open(options).await.unwrap();
    let large = name("studies/1.3/4/00000002.tar");
    // Not every server encrypts by itself: the gateway of Ceph refuses where it has no keys.
    if std::env::var_os("TEST_S3_ENDPOINT").is_none() {
        objects.put(&large, body(&pattern(6 << 20))).await.unwrap();
        for (name, class) in [(&pack, "STANDARD_IA"), (&headers, ""), (&large, "STANDARD_IA")] {
            if *name != large {
                objects.put(name, body(&pattern(1000))).await.unwrap();
            }
            let said = server.ask(&format!("head {bucket} {name}"));
            assert_eq!(said["encryption"], "AES256", "{name}: {said}");
            assert_eq!(said["class"].as_str().unwrap_or_default(), class, "{name}: {said}");
        }
        let with_kms = S3Options {
            encryption: ServerEncryption::Kms(Some("key-of-the-hospital".into())),
            ..server.options()
        };
        let objects = S3Objects::open(with_kms).await.unwrap();
        objects.put(&pack, body(&pattern(1000))).await.unwrap();
        let said = server.ask(&format!("head {bucket} {pack}"));
        assert_eq!(said["encryption"], "aws:kms", "{said}");
        assert!(
            said["kms_key"].as_str().unwrap().contains("key-of-the-hospital"),
            "{said}"
        );
        assert_eq!(read_all(&objects, &pack).await, pattern(1000));
    }
}

async fn encrypts_with_a_key_of_ours(server: &mut Server) {
    let key = CustomerKey::new("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=").unwrap();
    let options = S3Options {
        encryption: ServerEncryption::Customer(key),
        part_bytes: 5 << 20,
        ..server.options()
    };
    let objects = S3Objects::open(options).await.unwrap();
    for length in [1000, 6 << 20] {
        let (name, bytes) = (name("studies/1.4/4/00000001.tar"), pattern(length));
        objects.put(&name, body(&bytes)).await.unwrap();
        assert_eq!(objects.head(&name).await.unwrap(), Some(length as u64));
        assert_eq!(read_all(&objects, &name).await, bytes);
        let without = S3Objects::open(server.options()).await.unwrap();
        if std::env::var_os("TEST_S3_ENDPOINT").is_some() {
            // moto keeps the key and does not ask for it.
            without.get_range(&name, 0..10).await.unwrap_err();
        }
    }
}

async fn says_what_is_wrong_with_the_settings(server: &Server) {
    let opened = |change: fn(&mut S3Options)| {
        let mut options = S3Options {
            attempts_max: 2,
            ..server.options()
        };
        change(&mut options);
        async { S3Objects::open(options).await.map(drop).unwrap_err().to_string() }
    };
    let error = opened(|options| options.bucket = "there-is-no-such-bucket".into()).await;
    assert!(
        error.contains("there-is-no-such-bucket") && error.contains("objects.s3.bucket"),
        "{error}"
    );
    let error = opened(|options| options.bucket = String::new()).await;
    assert!(error.contains("objects.s3.bucket"), "{error}");
    let error = opened(|options| options.endpoint = "http://127.0.0.1:1".into()).await;
    assert!(
        error.contains("127.0.0.1:1") && error.to_lowercase().contains("refused"),
        "{error}"
    );
    let error = opened(|options| options.storage_class = "DEEP_ARCHIVE".into()).await;
    assert!(error.contains("DEEP_ARCHIVE"), "{error}");
    let error = opened(|options| options.prefix = "a/../b".into()).await;
    assert!(error.contains("a/../b"), "{error}");
    let error = opened(|options| options.endpoint = "no address".into()).await;
    assert!(error.contains("no address"), "{error}");
    if std::env::var_os("TEST_S3_ENDPOINT").is_some() {
        let error = opened(|options| {
            options.credentials = CredentialSource::Keys {
                access_key_id: "NOBODY".into(),
                secret_access_key: Secret::new("nothing"),
            };
        });
        let error = error.await;
        assert!(error.contains("credentials") && !error.contains("nothing"), "{error}");
    }
    let shown = format!("{:?}", S3Objects::open(server.options()).await.unwrap());
    assert!(!shown.contains(&server.secret_key), "{shown}");
}

async fn locks_objects(server: &mut Server) {
    let Some(locked) = server.locked.clone() else {
        return;
    };
    let (plain, pack) = (
        name("studies/1.5/4/00000001.headers"),
        name("studies/1.5/4/00000001.tar"),
    );
    let options = S3Options {
        bucket: locked.clone(),
        retention: Some(PutRetention {
            mode: LockMode::Governance,
            period: Duration::from_secs(3600),
        }),
        ..server.options()
    };
    let objects = S3Objects::open(options).await.unwrap();
    objects.put(&plain, body(&pattern(10))).await.unwrap();
    objects.put(&pack, body(&pattern(1000))).await.unwrap();
    let said = server.ask(&format!("head {locked} {pack}"));
    assert_eq!(said["lock_mode"], "GOVERNANCE", "{said}");

    let locks = objects.locks().unwrap();
    assert_eq!(locks.retention(&plain).await.unwrap(), None);
    assert_eq!(locks.legal_hold(&plain).await.unwrap(), LegalHold::Off);
    let now = OffsetDateTime::now_utc();
    let retention = locks.retention(&pack).await.unwrap().unwrap();
    assert_eq!(retention.mode, LockMode::Governance);
    assert!(
        (retention.until - now).whole_seconds().abs_diff(3600) < 120,
        "{retention:?}"
    );

    let longer = Retention {
        mode: LockMode::Governance,
        until: (now + time::Duration::days(2)).replace_nanosecond(0).unwrap(),
    };
    locks.set_retention(&pack, longer).await.unwrap();
    assert_eq!(locks.retention(&pack).await.unwrap(), Some(longer));
    assert_eq!(
        server.ask(&format!("destroy {locked} {pack}")),
        serde_json::json!(["AccessDenied"])
    );
    // Another mode is said of an object that has none: to leave governance takes a privilege.
    let strict = name("studies/1.5/4/00000002.headers");
    objects.put(&strict, body(&pattern(10))).await.unwrap();
    let longer = Retention {
        mode: LockMode::Compliance,
        ..longer
    };
    locks.set_retention(&strict, longer).await.unwrap();
    assert_eq!(locks.retention(&strict).await.unwrap(), Some(longer));
    assert_eq!(
        server.ask(&format!("destroy {locked} {strict}")),
        serde_json::json!(["AccessDenied"])
    );
    let shorter = Retention {
        until: now + time::Duration::hours(1),
        ..longer
    };
    if std::env::var_os("TEST_S3_ENDPOINT").is_some() {
        // moto shortens what it should keep.
        locks.set_retention(&strict, shorter).await.unwrap_err();
    }

    locks.set_legal_hold(&plain, LegalHold::On).await.unwrap();
    assert_eq!(locks.legal_hold(&plain).await.unwrap(), LegalHold::On);
    assert_eq!(
        server.ask(&format!("destroy {locked} {plain}")),
        serde_json::json!(["AccessDenied"])
    );
    assert_eq!(read_all(&objects, &plain).await, pattern(10));
    locks.set_legal_hold(&plain, LegalHold::Off).await.unwrap();
    assert_eq!(locks.legal_hold(&plain).await.unwrap(), LegalHold::Off);
    assert_eq!(server.ask(&format!("destroy {locked} {plain}")), serde_json::json!([]));
    assert_eq!(objects.head(&plain).await.unwrap(), None);

    let missing = name("missing.tar");
    assert!(matches!(locks.retention(&missing).await, Err(ObjectError::Missing(_))));
    assert!(locks.set_legal_hold(&missing, LegalHold::On).await.is_err());
    let without = S3Objects::open(server.options()).await.unwrap();
    without.put(&pack, body(&pattern(10))).await.unwrap();
    assert!(
        without.locks().unwrap().set_retention(&pack, longer).await.is_err(),
        "the bucket has no Object Lock"
    );
}

#[test]
fn secrets_are_not_shown() {
    let options = S3Options {
        credentials: CredentialSource::Keys {
            access_key_id: "AKIA".into(),
            secret_access_key: Secret::new("very secret"),
        },
        encryption: ServerEncryption::Customer(
            CustomerKey::new("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=").unwrap(),
        ),
        ..S3Options::new("", "b")
    };
    let shown = format!("{options:?}");
    assert!(!shown.contains("very secret") && !shown.contains("MDEy"), "{shown}");
    assert!(CustomerKey::new("c2hvcnQ=").is_none());
}

#[test]
fn parts_grow_with_the_object() {
    let options = S3Options::new("", "b");
    assert_eq!(options.part_bytes_for(1 << 30), 16 << 20);
    let huge = 5 << 40;
    assert!(huge / options.part_bytes_for(huge) <= 10_000);
}
