use std::{
    fs,
    sync::{Arc, Mutex},
};

use super::*;
use crate::index::StudySelector;

/// Everything that queries can see.
fn snapshot(store: &Store) -> String {
    let index = store.index();
    let studies = index.studies(&StudySelector::All, None, 1000).unwrap();
    let mut text = format!("{:?}\n", index.totals().unwrap());
    for (_, study) in studies {
        text += &format!("{study:?}\n");
        for series in index.series_of(&study.study_instance_uid).unwrap() {
            text += &format!("{series:?}\n");
            let instances = index
                .instances_of(&study.study_instance_uid, &series.series_instance_uid, None, 1000)
                .unwrap();
            for (_, instance) in instances {
                text += &format!("{instance:?}\n");
            }
        }
    }
    text
}

#[track_caller]
fn same(now: &str, before: &str) {
    for (now, before) in now.lines().zip(before.lines()) {
        assert_eq!(now, before);
    }
    assert_eq!(now.len(), before.len());
}

async fn filled() -> (Fixture, Vec<Sample>) {
    let fixture = Fixture::new().await;
    let mut samples = Vec::new();
    for n in 0..60 {
        samples.push(Sample {
            pixels: 200 + 14 * n as usize,
            ..Sample::new(n % 4, n % 3, n)
        });
    }
    samples.push(Sample {
        pixels: 90_000,
        ..Sample::new(1, 1, 500)
    });
    for (n, sample) in samples.iter().enumerate() {
        fixture.put(sample).await;
        if n == 20 || n == 40 {
            fixture.store().settle_now().await.unwrap();
        }
    }
    (fixture, samples)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_is_made_anew_answers_the_same() {
    let (mut fixture, samples) = filled().await;
    let before = snapshot(fixture.store());
    drop(fixture.store.take());
    let seen = Arc::new(Mutex::new(0));
    let count = Arc::clone(&seen);
    let progress = move |_: &RebuildReport| *count.lock().unwrap() += 1;
    let report = Store::rebuild(fixture.options.clone(), describer(), progress)
        .await
        .unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!((report.instances, report.from_intake), (41, 20));
    assert!(*seen.lock().unwrap() >= 4);
    fixture.reopen().await;
    same(&snapshot(fixture.store()), &before);
    for sample in &samples {
        fixture.check(sample).await;
    }
    // Life goes on: pack numbers are not given twice.
    fixture.store().settle_now().await.unwrap();
    fixture.store().flush_and_trim().await.unwrap();
    for sample in &samples {
        fixture.check(sample).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_does_not_open_is_put_aside_and_made_anew() {
    let (mut fixture, samples) = filled().await;
    let before = snapshot(fixture.store());
    fixture.store().close().await.unwrap();
    drop(fixture.store.take());
    let index = fixture.folder.path().join("index");
    fs::write(index.join("conf"), b"no configuration of sled").unwrap();
    fixture.reopen().await;
    same(&snapshot(fixture.store()), &before);
    for sample in &samples {
        fixture.check(sample).await;
    }
    let aside = fs::read_dir(fixture.folder.path()).unwrap();
    let aside = aside.filter(|entry| {
        entry
            .as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with("index.aside-")
    });
    assert_eq!(aside.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_fell_behind_is_made_anew() {
    let mut fixture = Fixture::new().await;
    let samples: Vec<_> = (0..40)
        .map(|n| Sample {
            pixels: 5000,
            ..Sample::new(1, 1, n)
        })
        .collect();
    for sample in &samples[..20] {
        fixture.put(sample).await;
    }
    fixture.store().close().await.unwrap();
    drop(fixture.store.take());
    let (index, old) = (fixture.folder.path().join("index"), fixture.folder.path().join("old"));
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(&index)
        .arg(&old)
        .status()
        .unwrap();
    assert!(copied.success());
    fixture.reopen().await;
    for sample in &samples[20..] {
        fixture.put(sample).await;
    }
    fixture.store().settle_now().await.unwrap();
    fixture.store().flush_and_trim().await.unwrap();
    let before = snapshot(fixture.store());
    drop(fixture.store.take());
    // The device loses what it said was safe: intake is trimmed, and the index is the one of before.
    fs::remove_dir_all(&index).unwrap();
    fs::rename(&old, &index).unwrap();
    fixture.reopen().await;
    same(&snapshot(fixture.store()), &before);
    for sample in &samples {
        fixture.check(sample).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledged_entry_that_cannot_be_indexed_is_reported_and_kept() {
    let mut fixture = Fixture::new().await;
    let samples: Vec<_> = (0..30)
        .map(|n| Sample {
            pixels: 9000,
            ..Sample::new(1, 1, n)
        })
        .collect();
    for sample in &samples {
        fixture.put(sample).await;
    }
    let problems = fixture.rebuild_without(&samples[3]).await;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains(&samples[3].sop_uid()), "{problems:?}");
    // The log is trimmed of all others, and not of this one.
    fixture.store().settle_now().await.unwrap();
    fixture.store().flush_and_trim().await.unwrap();
    fixture.reopen().await;
    for sample in &samples {
        fixture.check(sample).await;
    }
}
