use std::sync::atomic::{AtomicUsize, Ordering};

use filmroom_fixtures::Instance;
use filmroom_storage::{
    model::{Door, Origin},
    store::{Store, StoreOptions},
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;
use filmroom_dataset::DataSetDescriber;
use filmroom_ingest::{Announced, Ingest, Subject};

/// Takes instances, but fails first as often as it is told to.
#[derive(Default)]
struct Destination {
    failures: AtomicUsize,
    taken: Mutex<Vec<(AeTitle, SopInstanceUid)>>,
    told: Mutex<Vec<usize>>,
    /// An instance that it does not answer for, once.
    lost: Mutex<Option<SopInstanceUid>>,
    most_at_once: AtomicUsize,
    at_once: AtomicUsize,
}

impl Destination {
    fn fails(&self) -> bool {
        let fewer = |left: usize| left.checked_sub(1);
        self.failures
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, fewer)
            .is_ok()
    }

    fn count(&self) -> usize {
        self.taken.lock().unwrap().len()
    }
}

#[async_trait]
impl Carrier for Destination {
    async fn send(&self, to: &AeTitle, instances: &[SopInstanceUid]) -> (Vec<Passed>, Result<(), String>) {
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        tokio::task::yield_now().await;
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        if self.fails() {
            // Half of them arrive before the line breaks.
            let passed: Vec<Passed> = instances
                .iter()
                .take(instances.len() / 2)
                .map(|uid| (uid.clone(), Ok(())))
                .collect();
            let arrived = passed.iter().map(|(uid, _)| (to.clone(), uid.clone()));
            self.taken.lock().unwrap().extend(arrived);
            return (passed, Err("the line broke".to_owned()));
        }
        let arrived = instances.iter().map(|uid| (to.clone(), uid.clone()));
        self.taken.lock().unwrap().extend(arrived);
        (instances.iter().map(|uid| (uid.clone(), Ok(()))).collect(), Ok(()))
    }

    async fn commit(&self, _: &AeTitle, instances: &[SopInstanceUid]) -> Result<Vec<Passed>, String> {
        let mut lost = self.lost.lock().unwrap();
        let said = instances.iter().map(|uid| match lost.take_if(|lost| lost == uid) {
            Some(_) => (uid.clone(), Err("lost".to_owned())),
            None => (uid.clone(), Ok(())),
        });
        Ok(said.collect())
    }

    async fn notify(&self, _: &AeTitle, _: &Job, instances: &[SopInstanceUid]) -> Result<(), String> {
        self.told.lock().unwrap().push(instances.len());
        Ok(())
    }
}

struct Archive {
    folder: TempDir,
    store: Store,
    ingest: Ingest,
    room: Forwarding,
}

fn rule(to: &str) -> Rule {
    Rule::to(AeTitle::new(to).unwrap())
}

fn limits() -> Limits {
    Limits {
        quiet: Duration::ZERO,
        pause: Duration::from_millis(1),
        ..Limits::default()
    }
}

impl Archive {
    async fn with(rules: Vec<Rule>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = StoreOptions::new(folder.path());
        options.free_space_min_bytes = 0;
        let store = Store::open(options, Arc::new(DataSetDescriber)).await.unwrap();
        let room = Forwarding::open(rules, Retrieve::new(store.clone()), folder.path(), limits()).unwrap();
        Self {
            ingest: Ingest::watched(store.clone(), Arc::new(room.clone())),
            folder,
            store,
            room,
        }
    }

    async fn take_in(&self, sender: &str, instances: &[Instance]) {
        for instance in instances {
            let announced = Announced {
                transfer_syntax_uid: instance.transfer_syntax_uid.parse().unwrap(),
                sop_class_uid: None,
                sop_instance_uid: None,
                study_instance_uid: None,
                expected_length: 0,
            };
            let mut receiving = self.ingest.receive(announced, from(sender)).unwrap();
            receiving.write(instance.data_set()).await.unwrap();
            receiving.finish().await.unwrap();
        }
    }

    /// What a restart makes of the queue.
    fn again(&self) -> Forwarding {
        Forwarding::open(vec![], Retrieve::new(self.store.clone()), self.folder.path(), limits()).unwrap()
    }
}

