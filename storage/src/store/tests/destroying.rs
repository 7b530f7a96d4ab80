//! Destroying: gone from everywhere, never anything else, and taken up again wherever it is cut short.

mod elsewhere;

use std::{
    collections::{BTreeSet, HashSet},
    fs,
    ops::ControlFlow,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::json;

use super::*;
use crate::{
    index::{ChangeKind, WordPart},
    journal::Decision,
    model::{SopInstanceUid, StudyInstanceUid},
    testing::crash,
};

/// Pixels that nothing else has: searched for in every byte of the data folder.
fn secret(study: u32, instance: u32) -> Sample {
    Sample {
        fill: 0xA0 + instance as u8,
        ..Sample::new(study, 1, instance)
    }
}

fn uid(sample: &Sample) -> SopInstanceUid {
    SopInstanceUid::new(&sample.sop_uid()).unwrap()
}

/// Files of a folder in which a run of this byte stands.
fn files_with(folder: &Path, fill: u8, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_with(&path, fill, found);
        } else if fs::read(&path)
            .unwrap()
            .windows(200)
            .any(|window| window.iter().all(|byte| *byte == fill))
        {
            found.push(path.display().to_string());
        }
    }
}

/// In the data folder and in the replica.
fn traces(fixture: &Fixture, sample: &Sample) -> Vec<String> {
    let mut found = Vec::new();
    files_with(&fixture.options.data, sample.fill, &mut found);
    if let Some(replica) = &fixture.options.replica {
        files_with(replica, sample.fill, &mut found);
    }
    found
}

/// Waits until nothing is left of what was decided to be destroyed.
async fn until_all_is_gone(fixture: &Fixture) {
    let gone = async {
        while !fixture.store().destroying().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), gone).await;
    waited.unwrap_or_else(|_| panic!("{:?}", fixture.store().destroying()));
}

async fn kinds(fixture: &Fixture) -> Vec<String> {
    let decisions: Vec<Decision> = fixture.store().journal().read(0).await.unwrap();
    decisions.into_iter().map(|decision| decision.kind).collect()
}

/// Keeps other bytes under the UID of a sample apart.
async fn quarantine(fixture: &Fixture, sample: &Sample, fill: u8) -> Sample {
    let other = Sample { fill, ..sample.clone() };
    let Committed::Collision(collision) = fixture.commit(&other).await else {
        panic!("no collision")
    };
    let reason = "other bytes under the same UID";
    fixture
        .store()
        .quarantine(collision.incoming, &origin(), reason)
        .await
        .unwrap();
    other
}

/// A copy of a pack as a repair leaves it.
fn keep_damaged(fixture: &Fixture, sample: &Sample, pack: &str) -> PathBuf {
    let objects = fixture.options.data.join("objects");
    let place = format!("studies/{}/{}", sample.study_uid(), sample.series_uid());
    let apart = objects.join("damaged").join(&place);
    fs::create_dir_all(&apart).unwrap();
    fs::copy(objects.join(&place).join(pack), apart.join(pack)).unwrap();
    apart.join(pack)
}

async fn destroy(fixture: &Fixture, scope: DestroyScope) -> Destroyed {
    fixture
        .store()
        .destroy(scope, json!({"why": "asked for"}))
        .await
        .unwrap()
}

async fn assert_sound(fixture: &Fixture) {
    let report = fixture.store().verify(VerifyOptions::default(), |_| {}).await.unwrap();
    assert_eq!(report.problems, []);
}

