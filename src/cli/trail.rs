//! Opens the audit trail over a store, and closes it behind everything else.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use filmroom_audit::{
    Audit, AuditError, Caller, Detail, Options, Outcome, Participant, Patient, Study, Subject, Trail, Way, events,
    forward::Forwarder,
    syslog::Sender,
    transfers::{Item, Limits, Transfers},
    xml::Source,
};
use filmroom_ingest::{Arrived, Ingest, Watcher};
use filmroom_records::{Batch, PatientKey, Witness};
use filmroom_storage::{
    model::{Door, Origin, StudyInstanceUid, Tag},
    store::Store,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::failure::{Failure, Status};
use crate::config::Config;

/// The folder of the log within the data folder.
pub(super) const FOLDER: &str = "audit";
const PATIENT_NAME: Tag = 0x0010_0010;
const PATIENT_ID: Tag = 0x0010_0020;
const ISSUER_OF_PATIENT_ID: Tag = 0x0010_0021;
const ACCESSION_NUMBER: Tag = 0x0008_0050;

/// The audit trail of a process.
pub struct AuditTrail {
    trail: Trail,
    us: Participant,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Who we are in messages.
#[must_use]
pub fn source(config: &Config) -> Source {
    Source {
        id: config.dicom.ae_title.to_string(),
        site: config.audit.site.clone().unwrap_or_default(),
    }
}

/// This archive as one that takes part.
#[must_use]
pub fn us(config: &Config) -> Participant {
    Participant::application_entity(config.dicom.ae_title.as_str(), &config.dicom.listen.to_string())
}

/// What fails when the log does.
pub(super) fn failure(folder: &Path, error: &AuditError) -> Failure {
    let sentence = format!("the audit log in {}: {error}", folder.display());
    Failure::new(
        Status::InputOutput,
        sentence,
        "check the disk and the permissions of the data folder; `filmroom audit verify` says what the log holds",
    )
}

impl AuditTrail {
    /// Opens the log, says that this process began, and sends on. Settings that turn it off are themselves recorded, where
    /// there is a log.
    ///
    /// # Errors
    /// [`Failure`] when the log cannot be opened: nothing is to be served then.
    pub async fn open(config: &Config, store: &Store) -> Result<Self, Failure> {
        let folder = config.data.folder.join(FOLDER);
        let failed = |error: AuditError| failure(&folder, &error);
        let mut trail = Self {
            trail: Trail::off(),
            us: us(config),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        if !config.audit.enabled && !folder.exists() {
            return Ok(trail);
        }
        let options = Options {
            wait: config.audit.wait,
            checkpoint_every: config.audit.checkpoint_every,
            key: store.audit_key(),
            ..Options::default()
        };
        let audit = {
            let folder = folder.clone();
            let opened = tokio::task::spawn_blocking(move || Audit::open(&folder, &options)).await;
            opened.map_err(|error| failed(std::io::Error::other(error).into()))?
        };
        let audit = audit.map_err(failed)?;
        let uri = format!("file://{}", folder.display());
        if !config.audit.enabled {
            let event = events::recording(false, &trail.us, &uri, "it is turned off in the settings");
            audit.record(event).await.map_err(failed)?;
            audit.close().await.map_err(failed)?;
            return Ok(trail);
        }
        let build = concat!("filmroom ", env!("CARGO_PKG_VERSION"));
        let began = events::application(true, &trail.us, build);
        audit.record(began).await.map_err(failed)?;
        if let Some(damage) = audit.log().damage() {
            let why = format!("damaged at entry {}: {}", damage.index, damage.reason);
            let event = events::recording(true, &trail.us, &uri, &why).ending(Outcome::SeriousFailure, &why);
            audit.record(event).await.map_err(failed)?;
        }
        for destination in config.audit_destinations() {
            let forwarder = Forwarder::open(audit.log().clone(), destination, sender(config)).map_err(failed)?;
            let stop = trail.stop.clone();
            trail.tasks.spawn(forwarder.run(async move { stop.cancelled().await }));
        }
        let limits = Limits {
            quiet: config.audit.gather_for,
            ..Limits::default()
        };
        let transfers = Transfers::new(audit, limits);
        let stop = trail.stop.clone();
        trail
            .tasks
            .spawn(transfers.clone().run(async move { stop.cancelled().await }));
        let store = store.clone();
        let subjects = Box::new(move |uid: &str| subject(&store, uid));
        trail.trail = Trail::new(transfers, trail.us.clone(), subjects);
        Ok(trail)
    }

    /// What doors and rooms tell.
    #[must_use]
    pub fn trail(&self) -> &Trail {
        &self.trail
    }

    /// The ingest room of a command that takes in, which tells of what comes.
    #[must_use]
    pub fn ingest(&self, store: &Store) -> Ingest {
        match self.trail.is_on() {
            true => Ingest::watched(store.clone(), self.watcher()),
            false => Ingest::new(store.clone()),
        }
    }

    /// What the ingest room tells.
    #[must_use]
    pub fn watcher(&self) -> Arc<dyn Watcher> {
        Arc::new(Arrivals(self.trail.clone()))
    }

    /// What the records tell before anything is destroyed.
    #[must_use]
    pub fn witness(&self) -> Destructions {
        Destructions(self.trail.clone())
    }

    /// Records what is still under way and that this process ends, and closes the log. After everything that records.
    ///
    /// # Errors
    /// [`Failure`] when the end could not be recorded.
    pub async fn close(self, folder: &Path) -> Result<(), Failure> {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let Some(audit) = self.trail.audit() else { return Ok(()) };
        let build = concat!("filmroom ", env!("CARGO_PKG_VERSION"));
        let ended = audit.record(events::application(false, &self.us, build)).await;
        let closed = audit.close().await;
        ended
            .map(drop)
            .and(closed)
            .map_err(|error| failure(&folder.join(FOLDER), &error))
    }
}

fn sender(config: &Config) -> Sender {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    Sender {
        host: host.trim().to_owned(),
        application: "filmroom".to_owned(),
        process: std::process::id(),
        source: source(config),
    }
}

/// Whose study it is, as the index knows it.
fn subject(store: &Store, uid: &str) -> Option<Subject> {
    let uid = StudyInstanceUid::new(uid).ok()?;
    let study = match store.index().study(&uid) {
        Ok(study) => study?,
        Err(error) => {
            tracing::error!(%error, "the audit trail does not learn whose study it is");
            return None;
        }
    };
    let text = |tag| study.attributes.text(tag).trim().to_owned();
    Some(Subject {
        patient: Patient::new(&text(PATIENT_ID), &text(ISSUER_OF_PATIENT_ID), &text(PATIENT_NAME)),
        accession_number: text(ACCESSION_NUMBER),
    })
}

/// Tells of studies that are about to be destroyed.
pub struct Destructions(Trail);

#[async_trait]
impl Witness for Destructions {
    async fn destroying(
        &self,
        batch: &Batch,
        item: &filmroom_records::Item,
        patient: &PatientKey,
    ) -> Result<(), String> {
        let who = Participant::user(batch.executed_by.as_deref().unwrap_or_default(), "");
        let approvers: Vec<&str> = batch.approvals.iter().map(|given| given.subject.as_str()).collect();
        let study = Study {
            study_instance_uid: item.study.clone(),
            ..Study::default()
        };
        let patient = Patient::new(&patient.id, &patient.issuer, "");
        let details = vec![
            Detail::new("Disposal batch", &batch.id),
            Detail::new("Proposed by", &batch.proposed_by),
            Detail::new("Approved by", &approvers.join(", ")),
            Detail::new("Rules", &item.binding.join(", ")),
            Detail::new("Decision", &item.digest),
        ];
        self.0
            .record_destructive(|us| events::study_deleted(who, us, study, patient, details))
            .await
            .map_err(|error| error.to_string())
    }
}

/// Tells of instances that came.
struct Arrivals(Trail);

#[async_trait]
impl Watcher for Arrivals {
    async fn arrived(&self, arrived: &Arrived) -> Result<(), String> {
        self.came(arrived, "instances").await
    }

    async fn not_stored_anew(&self, arrived: &Arrived) -> Result<(), String> {
        self.came(arrived, "instances not stored anew").await
    }
}

impl Arrivals {
    async fn came(&self, arrived: &Arrived, what: &'static str) -> Result<(), String> {
        let origin = &arrived.origin;
        let (service, from) = match origin.door {
            Door::Dimse => (
                "C-STORE",
                Caller {
                    ae_title: &origin.sender,
                    user: "",
                    place: &origin.address,
                },
            ),
            Door::Dicomweb => (
                "STOW-RS",
                Caller {
                    ae_title: "",
                    user: origin.sender.strip_prefix(Origin::USER).unwrap_or_default(),
                    place: &origin.address,
                },
            ),
            Door::Import => (
                "import",
                Caller {
                    ae_title: "",
                    user: "import",
                    place: "",
                },
            ),
        };
        let item = Item {
            series_instance_uid: arrived.series_instance_uid.as_str(),
            sop_class_uid: arrived.sop_class_uid.as_str(),
            sop_instance_uid: arrived.sop_instance_uid.as_str(),
            what,
        };
        let subject = || {
            let subject = &arrived.subject;
            Some(Subject {
                patient: Patient::new(
                    &subject.patient_id,
                    &subject.issuer_of_patient_id,
                    &subject.patient_name,
                ),
                accession_number: subject.accession_number.clone(),
            })
        };
        let study = arrived.study_instance_uid.as_str();
        self.0
            .went(Way::In { from }, service, study, Outcome::Success, item, subject)
            .await
            .map_err(|error| error.to_string())
    }
}
