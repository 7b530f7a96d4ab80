use std::{fs, path::Path};

use super::*;
use crate::index::Totals;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_reads_back_at_once() {
    let fixture = Fixture::new().await;
    let sample = Sample::new(1, 2, 3);
    let record = fixture.put(&sample).await;
    assert!(matches!(record.location, Location::Intake { .. }));
    assert_eq!(fixture.record(&sample), record);
    fixture.check(&sample).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_instance_is_staged_and_reads_back() {
    let mut fixture = Fixture::new().await;
    let sample = Sample {
        pixels: 3_000_001 / 2 * 2,
        ..Sample::new(1, 2, 3)
    };
    let record = fixture.put(&sample).await;
    assert!(matches!(record.location, Location::Staged { .. }));
    fixture.check(&sample).await;
    fixture.reopen().await;
    assert_eq!(fixture.record(&sample), record);
    fixture.check(&sample).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_beyond_the_budget_is_staged_early() {
    let fixture = Fixture::with(|options| {
        options.intake_memory_max_bytes = 4_000;
        options.staged_from_bytes = 1 << 20;
    })
    .await;
    let sample = Sample {
        pixels: 5_000,
        ..Sample::new(1, 2, 3)
    };
    assert!(matches!(fixture.put(&sample).await.location, Location::Staged { .. }));
    fixture.check(&sample).await;
    assert_eq!(fixture.store().metrics().intake_memory_bytes, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_instance_leaves_nothing() {
    let fixture = Fixture::new().await;
    let sample = Sample {
        pixels: 100_000,
        ..Sample::new(1, 2, 3)
    };
    let sealed = fixture.seal(&sample).await;
    let staged = fixture.folder.path().join("intake/staged");
    assert_eq!(fs::read_dir(&staged).unwrap().count(), 1);
    drop(sealed);
    assert_eq!(fs::read_dir(&staged).unwrap().count(), 0);
    assert_eq!(fixture.store().metrics().intake_memory_bytes, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_bytes_again_are_already_stored() {
    for pixels in [100, 50_000] {
        let fixture = Fixture::new().await;
        let sample = Sample {
            pixels,
            ..Sample::new(1, 2, 3)
        };
        let first = fixture.put(&sample).await;
        assert!(matches!(fixture.commit(&sample).await, Committed::AlreadyStored(stored) if stored == first));
        fixture.store().settle_now().await.unwrap();
        let settled = fixture.record(&sample);
        assert!(matches!(fixture.commit(&sample).await, Committed::AlreadyStored(stored) if stored == settled));
        let other = Sample { fill: 77, ..sample };
        assert!(matches!(fixture.commit(&other).await, Committed::Collision(of) if of.stored == settled));
        assert_eq!(fixture.store().index().totals().unwrap().instances, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_bytes_under_the_same_uid_collide_and_come_back() {
    let fixture = Fixture::new().await;
    let first = fixture.put(&Sample::new(1, 2, 3)).await;
    let other = Sample {
        fill: 77,
        ..Sample::new(1, 2, 3)
    };
    let Committed::Collision(collision) = fixture.commit(&other).await else {
        panic!("no collision")
    };
    assert_eq!(collision.stored, first);
    assert_eq!(
        collision.incoming.data_set().read_at(0, 1 << 20).unwrap(),
        other.data_set()
    );
    fixture.check(&Sample::new(1, 2, 3)).await;

    let store = fixture.store();
    store
        .quarantine(collision.incoming, &origin(), "another instance has this UID")
        .await
        .unwrap();
    let kept = fs::read_dir(fixture.folder.path().join("objects/quarantine"))
        .unwrap()
        .count();
    assert_eq!((kept, store.index().totals().unwrap().instances), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_at_once_under_one_uid_is_stored() {
    let fixture = Fixture::new().await;
    let mut tries = Vec::new();
    for round in 0..40_u8 {
        let sample = Sample {
            fill: round % 2,
            ..Sample::new(1, 2, 3)
        };
        let sealed = fixture.seal(&sample).await;
        let store = fixture.store().clone();
        tries.push(tokio::spawn(async move {
            store.commit(sealed, sample.description(), &origin()).await.unwrap()
        }));
    }
    let (mut stored, mut already, mut collided) = (0, 0, 0);
    for outcome in tries {
        match outcome.await.unwrap() {
            Committed::Stored(_) => stored += 1,
            Committed::AlreadyStored(_) => already += 1,
            Committed::Collision(_) => collided += 1,
        }
    }
    assert_eq!((stored, already, collided), (1, 19, 20));
    assert_eq!(fixture.store().index().totals().unwrap().instances, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_instances_survive_a_restart() {
    let mut fixture = Fixture::new().await;
    let samples: Vec<_> = (0..120)
        .map(|n| Sample {
            pixels: 500 + 400 * n as usize,
            ..Sample::new(n % 3, n % 7, n)
        })
        .collect();
    for sample in &samples {
        fixture.put(sample).await;
    }
    let before = fixture.store().index().totals().unwrap();
    assert_eq!(
        before,
        Totals {
            studies: 3,
            series: 21,
            instances: 120,
            ..before
        }
    );
    fixture.reopen().await;
    assert_eq!(fixture.store().index().totals().unwrap(), before);
    for sample in &samples {
        fixture.check(sample).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_was_lost_is_made_again_from_intake() {
    let mut fixture = Fixture::new().await;
    let samples: Vec<_> = (0..30)
        .map(|n| Sample {
            pixels: 100 + 900 * n as usize,
            ..Sample::new(1, 1, n)
        })
        .collect();
    let mut records = Vec::new();
    for sample in &samples {
        records.push(fixture.put(sample).await);
    }
    drop(fixture.store.take());
    fs::remove_dir_all(fixture.folder.path().join("index")).unwrap();
    fixture.reopen().await;
    for (sample, record) in samples.iter().zip(records) {
        assert_eq!(fixture.record(sample), record);
        fixture.check(sample).await;
    }
}

fn last_segment(folder: &Path) -> PathBuf {
    let segments = fs::read_dir(folder.join("intake"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    segments
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .max()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_end_is_cut_and_what_was_acknowledged_stays() {
    let mut fixture = Fixture::new().await;
    let samples: Vec<_> = (0..3).map(|n| Sample::new(1, 1, n)).collect();
    for sample in &samples {
        fixture.put(sample).await;
    }
    drop(fixture.store.take());
    let segment = last_segment(fixture.folder.path());
    let whole = fs::read(&segment).unwrap();
    // A fourth entry of which the middle never reached the disk: a copy of the third, which also stands elsewhere.
    let mut torn = whole.clone();
    torn.extend_from_slice(&whole[whole.len() - 900..]);
    fs::write(&segment, &torn).unwrap();
    fixture.reopen().await;
    assert_eq!(fs::metadata(&segment).unwrap().len(), whole.len() as u64);
    for sample in &samples {
        fixture.check(sample).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_in_the_middle_costs_nothing_behind_it() {
    let mut fixture = Fixture::new().await;
    let samples: Vec<_> = (0..5).map(|n| Sample::new(1, 1, n)).collect();
    let mut records = Vec::new();
    for sample in &samples {
        records.push(fixture.put(sample).await);
    }
    drop(fixture.store.take());
    fs::remove_dir_all(fixture.folder.path().join("index")).unwrap();
    let Location::Intake { entry, .. } = records[2].location else {
        panic!("not in intake")
    };
    let segment = last_segment(fixture.folder.path());
    let mut bytes = fs::read(&segment).unwrap();
    bytes[entry as usize + 30] ^= 0xFF;
    fs::write(&segment, &bytes).unwrap();
    fixture.reopen().await;
    for (n, sample) in samples.iter().enumerate() {
        if n != 2 {
            fixture.check(sample).await;
        }
    }
    assert_eq!(
        fs::metadata(&segment).unwrap().len(),
        bytes.len() as u64,
        "damaged bytes are kept"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_refused_before_damage() {
    let mut fixture = Fixture::new().await;
    fixture.put(&Sample::new(1, 1, 1)).await;
    fixture.options.free_space_min_bytes = u64::MAX;
    fixture.reopen().await;
    for pixels in [1000, 100_000] {
        let sample = Sample {
            pixels,
            ..Sample::new(1, 1, 2)
        };
        let mut incoming = fixture.store().receive(sample.file_head(), 0);
        let refused = match incoming.write(&sample.data_set()).await {
            Ok(()) => {
                let sealed = incoming.seal().await.unwrap();
                fixture
                    .store()
                    .commit(sealed, sample.description(), &origin())
                    .await
                    .map(|_| ())
            }
            Err(error) => Err(error),
        };
        assert!(matches!(refused, Err(StoreError::OutOfSpace(_))), "{refused:?}");
    }
    fixture.check(&Sample::new(1, 1, 1)).await;
    fixture.options.free_space_min_bytes = 0;
    fixture.reopen().await;
    fixture.put(&Sample::new(1, 1, 2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_in_use_is_refused() {
    let fixture = Fixture::new().await;
    let second = Store::open(fixture.options.clone(), describer()).await;
    assert!(matches!(second.err(), Some(StoreError::Unavailable(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_store_takes_nothing_in_and_still_reads() {
    let fixture = Fixture::new().await;
    let sample = Sample::new(1, 1, 1);
    fixture.put(&sample).await;
    fixture.store().close().await.unwrap();
    let next = Sample::new(1, 1, 2);
    let sealed = fixture.seal(&next).await;
    let refused = fixture.store().commit(sealed, next.description(), &origin()).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))));
    fixture.check(&sample).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranges_outside_the_instance_are_refused() {
    let fixture = Fixture::new().await;
    let record = fixture.put(&Sample::new(1, 1, 1)).await;
    let end = record.data_set_length();
    let backwards = Range { start: 5, end: 4 };
    for range in [0..end + 1, end + 1..end + 2, backwards] {
        assert!(matches!(
            fixture.store().read(&record, range).await,
            Err(StoreError::Range(_))
        ));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_of_a_series_come_in_order_of_instance_number() {
    let fixture = Fixture::new().await;
    for n in (0..150).rev() {
        fixture.put(&Sample::new(1, 1, n)).await;
    }
    let record = fixture.record(&Sample::new(1, 1, 0));
    let headers = fixture
        .store()
        .headers_of_series(&record.study_instance_uid, &record.series_instance_uid);
    let headers: Vec<_> = headers.try_collect().await.unwrap();
    assert_eq!(headers.len(), 150);
    for (n, (record, header)) in headers.into_iter().enumerate() {
        let sample = Sample::new(1, 1, n as u32);
        assert_eq!(record.sop_instance_uid.as_str(), sample.sop_uid());
        assert_eq!(header, sample.description().header);
    }
}
