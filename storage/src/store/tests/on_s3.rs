//! The whole store on a real S3 server, behind the read cache.

use std::{fs, path::Path};

use serde_json::json;

use super::*;
use crate::{
    encryption::{MasterKeys, PlainObjects},
    model::{SopInstanceUid, StudyInstanceUid},
    objects::{LockMode, PutRetention, S3Options, server::Server},
};

async fn on_s3(s3: S3Options, change: impl FnOnce(&mut StoreOptions)) -> Fixture {
    Fixture::with(|options| {
        options.objects = ObjectsEngine::S3(Box::new(s3));
        options.cache_bytes = 64 << 20;
        change(options);
    })
    .await
}

/// Pixels that nothing else has.
fn samples(study: u32) -> Vec<Sample> {
    (0..6)
        .map(|n| Sample {
            fill: 0xA0 + (study * 8 + n) as u8,
            ..Sample::new(study, 1, n)
        })
        .collect()
}

/// True where a run of this byte, or one of the texts, stands in a file of the folder.
fn is_seen(folder: &Path, fill: u8, texts: &[&str]) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return is_seen(&path, fill, texts);
        }
        let bytes = fs::read(path).unwrap();
        bytes.windows(200).any(|window| window.iter().all(|byte| *byte == fill))
            || texts
                .iter()
                .any(|text| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encrypted_archive_in_a_bucket_reads_from_its_cache_and_shows_nothing() {
    let mut server = Server::start();
    let bucket = server.bucket.clone();
    let master = Arc::new(MasterKeys::random().unwrap());
    let mut fixture = on_s3(server.options(), |options| {
        options.encryption = Some(Encryption {
            master,
            plain: PlainObjects::Read,
        });
    })
    .await;
    let samples = samples(1);
    for sample in &samples {
        fixture.put(sample).await;
    }
    fixture.store().settle_now().await.unwrap();
    fixture.store().flush_and_trim().await.unwrap();
    for _ in 0..2 {
        for sample in &samples {
            fixture.check(sample).await;
        }
    }
    let metrics = fixture.store().metrics();
    assert!(metrics.cache_hits > 0 && metrics.cache_bytes > 0, "{metrics:?}");
    let report = fixture.store().verify(VerifyOptions::default(), |_| {}).await.unwrap();
    assert_eq!(
        (report.problems.len(), report.indexed, report.keys),
        (0, 6, 2),
        "{:?}",
        report.problems
    );
    for sample in &samples {
        assert!(!is_seen(&fixture.options.data, sample.fill, &["1.2.3.1", "doe1^jan"]));
    }
    let keys = server.ask(&format!("keys {bucket}")).to_string();
    assert!(!keys.contains("1.2.3") && keys.contains("encrypted/studies/"), "{keys}");
    // From the bucket alone, after the machine is lost.
    fixture.store().close().await.unwrap();
    drop(fixture.store.take());
    fs::remove_dir_all(fixture.folder.path()).unwrap();
    fs::create_dir_all(fixture.folder.path()).unwrap();
    fixture.reopen().await;
    for sample in &samples {
        fixture.check(sample).await;
    }
    // And destroyed, its key with it.
    let study = StudyInstanceUid::new(&samples[0].study_uid()).unwrap();
    let destroyed = fixture
        .store()
        .destroy(DestroyScope::Study(study), json!({}))
        .await
        .unwrap();
    assert!(destroyed.is_complete(), "{:?}", destroyed.left);
    let keys = server.ask(&format!("keys {bucket}")).to_string();
    assert!(!keys.contains("studies/"), "{keys}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_destroyed_leaves_the_cache_and_all_versions() {
    let mut server = Server::start();
    let bucket = server.bucket.clone();
    server.ask(&format!("version {bucket}"));
    let fixture = on_s3(server.options(), |_| {}).await;
    let samples = samples(1);
    for sample in &samples {
        fixture.put(sample).await;
        // Each in a pack of its own; merged, so that earlier versions hold them all.
        fixture.store().settle_now().await.unwrap();
        fixture.store().flush_and_trim().await.unwrap();
        fixture.check(sample).await;
    }
    let going = SopInstanceUid::new(&samples[2].sop_uid()).unwrap();
    assert!(is_seen(&fixture.options.data.join("cache"), samples[2].fill, &[]));
    let destroyed = fixture
        .store()
        .destroy(DestroyScope::Instances(vec![going]), json!({}))
        .await
        .unwrap();
    assert!(destroyed.is_complete(), "{:?}", destroyed.left);
    assert!(!is_seen(&fixture.options.data, samples[2].fill, &[]));
    for sample in samples.iter().filter(|sample| **sample != samples[2]) {
        fixture.check(sample).await;
    }
    let keys = server.ask(&format!("keys {bucket}"));
    let mut versions = server.ask(&format!("versions {bucket} studies/"));
    versions.as_array_mut().unwrap().sort_by_key(ToString::to_string);
    let in_studies = keys
        .as_array()
        .unwrap()
        .iter()
        .filter(|key| key.as_str().unwrap().starts_with("studies/"));
    assert_eq!(
        versions.as_array().unwrap().iter().collect::<Vec<_>>(),
        in_studies.collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_bucket_locks_is_told_with_its_date_and_tried_again() {
    let server = Server::start();
    let Some(locked) = server.locked.clone() else { return };
    let s3 = S3Options {
        bucket: locked,
        retention: Some(PutRetention {
            mode: LockMode::Compliance,
            period: Duration::from_secs(3600),
        }),
        ..server.options()
    };
    let mut fixture = on_s3(s3, |_| {}).await;
    let samples = samples(1);
    for sample in &samples {
        fixture.put(sample).await;
    }
    fixture.store().settle_now().await.unwrap();
    let study = StudyInstanceUid::new(&samples[0].study_uid()).unwrap();
    let destroyed = fixture
        .store()
        .destroy(DestroyScope::Study(study), json!({}))
        .await
        .unwrap();
    assert!(!destroyed.is_complete());
    let until = destroyed.left.iter().find_map(|kept| kept.until).expect("a date");
    assert!((until - time::OffsetDateTime::now_utc()).whole_seconds() > 3000);
    // Nobody is served it, whatever the bucket keeps; and the decision stays open over a restart.
    let index = fixture.store().index();
    assert_eq!(index.totals().unwrap().instances, 0);
    drop(index);
    fixture.close_at_once().await;
    fixture.reopen().await;
    let open = fixture.store().destroying();
    assert_eq!(open.len(), 1);
    let kinds = fixture.store().journal().read(0).await.unwrap();
    assert!(kinds.iter().all(|decision| decision.kind == "destroy"));
}

/// The archive starts and takes in without its replica, which has everything once it is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_in_a_bucket_may_be_away_and_repairs_when_it_is_back() {
    let mut server = Server::start();
    let away = S3Options {
        endpoint: "http://127.0.0.1:1".into(),
        attempts_max: 1,
        ..server.options()
    };
    let mut fixture = Fixture::with(|options| options.replica_s3 = Some(Box::new(away))).await;
    let samples = samples(1);
    for sample in &samples[..5] {
        fixture.put(sample).await;
    }
    fixture.store().settle_now().await.unwrap();
    assert_eq!(fixture.store().metrics().replica_behind, 2, "a pack and its headers");
    let going = SopInstanceUid::new(&samples[2].sop_uid()).unwrap();
    let destroyed = fixture
        .store()
        .destroy(DestroyScope::Instances(vec![going]), json!({}))
        .await
        .unwrap();
    assert!(!destroyed.is_complete());
    fixture.options.replica_s3 = Some(Box::new(server.options()));
    fixture.close_at_once().await;
    fixture.reopen().await;
    fixture.put(&samples[5]).await;
    fixture.store().settle_now().await.unwrap();
    fixture.store().inner.objects.catch_up("").await.unwrap();
    assert_eq!(fixture.store().metrics().replica_behind, 0);
    let bucket = server.bucket.clone();
    let keys = server.ask(&format!("keys {bucket}"));
    let packs = keys
        .as_array()
        .unwrap()
        .iter()
        .filter(|key| key.as_str().unwrap().ends_with(".tar"));
    assert_eq!(packs.count(), 2, "{keys}");
    let gone = async {
        while !fixture.store().destroying().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.unwrap();
    let pack = fixture
        .options
        .data
        .join("objects/studies/1.2.3.1/1.2.3.1.1/00000002.tar");
    fs::write(&pack, b"damaged").unwrap();
    let report = fixture.store().verify(VerifyOptions::default(), |_| {}).await.unwrap();
    assert_eq!(
        (report.problems.len(), report.repaired),
        (0, 1),
        "{:?}",
        report.problems
    );
    for sample in samples.iter().filter(|sample| **sample != samples[2]) {
        fixture.check(sample).await;
    }
}
