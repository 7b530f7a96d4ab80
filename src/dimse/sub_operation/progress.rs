//! The count of sub-operations, and what pending and final responses tell of it.

use bytes::Bytes;
use filmroom_storage::model::{SopInstanceUid, TransferSyntaxUid};

use crate::{
    identifier::FAILED_SOP_INSTANCE_UID_LIST,
    message::{CommandSet, Counts},
    status::Status,
};
use filmroom_dataset::{Builder, CharacterSet, DataSetError, encode};

/// Longest list of failed instances: a UI value in Explicit VR has 65,534 bytes at most (PS3.5 §7.1.2).
const FAILED_LIST_LENGTH_MAX: usize = 65_534;

/// The count of sub-operations.
pub(crate) struct Progress {
    remaining: u64,
    completed: u64,
    failed: u64,
    warning: u64,
    failed_uids: String,
}

impl Progress {
    pub(crate) fn new(total: u64) -> Self {
        Self {
            remaining: total,
            completed: 0,
            failed: 0,
            warning: 0,
            failed_uids: String::new(),
        }
    }

    /// Counts what was sent.
    pub(crate) fn sent(&mut self, status: Status, sop_instance_uid: &SopInstanceUid) {
        if status == Status::SUCCESS {
            self.remaining = self.remaining.saturating_sub(1);
            self.completed += 1;
        } else if status.is_warning() {
            self.remaining = self.remaining.saturating_sub(1);
            self.warning += 1;
        } else {
            tracing::warn!(%status, %sop_instance_uid, "a sub-operation failed");
            self.failed(sop_instance_uid);
        }
    }

    /// Counts what could not be sent.
    pub(crate) fn failed(&mut self, sop_instance_uid: &SopInstanceUid) {
        self.remaining = self.remaining.saturating_sub(1);
        self.failed += 1;
        let uid = sop_instance_uid.as_str();
        if self.failed_uids.len() + uid.len() < FAILED_LIST_LENGTH_MAX {
            if !self.failed_uids.is_empty() {
                self.failed_uids.push('\\');
            }
            self.failed_uids.push_str(uid);
        }
    }

    /// Counts all that remain as failed: they have no UIDs yet.
    pub(crate) fn rest_failed(&mut self) {
        self.failed += std::mem::take(&mut self.remaining);
    }

    pub(crate) fn is_done(&self) -> bool {
        self.remaining == 0
    }

    /// Instances that arrived.
    pub(crate) fn arrived(&self) -> u64 {
        self.completed + self.warning
    }

    fn counts(&self, remaining: Option<u64>) -> Counts {
        // PS3.7 gives each count two bytes; a longer retrieval stays at the most that can be said until it can be told.
        let short = |count: u64| u16::try_from(count).unwrap_or(u16::MAX);
        Counts {
            remaining: remaining.map(short),
            completed: short(self.completed),
            failed: short(self.failed),
            warning: short(self.warning),
        }
    }

    /// A pending response.
    pub(crate) fn pending(&self, request: &CommandSet) -> CommandSet {
        CommandSet {
            counts: Some(self.counts(Some(self.remaining))),
            ..CommandSet::response_to(request, Status::PENDING.0)
        }
    }

    /// The status at the end (PS3.4 tables C.4-2 and C.4-3).
    pub(crate) fn status(&self, cancelled: bool) -> Status {
        if cancelled {
            Status::CANCEL
        } else if self.failed == 0 && self.warning == 0 {
            Status::SUCCESS
        } else if self.completed == 0 && self.warning == 0 {
            Status::UNABLE_TO_SEND
        } else {
            Status::SUB_OPERATIONS_INCOMPLETE
        }
    }

    /// The final response and its identifier with the list of failed instances, where there are any.
    pub(crate) fn finished(
        &self,
        request: &CommandSet,
        status: Status,
        transfer_syntax: &TransferSyntaxUid,
    ) -> Result<(CommandSet, Option<Bytes>), DataSetError> {
        let mut response = CommandSet::response_to(request, status.0);
        // Only a cancelled operation has something remaining at its end.
        response.counts = Some(self.counts((status == Status::CANCEL).then_some(self.remaining)));
        if self.failed_uids.is_empty() {
            return Ok((response, None));
        }
        let list = Builder::new()
            .text(FAILED_SOP_INSTANCE_UID_LIST, &self.failed_uids)
            .build();
        let encoded = encode(&list, transfer_syntax, &CharacterSet::Utf8)?;
        response.has_data_set = true;
        Ok((response, Some(encoded)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(number: usize) -> SopInstanceUid {
        SopInstanceUid::new(&format!("1.2.{number}")).unwrap()
    }

    #[test]
    fn the_final_status_tells_how_it_went() {
        let check = |statuses: &[u16], cancelled, expected| {
            let mut progress = Progress::new(statuses.len() as u64);
            for (number, status) in statuses.iter().enumerate() {
                progress.sent(Status(*status), &uid(number));
            }
            assert_eq!(progress.status(cancelled), expected);
        };
        check(&[], false, Status::SUCCESS);
        check(&[0, 0], false, Status::SUCCESS);
        check(&[0, 0xB000], false, Status::SUB_OPERATIONS_INCOMPLETE);
        check(&[0, 0xA700], false, Status::SUB_OPERATIONS_INCOMPLETE);
        check(&[0xC000, 0xA700], false, Status::UNABLE_TO_SEND);
        check(&[0], true, Status::CANCEL);
    }

    #[test]
    fn the_list_of_failed_instances_stays_within_its_value() {
        let mut progress = Progress::new(20_000);
        for number in 0..20_000 {
            progress.failed(&uid(number));
        }
        assert!(progress.failed_uids.len() <= FAILED_LIST_LENGTH_MAX);
        assert_eq!(progress.counts(None).failed, 20_000);
    }
}
