use std::{collections::BTreeMap, fs};

use proptest::prelude::*;
use tempfile::tempdir;

use super::*;

fn open(data: &Path) -> (StateFolder, Loaded<serde_json::Value>) {
    StateFolder::open(data, "things").unwrap()
}

fn only_file(data: &Path) -> PathBuf {
    let mut files = fs::read_dir(data.join("state/things")).unwrap();
    files.next().unwrap().unwrap().path()
}

#[test]
fn what_was_put_is_there_again() {
    let data = tempdir().unwrap();
    let (folder, loaded) = open(data.path());
    assert!(loaded.records.is_empty());
    folder.put("CT 1/../x", &1).unwrap();
    folder.put("b", &2).unwrap();
    folder.put("b", &3).unwrap();
    folder.put("gone", &4).unwrap();
    assert!(folder.remove("gone").unwrap());
    assert!(!folder.remove("gone").unwrap());
    let (_, loaded) = open(data.path());
    assert_eq!(
        loaded.records,
        [("CT 1/../x".to_owned(), 1.into()), ("b".to_owned(), 3.into())]
    );
    assert!(loaded.damaged.is_empty());
    assert_eq!(verify(data.path()).unwrap(), (2, vec![]));
}

#[test]
fn a_damaged_record_is_told_of_and_left_until_it_is_put_again() {
    let data = tempdir().unwrap();
    let (folder, _) = open(data.path());
    folder.put("a", &"value").unwrap();
    let path = only_file(data.path());
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() - 4;
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (folder, loaded) = open(data.path());
    assert!(loaded.records.is_empty());
    assert_eq!(loaded.damaged[0].why, "its checksum is wrong");
    assert_eq!(verify(data.path()).unwrap().1.len(), 1);
    assert!(path.exists());
    folder.put("a", &"again").unwrap();
    assert_eq!(open(data.path()).1.records, [("a".to_owned(), "again".into())]);
}

#[test]
fn what_a_crash_left_half_written_is_not_taken_for_a_record() {
    let data = tempdir().unwrap();
    let (folder, _) = open(data.path());
    folder.put("a", &1).unwrap();
    let half = only_file(data.path()).with_extension(UNFINISHED);
    fs::write(&half, b"filmroom st").unwrap();
    assert_eq!(open(data.path()).1.records.len(), 1);
    assert!(!half.exists());
}

#[test]
fn keys_and_records_are_bounded() {
    let data = tempdir().unwrap();
    let (folder, _) = open(data.path());
    assert!(matches!(folder.put("", &1), Err(StateError::Limit(_))));
    assert!(matches!(folder.put(&"k".repeat(65), &1), Err(StateError::Limit(_))));
    let long = "x".repeat(RECORD_BYTES_MAX);
    assert!(matches!(folder.put("a", &long), Err(StateError::Limit(_))));
    assert!(open(data.path()).1.records.is_empty());
}

#[test]
fn a_value_that_cannot_be_written_leaves_the_one_before() {
    let data = tempdir().unwrap();
    let (folder, _) = open(data.path());
    folder.put("a", &1).unwrap();
    // A folder where the temporary file would go.
    let path = only_file(data.path());
    fs::create_dir(path.with_extension(UNFINISHED)).unwrap();
    assert!(matches!(folder.put("a", &2), Err(StateError::Io { .. })));
    let loaded: Loaded<i32> = StateFolder::look(data.path(), "things").unwrap();
    assert_eq!(loaded.records, [("a".to_owned(), 1)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn agrees_with_a_map_over_restarts(steps in proptest::collection::vec((0u8..4, "[ -~é]{1,8}", any::<u32>()), 1..24)) {
        let data = tempdir().unwrap();
        let (mut folder, _) = StateFolder::open::<u32>(data.path(), "things").unwrap();
        let mut map = BTreeMap::new();
        for (step, key, value) in steps {
            match step {
                0 | 1 => {
                    folder.put(&key, &value).unwrap();
                    map.insert(key, value);
                }
                2 => prop_assert_eq!(folder.remove(&key).unwrap(), map.remove(&key).is_some()),
                _ => {
                    let (again, loaded) = StateFolder::open(data.path(), "things").unwrap();
                    let found: BTreeMap<String, u32> = loaded.records.into_iter().collect();
                    prop_assert_eq!(&found, &map);
                    folder = again;
                }
            }
        }
    }

    #[test]
    fn random_bytes_are_no_record(bytes in proptest::collection::vec(any::<u8>(), 0..200), name in "\\PC{0,20}") {
        prop_assert!(record::decode::<serde_json::Value>(&bytes).is_err());
        let _ = record::key_of(&name);
    }
}

#[test]
fn sealed_records_show_nothing_and_take_over_plain_ones() {
    let data = tempdir().unwrap();
    let (plain, _) = open(data.path());
    plain.put("MODALITY", &serde_json::json!("1.2.3.4")).unwrap();
    plain.put("OTHER", &serde_json::json!("1.2.3.5")).unwrap();
    let key = crate::encryption::Secret::random().unwrap();
    let sealed = || StatePlace::new(data.path(), Some(&key)).unwrap();
    for _ in 0..2 {
        let (folder, loaded) = StateFolder::open::<serde_json::Value>(sealed(), "things").unwrap();
        assert_eq!(loaded.damaged, []);
        let keys: Vec<_> = loaded.records.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["MODALITY", "OTHER"]);
        folder.put("MODALITY", &serde_json::json!("1.2.3.6")).unwrap();
        for entry in fs::read_dir(data.path().join("state/things")).unwrap() {
            let path = entry.unwrap().path();
            let shown = [
                path.file_name().unwrap().as_encoded_bytes().to_vec(),
                fs::read(&path).unwrap(),
            ]
            .concat();
            for secret in ["MODALITY", "OTHER", "1.2.3"] {
                assert!(
                    !shown.windows(secret.len()).any(|window| window == secret.as_bytes()),
                    "{path:?}"
                );
            }
        }
    }
    assert_eq!(verify(sealed()).unwrap(), (2, vec![]));
    // Without the key they are damaged, not gone; so is one that lies under the name of another, or was changed.
    assert_eq!(verify(data.path()).unwrap().1.len(), 2);
    let files: Vec<_> = fs::read_dir(data.path().join("state/things"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let first = fs::read(&files[0]).unwrap();
    fs::copy(&files[1], &files[0]).unwrap();
    assert_eq!(verify(sealed()).unwrap().1.len(), 1);
    for at in (0..first.len()).step_by(7) {
        let mut changed = first.clone();
        changed[at] ^= 1;
        fs::write(&files[0], changed).unwrap();
        assert_eq!(verify(sealed()).unwrap().1.len(), 1, "byte {at}");
    }
    fs::write(&files[0], first).unwrap();
    let (folder, _) = StateFolder::open::<serde_json::Value>(sealed(), "things").unwrap();
    assert!(folder.remove("OTHER").unwrap() && !folder.remove("OTHER").unwrap());
    assert_eq!(verify(sealed()).unwrap(), (1, vec![]));
}
