use std::fs;

use filmroom_dataset::{Builder, DataSetDescriber, write_file_head};
use filmroom_ingest::{Announced, Ingest};
use filmroom_query::Key;
use filmroom_storage::{
    model::{Attributes, Door, Origin, Tag},
    store::{Store, StoreOptions},
};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const EXPLICIT: &str = "1.2.840.10008.1.2.1";

/// An entry with one step.
pub(super) fn scheduled(id: &str, name: &str, modality: &str, date: &str, time: &str) -> Attributes {
    let item = Builder::new()
        .text(tags::MODALITY, modality)
        .text(tags::SCHEDULED_STATION_AE_TITLE, "CT01")
        .text(tags::SCHEDULED_PROCEDURE_STEP_START_DATE, date)
        .text(tags::SCHEDULED_PROCEDURE_STEP_START_TIME, time)
        .text(tags::SCHEDULED_PROCEDURE_STEP_ID, id)
        .build();
    Builder::new()
        .text(tags::PATIENT_NAME, name)
        .text(tags::PATIENT_ID, &format!("P{id}"))
        .text(tags::STUDY_INSTANCE_UID, &format!("1.2.3.{}", id.len() + 1))
        .sequence(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, &[item])
        .build()
}

pub(super) fn entry_of(id: &str, attributes: Attributes) -> Entry {
    Entry::new(id, Source::Put, OffsetDateTime::now_utc(), attributes, None).unwrap()
}

struct Room {
    worklist: Worklist,
    store: Store,
    folder: TempDir,
}

impl Room {
    async fn new(options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut store = StoreOptions::new(folder.path());
        store.free_space_min_bytes = 0;
        let store = Store::open(store, Arc::new(DataSetDescriber)).await.unwrap();
        let worklist = Worklist::open(options, Retrieve::new(store.clone()), folder.path()).unwrap();
        Self {
            worklist,
            store,
            folder,
        }
    }

    /// The room as the next process finds it.
    fn again(&self) -> Worklist {
        Worklist::open(
            Options::default(),
            Retrieve::new(self.store.clone()),
            self.folder.path(),
        )
        .unwrap()
    }

    fn put(&self, id: &str, attributes: &Attributes) {
        self.worklist.put(id, &to_json(attributes)).unwrap();
    }

    /// Names of the patients found, in the order of the answers.
    fn names(&self, keys: &[(&[Tag], &str)]) -> Vec<String> {
        let keys: Vec<Key> = keys
            .iter()
            .map(|(path, value)| Key {
                path: path.to_vec(),
                value: (*value).to_owned(),
            })
            .collect();
        let found = self.worklist.find(&keys, false).unwrap();
        let names = found.iter().map(|found| found.text(tags::PATIENT_NAME).to_owned());
        names.collect()
    }
}

const STEP: Tag = tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE;
const DATE: &[Tag] = &[STEP, tags::SCHEDULED_PROCEDURE_STEP_START_DATE];
const TIME: &[Tag] = &[STEP, tags::SCHEDULED_PROCEDURE_STEP_START_TIME];
const MODALITY: &[Tag] = &[STEP, tags::MODALITY];

#[tokio::test]
async fn entries_are_put_changed_found_and_removed_over_restarts() {
    let room = Room::new(Options::default()).await;
    room.put("A/1", &scheduled("1", "Müller^Jörg", "CT", "20300105", "0930"));
    room.put("B", &scheduled("22", "DOE^JANE", "MR", "20300105", "0800"));
    assert_eq!(room.names(&[]), ["DOE^JANE", "Müller^Jörg"]);
    assert_eq!(room.names(&[(&[tags::PATIENT_NAME], "MULLER*")]), ["Müller^Jörg"]);
    assert_eq!(room.names(&[(MODALITY, "MR")]), ["DOE^JANE"]);
    let (_, is_new) = room
        .worklist
        .put("B", &to_json(&scheduled("22", "ROE^JANE", "MR", "20300105", "0800")))
        .unwrap();
    assert!(!is_new);
    let again = room.again();
    assert_eq!(again.entries().len(), 2);
    assert_eq!(
        again.entry("B").unwrap().attributes.text(tags::PATIENT_NAME),
        "ROE^JANE"
    );
    again.remove("A/1").unwrap();
    assert!(matches!(again.remove("A/1"), Err(WorklistError::Unknown)));
    assert_eq!(room.again().entries().len(), 1);
}

