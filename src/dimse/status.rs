//! The one table of DIMSE statuses (PS3.7 §C, PS3.4 §B.2.3, §C.4, §J.3).

use filmroom_commitment::NotSafe;
use filmroom_dataset::DataSetError;
use filmroom_ingest::{IngestError, NoteFault};
use filmroom_query::QueryError;
use filmroom_retrieve::RetrieveError;
use filmroom_worklist::StepError;

/// A status code (0000,0900).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u16);

impl Status {
    /// Done.
    pub const SUCCESS: Self = Self(0x0000);
    /// Invalid attribute value.
    pub const INVALID_ATTRIBUTE_VALUE: Self = Self(0x0106);
    /// Attribute list error: some attributes were not changed, since they cannot be. A warning.
    pub const ATTRIBUTE_LIST_ERROR: Self = Self(0x0107);
    /// Processing failure.
    pub const PROCESSING_FAILURE: Self = Self(0x0110);
    /// Duplicate SOP instance.
    pub const DUPLICATE_SOP_INSTANCE: Self = Self(0x0111);
    /// No such SOP instance.
    pub const NO_SUCH_SOP_INSTANCE: Self = Self(0x0112);
    /// Invalid argument value.
    pub const INVALID_ARGUMENT: Self = Self(0x0115);
    /// Invalid SOP Instance UID.
    pub const INVALID_SOP_INSTANCE_UID: Self = Self(0x0117);
    /// Class and instance conflict: the instance has another SOP class.
    pub const CLASS_INSTANCE_CONFLICT: Self = Self(0x0119);
    /// A required attribute is missing.
    pub const MISSING_ATTRIBUTE: Self = Self(0x0120);
    /// A required attribute has no value.
    pub const MISSING_ATTRIBUTE_VALUE: Self = Self(0x0121);
    /// SOP class not supported.
    pub const SOP_CLASS_NOT_SUPPORTED: Self = Self(0x0122);
    /// Refused: not authorized. The instance was destroyed by a decision.
    pub const NOT_AUTHORIZED: Self = Self(0x0124);
    /// No such action type.
    pub const NO_SUCH_ACTION: Self = Self(0x0123);
    /// Unrecognized operation.
    pub const UNRECOGNIZED_OPERATION: Self = Self(0x0211);
    /// Duplicate Transaction UID, as a failure reason of storage commitment (PS3.3 §C.14.1.1).
    pub const DUPLICATE_TRANSACTION_UID: Self = Self(0x0131);
    /// Resource limitation.
    pub const RESOURCE_LIMITATION: Self = Self(0x0213);
    /// Out of resources.
    pub const OUT_OF_RESOURCES: Self = Self(0xA700);
    /// Out of resources: unable to calculate the number of matches.
    pub const UNABLE_TO_COUNT: Self = Self(0xA701);
    /// Out of resources: unable to perform sub-operations.
    pub const UNABLE_TO_SEND: Self = Self(0xA702);
    /// Move destination unknown.
    pub const MOVE_DESTINATION_UNKNOWN: Self = Self(0xA801);
    /// Data set (C-STORE) or identifier (C-FIND, C-GET, C-MOVE) does not match the SOP class.
    pub const DOES_NOT_MATCH: Self = Self(0xA900);
    /// Sub-operations complete, one or more failures or warnings.
    pub const SUB_OPERATIONS_INCOMPLETE: Self = Self(0xB000);
    /// Cannot understand (C-STORE), unable to process (C-FIND, C-GET, C-MOVE).
    pub const CANNOT_UNDERSTAND: Self = Self(0xC000);
    /// Ended by C-CANCEL.
    pub const CANCEL: Self = Self(0xFE00);
    /// Matches or sub-operations continue.
    pub const PENDING: Self = Self(0xFF00);
    /// Matches continue; optional keys were not matched on.
    pub const PENDING_WITHOUT_OPTIONAL_KEYS: Self = Self(0xFF01);

    /// True for FF00H and FF01H: more answers follow.
    #[must_use]
    pub fn is_pending(self) -> bool {
        matches!(self, Self::PENDING | Self::PENDING_WITHOUT_OPTIONAL_KEYS)
    }

    /// True for the warnings of PS3.7 §C.1: what was asked for was done, not quite as asked.
    #[must_use]
    pub fn is_warning(self) -> bool {
        matches!(self.0, 0x0001 | 0x0107 | 0x0116 | 0xB000..=0xBFFF)
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04X}H", self.0)
    }
}

