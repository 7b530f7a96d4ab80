use std::fs;

use super::{all_kinds, open, options, patient, seen, us};
use crate::{
    Audit, AuditError, Checkpoint, Event, Log, Options, Participant, Verifier, Wait,
    fault::{self, Failing},
};

#[tokio::test]
async fn what_is_recorded_reads_back_after_a_restart_encrypted_or_not() {
    for key in [None, Some([7; 32])] {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { key, ..options() };
        let audit = Audit::open(folder.path(), &options).unwrap();
        for (index, event) in all_kinds().into_iter().enumerate() {
            assert_eq!(audit.record(event).await.unwrap(), index as u64);
        }
        audit.close().await.unwrap();
        assert!(matches!(audit.record(seen(1)).await, Err(AuditError::Closed)));
        let audit = Audit::open(folder.path(), &options).unwrap();
        for (index, event) in all_kinds().into_iter().enumerate() {
            let read = audit.log().entry(index as u64).unwrap().event;
            assert_eq!(read, Event { at: read.at, ..event });
        }
        let verified = audit.log().verify(None, &[], |_| {}).unwrap();
        assert_eq!((verified.first_bad, verified.size), (None, all_kinds().len() as u64));
        let everything: Vec<u8> = fs::read_dir(folder.path())
            .unwrap()
            .filter_map(|file| fs::read(file.unwrap().path()).ok())
            .flatten()
            .collect();
        let is_plain = everything.windows(5).any(|bytes| bytes == b"PAT-1");
        assert_eq!(is_plain, key.is_none());
    }
}

#[tokio::test]
async fn another_key_opens_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let with = |key| Options {
        key: Some([key; 32]),
        ..options()
    };
    let audit = Audit::open(folder.path(), &with(1)).unwrap();
    audit.record(seen(1)).await.unwrap();
    audit.close().await.unwrap();
    let log = Log::open(folder.path(), Some(&[2; 32])).unwrap();
    assert!(matches!(log.entry(0), Err(AuditError::Damaged { index: 0, .. })));
}

#[tokio::test]
async fn entries_from_before_there_was_a_key_read_on() {
    let folder = tempfile::tempdir().unwrap();
    let audit = open(folder.path());
    audit.record(seen(1)).await.unwrap();
    audit.close().await.unwrap();
    let with_key = Options {
        key: Some([1; 32]),
        ..options()
    };
    let audit = Audit::open(folder.path(), &with_key).unwrap();
    audit.record(seen(2)).await.unwrap();
    assert_eq!(audit.log().entry(0).unwrap().event.objects, seen(1).objects);
    assert_eq!(audit.log().entry(1).unwrap().event.objects, seen(2).objects);
    assert_eq!(audit.log().verify(None, &[], |_| {}).unwrap().first_bad, None);
}

#[tokio::test]
async fn many_that_wait_are_written_together_and_each_gets_an_index_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let audit = Audit::open(
        folder.path(),
        &Options {
            wait: Wait::Synced,
            ..options()
        },
    )
    .unwrap();
    let tasks: Vec<_> = (0..500)
        .map(|number| {
            let audit = audit.clone();
            tokio::spawn(async move { audit.record(seen(number)).await.unwrap() })
        })
        .collect();
    let mut indices = Vec::new();
    for task in tasks {
        indices.push(task.await.unwrap());
    }
    indices.sort_unstable();
    assert_eq!(indices, (0..500).collect::<Vec<_>>());
    assert_eq!(audit.log().verify(None, &[], |_| {}).unwrap().first_bad, None);
}

