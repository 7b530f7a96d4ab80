//! Carries what the forwarding room passes on.

use std::sync::Arc;

use async_trait::async_trait;
use filmroom_storage::model::SopInstanceUid;
use futures_util::StreamExt;

use super::{
    config::DimseConfig,
    instance_availability,
    scu::{self, AwaitedReports},
    status::Status,
};
use filmroom_commitment::Reference;
use filmroom_forwarding::{Carrier, Job, Passed};
use filmroom_peers::{AeTitle, Peer};
use filmroom_retrieve::{Retrieve, Selection};

/// Forwards by C-STORE, tells by N-CREATE.
pub(super) struct DimseCarrier {
    pub(super) config: Arc<DimseConfig>,
    pub(super) retrieve: Retrieve,
    pub(super) awaited: Arc<AwaitedReports>,
}

impl DimseCarrier {
    fn peer(&self, to: &AeTitle) -> Result<Peer, String> {
        let peer = self.config.peer(to.as_str());
        peer.ok_or_else(|| format!("{to} is no peer: `filmroom peer add` makes it one"))
    }
}

#[async_trait]
impl Carrier for DimseCarrier {
    async fn send(&self, to: &AeTitle, instances: &[SopInstanceUid]) -> (Vec<Passed>, Result<(), String>) {
        let peer = match self.peer(to) {
            Ok(peer) => peer,
            Err(why) => return (Vec::new(), Err(why)),
        };
        let selection = Selection {
            instances: instances.to_vec(),
            ..Selection::of(filmroom_privacy::Sight::all())
        };
        let mut passed = Vec::with_capacity(instances.len());
        let sent = scu::send(
            &peer,
            self.config.clone(),
            &self.retrieve,
            selection,
            |record, status| {
                let result = if status == Status::SUCCESS || status.is_warning() {
                    Ok(())
                } else {
                    Err(format!("answered with status {status}"))
                };
                passed.push((record.sop_instance_uid.clone(), result));
            },
        )
        .await;
        match sent {
            Ok(report) => {
                let unsent = report.failed.into_iter().map(|(uid, why)| (uid, Err(why)));
                let unsent: Vec<Passed> = unsent
                    .filter(|(uid, _)| !passed.iter().any(|(known, _)| known == uid))
                    .collect();
                passed.extend(unsent);
                (passed, Ok(()))
            }
            Err(error) => (passed, Err(error.to_string())),
        }
    }

    async fn commit(&self, to: &AeTitle, instances: &[SopInstanceUid]) -> Result<Vec<Passed>, String> {
        let peer = self.peer(to)?;
        if !peer.is_asked_to_commit {
            return Ok(Vec::new());
        }
        let mut found = self.retrieve.select(Selection {
            instances: instances.to_vec(),
            ..Selection::of(filmroom_privacy::Sight::all())
        });
        let mut references = Vec::with_capacity(instances.len());
        while let Some(record) = found.next().await {
            let record = record.map_err(|error| error.to_string())?;
            references.push(Reference {
                sop_class_uid: record.sop_class_uid.to_string(),
                sop_instance_uid: record.sop_instance_uid.to_string(),
            });
        }
        if references.is_empty() {
            return Ok(Vec::new());
        }
        let (config, wait) = (self.config.clone(), self.config.commitment_wait);
        let report = scu::commit(&peer, config, &references, &self.awaited, wait).await;
        let report = report.map_err(|error| format!("storage commitment: {error}"))?;
        let committed = |uid: &SopInstanceUid| {
            if report.safe.iter().any(|safe| safe == uid.as_str()) {
                return Ok(());
            }
            let reason = report.not_safe.iter().find(|(failed, _)| failed == uid.as_str());
            Err(match reason {
                Some((_, reason)) => format!("not committed, failure reason {reason}"),
                None => "not named in the report of storage commitment".to_owned(),
            })
        };
        // What is no longer here is nobody's to ask for.
        let asked = instances
            .iter()
            .filter(|uid| references.iter().any(|asked| asked.sop_instance_uid == uid.as_str()));
        Ok(asked.map(|uid| (uid.clone(), committed(uid))).collect())
    }

    async fn notify(&self, to: &AeTitle, job: &Job, instances: &[SopInstanceUid]) -> Result<(), String> {
        let peer = self.peer(to)?;
        let told = instance_availability::tell(&peer, self.config.clone(), &self.retrieve, job, instances).await;
        told.map_err(|error| error.to_string())
    }
}
