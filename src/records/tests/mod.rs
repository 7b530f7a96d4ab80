mod disposing;
mod facts;
mod holding;
mod interrupted;
mod linked;
mod policies;
mod rejecting;
mod surveying;

use std::sync::{Arc, Mutex};

use filmroom_dataset::{Builder, DataSetDescriber};
use filmroom_ingest::{Announced, Ingest, IngestError};
use filmroom_retention::{HoldEffect, Status};
use filmroom_storage::{
    model::{Door, Origin},
    store::{Store, StoreOptions},
};
use tempfile::TempDir;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::*;

pub(super) const FIVE: &str = r#"pack = "house"
version = "1"
effective_from = 2000-01-01
rule = [{ id = "five", class = "min", keep = [{ from = "study.date", for = "P5Y" }] }]
[approval]
steps = [{ role = "records-approver", n = 2 }]
cooling_off = "P14D"
"#;

/// A data folder, an archive on it, and a clock that is set by hand.
pub(super) struct Archive {
    pub(super) folder: TempDir,
    pub(super) store: Store,
    pub(super) records: Records,
    now: Arc<Mutex<OffsetDateTime>>,
}

pub(super) fn clerk() -> Actor {
    Actor::new("clerk", &["him-clerk"])
}

pub(super) fn manager() -> Actor {
    Actor::new("manager", &["him-manager"])
}

pub(super) fn approver(name: &str) -> Actor {
    Actor::new(name, &["records-approver"])
}

pub(super) fn lawyer(name: &str) -> Actor {
    Actor::new(name, &["legal"])
}

async fn opened(folder: &TempDir, now: &Arc<Mutex<OffsetDateTime>>) -> (Store, Records) {
    let mut options = StoreOptions::new(folder.path());
    options.free_space_min_bytes = 0;
    let store = Store::open(options, Arc::new(DataSetDescriber)).await.unwrap();
    let now = Arc::clone(now);
    let options = Options {
        backups_days: Some(30),
        clock: Arc::new(move || *now.lock().unwrap()),
        ..Options::default()
    };
    let records = Records::open(store.clone(), options).await.unwrap();
    (store, records)
}

