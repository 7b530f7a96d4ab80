//! Carries what the forwarding room passes on.

use std::sync::Arc;

use async_trait::async_trait;
use filmroom_storage::model::SopInstanceUid;

use super::{config::DimseConfig, instance_availability, scu, status::Status};
use filmroom_forwarding::{Carrier, Job, Passed};
use filmroom_peers::{AeTitle, Peer};
use filmroom_retrieve::{Retrieve, Selection};

/// Forwards by C-STORE, tells by N-CREATE.
pub(super) struct DimseCarrier {
    pub(super) config: Arc<DimseConfig>,
    pub(super) retrieve: Retrieve,
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
            ..Selection::default()
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

    async fn notify(&self, to: &AeTitle, job: &Job, instances: &[SopInstanceUid]) -> Result<(), String> {
        let peer = self.peer(to)?;
        let told = instance_availability::tell(&peer, self.config.clone(), &self.retrieve, job, instances).await;
        told.map_err(|error| error.to_string())
    }
}