#[tokio::test]
async fn dates_and_times_of_steps_are_one_range() {
    let room = Room::new(Options::default()).await;
    room.put("1", &scheduled("1", "EARLY", "CT", "20300105", "0930"));
    room.put("2", &scheduled("22", "NIGHT", "CT", "20300106", "2300"));
    room.put("3", &scheduled("333", "LATE", "CT", "20300107", "1900"));
    let range = [(DATE, "20300105-20300107"), (TIME, "1000-1800")];
    assert_eq!(room.names(&range), ["NIGHT"]);
    assert_eq!(room.names(&[(DATE, "20300105-20300107"), (TIME, "1900")]), ["LATE"]);
    assert_eq!(room.names(&[(DATE, "20300106-")]), ["NIGHT", "LATE"]);
    assert_eq!(room.names(&[(TIME, "0900-1000")]), ["EARLY"]);
    let wrong = Key {
        path: DATE.to_vec(),
        value: "tomorrow".into(),
    };
    assert!(room.worklist.find(&[wrong], false).is_err());
}

#[tokio::test]
async fn what_is_no_entry_is_refused() {
    let room = Room::new(Options::default()).await;
    let good = to_json(&scheduled("1", "DOE", "CT", "20300105", ""));
    let put = |id: &str, value: &Value| room.worklist.put(id, value).unwrap_err();
    assert!(matches!(put("", &good), WorklistError::Id(_)));
    assert!(matches!(put(&"x".repeat(65), &good), WorklistError::Id(_)));
    assert!(matches!(put("a\nb", &good), WorklistError::Id(_)));
    assert!(matches!(put("file:a.wl", &good), WorklistError::IsFile));
    assert!(matches!(put("1", &serde_json::json!([])), WorklistError::DataSet(_)));
    assert!(matches!(put("1", &serde_json::json!({})), WorklistError::NotAnEntry(_)));
    assert!(room.worklist.entries().is_empty());
}

/// A worklist file, as tools write them.
fn file_of(attributes: &Attributes) -> Vec<u8> {
    let mut file = write_file_head("1.2.276.0.7230010.3.1.0.1", "1.2.3.4", EXPLICIT, "").to_vec();
    file.extend_from_slice(attributes.as_bytes());
    file
}

#[tokio::test]
async fn files_are_read_when_they_come_change_and_go() {
    let dropped = tempfile::tempdir().unwrap();
    let options = Options {
        folder: Some(dropped.path().to_owned()),
        ..Options::default()
    };
    let room = Room::new(options).await;
    let look = || {
        room.worklist.dropped().forget_when();
        room.names(&[])
    };
    assert!(look().is_empty());
    let path = dropped.path().join("AET/one.WL");
    fs::create_dir(path.parent().unwrap()).unwrap();
    fs::write(&path, file_of(&scheduled("1", "DOE^JANE", "CT", "20300105", "08"))).unwrap();
    fs::write(dropped.path().join("lockfile"), "").unwrap();
    fs::write(dropped.path().join("notes.txt"), "not a worklist file").unwrap();
    assert_eq!(look(), ["DOE^JANE"]);
    assert_eq!(room.worklist.entries()[0].id, "file:AET/one.WL");
    assert!(matches!(
        room.worklist.remove("file:AET/one.WL"),
        Err(WorklistError::IsFile)
    ));
    // Half of a new version: the one before is offered until the whole is there.
    let changed = file_of(&scheduled("1", "DOE^JANE^MARIE", "CT", "20300105", "08"));
    fs::write(&path, &changed[..changed.len() - 7]).unwrap();
    assert_eq!(look(), ["DOE^JANE"]);
    assert_eq!(room.worklist.unusable_files()[0].name, "AET/one.WL");
    fs::write(&path, &changed).unwrap();
    assert_eq!(look(), ["DOE^JANE^MARIE"]);
    assert!(room.worklist.unusable_files().is_empty());
    fs::remove_file(&path).unwrap();
    assert!(look().is_empty());
}

#[cfg(unix)]
#[tokio::test]
async fn links_and_long_files_are_not_read() {
    let dropped = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let options = Options {
        folder: Some(dropped.path().to_owned()),
        ..Options::default()
    };
    let room = Room::new(options).await;
    let target = outside.path().join("other.wl");
    fs::write(&target, file_of(&scheduled("1", "DOE", "CT", "20300105", ""))).unwrap();
    std::os::unix::fs::symlink(&target, dropped.path().join("link.wl")).unwrap();
    std::os::unix::fs::symlink(outside.path(), dropped.path().join("folder")).unwrap();
    fs::write(dropped.path().join("long.wl"), vec![0; 200_000]).unwrap();
    assert!(room.names(&[]).is_empty());
    let unusable = room.worklist.unusable_files();
    assert_eq!(unusable.len(), 1);
    assert!(unusable[0].why.contains("longer"), "{}", unusable[0].why);
}