impl Archive {
    /// Without policies. It is long after now, so that the journal's own times are in the past.
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now = Arc::new(Mutex::new(
            OffsetDateTime::parse("2126-11-22T12:00:00Z", &Rfc3339).unwrap(),
        ));
        let (store, records) = opened(&folder, &now).await;
        Self {
            folder,
            store,
            records,
            now,
        }
    }

    /// Five years for everything.
    pub(super) async fn keeping_five_years() -> Self {
        let archive = Self::new().await;
        archive.publish(FIVE).await;
        archive
    }

    /// Submits, simulates and publishes a pack, and binds it everywhere.
    pub(super) async fn publish(&self, text: &str) {
        let (pack, _) = self.records.lint_policy(Some(text), None).unwrap();
        let binding = filmroom_retention::Binding {
            pack: pack.pack,
            site: None,
            source: None,
            programme: None,
        };
        let author = Actor::new("author", &["him-manager"]);
        let submitted = self
            .records
            .submit_policy(&author, Some(text.to_owned()), None, Some(vec![binding]))
            .await
            .unwrap();
        let id = submitted.0.id;
        self.records.simulate_policy(&author, &id).await.unwrap();
        self.records.publish_policy(&manager(), &id, true, None).await.unwrap();
    }

    /// Ends the archive and opens it again.
    pub(super) async fn reopened(self) -> Self {
        let Self {
            folder,
            store,
            records,
            now,
        } = self;
        drop(records);
        store.close().await.unwrap();
        drop(store);
        let (store, records) = opened(&folder, &now).await;
        Self {
            folder,
            store,
            records,
            now,
        }
    }

    pub(super) fn wait_days(&self, days: i64) {
        *self.now.lock().unwrap() += time::Duration::days(days);
    }

    /// One instance of a study; its pixels are of one byte, to be searched for.
    pub(super) async fn take_in(
        &self,
        study: u32,
        instance: u32,
        patient: &str,
        date: &str,
    ) -> Result<(), IngestError> {
        let data_set = data_set(study, instance, patient, date, "CT", "19600101");
        self.take_in_data_set(&data_set).await
    }

    pub(super) async fn take_in_data_set(&self, data_set: &[u8]) -> Result<(), IngestError> {
        self.take_in_with(&Ingest::new(self.store.clone()), data_set).await
    }

    pub(super) async fn take_in_with(&self, ingest: &Ingest, data_set: &[u8]) -> Result<(), IngestError> {
        let announced = Announced {
            transfer_syntax_uid: "1.2.840.10008.1.2.1".parse().unwrap(),
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
        receiving.write(data_set).await?;
        receiving.finish().await.map(drop)
    }

    /// Proposes, has two others approve, waits, and begins.
    pub(super) async fn begin_disposal(&self, studies: &[u32]) -> String {
        let studies = studies.iter().map(|study| uid(*study)).collect();
        let proposal = self.records.propose(&clerk(), Some(studies), false).await.unwrap();
        let id = proposal.batch.unwrap().id;
        for name in ["one", "two"] {
            self.records
                .approve(&approver(name), &id, None, "", None)
                .await
                .unwrap();
        }
        self.wait_days(15);
        self.records.execute(&manager(), &id, None).await.unwrap();
        id
    }

    /// Goes on until a batch is over.
    pub(super) async fn until_over(&self, id: &str) -> Batch {
        for _ in 0..600 {
            self.records.go_on().await.unwrap();
            let batch = self.records.batch(id).await.unwrap();
            if !batch.state.is_open() {
                return batch;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("the batch does not end: {:?}", self.store.destroying());
    }

    pub(super) async fn status(&self, study: u32) -> Status {
        self.records.explain(&uid(study), None).await.unwrap().decision.status
    }

    pub(super) async fn open_hold(&self, effect: HoldEffect, scope: serde_json::Value) -> HoldRecord {
        let hold = serde_json::json!({ "matter": "2026-L-017", "effect": effect, "scope": scope });
        let hold = serde_json::from_value(hold).unwrap();
        self.records.open_hold(&lawyer("lawyer"), hold, false).await.unwrap()
    }
}

pub(super) fn uid(study: u32) -> String {
    format!("1.2.3.{study}")
}

/// A run of this byte is in the pixels of an instance and nowhere else.
pub(super) fn fill(study: u32, instance: u32) -> u8 {
    u8::try_from(0x80 + study * 10 + instance).unwrap()
}

pub(super) fn data_set(study: u32, instance: u32, patient: &str, date: &str, modality: &str, birth: &str) -> Vec<u8> {
    let mut builder = Builder::new();
    builder
        .text(0x0008_0016, "1.2.840.10008.5.1.4.1.1.7")
        .text(0x0008_0018, &format!("1.2.3.{study}.1.{instance}"))
        .text(0x0008_0020, date)
        .text(0x0008_0060, modality)
        .text(0x0010_0010, "DOE^JANE")
        .text(0x0010_0020, patient)
        .text(0x0010_0030, birth)
        .text(0x0020_000D, &uid(study))
        .text(0x0020_000E, &format!("1.2.3.{study}.1"))
        .text(0x0020_0013, &instance.to_string())
        .value(0x0009_1001, *b"OB", &vec![fill(study, instance); 5000]);
    builder.build().as_bytes().to_vec()
}

/// The code of a conflict.
#[track_caller]
pub(super) fn code<T: std::fmt::Debug>(result: Result<T, RecordsError>) -> &'static str {
    match result {
        Err(RecordsError::Conflict { code, .. }) => code,
        Err(RecordsError::NotLet(_)) => "not-let",
        Err(RecordsError::Invalid(_)) => "invalid",
        Err(RecordsError::Unknown(_)) => "unknown",
        Err(RecordsError::Stale) => "stale",
        other => panic!("{other:?}"),
    }
}
