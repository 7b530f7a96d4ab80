//! N-EVENT-REPORT of storage commitment (PS3.4 §J.3.3): to the peer's own port where it is known, in the role of SCP; else, or
//! where the peer needs it, over an association of its own that is still open.

mod lines;
mod send;

use std::sync::Arc;

use async_trait::async_trait;
use filmroom_storage::model::Attributes;

use super::{
    association::{Service, service_of},
    config::{DimseConfig, OtherSopClasses},
    identifier::RETRIEVE_AE_TITLE,
    n_action::{REFERENCED_SOP_CLASS_UID, REFERENCED_SOP_INSTANCE_UID, REFERENCED_SOP_SEQUENCE, TRANSACTION_UID},
    status::Status,
};
use filmroom_commitment::{NotSafe, Reference, Report, Reporter};
use filmroom_dataset::Builder;
use filmroom_peers::Quirk;

pub(super) use lines::{Line, Lines, Order};
pub(super) use send::encode;

pub(super) const FAILED_SOP_SEQUENCE: u32 = 0x0008_1198;
pub(super) const FAILURE_REASON: u32 = 0x0008_1197;

/// The event information of a report.
#[derive(Debug, Clone)]
pub(super) struct Event {
    /// 1: all is safe. 2: there are failures.
    pub(super) event_type_id: u16,
    pub(super) information: Attributes,
}

/// Delivers reports.
pub(super) struct DimseReporter {
    pub(super) config: Arc<DimseConfig>,
    pub(super) lines: Arc<Lines>,
}

#[async_trait]
impl Reporter for DimseReporter {
    async fn report(&self, ae_title: &str, report: &Report) -> Result<(), String> {
        let event = Event::new(report, &self.config);
        let peer = self.config.peer(ae_title);
        let over_its_own = peer
            .as_ref()
            .is_none_or(|peer| peer.quirks.contains(&Quirk::ReportOnSameAssociation));
        if over_its_own && let Some(line) = self.lines.of(ae_title) {
            match line.deliver(event.clone(), self.config.response_timeout).await {
                Ok(()) => return Ok(()),
                Err(error) if peer.is_none() => return Err(error),
                Err(error) => tracing::info!(error, "a report did not go over the association that asked"),
            }
        }
        let peer = peer.ok_or("it is no peer, and has no association open")?;
        let sent = send::send(&peer, &event, self.config.clone()).await;
        sent.map_err(|error| error.to_string())
    }
}

impl Event {
    fn new(report: &Report, config: &DimseConfig) -> Self {
        let item = |reference: &Reference| {
            let mut item = Builder::new();
            item.text(REFERENCED_SOP_CLASS_UID, &reference.sop_class_uid);
            item.text(REFERENCED_SOP_INSTANCE_UID, &reference.sop_instance_uid);
            item
        };
        let safe: Vec<Attributes> = report.safe.iter().map(|reference| item(reference).build()).collect();
        let failed: Vec<Attributes> = report
            .not_safe
            .iter()
            .map(|(reference, why)| {
                let mut item = item(reference);
                item.us(FAILURE_REASON, reason(reference, *why, &config.other_sop_classes).0);
                item.build()
            })
            .collect();
        let mut information = Builder::new();
        information.text(TRANSACTION_UID, &report.transaction_uid);
        information.text(RETRIEVE_AE_TITLE, config.ae_title.as_str());
        if !safe.is_empty() {
            information.sequence(REFERENCED_SOP_SEQUENCE, &safe);
        }
        if !failed.is_empty() {
            information.sequence(FAILED_SOP_SEQUENCE, &failed);
        }
        Self {
            event_type_id: if failed.is_empty() { 1 } else { 2 },
            information: information.build(),
        }
    }
}

/// The Failure Reason of an instance (PS3.3 §C.14.1.1).
fn reason(reference: &Reference, why: NotSafe, other: &OtherSopClasses) -> Status {
    let is_stored = service_of(&reference.sop_class_uid, other) == Some(Service::Storage);
    if why == NotSafe::NoSuchInstance && !is_stored {
        return Status::SOP_CLASS_NOT_SUPPORTED;
    }
    Status::from(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_told_by_its_code() {
        let check = |class: &str, why, expected: u16| {
            let reference = Reference {
                sop_class_uid: class.into(),
                sop_instance_uid: "1.2.3".into(),
            };
            assert_eq!(reason(&reference, why, &OtherSopClasses::AllPrivate).0, expected);
        };
        let ct = "1.2.840.10008.5.1.4.1.1.2";
        check(ct, NotSafe::ProcessingFailure, 0x0110);
        check(ct, NotSafe::NoSuchInstance, 0x0112);
        check("1.2.840.10008.1.1", NotSafe::NoSuchInstance, 0x0122);
        check(ct, NotSafe::ClassInstanceConflict, 0x0119);
        check(ct, NotSafe::DuplicateTransaction, 0x0131);
        check(ct, NotSafe::ResourceLimitation, 0x0213);
    }
}
