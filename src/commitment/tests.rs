use std::{
    collections::VecDeque,
    sync::atomic::{AtomicUsize, Ordering},
};

use filmroom_fixtures::Instance;
use filmroom_storage::{
    model::{Door, Location, Origin, SopInstanceUid},
    store::StoreOptions,
};
use futures_util::StreamExt;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use filmroom_dataset::DataSetDescriber;
use filmroom_ingest::{Announced, Ingest};
use filmroom_retrieve::Selection;

/// Fails as often as it is told to, then takes reports.
struct Told {
    failures: AtomicUsize,
    reports: mpsc::UnboundedSender<(String, Report)>,
}

#[async_trait]
impl Reporter for Told {
    async fn report(&self, ae_title: &str, report: &Report) -> Result<(), String> {
        let left = self
            .failures
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_ok() {
            return Err("not now".to_owned());
        }
        self.reports.send((ae_title.to_owned(), report.clone())).unwrap();
        Ok(())
    }
}

struct Archive {
    store: Store,
    folder: TempDir,
}

impl Archive {
    async fn with(instances: &[Instance]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = StoreOptions::new(folder.path());
        options.free_space_min_bytes = 0;
        let store = Store::open(options, Arc::new(DataSetDescriber)).await.unwrap();
        let ingest = Ingest::new(store.clone());
        for instance in instances {
            let announced = Announced {
                transfer_syntax_uid: instance.transfer_syntax_uid.parse().unwrap(),
                sop_class_uid: None,
                sop_instance_uid: None,
                study_instance_uid: None,
                expected_length: 0,
            };
            let origin = Origin {
                door: Door::Import,
                sender: String::new(),
                receiver: String::new(),
                address: String::new(),
            };
            let mut receiving = ingest.receive(announced, origin).unwrap();
            receiving.write(instance.data_set()).await.unwrap();
            receiving.finish().await.unwrap();
        }
        Self { store, folder }
    }

    fn room(&self) -> Commitments {
        let limits = Limits {
            pause: Duration::from_millis(1),
            ..Limits::default()
        };
        let retrieve = Retrieve::new(self.store.clone());
        Commitments::open(self.store.clone(), retrieve, self.folder.path(), limits).unwrap()
    }

    async fn location(&self, instance: &Instance) -> Location {
        let selection = Selection {
            instances: vec![SopInstanceUid::new(&instance.sop_instance_uid).unwrap()],
            ..Selection::of(filmroom_privacy::Sight::all())
        };
        let mut found = Retrieve::new(self.store.clone()).select(selection);
        found.next().await.unwrap().unwrap().location
    }
}

fn reference(instance: &Instance) -> Reference {
    Reference {
        sop_class_uid: instance.sop_class_uid.clone(),
        sop_instance_uid: instance.sop_instance_uid.clone(),
    }
}

