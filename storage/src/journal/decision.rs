//! One decision and its line.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::hexadecimal::{from_hexadecimal, hexadecimal};

/// A decision of a person, as it stands in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Counts from 1 without gaps.
    pub number: u64,
    /// When it was made.
    pub at: OffsetDateTime,
    /// What kind of decision, in the words of the room that made it.
    pub kind: String,
    /// All that the room needs to carry it out again.
    pub payload: Value,
    /// SHA-256 of the decision before; zeros for the first.
    pub previous: [u8; 32],
    /// SHA-256 of this one.
    pub hash: [u8; 32],
}

#[derive(Serialize, Deserialize)]
struct Line {
    number: u64,
    at: String,
    kind: String,
    payload: Value,
    previous: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    hash: String,
}

impl Decision {
    pub(super) fn new(number: u64, at: OffsetDateTime, kind: String, payload: Value, previous: [u8; 32]) -> Self {
        let mut decision = Self {
            number,
            at,
            kind,
            payload,
            previous,
            hash: [0; 32],
        };
        decision.hash = Sha256::digest(decision.text(String::new())).into();
        decision
    }

    /// The line; its hash is that of the line without it.
    pub(super) fn to_line(&self) -> String {
        let mut line = self.text(hexadecimal(&self.hash));
        line.push('\n');
        line
    }

    fn text(&self, hash: String) -> String {
        let line = Line {
            number: self.number,
            at: self.at.format(&Rfc3339).unwrap_or_default(),
            kind: self.kind.clone(),
            payload: self.payload.clone(),
            previous: hexadecimal(&self.previous),
            hash,
        };
        // Names are in order and text is text: this cannot fail.
        serde_json::to_string(&line).unwrap_or_default()
    }

    /// Reads a line that must be decision `number` after one whose hash is `previous`.
    pub(super) fn from_line(line: &[u8], number: u64, previous: [u8; 32]) -> Result<Self, String> {
        let text = line.strip_suffix(b"\n").ok_or("a line is cut short")?;
        let line: Line = serde_json::from_slice(text).map_err(|error| format!("a line does not read: {error}"))?;
        let at = OffsetDateTime::parse(&line.at, &Rfc3339).map_err(|error| format!("a time does not read: {error}"))?;
        let said = from_hexadecimal::<32>(&line.hash).ok_or("a hash does not read")?;
        if line.number != number || from_hexadecimal(&line.previous) != Some(previous) {
            return Err("a line does not follow the one before".into());
        }
        let decision = Self::new(number, at, line.kind, line.payload, previous);
        if decision.hash == said {
            Ok(decision)
        } else {
            Err("a line was changed".into())
        }
    }
}
