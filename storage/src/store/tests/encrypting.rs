use std::{fs, path::Path};

use super::*;
use crate::encryption::{MasterKeys, PlainObjects};

fn under(master: MasterKeys) -> Option<Encryption> {
    Some(Encryption {
        master: Arc::new(master),
        plain: PlainObjects::Read,
    })
}

async fn encrypted() -> Fixture {
    Fixture::with(|options| options.encryption = under(MasterKeys::random().unwrap())).await
}

/// Small ones, some that are staged, of two studies.
fn samples() -> Vec<Sample> {
    let mut samples: Vec<_> = (0..30).map(|n| Sample::new(n % 2, 1, n)).collect();
    for (number, pixels) in [(90, 80_000), (91, 3_000_000), (92, 65_536 * 3), (93, 65_536 - 400)] {
        samples.push(Sample {
            pixels,
            ..Sample::new(1, 1, number)
        });
    }
    samples
}

async fn check_all(fixture: &Fixture, samples: &[Sample]) {
    for sample in samples {
        fixture.check(sample).await;
    }
    let report = fixture.store().verify(VerifyOptions::default(), |_| {}).await.unwrap();
    assert_eq!(report.problems, []);
    assert_eq!(report.indexed, samples.len() as u64);
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// Files and folders of the data folder whose name or bytes hold one of the texts.
fn holding(folder: &Path, texts: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    files(folder, &mut found);
    found.retain(|path| {
        let bytes = fs::read(path).unwrap();
        texts.iter().any(|text| {
            path.strip_prefix(folder).unwrap().to_string_lossy().contains(text)
                || bytes.windows(text.len()).any(|window| window == text.as_bytes())
        })
    });
    found
}

const PATIENT: [&str; 2] = ["doe1^jan", "1.2.3.1"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_works_as_without_and_nothing_is_seen() {
    let mut fixture = encrypted().await;
    let samples = samples();
    for sample in &samples {
        fixture.put(sample).await;
    }
    check_all(&fixture, &samples).await;
    assert_eq!(holding(fixture.folder.path(), &PATIENT), Vec::<PathBuf>::new());
    fixture.reopen().await;
    check_all(&fixture, &samples).await;
    fixture.store().settle_now().await.unwrap();
    check_all(&fixture, &samples).await;
    let other = Sample {
        fill: 200,
        ..samples[3].clone()
    };
    let large = Sample {
        fill: 7,
        ..samples[31].clone()
    };
    for sample in [&other, &large] {
        let Committed::Collision(collision) = fixture.commit(sample).await else {
            panic!("no collision")
        };
        fixture
            .store()
            .quarantine(collision.incoming, &origin(), "other bytes")
            .await
            .unwrap();
    }
    let note = serde_json::json!({"patient": "doe1^jane", "study": "1.2.3.1"});
    fixture.store().journal().append("note", note).await.unwrap();
    let late = Sample::new(1, 1, 100);
    fixture.put(&late).await;
    let samples = [samples, vec![late]].concat();
    fixture.store().settle_now().await.unwrap();
    fixture.store().close().await.unwrap();
    fixture.reopen().await;
    check_all(&fixture, &samples).await;
    assert_eq!(holding(fixture.folder.path(), &PATIENT), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encrypted_index_is_made_anew_from_packs_and_intake() {
    let mut fixture = encrypted().await;
    let samples = samples();
    for (n, sample) in samples.iter().enumerate() {
        fixture.put(sample).await;
        if n == 31 {
            fixture.store().settle_now().await.unwrap();
        }
    }
    drop(fixture.store.take());
    let report = Store::rebuild(fixture.options.clone(), describer(), |_| {})
        .await
        .unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!((report.instances, report.from_intake), (32, 2));
    fixture.reopen().await;
    check_all(&fixture, &samples).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_key_that_is_wrong_or_missing_is_told_and_changes_nothing() {
    let mut fixture = encrypted().await;
    fixture.put(&Sample::new(1, 1, 1)).await;
    drop(fixture.store.take());
    let right = fixture.options.encryption.clone();
    for wrong in [None, under(MasterKeys::random().unwrap())] {
        fixture.options.encryption = wrong;
        let opened = Store::open(fixture.options.clone(), describer()).await;
        let error = opened.err().unwrap();
        assert!(matches!(error, StoreError::Keys(_)), "{error}");
        assert!(error.to_string().contains("master key"), "{error}");
    }
    fixture.options.encryption = right;
    fixture.reopen().await;
    check_all(&fixture, &[Sample::new(1, 1, 1)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_archive_is_encrypted_while_it_works() {
    let mut fixture = Fixture::new().await;
    let samples = samples();
    let (before, waiting) = samples.split_at(20);
    for sample in before {
        fixture.put(sample).await;
    }
    fixture.store().settle_now().await.unwrap();
    for sample in waiting {
        fixture.put(sample).await;
    }
    fixture
        .store()
        .journal()
        .append("note", serde_json::json!("doe1^jane"))
        .await
        .unwrap();
    assert!(!holding(fixture.folder.path(), &PATIENT).is_empty());
    fixture.options.encryption = under(MasterKeys::random().unwrap());
    fixture.reopen().await;
    check_all(&fixture, &samples).await;
    fixture.store().settle_now().await.unwrap();
    check_all(&fixture, &samples).await;
    fixture.store().encrypt_objects(|_| ()).await.unwrap();
    check_all(&fixture, &samples).await;
    assert_eq!(
        fixture.store().encrypt_objects(|_| ()).await.unwrap(),
        EncryptedSoFar::default()
    );
    fixture.store().close().await.unwrap();
    fixture.reopen().await;
    check_all(&fixture, &samples).await;
    assert_eq!(fixture.store().journal().read(0).await.unwrap().len(), 1);
    assert_eq!(holding(fixture.folder.path(), &PATIENT), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_rotate_and_the_old_one_may_go() {
    let mut fixture = encrypted().await;
    let samples = samples();
    for sample in &samples {
        fixture.put(sample).await;
    }
    let old = Arc::clone(&fixture.options.encryption.as_ref().unwrap().master);
    let new = MasterKeys::random().unwrap();
    fixture.options.encryption = under(new.then(&old));
    fixture.reopen().await;
    let rotation = fixture.store().rotate_keys(|_| ()).await.unwrap();
    assert_eq!(
        rotation.wrapped, 1,
        "the archive's; those of the studies were made under the new one"
    );
    let by_master = fixture.store().keys_by_master().await.unwrap();
    assert_eq!(by_master, [(new.first_id(), 3)]);
    fixture.store().close().await.unwrap();
    fixture.options.encryption = under(new);
    fixture.reopen().await;
    check_all(&fixture, &samples).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_study_whose_key_is_destroyed_is_gone_and_others_stay() {
    let fixture = encrypted().await;
    let samples = samples();
    for sample in &samples {
        fixture.put(sample).await;
    }
    fixture.store().settle_now().await.unwrap();
    let study = crate::model::StudyInstanceUid::new("1.2.3.1").unwrap();
    fixture.store().destroy_key(&study).await.unwrap();
    for sample in &samples {
        if sample.study == 1 {
            let record = fixture.record(sample);
            assert!(fixture.store().read(&record, 0..10).await.is_err());
        } else {
            fixture.check(sample).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_store_is_encrypted_too_and_opens_in_the_place_of_the_first() {
    let second = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::with(|options| {
        options.encryption = under(MasterKeys::random().unwrap());
        options.replica = Some(second.path().to_owned());
    })
    .await;
    let samples = samples();
    for sample in &samples {
        fixture.put(sample).await;
    }
    fixture.store().settle_now().await.unwrap();
    check_all(&fixture, &samples).await;
    assert_eq!(holding(second.path(), &PATIENT), Vec::<PathBuf>::new());
    fixture.store().close().await.unwrap();
    drop(fixture.store.take());
    fs::remove_dir_all(fixture.folder.path()).unwrap();
    fs::create_dir_all(fixture.folder.path()).unwrap();
    fs::rename(second.path(), fixture.folder.path().join("objects")).unwrap();
    fixture.options.replica = None;
    fixture.reopen().await;
    check_all(&fixture, &samples).await;
}

/// What is damaged does not open, and is repaired all the same; the damaged bytes are kept as they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_ciphertext_and_keys_are_repaired_from_the_replica() {
    let second = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::with(|options| {
        options.encryption = under(MasterKeys::random().unwrap());
        options.replica = Some(second.path().to_owned());
    })
    .await;
    let samples = samples();
    for sample in &samples {
        fixture.put(sample).await;
    }
    fixture.store().settle_now().await.unwrap();
    let objects = fixture.options.data.join("objects");
    let flip = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, &bytes).unwrap();
        bytes
    };
    let mut found = Vec::new();
    files(&objects.join("encrypted/studies"), &mut found);
    let pack = found
        .iter()
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap();
    let damaged = flip(pack);
    let mut keys = Vec::new();
    files(&objects.join("keys/studies"), &mut keys);
    flip(&keys[0]);
    fixture.reopen().await;
    let report = fixture.store().verify(VerifyOptions::default(), |_| {}).await.unwrap();
    assert_eq!(
        (report.problems.len(), report.repaired, report.keys),
        (0, 2, 3),
        "{:?}",
        report.problems
    );
    check_all(&fixture, &samples).await;
    let mut apart = Vec::new();
    files(&objects.join("encrypted/damaged"), &mut apart);
    assert_eq!(apart.len(), 1);
    assert_eq!(fs::read(&apart[0]).unwrap(), damaged);
    assert_eq!(holding(fixture.folder.path(), &PATIENT), Vec::<PathBuf>::new());
    // Its whole parts still open for whoever looks at it.
    let stored = &fixture.store().inner.stored;
    let (name, _) = stored.list("damaged/", None, 1).await.unwrap().remove(0);
    stored.get_range(&name, 0..512).await.unwrap();
}

/// One of another schema, or that does not read, is put aside sealed and made anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encrypted_index_that_does_not_read_is_put_aside_sealed() {
    let mut fixture = encrypted().await;
    let samples = samples();
    for sample in &samples {
        fixture.put(sample).await;
    }
    fixture.store().settle_now().await.unwrap();
    // What the index says of itself, as a later version would.
    let mut batch = crate::index::engine::Batch::default();
    batch.put(b"Mstate".to_vec(), vec![99, 0, 0]);
    fixture.store().inner.engine.apply(batch).unwrap();
    fixture.store().inner.engine.flush().unwrap();
    fixture.reopen().await;
    check_all(&fixture, &samples).await;
    let aside = fs::read_dir(fixture.folder.path()).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with("index.aside-")
    });
    assert_eq!(aside.count(), 1);
    assert_eq!(holding(fixture.folder.path(), &PATIENT), Vec::<PathBuf>::new());
}

/// Whoever does not open the store finds the same small state, before the first start and while an archive runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_state_is_the_same_with_and_without_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = StoreOptions::new(folder.path());
    options.free_space_min_bytes = 0;
    options.encryption = under(MasterKeys::random().unwrap());
    let plain = state_place(&options, StateAccess::Look).await.unwrap();
    assert!(
        crate::state::StateFolder::look::<u32>(plain, "peers")
            .unwrap()
            .records
            .is_empty()
    );
    let place = state_place(&options, StateAccess::Change).await.unwrap();
    let (state, _) = crate::state::StateFolder::open::<u32>(place, "peers").unwrap();
    state.put("MODALITY", &7).unwrap();
    let store = Store::open(options.clone(), describer()).await.unwrap();
    let looked = state_place(&options, StateAccess::Look).await.unwrap();
    for place in [store.state(), looked] {
        let loaded = crate::state::StateFolder::look::<u32>(place, "peers").unwrap();
        assert_eq!(
            (loaded.records, loaded.damaged),
            (vec![("MODALITY".to_owned(), 7)], vec![])
        );
    }
    assert_eq!(holding(folder.path(), &["MODALITY"]), Vec::<PathBuf>::new());
}
