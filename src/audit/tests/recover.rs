use std::{fs, path::Path};

use super::{open, seen, us};
use crate::{AuditError, Log, Participant, merkle::stored_count};

fn segment(folder: &Path) -> std::path::PathBuf {
    folder.join(format!("{:020}.log", 0))
}

/// A folder with `count` entries, as a killed process leaves it: no checkpoint. Where each entry ends.
async fn killed(folder: &Path, count: u64) -> Vec<u64> {
    let audit = open(folder);
    let mut ends = vec![fs::metadata(segment(folder)).map_or(20, |metadata| metadata.len())];
    for number in 0..count {
        audit.record(seen(number)).await.unwrap();
        ends.push(fs::metadata(segment(folder)).unwrap().len());
    }
    audit.close().await.unwrap();
    fs::remove_file(folder.join("checkpoints")).unwrap();
    ends
}

fn cut(path: &Path, bytes: u64) {
    fs::OpenOptions::new()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(bytes)
        .unwrap();
}

fn copy(from: &Path, to: &Path) {
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}

/// Killed while the last entry was written, at any byte: it was not acknowledged, since its hash was not written.
#[tokio::test]
async fn a_torn_end_that_was_never_acknowledged_is_cut_wherever_it_is_torn() {
    let whole = tempfile::tempdir().unwrap();
    let ends = killed(whole.path(), 4).await;
    cut(&whole.path().join("tree"), stored_count(3) * 32);
    for length in (ends[3]..ends[4]).step_by(3).chain([ends[4] - 1]) {
        let folder = tempfile::tempdir().unwrap();
        copy(whole.path(), folder.path());
        cut(&segment(folder.path()), length);
        let audit = open(folder.path());
        assert_eq!((audit.log().size(), audit.log().damage()), (3, None), "{length}");
        assert_eq!(audit.record(seen(9)).await.unwrap(), 3);
        audit.close().await.unwrap();
        let verified = open(folder.path()).log().verify(None, &[], |_| {}).unwrap();
        assert_eq!((verified.first_bad, verified.size), (None, 4), "{length}");
    }
}

/// Killed between the entry and its hash: it stays, though nobody was told.
#[tokio::test]
async fn whole_entries_without_a_hash_get_one() {
    for hashes in 0..=7 {
        let folder = tempfile::tempdir().unwrap();
        killed(folder.path(), 4).await;
        cut(&folder.path().join("tree"), hashes * 32 + hashes % 3);
        let audit = open(folder.path());
        assert_eq!((audit.log().size(), audit.log().damage()), (4, None), "{hashes}");
        assert_eq!(
            audit.log().verify(None, &[], |_| {}).unwrap().first_bad,
            None,
            "{hashes}"
        );
    }
}

/// Cut anywhere behind what was acknowledged: it is said, recording goes on, nothing is destroyed until somebody knows.
#[tokio::test]
async fn a_tail_that_was_acknowledged_and_is_gone_is_damage_wherever_it_was_cut() {
    let whole = tempfile::tempdir().unwrap();
    let ends = killed(whole.path(), 4).await;
    for length in (0..ends[4]).step_by(41).chain(ends[..4].iter().copied()) {
        let folder = tempfile::tempdir().unwrap();
        copy(whole.path(), folder.path());
        cut(&segment(folder.path()), length);
        let first = ends.iter().filter(|end| **end <= length).count().saturating_sub(1) as u64;
        let seen_by_reader = Log::open(folder.path(), None)
            .unwrap()
            .verify(None, &[], |_| {})
            .unwrap();
        assert_eq!(seen_by_reader.first_bad.unwrap().0, first, "{length}");
        let audit = open(folder.path());
        assert_eq!(audit.log().damage().unwrap().index, first, "{length}");
        assert!(matches!(
            audit.record_destructive(seen(8)).await,
            Err(AuditError::Unacknowledged { .. })
        ));
        assert_eq!(audit.record(seen(9)).await.unwrap(), 4, "{length}");
        let who = Participant::user("admin", "");
        assert_eq!(
            audit.acknowledge_damage(&us(), who).await.unwrap().unwrap().index,
            first
        );
        assert_eq!(audit.record_destructive(seen(8)).await.unwrap(), 6);
        audit.close().await.unwrap();
        // Acknowledged is not mended: it is named for ever.
        let audit = open(folder.path());
        assert_eq!(
            audit.log().verify(None, &[], |_| {}).unwrap().first_bad.unwrap().0,
            first
        );
        assert_eq!(audit.log().entry(4).unwrap().event.objects, seen(9).objects);
    }
}

#[tokio::test]
async fn a_log_that_a_checkpoint_outlives_is_put_aside_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("audit");
    let audit = open(&inner);
    for number in 0..4 {
        audit.record(seen(number)).await.unwrap();
    }
    audit.close().await.unwrap();
    cut(&segment(&inner), 20);
    cut(&inner.join("tree"), 32);
    let audit = open(&inner);
    assert!(audit.log().damage().unwrap().reason.contains("aside"));
    assert_eq!(audit.record(seen(9)).await.unwrap(), 0);
    let kept = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(kept, 2);
}

#[tokio::test]
async fn lost_indexes_of_full_segments_are_made_again() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 1_300).await;
    let finds = || {
        fs::read_dir(folder.path())
            .unwrap()
            .map(|file| file.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "find"))
            .collect::<Vec<_>>()
    };
    let search = crate::Search {
        patient_id: Some("PAT-2".into()),
        limit: 200,
        order: crate::SearchOrder::OldestFirst,
        ..Default::default()
    };
    let before = Log::open(folder.path(), None)
        .unwrap()
        .search_blocking(&search)
        .unwrap();
    assert_eq!((finds().len(), before.entries.len()), (2, 200));
    let bytes = fs::read(&finds()[0]).unwrap();
    fs::write(&finds()[0], &bytes[..bytes.len() / 2]).unwrap();
    fs::remove_file(&finds()[1]).unwrap();
    let audit = open(folder.path());
    assert_eq!(finds().len(), 2);
    assert_eq!(audit.log().search_blocking(&search).unwrap().entries, before.entries);
    // Damaged while it is in use: made again in memory.
    let bytes = fs::read(&finds()[0]).unwrap();
    let mut flipped = bytes;
    for byte in flipped.iter_mut().skip(52 + 512 * 4).step_by(100) {
        *byte ^= 1;
    }
    use std::os::unix::fs::FileExt;
    fs::OpenOptions::new()
        .write(true)
        .open(&finds()[0])
        .unwrap()
        .write_all_at(&flipped, 0)
        .unwrap();
    assert_eq!(audit.log().search_blocking(&search).unwrap().entries, before.entries);
}

async fn fill(folder: &Path, count: u64) {
    let audit = open(folder);
    let mut waiting = std::collections::VecDeque::new();
    for number in 0..count {
        waiting.push_back(audit.enqueue(seen(number)).await.unwrap());
        if waiting.len() > 32 {
            waiting.pop_front().unwrap().await.unwrap();
        }
    }
    for recorded in waiting {
        recorded.await.unwrap();
    }
    audit.close().await.unwrap();
}