/// Works until the queue is empty.
async fn empty(room: &Forwarding, destination: &Arc<Destination>) {
    let stop = CancellationToken::new();
    let working = tokio::spawn(room.clone().work(destination.clone(), stop.clone()));
    while !room.list().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    stop.cancel();
    working.await.unwrap();
}

fn from(sender: &str) -> Origin {
    Origin {
        door: Door::Dimse,
        sender: sender.to_owned(),
        receiver: String::new(),
        address: String::new(),
    }
}

#[tokio::test]
async fn what_a_rule_means_is_sent_once() {
    let rules = vec![
        Rule {
            calling: vec!["MR*".into()],
            modality: vec!["MR".into()],
            ..rule("PACS")
        },
        Rule {
            modality: vec!["US".into()],
            ..rule("ELSEWHERE")
        },
    ];
    let archive = Archive::with(rules).await;
    let instances: Vec<Instance> = filmroom_fixtures::scale(7, 5).collect();
    archive.take_in("MR1", &instances[..4]).await;
    archive.take_in("CT1", &instances[4..]).await;
    let destination = Arc::new(Destination::default());
    empty(&archive.room, &destination).await;
    let taken = destination.taken.lock().unwrap().clone();
    assert!(taken.iter().all(|(to, _)| to.as_str() == "PACS"));
    // The fifth is of the same series: it came while its job was open, from another sender, and goes with it.
    assert_eq!(taken.len(), 5);
    assert!(archive.again().list().is_empty());
}

#[tokio::test]
async fn a_queue_outlives_the_process_and_a_broken_line() {
    let archive = Archive::with(vec![rule("PACS")]).await;
    let instances: Vec<Instance> = filmroom_fixtures::scale(7, 6).collect();
    archive.take_in("MR1", &instances).await;
    let room = archive.again();
    assert_eq!(room.list().len(), 1);
    let destination = Arc::new(Destination::default());
    destination.failures.store(2, Ordering::SeqCst);
    empty(&room, &destination).await;
    let taken = destination.taken.lock().unwrap().clone();
    let uids: std::collections::BTreeSet<_> = taken.iter().map(|(_, uid)| uid.to_string()).collect();
    assert_eq!((taken.len(), uids.len()), (6, 6), "what had arrived was not sent again");
}

#[tokio::test]
async fn what_a_destination_does_not_answer_for_is_sent_again() {
    let archive = Archive::with(vec![rule("PACS")]).await;
    let instances: Vec<Instance> = filmroom_fixtures::scale(7, 3).collect();
    archive.take_in("MR1", &instances).await;
    let destination = Arc::new(Destination::default());
    let lost = SopInstanceUid::new(&instances[1].sop_instance_uid).unwrap();
    *destination.lost.lock().unwrap() = Some(lost.clone());
    empty(&archive.room, &destination).await;
    let taken = destination.taken.lock().unwrap().clone();
    let times = |uid: &SopInstanceUid| taken.iter().filter(|(_, taken)| taken == uid).count();
    assert_eq!((taken.len(), times(&lost)), (4, 2));
    assert!(archive.again().list().is_empty());
}

#[tokio::test]
async fn more_of_a_series_and_one_that_comes_again_go_alone() {
    let archive = Archive::with(vec![rule("PACS")]).await;
    let instances: Vec<Instance> = filmroom_fixtures::scale(7, 5).collect();
    let destination = Arc::new(Destination::default());
    archive.take_in("MR1", &instances[..3]).await;
    empty(&archive.room, &destination).await;
    assert_eq!(destination.count(), 3);
    archive.take_in("MR1", &instances[3..]).await;
    empty(&archive.room, &destination).await;
    assert_eq!(destination.count(), 5, "what was sent is not sent again");
    let again = Arrived {
        study_instance_uid: instances[1].study_instance_uid.parse().unwrap(),
        series_instance_uid: instances[1].series_instance_uid.parse().unwrap(),
        sop_class_uid: instances[1].sop_class_uid.parse().unwrap(),
        sop_instance_uid: instances[1].sop_instance_uid.parse().unwrap(),
        modality: "MR".into(),
        origin: from("MR1"),
        subject: Subject::default(),
        received_at: OffsetDateTime::now_utc() - Duration::from_secs(3600),
    };
    archive.room.arrived(&again).await.unwrap();
    empty(&archive.room, &destination).await;
    let taken = destination.taken.lock().unwrap().clone();
    assert_eq!((taken.len(), taken[5].1.as_str()), (6, &*instances[1].sop_instance_uid));
}

