//! Access in an emergency: taken by who needs it, for a short time, and looked at afterwards by somebody else.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::scope::Scope;

/// Why somebody takes access: one of these, and a text.
pub const REASON_CODES: [&str; 4] = ["emergency-treatment", "on-call", "care-team-not-recorded", "other"];

/// What a review found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// There was a reason.
    Justified,
    /// There was none.
    NotJustified,
}

/// What somebody found who looked at it afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Review {
    /// Who.
    pub by: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// What.
    pub finding: Finding,
    /// In words.
    pub text: String,
}

/// One time that somebody took access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Emergency {
    /// By what it is named.
    pub id: String,
    /// The person.
    pub person: String,
    /// The account by which they were known.
    pub name: String,
    /// To what.
    pub scope: Scope,
    /// One of [`REASON_CODES`].
    pub code: String,
    /// In words.
    pub reason: String,
    /// When it began.
    #[serde(with = "time::serde::rfc3339")]
    pub began_at: OffsetDateTime,
    /// When it is over.
    #[serde(with = "time::serde::rfc3339")]
    pub until: OffsetDateTime,
    /// When it was over, once that is recorded.
    #[serde(with = "time::serde::rfc3339::option")]
    pub ended_at: Option<OffsetDateTime>,
    /// What a privacy officer found.
    pub review: Option<Review>,
}

impl Emergency {
    /// True as long as it opens anything.
    #[must_use]
    pub fn is_open(&self, now: OffsetDateTime) -> bool {
        self.ended_at.is_none() && now < self.until
    }
}