/// A step that performs what `scheduled` schedules.
fn performed(status: &str, study: &str, id: &str) -> Attributes {
    let item = Builder::new()
        .text(tags::STUDY_INSTANCE_UID, study)
        .text(tags::SCHEDULED_PROCEDURE_STEP_ID, id)
        .text(tags::ACCESSION_NUMBER, "A1")
        .build();
    Builder::new()
        .text(tags::MODALITY, "CT")
        .text(tags::PATIENT_NAME, "Müller^Jörg")
        .text(tags::PATIENT_ID, "P1")
        .text(tags::PERFORMED_STATION_AE_TITLE, "CT01")
        .text(tags::PERFORMED_PROCEDURE_STEP_START_DATE, "20300105")
        .text(tags::PERFORMED_PROCEDURE_STEP_START_TIME, "0932")
        .text(tags::PERFORMED_PROCEDURE_STEP_STATUS, status)
        .text(tags::PERFORMED_PROCEDURE_STEP_ID, "PPS1")
        .sequence(tags::SCHEDULED_STEP_ATTRIBUTES_SEQUENCE, &[item])
        .build()
}

/// What is said when a step ends that made these instances.
fn ended(status: &str, instances: &[&str]) -> Attributes {
    let items: Vec<Attributes> = instances
        .iter()
        .map(|uid| {
            Builder::new()
                .text(tags::REFERENCED_SOP_CLASS_UID, "1.2.840.10008.5.1.4.1.1.4")
                .text(tags::REFERENCED_SOP_INSTANCE_UID, uid)
                .build()
        })
        .collect();
    let series = Builder::new()
        .text(tags::SERIES_INSTANCE_UID, "1.2.3.9")
        .sequence(tags::REFERENCED_IMAGE_SEQUENCE, &items)
        .build();
    Builder::new()
        .text(tags::PERFORMED_PROCEDURE_STEP_STATUS, status)
        .text(tags::PERFORMED_PROCEDURE_STEP_END_DATE, "20300105")
        .text(tags::PERFORMED_PROCEDURE_STEP_END_TIME, "0950")
        .sequence(tags::PERFORMED_SERIES_SEQUENCE, &[series])
        .build()
}

#[tokio::test]
async fn a_step_follows_the_rules_of_its_state() {
    let room = Room::new(Options::default()).await;
    let steps = room.worklist.procedure_steps();
    let begun = performed("IN PROGRESS", "1.2.3.2", "1");
    let refused = |attributes: &Attributes| steps.create("1.2.7", "CT01", attributes).unwrap_err();
    let bare = Builder::from_attributes(&begun)
        .remove(tags::SCHEDULED_STEP_ATTRIBUTES_SEQUENCE)
        .remove(tags::MODALITY)
        .build();
    assert!(matches!(refused(&bare), StepError::Missing(tags) if tags.len() == 2));
    let void = Builder::from_attributes(&begun)
        .text(tags::PERFORMED_PROCEDURE_STEP_ID, "")
        .build();
    assert!(matches!(refused(&void), StepError::Empty(_)));
    assert!(matches!(
        refused(&performed("COMPLETED", "1.2.3.2", "1")),
        StepError::Value { .. }
    ));
    assert!(matches!(steps.create("1..2", "CT01", &begun), Err(StepError::Uid)));
    assert!(matches!(
        steps.set("1.2.7", &ended("COMPLETED", &[])),
        Err(StepError::Unknown)
    ));
    steps.create("1.2.7", "CT01", &begun).unwrap();
    assert!(matches!(refused(&begun), StepError::Duplicate));
    let mut changes = Builder::from_attributes(&ended("IN PROGRESS", &["1.2.4"]));
    changes.text(tags::PATIENT_ID, "ANOTHER").text(tags::MODALITY, "CT");
    assert_eq!(steps.set("1.2.7", &changes.build()).unwrap(), [tags::PATIENT_ID]);
    assert!(matches!(
        steps.set("1.2.7", &ended("PERHAPS", &[])),
        Err(StepError::Value { .. })
    ));
    let again = room.again();
    assert!(
        again
            .procedure_steps()
            .set("1.2.7", &ended("DISCONTINUED", &["1.2.4", "1.2.5"]))
            .unwrap()
            .is_empty()
    );
    assert!(matches!(
        again.procedure_steps().set("1.2.7", &ended("COMPLETED", &[])),
        Err(StepError::Final)
    ));
    let (step, attributes) = room.again().procedure_steps().get("1.2.7").unwrap();
    assert_eq!((step.state, step.expected), (State::Discontinued, 2));
    assert_eq!(attributes.text(tags::PATIENT_NAME), "Müller^Jörg");
    assert_eq!(attributes.text(tags::PATIENT_ID), "P1");
    let given = steps.create("", "CT01", &begun).unwrap();
    assert!(given.as_str().starts_with("2.25."));
}