/// Settled in a pack, waiting in the log, and staged: one goes of each, the others stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_instance_goes_from_pack_log_and_staged_file() {
    let mut fixture = Fixture::new().await;
    let mut all: Vec<_> = (0..6).map(|n| secret(1, n)).collect();
    for sample in &all {
        fixture.put(sample).await;
    }
    fixture.store().settle_now().await.unwrap();
    for sample in [
        secret(1, 10),
        secret(1, 11),
        Sample {
            pixels: 50_000,
            ..secret(1, 12)
        },
    ] {
        fixture.put(&sample).await;
        all.push(sample);
    }
    let going = [all[0].clone(), all[6].clone(), all[8].clone()];
    assert!(going.iter().all(|sample| !traces(&fixture, sample).is_empty()));
    let destroyed = destroy(&fixture, DestroyScope::Instances(going.iter().map(uid).collect())).await;
    assert_eq!(destroyed.instances.len(), 3);
    for _ in 0..2 {
        for sample in &all {
            if going.contains(sample) {
                assert!(fixture.store().index().instance(&uid(sample)).unwrap().is_none());
                assert_eq!(traces(&fixture, sample), Vec::<String>::new());
                let sealed = fixture.seal(sample).await;
                let again = fixture.store().commit(sealed, sample.description(), &origin()).await;
                assert!(
                    matches!(again, Err(StoreError::Destroyed(number)) if number == destroyed.decision),
                    "{again:?}"
                );
            } else {
                fixture.check(sample).await;
            }
        }
        let totals = fixture.store().index().totals().unwrap();
        assert_eq!((totals.studies, totals.series, totals.instances), (1, 1, 6));
        assert_sound(&fixture).await;
        fixture.reopen().await;
    }
    // The tombstones are decisions, and come back with an index that is made anew.
    drop(fixture.store.take());
    Store::rebuild(fixture.options.clone(), describer(), |_| {})
        .await
        .unwrap();
    fixture.reopen().await;
    assert!(matches!(
        fixture
            .store()
            .commit(fixture.seal(&going[0]).await, going[0].description(), &origin())
            .await,
        Err(StoreError::Destroyed(_))
    ));
    assert_eq!(fixture.store().index().totals().unwrap().instances, 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_study_leaves_nothing_but_its_tombstones() {
    let fixture = Fixture::new().await;
    let (going, staying): (Vec<_>, Vec<_>) = (
        (0..5).map(|n| secret(1, n)).collect(),
        (5..9).map(|n| secret(2, n)).collect(),
    );
    for sample in going.iter().chain(&staying) {
        fixture.put(sample).await;
    }
    fixture.store().settle_now().await.unwrap();
    let study = StudyInstanceUid::new(&going[0].study_uid()).unwrap();
    let destroyed = destroy(&fixture, DestroyScope::Study(study.clone())).await;
    assert_eq!(destroyed.instances.len(), 5);
    assert!(fixture.store().index().study(&study).unwrap().is_none());
    let all = fixture
        .store()
        .index()
        .studies(&crate::index::StudySelector::All, None, 10)
        .unwrap();
    assert_eq!(all.len(), 1);
    assert!(going.iter().all(|sample| traces(&fixture, sample).is_empty()));
    // The index was written anew, so that no trace of their rows is in space that it does not use any more.
    let name = format!("doe{}", going[0].study % 3);
    let mut index = Vec::new();
    for entry in fs::read_dir(fixture.options.data.join("index")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            index.extend(fs::read(path).unwrap());
        }
    }
    assert!(!index.windows(name.len()).any(|window| window == name.as_bytes()));
    let words = fixture.store().index();
    words
        .name_words(WordPart::Beginning(&name), &mut |word| {
            panic!("{word:?} is still there")
        })
        .unwrap();
    // Whoever follows the changes is told what stays and what went.
    let changes = fixture.store().changes(None, 100).unwrap();
    let of_kind = |kind| -> HashSet<SopInstanceUid> {
        let changes = changes.iter().filter(|change| change.kind == kind);
        changes.map(|change| change.sop_instance_uid.clone()).collect()
    };
    assert_eq!(of_kind(ChangeKind::Stored), staying.iter().map(uid).collect());
    assert_eq!(of_kind(ChangeKind::Destroyed), going.iter().map(uid).collect());
    for sample in &staying {
        fixture.check(sample).await;
    }
    let late = secret(3, 20);
    fixture.put(&late).await;
    assert_sound(&fixture).await;
    // Nothing is left to destroy, and nothing is decided.
    assert_eq!(destroy(&fixture, DestroyScope::Study(study)).await.decision, 0);
}

/// A pack of a backup from before the decision.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_back_with_a_backup_is_destroyed_again() {
    let mut fixture = Fixture::new().await;
    let all: Vec<_> = (0..4).map(|n| secret(1, n)).collect();
    for sample in &all {
        fixture.put(sample).await;
    }
    fixture.store().settle_now().await.unwrap();
    let folder = fixture
        .options
        .data
        .join("objects/studies")
        .join(all[0].study_uid())
        .join(all[0].series_uid());
    let old = fs::read(folder.join("00000001.tar")).unwrap();
    destroy(&fixture, DestroyScope::Instances(vec![uid(&all[1])])).await;
    fs::write(folder.join("00000001.tar"), old).unwrap();
    drop(fixture.store.take());
    Store::rebuild(fixture.options.clone(), describer(), |_| {})
        .await
        .unwrap();
    fixture.reopen().await;
    assert_eq!(traces(&fixture, &all[1]), Vec::<String>::new());
    for sample in all.iter().filter(|sample| **sample != all[1]) {
        fixture.check(sample).await;
    }
    assert_sound(&fixture).await;
}

