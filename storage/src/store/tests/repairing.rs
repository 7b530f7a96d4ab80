//! Damage: repaired from the replica, else marked and never served; packs that nobody knows find their place.

use std::{fs, path::Path};

use super::*;
use crate::objects::ObjectName;

fn objects_of(sample: &Sample) -> String {
    format!("studies/{}/{}", sample.study_uid(), sample.series_uid())
}

async fn replicated() -> (Fixture, tempfile::TempDir, Vec<Sample>) {
    let replica = tempfile::tempdir().unwrap();
    let fixture = Fixture::with(|options| options.replica = Some(replica.path().join("objects"))).await;
    let mut samples: Vec<_> = (0..8).map(|n| Sample::new(1, 1, n)).collect();
    samples.push(Sample {
        pixels: 60_000,
        ..Sample::new(1, 1, 9)
    });
    for sample in &samples {
        fixture.put(sample).await;
    }
    fixture.store().settle_now().await.unwrap();
    (fixture, replica, samples)
}

fn damage(path: &Path, at_end: usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.len() - at_end;
    bytes[at] ^= 0xFF;
    fs::write(path, bytes).unwrap();
}

async fn verify(fixture: &Fixture) -> VerifyReport {
    fixture.store().verify(VerifyOptions::default(), |_| {}).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_damaged_or_missing_is_repaired_from_the_replica() {
    let (fixture, _replica, samples) = replicated().await;
    let packs = fixture.options.data.join("objects").join(objects_of(&samples[0]));
    // The staged file's link is the pack itself: the replica must have bytes of its own.
    fixture.store().flush_and_trim().await.unwrap();
    damage(&packs.join("00000001.tar"), 2000);
    damage(&packs.join("00000002.tar"), 2000);
    let report = verify(&fixture).await;
    assert_eq!(
        (report.problems.len(), report.repaired),
        (0, 2),
        "{:?}",
        report.problems
    );
    for sample in &samples {
        fixture.check(sample).await;
    }
    let apart = fixture
        .options
        .data
        .join("objects/damaged")
        .join(objects_of(&samples[0]));
    assert!(apart.join("00000001.tar").exists() && apart.join("00000002.tar").exists());
    fs::remove_file(packs.join("00000001.tar")).unwrap();
    assert_eq!(verify(&fixture).await.repaired, 1);
    let report = verify(&fixture).await;
    assert_eq!((report.problems, report.repaired), (vec![], 0));
    assert_eq!(fixture.store().metrics().objects_repaired, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_was_away_catches_up() {
    let (mut fixture, replica, mut samples) = replicated().await;
    // Its folder cannot be written: it is a file now.
    let (there, away) = (replica.path().join("objects"), replica.path().join("away"));
    fs::rename(&there, &away).unwrap();
    fs::write(&there, b"").unwrap();
    let late: Vec<_> = (0..4).map(|n| Sample::new(2, 1, 20 + n)).collect();
    for sample in &late {
        fixture.put(sample).await;
    }
    fixture.store().settle_now().await.unwrap();
    let behind = fixture.store().metrics().replica_behind;
    assert!(behind > 0);
    fs::remove_file(&there).unwrap();
    fs::rename(&away, &there).unwrap();
    // It is remembered.
    fixture.reopen().await;
    assert_eq!(fixture.store().metrics().replica_behind, behind);
    assert_eq!(fixture.store().inner.objects.catch_up("").await.unwrap(), behind);
    assert_eq!(fixture.store().metrics().replica_behind, 0);
    samples.extend(late);
    for sample in &samples {
        let (one, other) = (fixture.options.data.join("objects"), &there);
        for entry in fs::read_dir(one.join(objects_of(sample))).unwrap() {
            let name = entry.unwrap().file_name();
            let place = Path::new(&objects_of(sample)).join(name);
            assert_eq!(
                fs::read(one.join(&place)).unwrap(),
                fs::read(other.join(&place)).unwrap()
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_new_is_filled() {
    let replica = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::new().await;
    let samples: Vec<_> = (0..6).map(|n| Sample::new(n % 2, 1, n)).collect();
    for sample in &samples {
        fixture.put(sample).await;
    }
    fixture.store().settle_now().await.unwrap();
    fixture.options.replica = Some(replica.path().to_owned());
    fixture.reopen().await;
    assert_eq!(verify(&fixture).await.problems, []);
    for sample in &samples {
        let pack = Path::new(&objects_of(sample)).join("00000001.tar");
        let one = fs::read(fixture.options.data.join("objects").join(&pack)).unwrap();
        assert_eq!(one, fs::read(replica.path().join(&pack)).unwrap());
    }
    // Also what it lost since.
    let lost = replica.path().join(objects_of(&samples[0])).join("00000001.headers");
    fs::remove_file(&lost).unwrap();
    verify(&fixture).await;
    assert!(lost.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_repaired_is_marked_and_not_served() {
    let mut fixture = Fixture::new().await;
    let samples: Vec<_> = (0..6).map(|n| Sample::new(1, 1, n)).collect();
    for sample in &samples {
        fixture.put(sample).await;
    }
    fixture.store().settle_now().await.unwrap();
    let path = fixture
        .options
        .data
        .join("objects")
        .join(objects_of(&samples[0]))
        .join("00000001.tar");
    let whole = fs::read(&path).unwrap();
    let record = fixture.record(&samples[2]);
    let Location::Pack { offset, .. } = record.location else {
        panic!("not settled")
    };
    let mut bytes = whole.clone();
    bytes[(offset + record.length - 5) as usize] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(!verify(&fixture).await.is_sound());
    for _ in 0..2 {
        let read = fixture.store().read(&record, 0..10).await;
        assert!(matches!(read, Err(StoreError::Damaged(_))), "{read:?}");
        for sample in samples.iter().filter(|sample| **sample != samples[2]) {
            fixture.check(sample).await;
        }
        // The mark outlives a restart.
        fixture.reopen().await;
    }
    fs::write(&path, whole).unwrap();
    assert!(verify(&fixture).await.is_sound());
    fixture.check(&samples[2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pack_whose_members_lie_elsewhere_is_removed_and_one_that_the_index_lost_is_adopted() {
    let mut fixture = Fixture::new().await;
    let samples: Vec<_> = (0..6).map(|n| Sample::new(1, 1, n)).collect();
    for sample in &samples {
        fixture.put(sample).await;
    }
    fixture.store().settle_now().await.unwrap();
    let folder = fixture.options.data.join("objects").join(objects_of(&samples[0]));
    fs::copy(folder.join("00000001.tar"), folder.join("00000005.tar")).unwrap();
    let report = verify(&fixture).await;
    assert_eq!((report.problems, report.removed), (vec![], 1));
    assert!(!folder.join("00000005.tar").exists());
    // Of another archive: its instances are none of this index.
    let other = Fixture::new().await;
    let strangers: Vec<_> = (20..24).map(|n| Sample::new(1, 1, n)).collect();
    for sample in &strangers {
        other.put(sample).await;
    }
    other.store().settle_now().await.unwrap();
    let from = other.options.data.join("objects").join(objects_of(&samples[0]));
    fs::copy(from.join("00000001.tar"), folder.join("00000009.tar")).unwrap();
    let report = verify(&fixture).await;
    assert_eq!((report.problems_found, report.adopted), (0, 4));
    assert!(report.is_sound());
    for _ in 0..2 {
        for sample in samples.iter().chain(&strangers) {
            fixture.check(sample).await;
        }
        fixture.reopen().await;
    }
    let late = Sample::new(1, 1, 30);
    fixture.put(&late).await;
    fixture.store().settle_now().await.unwrap();
    assert!(
        folder.join("00000010.tar").exists(),
        "numbers go on behind the adopted pack"
    );
    assert!(ObjectName::new("damaged/x").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_scrub_remembers_over_a_restart() {
    let mut fixture = Fixture::new().await;
    for n in 0..6 {
        fixture.put(&Sample::new(n, 1, n)).await;
    }
    fixture.store().settle_now().await.unwrap();
    fixture.store().scrub_pass(1 << 30).await.unwrap();
    let state = fixture.store().scrub_state();
    assert!(state.last_began_at.is_some() && state.last_ended_at >= state.last_began_at);
    assert_eq!((state.last_report.instances, state.last_report.problems_found), (6, 0));
    fixture.reopen().await;
    let every = Duration::from_secs(3600);
    fixture.store().start_scrub(ScrubOptions {
        every,
        bytes_per_second: 1 << 30,
    });
    assert_eq!(fixture.store().scrub_state(), state, "none is due");
}
