//! Who sends what (MSH).

use er7::Separators;

use crate::{
    fields::Fields,
    problem::{Code, Place, Problem},
};

/// Longest header, in bytes: it is read before anything is known of the sender.
const HEADER_BYTES_MAX: usize = 8 << 10;

/// When an acknowledgement is wanted (MSH-15, MSH-16; HL7 table 0155).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    Always,
    Never,
    OnError,
    OnSuccess,
}

impl Condition {
    fn of(text: &str) -> Option<Self> {
        match text {
            "AL" => Some(Self::Always),
            "NE" => Some(Self::Never),
            "ER" => Some(Self::OnError),
            "SU" => Some(Self::OnSuccess),
            _ => None,
        }
    }

    pub(crate) fn wants(self, is_success: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::OnError => !is_success,
            Self::OnSuccess => is_success,
        }
    }
}

/// The header of a message.
#[derive(Debug, Clone)]
pub(crate) struct Header {
    pub(crate) application: String,
    pub(crate) facility: String,
    /// MSH-3 to MSH-6 as they were written, to be sent back.
    pub(crate) written: [String; 4],
    /// MSH-9: `ADT`.
    pub(crate) kind: String,
    /// `A03`.
    pub(crate) trigger: String,
    pub(crate) control_id: String,
    pub(crate) processing_id: String,
    pub(crate) version: String,
    /// MSH-15; `None`: nothing is said.
    pub(crate) accept: Option<Condition>,
    /// MSH-16.
    pub(crate) answer: Option<Condition>,
    /// MSH-18 as it was written.
    pub(crate) character_sets: String,
    pub(crate) separators: Separators,
}

impl Header {
    /// Reads the header of a message.
    pub(crate) fn read(text: &str) -> Result<Self, Problem> {
        let line = text.split(['\r', '\n']).next().unwrap_or_default();
        if line.len() > HEADER_BYTES_MAX {
            return Err(wrong("it is longer than 8,192 bytes"));
        }
        if !line.starts_with("MSH") {
            return Err(wrong("the message does not begin with it"));
        }
        let parsed =
            er7::parse(line).map_err(|_| wrong("its delimiters cannot be used: MSH|^~\\& is what most send"))?;
        let segment = parsed
            .header()
            .ok_or_else(|| wrong("the message does not begin with it"))?;
        let fields = Fields {
            segment,
            name: "MSH",
            sequence: 1,
            separators: &parsed.separators,
        };
        let written = |field: usize| {
            let field = segment.field(field);
            field.map_or_else(String::new, |field| field.to_er7(&parsed.separators))
        };
        Ok(Self {
            application: fields.text(3, 1),
            facility: fields.text(4, 1),
            written: [written(3), written(4), written(5), written(6)],
            kind: fields.text(9, 1),
            trigger: fields.text(9, 2),
            control_id: fields.text(10, 1),
            processing_id: fields.text(11, 1),
            version: fields.text(12, 1),
            accept: Condition::of(&fields.text(15, 1)),
            answer: Condition::of(&fields.text(16, 1)),
            character_sets: written(18),
            separators: parsed.separators,
        })
    }

    /// What it tells of: `ADT^A03`.
    pub(crate) fn event(&self) -> String {
        format!("{}^{}", self.kind, self.trigger)
    }

    /// True for versions in which ERR says segment and field in fields of their own.
    pub(crate) fn has_new_errors(&self) -> bool {
        let minor = self.version.strip_prefix("2.").and_then(|rest| rest.chars().next());
        minor.is_none_or(|minor| minor >= '5')
    }

    /// What every message has to have.
    pub(crate) fn check(&self, processing_id: &str) -> Result<(), Problem> {
        let reject = |code, field, what: &str| Err(Problem::reject(code, field, what));
        if self.control_id.is_empty() || self.control_id.len() > 199 {
            return reject(
                Code::RequiredFieldMissing,
                10,
                "the message control ID is missing, or longer than 199 bytes",
            );
        }
        if self.control_id.chars().any(char::is_control) {
            return reject(Code::DataType, 10, "it has control characters");
        }
        if !self.version.starts_with("2.") {
            return reject(Code::UnsupportedVersion, 12, "versions 2.1 to 2.9 are taken");
        }
        if !self.processing_id.is_empty() && self.processing_id != processing_id {
            return reject(
                Code::UnsupportedProcessingId,
                11,
                "messages of this kind do not count here (hl7.processing_id says which do)",
            );
        }
        if self.kind != "ADT" {
            return reject(Code::UnsupportedMessageType, 9, "ADT alone is taken");
        }
        Ok(())
    }
}

fn wrong(what: &str) -> Problem {
    Problem {
        outcome: crate::problem::Outcome::Reject,
        code: Code::SegmentSequence,
        place: Some(Place {
            segment: "MSH",
            sequence: 1,
            field: 0,
        }),
        what: what.to_owned(),
    }
}
