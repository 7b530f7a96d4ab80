use std::{fs, path::Path};

use proptest::prelude::*;

use super::{open, options, seen};
use crate::{Audit, Checkpoint, Log};

async fn written(folder: &Path, count: u64) -> Vec<Checkpoint> {
    let audit = open(folder);
    let mut checkpoints = Vec::new();
    for number in 0..count {
        audit.record(seen(number)).await.unwrap();
        if number % 3 == 2 {
            checkpoints.extend(audit.checkpoint().await.unwrap());
        }
    }
    audit.close().await.unwrap();
    checkpoints
}

fn first_bad(folder: &Path, witnessed: &[Checkpoint]) -> Option<u64> {
    let log = Log::open(folder, None).unwrap();
    log.verify(None, witnessed, |_| {})
        .unwrap()
        .first_bad
        .map(|(index, _)| index)
}

/// Where entries begin.
fn starts(bytes: &[u8]) -> Vec<usize> {
    (0..bytes.len() - 4)
        .filter(|at| &bytes[*at..*at + 4] == b"AUD1")
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn any_bit_of_any_entry_that_was_flipped_is_found_and_its_entry_named(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        runtime.block_on(written(folder.path(), 6));
        let path = folder.path().join(format!("{:020}.log", 0));
        let mut bytes = fs::read(&path).unwrap();
        let starts = starts(&bytes);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        fs::write(&path, &bytes).unwrap();
        let expected = starts.iter().filter(|start| **start <= at).count().saturating_sub(1) as u64;
        prop_assert_eq!(first_bad(folder.path(), &[]), Some(expected));
        // The archive starts all the same, says it, and all other entries read.
        let audit = Audit::open(folder.path(), &options()).unwrap();
        prop_assert_eq!(audit.log().damage().map(|damage| damage.index), Some(expected));
        let readable = (0..6).filter(|index| audit.log().entry(*index).is_ok()).count();
        prop_assert!(readable >= 5);
        prop_assert_eq!(runtime.block_on(audit.record(seen(9))).unwrap(), 6);
    }
}

#[tokio::test]
async fn a_flipped_bit_of_tree_or_checkpoints_is_found() {
    let whole = tempfile::tempdir().unwrap();
    written(whole.path(), 6).await;
    for name in ["tree", "checkpoints"] {
        let path = whole.path().join(name);
        let bytes = fs::read(&path).unwrap();
        for at in (0..bytes.len()).step_by(3).chain([bytes.len() - 2]) {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            fs::write(&path, &changed).unwrap();
            let found = first_bad(whole.path(), &[]);
            assert!(found.is_some(), "{name} {at}");
        }
        fs::write(&path, &bytes).unwrap();
    }
    assert_eq!(first_bad(whole.path(), &[]), None);
}

/// Somebody who has the key of the log writes another past: whoever kept a checkpoint sees where it leaves the first.
#[tokio::test]
async fn a_fork_is_found_by_a_checkpoint_that_was_kept_elsewhere() {
    let whole = tempfile::tempdir().unwrap();
    let kept = written(whole.path(), 6).await;
    let forged = tempfile::tempdir().unwrap();
    for key in ["signing.key", "search.key"] {
        fs::copy(whole.path().join(key), forged.path().join(key)).unwrap();
    }
    let audit = open(forged.path());
    // The same first three, since their bytes would have to be the same, are copied: here all differ by their salts.
    for number in 10..16 {
        audit.record(seen(number)).await.unwrap();
    }
    audit.close().await.unwrap();
    assert_eq!(first_bad(forged.path(), &[]), None);
    assert_eq!(first_bad(forged.path(), &kept), Some(0));
    assert_eq!(first_bad(whole.path(), &kept), None);
    // Another key altogether.
    let foreign = tempfile::tempdir().unwrap();
    let theirs = written(foreign.path(), 6).await;
    assert!(first_bad(whole.path(), &theirs).is_some());
}

#[tokio::test]
async fn a_fork_after_a_common_beginning_is_named_by_where_it_begins() {
    let whole = tempfile::tempdir().unwrap();
    let audit = open(whole.path());
    for number in 0..3 {
        audit.record(seen(number)).await.unwrap();
    }
    let common = audit.checkpoint().await.unwrap().unwrap();
    audit.close().await.unwrap();
    let forged = tempfile::tempdir().unwrap();
    for file in fs::read_dir(whole.path()).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), forged.path().join(file.file_name())).unwrap();
    }
    let mut ends = Vec::new();
    for folder in [whole.path(), forged.path()] {
        let audit = open(folder);
        for number in 3..8 {
            audit.record(seen(number)).await.unwrap();
        }
        ends.extend(audit.checkpoint().await.unwrap());
        audit.close().await.unwrap();
    }
    assert_eq!(first_bad(forged.path(), &[common, ends[0].clone()]), Some(3));
    // A checkpoint over more than there is: the tail was cut before it was kept.
    let short = tempfile::tempdir().unwrap();
    let shorter = written(short.path(), 2).await;
    assert!(shorter.is_empty());
    fs::copy(whole.path().join("signing.key"), short.path().join("signing.key")).unwrap();
    fs::remove_file(short.path().join("checkpoints")).unwrap();
    assert_eq!(first_bad(short.path(), &[ends[0].clone()]), Some(2));
}
