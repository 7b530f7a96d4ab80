//! C-STORE (PS3.4 §B) of what the archive holds.

use std::sync::Arc;

use filmroom_storage::model::{InstanceRecord, SopInstanceUid};

use super::{ScuError, settle};
use crate::{
    association::{Association, AssociationError, connect},
    config::DimseConfig,
    status::Status,
    sub_operation::{self, Asker, Occasion, Performed, Plan, Progress, Sent},
};
use filmroom_peers::Peer;
use filmroom_retrieve::{Retrieve, Selection};

/// How a `send` went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SendReport {
    /// Instances that the peer took, warnings included.
    pub sent: u64,
    /// Instances that it did not take, or that could not be sent, and why.
    pub failed: Vec<(SopInstanceUid, String)>,
}

/// Sends instances of the archive by C-STORE, as stored where the peer takes them so.
///
/// # Errors
/// [`ScuError`] when nothing could be sent at all; what failed one by one is in the report.
pub async fn send(
    peer: &Peer,
    config: Arc<DimseConfig>,
    retrieve: &Retrieve,
    selection: Selection,
    mut on_sent: impl FnMut(&InstanceRecord, Status) + Send,
) -> Result<SendReport, ScuError> {
    let plan = Plan::new(retrieve, selection).await?;
    if plan.total == 0 {
        return Ok(SendReport::default());
    }
    let mut association = connect(peer, &plan.proposal(peer), config).await?;
    let mut asker = Reporting {
        report: SendReport::default(),
        on_sent: &mut on_sent,
    };
    let performed = sub_operation::perform(&mut association, retrieve, plan, Occasion::Own, &mut asker).await;
    let report = asker.report;
    let result = match performed {
        Ok(Performed { lost: None, .. }) => Ok(()),
        Ok(Performed { lost: Some(error), .. }) | Err(error) => Err(error.into()),
    };
    settle(association, result).await.map(|()| report)
}

struct Reporting<'a, F> {
    report: SendReport,
    on_sent: &'a mut F,
}

impl<F: FnMut(&InstanceRecord, Status) + Send> Asker for Reporting<'_, F> {
    async fn is_cancelled(&mut self, _: &mut Association) -> Result<bool, AssociationError> {
        Ok(false)
    }

    async fn sent(&mut self, _: &mut Association, outcome: Sent<'_>, _: &Progress) -> Result<(), AssociationError> {
        match outcome {
            Sent::Answered(record, status) => {
                if status == Status::SUCCESS || status.is_warning() {
                    self.report.sent += 1;
                } else {
                    self.report.failed.push((
                        record.sop_instance_uid.clone(),
                        format!("answered with status {status}"),
                    ));
                }
                (self.on_sent)(record, status);
            }
            Sent::Unsendable(uid) => {
                let why = "it cannot be read, or given in a form that the peer takes".to_owned();
                self.report.failed.push((uid.clone(), why));
            }
        }
        Ok(())
    }
}