/// Lets a room work until it has told so many reports.
async fn reports(room: &Commitments, failures: usize, count: usize) -> Vec<(String, Report)> {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let told = Told {
        failures: failures.into(),
        reports: sender,
    };
    let stop = CancellationToken::new();
    let working = tokio::spawn(room.clone().work(Arc::new(told), stop.clone()));
    let mut reports = Vec::new();
    while reports.len() < count {
        reports.push(receiver.recv().await.unwrap());
    }
    while !room.list().iter().all(|transaction| transaction.given_up) {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    working.await.unwrap();
    reports
}

#[tokio::test]
async fn only_what_lies_in_the_object_store_is_safe() {
    let instances: Vec<Instance> = filmroom_fixtures::scale(7, 3).collect();
    let archive = Archive::with(&instances).await;
    assert!(!matches!(archive.location(&instances[0]).await, Location::Pack { .. }));
    let room = archive.room();
    let missing = Reference {
        sop_instance_uid: "1.2.3".into(),
        ..reference(&instances[0])
    };
    let conflicting = Reference {
        sop_class_uid: "1.2.840.10008.5.1.4.1.1.2".into(),
        ..reference(&instances[2])
    };
    let asked = vec![
        reference(&instances[0]),
        missing.clone(),
        reference(&instances[1]),
        conflicting.clone(),
    ];
    room.ask("CT1", "1.2.99", asked).unwrap();
    let told = reports(&room, 0, 1).await;
    let expected = Report {
        transaction_uid: "1.2.99".into(),
        safe: vec![reference(&instances[0]), reference(&instances[1])],
        not_safe: vec![
            (missing, NotSafe::NoSuchInstance),
            (conflicting, NotSafe::ClassInstanceConflict),
        ],
    };
    assert_eq!(told, [("CT1".to_owned(), expected)]);
    assert!(matches!(archive.location(&instances[0]).await, Location::Pack { .. }));
}

#[tokio::test]
async fn bytes_that_changed_are_not_safe() {
    let instances: Vec<Instance> = filmroom_fixtures::scale(8, 2).collect();
    let archive = Archive::with(&instances).await;
    archive.store.settle_now().await.unwrap();
    let Location::Pack { offset, .. } = archive.location(&instances[0]).await else {
        panic!("not settled")
    };
    let mut folders = VecDeque::from([archive.folder.path().join("objects")]);
    while let Some(folder) = folders.pop_front() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push_back(path);
            } else if path.extension().is_some_and(|extension| extension == "tar") {
                let mut bytes = std::fs::read(&path).unwrap();
                bytes[offset as usize + 3000] ^= 1;
                std::fs::write(&path, bytes).unwrap();
            }
        }
    }
    let room = archive.room();
    room.ask("CT1", "1.2.99", instances.iter().map(reference).collect())
        .unwrap();
    let (_, report) = reports(&room, 0, 1).await.remove(0);
    assert_eq!(report.safe, [reference(&instances[1])]);
    assert_eq!(
        report.not_safe,
        [(reference(&instances[0]), NotSafe::ProcessingFailure)]
    );
}

#[tokio::test]
async fn a_report_is_tried_over_restarts_until_it_is_taken() {
    let archive = Archive::with(&[]).await;
    let missing = Reference {
        sop_class_uid: "1.2.840.10008.5.1.4.1.1.2".into(),
        sop_instance_uid: "1.2.3".into(),
    };
    archive.room().ask("CT1", "1.2.99", vec![missing]).unwrap();
    let room = archive.room();
    assert_eq!(room.list().len(), 1);
    assert_eq!(reports(&room, 5, 1).await[0].0, "CT1");
    assert!(archive.room().list().is_empty());
}

#[tokio::test]
async fn a_report_is_given_up_in_the_end_and_stays_to_be_seen() {
    let archive = Archive::with(&[]).await;
    let limits = Limits {
        report_for: Duration::ZERO,
        pause: Duration::from_millis(1),
        ..Limits::default()
    };
    let retrieve = Retrieve::new(archive.store.clone());
    let room = Commitments::open(archive.store.clone(), retrieve, archive.folder.path(), limits).unwrap();
    room.ask("CT1", "1.2.99", vec![]).unwrap();
    assert!(reports(&room, usize::MAX, 0).await.is_empty());
    assert!(archive.room().list()[0].given_up);
}

#[tokio::test]
async fn a_transaction_uid_means_one_request() {
    let archive = Archive::with(&[]).await;
    let room = archive.room();
    let missing = |uid: &str| Reference {
        sop_class_uid: "1.2.840.10008.5.1.4.1.1.2".into(),
        sop_instance_uid: uid.into(),
    };
    room.ask("CT1", "1.2.99", vec![missing("1.2.3")]).unwrap();
    room.ask("CT1", "1.2.99", vec![missing("1.2.3")]).unwrap();
    assert_eq!(room.list().len(), 1);
    room.ask("CT1", "1.2.99", vec![missing("1.2.4")]).unwrap();
    room.ask("CT2", "1.2.99", vec![missing("1.2.4")]).unwrap();
    let mut reasons: Vec<_> = reports(&room, 0, 3)
        .await
        .into_iter()
        .map(|(peer, report)| (peer, report.not_safe[0].1))
        .collect();
    reasons.sort_by_key(|(peer, reason)| (peer.clone(), *reason == NotSafe::DuplicateTransaction));
    assert_eq!(
        reasons,
        [
            ("CT1".to_owned(), NotSafe::NoSuchInstance),
            ("CT1".to_owned(), NotSafe::DuplicateTransaction),
            ("CT2".to_owned(), NotSafe::NoSuchInstance)
        ]
    );
}
