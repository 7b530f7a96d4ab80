//! Buckets that keep what was deleted.

use super::*;

fn texts(value: &serde_json::Value) -> Vec<&str> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn earlier_versions_go_for_good_or_it_is_said_why_not() {
    let mut server = Server::start();
    let bucket = server.bucket.clone();
    let objects = S3Objects::open(S3Options {
        prefix: "one".into(),
        ..server.options()
    });
    let objects = objects.await.unwrap();
    let (pack, other, beside) = (
        name("studies/1.2/3/00000001.tar"),
        name("studies/1.2/3/00000002.tar"),
        name("studies/1.20/3/00000001.tar"),
    );
    // A bucket without versions has uploads that were cut short all the same.
    objects.put(&pack, body(&pattern(10))).await.unwrap();
    server.ask(&format!("begin {bucket} one/{pack}"));
    server.ask(&format!("begin {bucket} one/{beside}"));
    assert_eq!(objects.purge("studies/1.2/").await.unwrap(), []);
    assert_eq!(server.ask(&format!("uploads {bucket}")), 1, "that of another study");
    assert_eq!(read_all(&objects, &pack).await, pattern(10));

    server.ask(&format!("version {bucket}"));
    for round in 0..15 {
        for name in [&pack, &other, &beside] {
            objects.put(name, body(&pattern(20 + round))).await.unwrap();
        }
    }
    objects.delete(&pack).await.unwrap();
    objects.delete(&beside).await.unwrap();
    let before = server.ask(&format!("versions {bucket} one/studies/1.20/"));
    assert_eq!(objects.purge("studies/1.2/").await.unwrap(), []);
    let left = server.ask(&format!("versions {bucket} one/studies/1.2/"));
    assert_eq!(texts(&left), [format!("one/{other}")]);
    assert_eq!(read_all(&objects, &other).await, pattern(34));
    assert_eq!(server.ask(&format!("versions {bucket} one/studies/1.20/")), before);
    assert_eq!(objects.purge("studies/1.2/").await.unwrap(), []);

    let Some(locked) = server.locked.clone() else {
        return;
    };
    let options = S3Options {
        bucket: locked.clone(),
        retention: Some(PutRetention {
            mode: LockMode::Compliance,
            period: Duration::from_secs(3600),
        }),
        ..server.options()
    };
    let objects = S3Objects::open(options).await.unwrap();
    let headers = name("studies/1.2/3/00000001.headers");
    for name in [&pack, &headers, &other] {
        objects.put(name, body(&pattern(10))).await.unwrap();
    }
    objects
        .locks()
        .unwrap()
        .set_legal_hold(&headers, LegalHold::On)
        .await
        .unwrap();
    objects.delete(&pack).await.unwrap();
    objects.delete(&headers).await.unwrap();
    let kept = objects.purge("studies/1.2/").await.unwrap();
    assert_eq!(kept.len(), 2, "{kept:?}");
    let of = |name: &ObjectName| kept.iter().find(|kept| kept.place.contains(name.as_str())).unwrap();
    let until = of(&pack).until.unwrap() - OffsetDateTime::now_utc();
    assert!((3000..=3700).contains(&until.whole_seconds()), "{kept:?}");
    assert_eq!(of(&headers).until, None);
    assert!(of(&headers).reason.contains("AccessDenied"), "{kept:?}");
    assert_eq!(objects.head(&pack).await.unwrap(), None);
    assert_eq!(read_all(&objects, &other).await, pattern(10));
}
