use std::{fs, process::Command};

use sha2::{Digest, Sha256};

use super::*;

fn samples(count: u32) -> Vec<Sample> {
    (0..count)
        .map(|n| Sample {
            pixels: 300 + 170 * n as usize,
            ..Sample::new(1, 1, n)
        })
        .collect()
}

impl Fixture {
    fn series_folder(&self, sample: &Sample) -> PathBuf {
        self.folder
            .path()
            .join("objects/studies")
            .join(sample.study_uid())
            .join(sample.series_uid())
    }

    fn packs(&self, sample: &Sample) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.series_folder(sample)) else {
            return Vec::new();
        };
        let mut packs: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        packs.retain(|path| path.extension().is_some_and(|extension| extension == "tar"));
        packs.sort();
        packs
    }

    fn intake_segments(&self) -> usize {
        let entries = fs::read_dir(self.folder.path().join("intake")).unwrap();
        entries
            .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|e| e == "log"))
            .count()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_settles_into_a_pack_and_reads_back() {
    let mut fixture = Fixture::new().await;
    let samples = samples(80);
    let mut before = Vec::new();
    for sample in &samples {
        before.push(fixture.put(sample).await);
    }
    fixture.store().settle_now().await.unwrap();
    assert_eq!(fixture.packs(&samples[0]).len(), 1);
    for round in 0..2 {
        for (sample, before) in samples.iter().zip(&before) {
            let record = fixture.record(sample);
            assert!(matches!(record.location, Location::Pack { pack: 1, .. }), "{round}");
            assert_eq!(
                InstanceRecord {
                    location: before.location.clone(),
                    sha256: None,
                    ..record.clone()
                },
                *before
            );
            assert_eq!(record.sha256, Some(Sha256::digest(sample.data_set()).into()));
            assert_eq!(record.version(), before.version());
            fixture.check(sample).await;
            // A record from before the move still finds its bytes.
            let all = fixture.store().read(before, 0..before.data_set_length()).await.unwrap();
            assert_eq!(all, sample.data_set());
        }
        fixture.reopen().await;
    }
    let record = fixture.record(&samples[0]);
    let headers = fixture
        .store()
        .headers_of_series(&record.study_instance_uid, &record.series_instance_uid);
    let headers: Vec<_> = headers.try_collect().await.unwrap();
    assert_eq!(headers.len(), 80);
    for ((_, header), sample) in headers.iter().zip(&samples) {
        assert_eq!(header, &sample.description().header);
    }
    assert_eq!(fixture.store().metrics().instances_waiting, 0);
}

