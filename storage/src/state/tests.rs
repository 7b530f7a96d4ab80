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