#[tokio::test]
async fn an_instance_that_came_before_its_rule_stays() {
    let archive = Archive::with(vec![rule("PACS")]).await;
    let instances: Vec<Instance> = filmroom_fixtures::scale(7, 4).collect();
    let early = Ingest::new(archive.store.clone());
    let quiet = Archive {
        ingest: early,
        room: archive.room.clone(),
        store: archive.store.clone(),
        folder: tempfile::tempdir().unwrap(),
    };
    quiet.take_in("MR1", &instances[..2]).await;
    archive.take_in("MR1", &instances[2..]).await;
    let destination = Arc::new(Destination::default());
    empty(&archive.room, &destination).await;
    assert_eq!(destination.count(), 2);
    // What came again may not have been acknowledged the first time, and goes out too.
    archive.take_in("MR1", &instances[..1]).await;
    empty(&archive.room, &destination).await;
    assert!(destination.count() > 2);
}

#[tokio::test]
async fn a_job_that_is_given_up_waits_for_a_person() {
    let archive = Archive::with(vec![rule("PACS")]).await;
    let instances: Vec<Instance> = filmroom_fixtures::scale(7, 1).collect();
    archive.take_in("MR1", &instances).await;
    let limits = Limits {
        try_for: Duration::ZERO,
        ..limits()
    };
    let room = Forwarding::open(
        vec![],
        Retrieve::new(archive.store.clone()),
        archive.folder.path(),
        limits,
    )
    .unwrap();
    let destination = Arc::new(Destination::default());
    destination.failures.store(1000, Ordering::SeqCst);
    let stop = CancellationToken::new();
    let working = tokio::spawn(room.clone().work(destination.clone(), stop.clone()));
    while room.list()[0].state != State::GivenUp {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let job = room.list().remove(0);
    assert!(job.last_error.contains("the line broke"), "{}", job.last_error);
    destination.failures.store(0, Ordering::SeqCst);
    room.retry(&job.id).unwrap();
    while !room.list().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    stop.cancel();
    working.await.unwrap();
    assert_eq!(destination.count(), 1);
    assert!(matches!(room.retry("x"), Err(ForwardingError::Unknown)));
}

#[tokio::test]
async fn a_job_can_be_dropped() {
    let archive = Archive::with(vec![rule("PACS")]).await;
    let instances: Vec<Instance> = filmroom_fixtures::scale(7, 1).collect();
    archive.take_in("MR1", &instances).await;
    let id = archive.room.list()[0].id.clone();
    archive.room.drop_job(&id).unwrap();
    assert!(archive.room.list().is_empty() && archive.again().list().is_empty());
    assert!(matches!(archive.room.drop_job(&id), Err(ForwardingError::Unknown)));
}

#[tokio::test]
async fn peers_are_told_and_nothing_goes_back_to_where_it_came_from() {
    let tell = Rule {
        task: Task::Notify,
        ..rule("MR1")
    };
    let archive = Archive::with(vec![tell, rule("MR1")]).await;
    let instances: Vec<Instance> = filmroom_fixtures::scale(7, 3).collect();
    archive.take_in("MR1", &instances).await;
    let destination = Arc::new(Destination::default());
    empty(&archive.room, &destination).await;
    assert_eq!(destination.told.lock().unwrap().iter().sum::<usize>(), 3);
    assert_eq!(destination.count(), 0);
}

#[tokio::test]
async fn so_many_at_a_time() {
    let archive = Archive::with(vec![rule("PACS")]).await;
    for seed in 1..8 {
        let instances: Vec<Instance> = filmroom_fixtures::scale(seed, 1).collect();
        archive.take_in("MR1", &instances).await;
    }
    assert_eq!(archive.room.list().len(), 7);
    let destination = Arc::new(Destination::default());
    empty(&archive.room, &destination).await;
    assert_eq!(destination.count(), 7);
    assert!(destination.most_at_once.load(Ordering::SeqCst) <= limits().at_once_each);
}