/// What describes a study goes with the instance that it came from; afterwards all is as a rebuild makes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_index_is_afterwards_as_a_rebuild_makes_it() {
    let mut fixture = Fixture::new().await;
    for n in 0..12 {
        fixture.put(&Sample::new(1, n % 3, n)).await;
    }
    fixture.store().settle_now().await.unwrap();
    let gone = (0..12)
        .filter(|n| *n < 4 || n % 3 == 2)
        .map(|n| uid(&Sample::new(1, n % 3, n)));
    destroy(&fixture, DestroyScope::Instances(gone.collect())).await;
    let look = |store: &Store| {
        let index = store.index();
        let studies = index.studies(&crate::index::StudySelector::All, None, 10).unwrap();
        let series = index.series_of(&studies[0].1.study_instance_uid).unwrap();
        let by_modality = |modality: &str| {
            let selector = crate::index::StudySelector::Modality(modality.to_owned());
            index.studies(&selector, None, 10).unwrap().len()
        };
        let found = (by_modality("CT"), by_modality("MR"));
        let mut words = BTreeSet::new();
        for part in [WordPart::Inside(""), WordPart::WholeBeginning("")] {
            index
                .name_words(part, &mut |word| {
                    words.insert(word);
                    ControlFlow::Continue(())
                })
                .unwrap();
        }
        assert_eq!(words.len(), 3);
        (studies, series, index.totals().unwrap(), found, words)
    };
    let after = look(fixture.store());
    assert_eq!((after.1.len(), after.2.instances), (2, 5));
    drop(fixture.store.take());
    Store::rebuild(fixture.options.clone(), describer(), |_| {})
        .await
        .unwrap();
    fixture.reopen().await;
    assert_eq!(look(fixture.store()), after);
}

const FOLDER: &str = "FILMROOM_TEST_DESTROY_FOLDER";

fn filled() -> Vec<Sample> {
    (0..8)
        .map(|n| secret(1, n))
        .chain([secret(2, 8), secret(2, 9)])
        .collect()
}

fn in_folder(fixture: &mut Fixture, folder: &Path) {
    fixture.options.data = folder.join("data");
    fixture.options.replica = Some(folder.join("replica"));
}

/// The body of the child: fills the store, destroys, and is ended on the way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let mut fixture = Fixture::new().await;
    in_folder(&mut fixture, Path::new(&folder));
    fixture.reopen().await;
    let all = filled();
    for sample in all.iter().take(5) {
        fixture.put(sample).await;
    }
    fixture.store().settle_now().await.unwrap();
    for sample in all.iter().skip(5) {
        fixture.put(sample).await;
    }
    quarantine(&fixture, &all[1], 0xE1).await;
    keep_damaged(&fixture, &all[1], "00000001.tar");
    fixture.store().flush_and_trim().await.unwrap();
    destroy(
        &fixture,
        DestroyScope::Instances([&all[1], &all[6], &all[8]].into_iter().map(uid).collect()),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn destroying_goes_on_wherever_it_was_cut_short() {
    for place in [
        "destroy.journaled:1",
        "destroy.indexed:1",
        "destroy.rewritten:1",
        "destroy.packs:1",
        "destroy.apart:1",
        "keeper.flushed:2",
        "keeper.trimmed:1",
        "destroy.intake:1",
        "destroy.replica:1",
        "destroy.versions:1",
        "destroy.keys:1",
    ] {
        for rebuilt in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let status = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "store::tests::destroying::child", "--nocapture"])
                .env(FOLDER, folder.path())
                .env(crash::VARIABLE, place)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .unwrap();
            assert!(!status.success(), "{place} was not reached");
            let mut fixture = Fixture::new().await;
            in_folder(&mut fixture, folder.path());
            drop(fixture.store.take());
            if rebuilt {
                Store::rebuild(fixture.options.clone(), describer(), |_| {})
                    .await
                    .unwrap();
            }
            fixture.reopen().await;
            until_all_is_gone(&fixture).await;
            let all = filled();
            let other = Sample {
                fill: 0xE1,
                ..all[1].clone()
            };
            assert_eq!(traces(&fixture, &other), Vec::<String>::new(), "{place}");
            let gone: HashSet<usize> = [1, 6, 8].into();
            for (n, sample) in all.iter().enumerate() {
                if gone.contains(&n) {
                    assert!(fixture.store().index().instance(&uid(sample)).unwrap().is_none());
                    assert_eq!(traces(&fixture, sample), Vec::<String>::new(), "{place}");
                } else {
                    fixture.check(sample).await;
                }
            }
            assert_sound(&fixture).await;
            assert_eq!(kinds(&fixture).await, ["destroy", "destroyed"], "{place}");
        }
    }
}
