mod acknowledging;
mod hearing;
mod properties;

use std::{net::IpAddr, sync::Arc};

use filmroom_dataset::DataSetDescriber;
use filmroom_records::{Fact, Options, PatientKey, Records, Subject};
use filmroom_storage::store::{Store, StoreOptions};
use tempfile::TempDir;

use crate::{
    config::{Hl7Config, Sender},
    door::Door,
    metrics::Metrics,
};

/// Settings in which one system may send.
pub(super) fn of_his() -> Hl7Config {
    Hl7Config {
        senders: vec![Sender::parse("HIS").unwrap()],
        ..Hl7Config::default()
    }
}

/// A door over an archive of its own.
pub(super) struct Room {
    folder: TempDir,
    store: Store,
    pub(super) door: Door,
}

impl Room {
    pub(super) async fn new(config: Hl7Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::in_folder(folder, config).await
    }

    async fn in_folder(folder: TempDir, config: Hl7Config) -> Self {
        let mut options = StoreOptions::new(folder.path());
        options.free_space_min_bytes = 0;
        let store = Store::open(options, Arc::new(DataSetDescriber)).await.unwrap();
        let records = Records::open(store.clone(), Options::default()).await.unwrap();
        let door = Door::new(Arc::new(config), records, Arc::<Metrics>::default());
        Self { folder, store, door }
    }

    /// Ends the archive and opens it again.
    pub(super) async fn reopened(self) -> Self {
        let config = Hl7Config::clone(&self.door.config);
        drop(self.door);
        self.store.close().await.unwrap();
        drop(self.store);
        Self::in_folder(self.folder, config).await
    }

    /// Sends a message from this machine; the answer's lines.
    pub(super) async fn send(&self, message: &str) -> Vec<String> {
        let answers = self.door.answer(message.as_bytes(), local()).await;
        let all: Vec<String> = answers
            .into_iter()
            .map(|answer| String::from_utf8(answer).unwrap())
            .collect();
        all.iter()
            .flat_map(|answer| answer.split_terminator('\r'))
            .map(str::to_owned)
            .collect()
    }

    /// Sends a message that is to be taken.
    #[track_caller]
    pub(super) fn taken<'a>(&'a self, message: &'a str) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let answer = self.send(message).await;
            assert!(answer[1].starts_with("MSA|AA|"), "{answer:?} at {caller}");
        }
    }

    /// Sends a message that is not taken: its MSA code and ERR.
    pub(super) async fn refused(&self, message: &str) -> (String, String) {
        let answer = self.send(message).await;
        assert_eq!(answer.len(), 3, "{answer:?}");
        let code = answer[1].split('|').nth(1).unwrap().to_owned();
        (code, answer[2].clone())
    }

    pub(super) fn facts(&self, id: &str, issuer: &str) -> Vec<Fact> {
        let key = PatientKey {
            id: id.to_owned(),
            issuer: issuer.to_owned(),
        };
        self.door.records.facts_about(&Subject::Patient(key))
    }

    /// What counts of a patient: fact and value.
    pub(super) fn active(&self, id: &str, issuer: &str) -> Vec<(&'static str, String)> {
        let facts = self.facts(id, issuer).into_iter().filter(|fact| fact.active);
        facts
            .filter_map(|fact| Some((fact.said.fact.word(), fact.said.value?)))
            .collect()
    }
}

pub(super) fn local() -> IpAddr {
    IpAddr::from([127, 0, 0, 1])
}

/// A message of an event, made at a time, of these segments.
pub(super) fn adt(event: &str, control_id: &str, at: &str, rest: &[&str]) -> String {
    let mut message =
        format!("MSH|^~\\&|HIS|HOSP|ARCHIVE|HOSP|{at}||ADT^{event}|{control_id}|P|2.5.1\rEVN|{event}|{at}\r");
    for segment in rest {
        message.push_str(segment);
        message.push('\r');
    }
    message
}
