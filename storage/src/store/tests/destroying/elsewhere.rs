//! What lies elsewhere than in packs and log: apart, in a replica, wrapped keys.

use super::*;

/// Copies that a person was to look at go with what they are copies of; those of others stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_apart_goes_too() {
    let replica = tempfile::tempdir().unwrap();
    let fixture = Fixture::with(|options| options.replica = Some(replica.path().join("objects"))).await;
    let all: Vec<_> = (0..6).map(|n| secret(n / 3, n)).collect();
    for sample in &all {
        fixture.put(sample).await;
    }
    fixture.store().settle_now().await.unwrap();
    let going_apart = quarantine(&fixture, &all[1], 0xE1).await;
    let staying_apart = quarantine(&fixture, &all[4], 0xE2).await;
    let going_damaged = keep_damaged(&fixture, &all[1], "00000001.tar");
    let staying_damaged = keep_damaged(&fixture, &all[4], "00000001.tar");
    let mut bytes = fs::read(&going_damaged).unwrap();
    bytes[300] ^= 1;
    fs::write(&going_damaged, bytes).unwrap();
    let unread = fixture.options.data.join("objects/quarantine/ab.tar");
    fs::write(&unread, b"no tar").unwrap();
    // A pack that the replica alone has, from an older time.
    let place = format!("studies/{}/{}", all[1].study_uid(), all[1].series_uid());
    let in_replica = replica.path().join("objects").join(&place);
    fs::copy(in_replica.join("00000001.tar"), in_replica.join("00000007.tar")).unwrap();

    let destroyed = destroy(&fixture, DestroyScope::Instances(vec![uid(&all[1])])).await;
    assert!(destroyed.is_complete(), "{:?}", destroyed.left);
    assert_eq!((destroyed.instances.len(), destroyed.quarantined.len()), (1, 1));
    assert_eq!(destroyed.unread, ["quarantine/ab.tar"]);
    for sample in [&all[1], &going_apart] {
        assert_eq!(traces(&fixture, sample), Vec::<String>::new());
    }
    assert!(!going_damaged.exists() && staying_damaged.exists() && unread.exists());
    assert_eq!(traces(&fixture, &staying_apart).len(), 2, "here and in the replica");
    for sample in all.iter().filter(|sample| **sample != all[1]) {
        fixture.check(sample).await;
        assert!(!traces(&fixture, sample).is_empty());
    }
    // What is kept apart can be all that there is of a study.
    let study = StudyInstanceUid::new(&all[4].study_uid()).unwrap();
    let destroyed = destroy(&fixture, DestroyScope::Study(study)).await;
    assert_eq!((destroyed.instances.len(), destroyed.quarantined.len()), (3, 1));
    assert!(!staying_damaged.exists());
    for sample in all[3..].iter().chain([&staying_apart]) {
        assert_eq!(traces(&fixture, sample), Vec::<String>::new());
    }
}

/// The replica is away: the archive's own bytes go at once, the rest when it is back, also after a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_away_is_not_forgotten() {
    for restarted in [false, true] {
        let replica = tempfile::tempdir().unwrap();
        let folder = replica.path().join("objects");
        let mut fixture = Fixture::with(|options| options.replica = Some(folder.clone())).await;
        let all: Vec<_> = (0..4).map(|n| secret(1, n)).collect();
        for sample in &all {
            fixture.put(sample).await;
        }
        fixture.store().settle_now().await.unwrap();
        fs::rename(folder.join("studies"), replica.path().join("away")).unwrap();
        fs::write(folder.join("studies"), b"").unwrap();
        let destroyed = destroy(&fixture, DestroyScope::Instances(vec![uid(&all[1])])).await;
        assert!(!destroyed.is_complete());
        assert!(
            destroyed.left.iter().any(|kept| kept.place.contains("replica")),
            "{:?}",
            destroyed.left
        );
        assert_eq!(traces(&fixture, &all[1]), Vec::<String>::new());
        assert_eq!(kinds(&fixture).await, ["destroy"]);
        if restarted {
            fixture.close_at_once().await;
            fixture.reopen().await;
            assert_eq!(fixture.store().destroying().len(), 1);
        }
        fs::remove_file(folder.join("studies")).unwrap();
        fs::rename(replica.path().join("away"), folder.join("studies")).unwrap();
        until_all_is_gone(&fixture).await;
        assert_eq!(traces(&fixture, &all[1]), Vec::<String>::new());
        assert_eq!(kinds(&fixture).await, ["destroy", "destroyed"]);
        for sample in all.iter().filter(|sample| **sample != all[1]) {
            fixture.check(sample).await;
        }
        fixture.store().inner.objects.catch_up("").await.unwrap();
        assert_sound(&fixture).await;
    }
}

/// The keys of a study go when nothing of it is left, and not before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keys_of_a_study_go_with_it() {
    let replica = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::with(|options| {
        options.encryption = Some(Encryption {
            master: Arc::new(crate::encryption::MasterKeys::random().unwrap()),
            plain: crate::encryption::PlainObjects::Read,
        });
        options.replica = Some(replica.path().join("objects"));
    })
    .await;
    let all: Vec<_> = (0..6).map(|n| secret(n / 3, n)).collect();
    for sample in &all {
        fixture.put(sample).await;
    }
    fixture.store().settle_now().await.unwrap();
    let other = quarantine(&fixture, &all[1], 0xE1).await;
    let keys = |fixture: &Fixture| {
        let folders = [fixture.options.data.join("objects"), replica.path().join("objects")];
        folders.map(|folder| {
            let studies = fs::read_dir(folder.join("keys/studies")).unwrap();
            studies
                .filter(|study| fs::read_dir(study.as_ref().unwrap().path()).unwrap().count() > 0)
                .count()
        })
    };
    assert_eq!(keys(&fixture), [2, 2]);
    destroy(&fixture, DestroyScope::Instances(vec![uid(&all[0])])).await;
    assert_eq!(keys(&fixture), [2, 2], "two of its instances are left");
    let study = StudyInstanceUid::new(&all[0].study_uid()).unwrap();
    // The index is not written anew all the time: that may be left for a moment.
    destroy(&fixture, DestroyScope::Study(study)).await;
    until_all_is_gone(&fixture).await;
    assert_eq!(keys(&fixture), [1, 1]);
    let apart = fixture.store().inner.stored.list("quarantine/", None, 9).await.unwrap();
    assert_eq!(apart, [], "{other:?} went too");
    fixture.reopen().await;
    for sample in &all[3..] {
        fixture.check(sample).await;
    }
    assert_sound(&fixture).await;
}