#[tokio::test]
async fn the_worklist_follows_what_is_performed() {
    let room = Room::new(Options::default()).await;
    room.put("1", &scheduled("1", "DOE^JANE", "CT", "20300105", "0930"));
    let status = || {
        let found = room.worklist.find(&[], false).unwrap();
        let asked = Builder::new()
            .sequence(
                STEP,
                &[Builder::new().empty(tags::SCHEDULED_PROCEDURE_STEP_STATUS).build()],
            )
            .build();
        let answers = found.iter().map(|found| project(&asked, found));
        let texts = answers.map(|answer| {
            let sequence = answer.get(STEP).unwrap().value.to_vec();
            let item = filmroom_dataset::items(&sequence).next().unwrap();
            kept::text_of(item, tags::SCHEDULED_PROCEDURE_STEP_STATUS).to_owned()
        });
        texts.collect::<Vec<_>>()
    };
    assert_eq!(status(), ["SCHEDULED"]);
    let steps = room.worklist.procedure_steps();
    steps
        .create("1.2.7", "CT01", &performed("IN PROGRESS", "1.2.3.2", "1"))
        .unwrap();
    assert_eq!(status(), ["STARTED"]);
    steps.set("1.2.7", &ended("DISCONTINUED", &[])).unwrap();
    assert_eq!(status(), ["SCHEDULED"]);
    steps
        .create("1.2.8", "CT01", &performed("IN PROGRESS", "1.2.3.2", "1"))
        .unwrap();
    steps.set("1.2.8", &ended("COMPLETED", &[])).unwrap();
    assert!(status().is_empty());
}

#[tokio::test]
async fn a_study_lacks_what_was_made_and_did_not_come() {
    let room = Room::new(Options::default()).await;
    let instances: Vec<_> = filmroom_fixtures::scale(7, 3).collect();
    let steps = room.worklist.procedure_steps();
    steps
        .create(
            "1.2.7",
            "CT01",
            &performed("IN PROGRESS", &instances[0].study_instance_uid, "1"),
        )
        .unwrap();
    let in_progress = steps.lacking(0, 10).await.unwrap();
    assert!(in_progress.studies[0].is_in_progress);
    let uids: Vec<&str> = instances
        .iter()
        .map(|instance| instance.sop_instance_uid.as_str())
        .collect();
    steps.set("1.2.7", &ended("COMPLETED", &uids)).unwrap();
    let ingest = Ingest::new(room.store.clone());
    let take_in = async |instance: &filmroom_fixtures::Instance| {
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
    };
    take_in(&instances[0]).await;
    take_in(&instances[2]).await;
    let looked = steps.lacking(0, 10).await.unwrap();
    let study = &looked.studies[0];
    assert_eq!((study.expected, study.received, study.is_in_progress), (3, 2, false));
    assert_eq!(study.missing[0].1.as_str(), uids[1]);
    take_in(&instances[1]).await;
    assert!(steps.lacking(0, 10).await.unwrap().studies.is_empty());
    assert!(steps.list()[0].is_complete);
    assert_eq!(steps.lacking(0, 10).await.unwrap().steps, 0);
}

#[tokio::test]
async fn what_is_over_is_let_go_and_instances_stay() {
    let room = Room::new(Options::default()).await;
    room.put("past", &scheduled("1", "PAST", "CT", "20200105", "0930"));
    room.put("future", &scheduled("22", "FUTURE", "CT", "22000105", "0930"));
    let steps = room.worklist.procedure_steps();
    steps
        .create("1.2.7", "CT01", &performed("IN PROGRESS", "1.2.3.2", "1"))
        .unwrap();
    let now = OffsetDateTime::now_utc();
    assert_eq!(room.worklist.let_go(now + time::Duration::days(80)).unwrap(), (0, 0));
    assert_eq!(room.worklist.let_go(now + time::Duration::days(100)).unwrap(), (1, 1));
    assert_eq!(room.names(&[]), ["FUTURE"]);
    assert!(room.again().procedure_steps().list().is_empty());
    assert_eq!(steps.state_of("1.2.3.2", "1"), None);
}

proptest! {
    #[test]
    fn random_changes_and_identifiers_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let odd = Attributes::from_normal_form(bytes.into());
        let step = performed("IN PROGRESS", "1.2", "1");
        let _ = procedure_step::check_new(&odd);
        let _ = procedure_step::changed(&step, State::InProgress, &odd);
        let _ = procedure_step::made(&odd);
        let _ = Entry::new("1", Source::Put, OffsetDateTime::UNIX_EPOCH, odd.clone(), None);
        let _ = project(&odd, &scheduled("1", "DOE", "CT", "20300105", "08"));
        let _ = project(&scheduled("1", "DOE", "CT", "20300105", "08"), &odd);
    }
}