/// A full disk: nothing is acknowledged, nothing stands half written, and it goes on as soon as it can.
#[tokio::test]
async fn a_write_that_fails_is_said_and_leaves_nothing() {
    for place in ["write", "tree", "sync"] {
        let folder = tempfile::tempdir().unwrap();
        let failing = Failing::default();
        let switch = failing.clone();
        let audit = Audit::start(folder.path(), &options(), move |_| fault::fail_at(place, switch)).unwrap();
        audit.record(seen(0)).await.unwrap();
        failing.set(true);
        let refused = audit.record_destructive(seen(1)).await;
        assert!(matches!(refused, Err(AuditError::Disk(_))), "{place}");
        failing.set(false);
        assert_eq!(audit.record(seen(2)).await.unwrap(), 1, "{place}");
        audit.close().await.unwrap();
        let audit = open(folder.path());
        let second = audit.log().entry(1).unwrap().event;
        assert_eq!(second.objects, seen(2).objects, "{place}");
        assert_eq!(audit.log().size(), 2);
        assert_eq!(audit.log().verify(None, &[], |_| {}).unwrap().first_bad, None);
        assert_eq!(audit.log().damage(), None);
    }
}

#[tokio::test]
async fn checkpoints_are_signed_notes_that_prove_entries_and_growth() {
    let folder = tempfile::tempdir().unwrap();
    let audit = open(folder.path());
    assert_eq!(audit.checkpoint().await.unwrap(), None);
    for number in 0..7 {
        audit.record(seen(number)).await.unwrap();
    }
    let old = audit.checkpoint().await.unwrap().unwrap();
    assert_eq!(audit.checkpoint().await.unwrap().unwrap(), old);
    for number in 7..20 {
        audit.record(seen(number)).await.unwrap();
    }
    let new = audit.checkpoint().await.unwrap().unwrap();
    let log = audit.log();
    let read = Checkpoint::from_text(&new.to_text()).unwrap();
    assert_eq!(read, new);
    let verifier = Verifier::from_text(&log.verifier().to_text()).unwrap();
    assert!(verifier.has_signed(&read));
    let proof = log.prove(13).unwrap().unwrap();
    assert!(proof.holds(&verifier));
    assert!(!crate::Proof { index: 12, ..proof }.holds(&verifier));
    let growth = log.prove_consistency(old.size, new.size).unwrap();
    assert!(crate::merkle::verify_consistency(7, &old.root, 20, &new.root, &growth));
    let forged = new.to_text().replacen("\n20\n", "\n21\n", 1);
    assert!(!verifier.has_signed(&Checkpoint::from_text(&forged).unwrap()));
    assert!(Verifier::from_text("filmroom-audit/0+00000000+AAAA").is_err());
}

#[tokio::test]
async fn erased_values_are_gone_and_every_proof_holds() {
    for key in [None, Some([7; 32])] {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { key, ..options() };
        let audit = Audit::open(folder.path(), &options).unwrap();
        for number in 0..20 {
            audit.record(seen(number)).await.unwrap();
        }
        let before = audit.checkpoint().await.unwrap().unwrap();
        let who = Participant::user("dpo", "");
        let erased = audit
            .erase(&us(), who, patient(3), "request of 2026-11-20")
            .await
            .unwrap();
        assert_eq!(erased.entries, 4);
        let search = |id: &str| crate::Search {
            patient_id: Some(id.into()),
            ..Default::default()
        };
        assert!(audit.log().search(search("PAT-3")).await.unwrap().entries.is_empty());
        assert_eq!(audit.log().search(search("PAT-2")).await.unwrap().entries.len(), 4);
        let entry = audit.log().entry(3).unwrap();
        assert!(entry.event.patients().all(|patient| patient.id.is_erased()));
        assert_eq!(entry.event.studies().next().unwrap().study_instance_uid, "1.2.3.3");
        audit.close().await.unwrap();
        let audit = Audit::open(folder.path(), &options).unwrap();
        let verified = audit.log().verify(None, &[before], |_| {}).unwrap();
        assert_eq!((verified.first_bad, verified.erased), (None, 4));
        assert!(audit.log().prove(3).unwrap().unwrap().holds(audit.log().verifier()));
        let bytes = fs::read(folder.path().join(format!("{:020}.log", 0))).unwrap();
        assert!(!bytes.windows(5).any(|bytes| bytes == b"PAT-3"));
    }
}

#[test]
fn values_never_print() {
    let event = seen(1);
    let printed = format!("{event:?}");
    assert!(
        !printed.contains("PAT") && !printed.contains("Doe") && !printed.contains("ACC"),
        "{printed}"
    );
}