/// Damage between receipt and settling is noticed before the SHA-256 is made of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_instance_does_not_settle_and_holds_nobody_up() {
    let mut fixture = Fixture::new().await;
    let samples: Vec<_> = (0..5).map(|n| Sample::new(1, 1, n)).collect();
    let mut records = Vec::new();
    for sample in &samples {
        records.push(fixture.put(sample).await);
    }
    let Location::Intake { segment, offset, .. } = records[2].location else {
        panic!("not in intake")
    };
    let path = fixture.folder.path().join(format!("intake/{segment:016}.log"));
    let mut bytes = fs::read(&path).unwrap();
    bytes[(offset + records[2].length - 10) as usize] ^= 1;
    fs::write(&path, &bytes).unwrap();
    for _ in 0..2 {
        fixture.store().settle_now().await.unwrap();
        for (n, sample) in samples.iter().enumerate().filter(|(n, _)| *n != 2) {
            assert!(matches!(fixture.record(sample).location, Location::Pack { .. }), "{n}");
            fixture.check(sample).await;
        }
        let damaged = fixture.record(&samples[2]);
        assert_eq!((&damaged.location, damaged.sha256), (&records[2].location, None));
        let read = fixture.store().read(&damaged, 0..10).await;
        assert!(matches!(read, Err(StoreError::Damaged(_))), "{read:?}");
        fixture.store().flush_and_trim().await.unwrap();
        assert!(path.exists(), "damaged bytes are kept");
        fixture.reopen().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn intake_is_trimmed_behind_a_flush_of_the_index() {
    let mut fixture = Fixture::new().await;
    let samples = samples(60);
    for sample in &samples {
        fixture.put(sample).await;
    }
    assert!(fixture.intake_segments() > 3);
    fixture.store().flush_and_trim().await.unwrap();
    assert!(fixture.intake_segments() > 3, "nothing is settled yet");
    fixture.store().settle_now().await.unwrap();
    fixture.store().flush_and_trim().await.unwrap();
    assert_eq!(fixture.intake_segments(), 1, "the segment that is written to");
    fixture.reopen().await;
    fixture.store().flush_and_trim().await.unwrap();
    assert_eq!(fixture.intake_segments(), 0);
    for sample in &samples {
        fixture.check(sample).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pack_unpacks_into_part_10_files() {
    let fixture = Fixture::new().await;
    let mut samples = samples(3);
    samples.push(Sample {
        pixels: 200_000,
        ..Sample::new(1, 1, 50)
    });
    for sample in &samples {
        fixture.put(sample).await;
    }
    fixture.store().settle_now().await.unwrap();
    let packs = fixture.packs(&samples[0]);
    assert_eq!(packs.len(), 2, "one for the log's instances, one for the staged one");
    let folder = tempfile::tempdir().unwrap();
    for pack in packs {
        let output = Command::new("tar")
            .arg("-xf")
            .arg(pack)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    }
    for sample in &samples {
        let bytes = fs::read(folder.path().join(format!("{}.dcm", sample.sop_uid()))).unwrap();
        assert_eq!(bytes, [sample.file_head().as_ref(), &sample.data_set()].concat());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_staged_instance_settles_by_a_link() {
    let mut fixture = Fixture::new().await;
    let sample = Sample {
        pixels: 500_000,
        ..Sample::new(1, 1, 1)
    };
    let before = fixture.put(&sample).await;
    fixture.store().settle_now().await.unwrap();
    assert!(matches!(fixture.record(&sample).location, Location::Pack { .. }));
    fixture.check(&sample).await;
    fixture.store().flush_and_trim().await.unwrap();
    assert_eq!(
        fs::read_dir(fixture.folder.path().join("intake/staged"))
            .unwrap()
            .count(),
        0
    );
    fixture.check(&sample).await;
    let all = fixture
        .store()
        .read(&before, 0..before.data_set_length())
        .await
        .unwrap();
    assert_eq!(all, sample.data_set());
    fixture.reopen().await;
    fixture.check(&sample).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_instances_make_another_pack() {
    let fixture = Fixture::new().await;
    let samples = samples(9);
    for three in samples.chunks(3) {
        for sample in three {
            fixture.put(sample).await;
        }
        fixture.store().settle_now().await.unwrap();
    }
    assert_eq!(fixture.packs(&samples[0]).len(), 3);
    for sample in &samples {
        fixture.check(sample).await;
    }
    assert!(matches!(fixture.commit(&samples[0]).await, Committed::AlreadyStored(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_series_settles_by_itself() {
    let fixture = Fixture::with(|options| options.settle_after = Duration::from_millis(50)).await;
    let sample = Sample::new(1, 1, 1);
    fixture.put(&sample).await;
    for _ in 0..600 {
        if matches!(fixture.record(&sample).location, Location::Pack { .. }) {
            fixture.check(&sample).await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the series did not settle");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settling_that_was_cut_short_is_done_again() {
    let mut fixture = Fixture::new().await;
    let mut samples = samples(5);
    samples.push(Sample {
        pixels: 100_000,
        ..Sample::new(1, 1, 40)
    });
    for sample in &samples {
        fixture.put(sample).await;
    }
    drop(fixture.store.take());
    // What a crash leaves after the pack was put and before the index knew: an object under the next number.
    fs::create_dir_all(fixture.series_folder(&samples[0])).unwrap();
    fs::write(fixture.series_folder(&samples[0]).join("00000001.tar"), b"half a pack").unwrap();
    fs::write(fixture.folder.path().join("objects/.put/7"), b"half a put").unwrap();
    fixture.reopen().await;
    fixture.store().settle_now().await.unwrap();
    for sample in &samples {
        assert!(matches!(fixture.record(sample).location, Location::Pack { .. }));
        fixture.check(sample).await;
    }
    assert_eq!(
        fs::read_dir(fixture.folder.path().join("objects/.put"))
            .unwrap()
            .count(),
        0
    );
}

/// A merge that fails puts back what was settled before it. However often, an instance that waits beside it is not let go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settling_that_fails_at_its_end_gives_up_nobody_elses_entry() {
    let mut fixture = Fixture::new().await;
    let other = Sample::new(2, 1, 1);
    fixture.put(&other).await;
    let series = {
        let first = fixture.put(&Sample::new(1, 1, 0)).await;
        [(first.study_instance_uid, first.series_instance_uid)]
    };
    fixture.store().settle_these(&series).await.unwrap();
    for n in 1..7 {
        fixture.put(&Sample::new(1, 1, n)).await;
        fixture.store().settle_these(&series).await.unwrap();
    }
    // With an eighth the packs are merged, and one does not read.
    let pack = fixture.packs(&Sample::new(1, 1, 0))[0].clone();
    let whole = fs::read(&pack).unwrap();
    fs::write(&pack, b"no pack").unwrap();
    fixture.put(&Sample::new(1, 1, 7)).await;
    for _ in 0..3 {
        fixture.store().settle_these(&series).await.unwrap_err();
    }
    fixture.store().inner.segments.close_open();
    fixture.store().flush_and_trim().await.unwrap();
    fixture.check(&other).await;
    fs::write(&pack, whole).unwrap();
    fixture.store().settle_now().await.unwrap();
    assert_eq!(fixture.store().metrics().merges, 1);
    fixture.reopen().await;
    fixture.check(&other).await;
    for n in 0..8 {
        fixture.check(&Sample::new(1, 1, n)).await;
    }
}
