//! What is wrong with a message, and where.

/// How a message that was not taken is answered (HL7 table 0008).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Something in it is wrong (AE): it is of no use to send it again as it is.
    Error,
    /// It is not for us, or cannot be taken now (AR).
    Reject,
}

/// HL7 table 0357.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    SegmentSequence,
    RequiredFieldMissing,
    DataType,
    TableValueNotFound,
    UnsupportedMessageType,
    UnsupportedEvent,
    UnsupportedProcessingId,
    UnsupportedVersion,
    UnknownKey,
    DuplicateKey,
    ApplicationInternal,
}

impl Code {
    /// Code and text.
    pub(crate) fn pair(self) -> (&'static str, &'static str) {
        match self {
            Self::SegmentSequence => ("100", "Segment sequence error"),
            Self::RequiredFieldMissing => ("101", "Required field missing"),
            Self::DataType => ("102", "Data type error"),
            Self::TableValueNotFound => ("103", "Table value not found"),
            Self::UnsupportedMessageType => ("200", "Unsupported message type"),
            Self::UnsupportedEvent => ("201", "Unsupported event code"),
            Self::UnsupportedProcessingId => ("202", "Unsupported processing id"),
            Self::UnsupportedVersion => ("203", "Unsupported version id"),
            Self::UnknownKey => ("204", "Unknown key identifier"),
            Self::DuplicateKey => ("205", "Duplicate key identifier"),
            Self::ApplicationInternal => ("207", "Application internal error"),
        }
    }
}

/// Where in a message: `PID`, its first, field 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The segment.
    pub segment: &'static str,
    /// Which of its name, from 1.
    pub sequence: usize,
    /// The field, from 1; 0: the segment.
    pub field: usize,
}

/// What is wrong. No word of it names a patient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub(crate) outcome: Outcome,
    pub(crate) code: Code,
    pub(crate) place: Option<Place>,
    pub(crate) what: String,
}

impl Problem {
    pub(crate) fn error(code: Code, place: Place, what: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Error,
            code,
            place: Some(place),
            what: what.into(),
        }
    }

    pub(crate) fn reject(code: Code, field: usize, what: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Reject,
            code,
            place: Some(Place {
                segment: "MSH",
                sequence: 1,
                field,
            }),
            what: what.into(),
        }
    }

    /// We cannot take it now.
    pub(crate) fn ours(what: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Reject,
            code: Code::ApplicationInternal,
            place: None,
            what: what.into(),
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.place {
            None => f.write_str(&self.what),
            Some(Place { segment, field: 0, .. }) => write!(f, "{segment}: {}", self.what),
            Some(Place { segment, field, .. }) => write!(f, "{segment}-{field}: {}", self.what),
        }
    }
}