impl From<&IngestError> for Status {
    fn from(error: &IngestError) -> Self {
        match error {
            IngestError::CannotUnderstand(_) => Self::CANNOT_UNDERSTAND,
            IngestError::Mismatch(_) => Self::DOES_NOT_MATCH,
            IngestError::InvalidUid(_) => Self::INVALID_SOP_INSTANCE_UID,
            IngestError::SopClass(_) => Self::SOP_CLASS_NOT_SUPPORTED,
            IngestError::Destroyed(_) => Self::NOT_AUTHORIZED,
            IngestError::Note(fault, _) => match fault {
                NoteFault::NotAuthorized => Self::NOT_AUTHORIZED,
                NoteFault::NoSuchInstance => Self(0xA772),
                NoteFault::ClassConflict => Self(0xA773),
                NoteFault::AlreadyRejected => Self(0xA774),
                NoteFault::NotAllowed => Self(0xA775),
                NoteFault::NotExpired => Self(0xA776),
            },
            IngestError::OutOfResources(_) | IngestError::OutOfStorage(_) => Self::OUT_OF_RESOURCES,
            IngestError::Failed(_) => Self::PROCESSING_FAILURE,
        }
    }
}

impl From<&StepError> for Status {
    fn from(error: &StepError) -> Self {
        match error {
            StepError::Missing(_) => Self::MISSING_ATTRIBUTE,
            StepError::Empty(_) => Self::MISSING_ATTRIBUTE_VALUE,
            StepError::Value { .. } => Self::INVALID_ATTRIBUTE_VALUE,
            StepError::Uid => Self::INVALID_SOP_INSTANCE_UID,
            StepError::Duplicate => Self::DUPLICATE_SOP_INSTANCE,
            StepError::Unknown => Self::NO_SUCH_SOP_INSTANCE,
            StepError::Final => Self::PROCESSING_FAILURE,
            StepError::State(_) => Self::RESOURCE_LIMITATION,
        }
    }
}

impl From<NotSafe> for Status {
    fn from(why: NotSafe) -> Self {
        match why {
            NotSafe::ProcessingFailure => Self::PROCESSING_FAILURE,
            NotSafe::NoSuchInstance => Self::NO_SUCH_SOP_INSTANCE,
            NotSafe::ResourceLimitation => Self::RESOURCE_LIMITATION,
            NotSafe::ClassInstanceConflict => Self::CLASS_INSTANCE_CONFLICT,
            NotSafe::DuplicateTransaction => Self::DUPLICATE_TRANSACTION_UID,
        }
    }
}

impl From<&QueryError> for Status {
    fn from(error: &QueryError) -> Self {
        match error {
            QueryError::Value { .. } => Self::DOES_NOT_MATCH,
            QueryError::TooBroad(_) => Self::OUT_OF_RESOURCES,
            QueryError::Index(_) | QueryError::Header(_) => Self::CANNOT_UNDERSTAND,
        }
    }
}

impl From<&RetrieveError> for Status {
    fn from(error: &RetrieveError) -> Self {
        match error {
            RetrieveError::NotFound(_) | RetrieveError::Gone(_) => Self::NO_SUCH_SOP_INSTANCE,
            RetrieveError::TransferSyntax(_) | RetrieveError::Decode(_) => Self::UNABLE_TO_SEND,
            RetrieveError::Store(_) => Self::CANNOT_UNDERSTAND,
        }
    }
}

impl From<&DataSetError> for Status {
    fn from(error: &DataSetError) -> Self {
        match error {
            DataSetError::Limit(_) => Self::OUT_OF_RESOURCES,
            DataSetError::Unreadable(_) => Self::PROCESSING_FAILURE,
            DataSetError::Truncated(_) | DataSetError::Malformed(_) | DataSetError::Identity(_) => {
                Self::CANNOT_UNDERSTAND
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_of_a_room_has_its_status() {
        let text = String::new;
        let data_set = |error: DataSetError| Status::from(&error).0;
        assert_eq!(data_set(DataSetError::Limit("a bound")), 0xA700);
        assert_eq!(data_set(DataSetError::Unreadable(text())), 0x0110);
        assert_eq!(data_set(DataSetError::Truncated(text())), 0xC000);
        let ingest = |error: IngestError| Status::from(&error).0;
        assert_eq!(
            ingest(IngestError::CannotUnderstand(DataSetError::Malformed(text()))),
            0xC000
        );
        assert_eq!(ingest(IngestError::Mismatch(text())), 0xA900);
        assert_eq!(ingest(IngestError::InvalidUid(text())), 0x0117);
        assert_eq!(ingest(IngestError::SopClass(text())), 0x0122);
        assert_eq!(ingest(IngestError::OutOfResources(text())), 0xA700);
        assert_eq!(ingest(IngestError::Failed(text())), 0x0110);
        let retrieve = |error: RetrieveError| Status::from(&error).0;
        assert_eq!(retrieve(RetrieveError::NotFound(text())), 0x0112);
        assert_eq!(retrieve(RetrieveError::TransferSyntax(text())), 0xA702);
        assert_eq!(retrieve(RetrieveError::Decode(text())), 0xA702);
    }
}
