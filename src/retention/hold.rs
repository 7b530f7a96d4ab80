//! Holds: reasons to keep what rules would let go.

use serde::{Deserialize, Serialize};
use time::Date;

use super::{Anchor, Period, date::iso};

/// A hold, as far as a decision on a study asks: which studies it is on was settled before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Its id.
    pub id: String,
    /// The case, inquiry or project.
    pub matter: String,
    /// What it is for.
    pub kind: HoldKind,
    /// What it does.
    pub effect: HoldEffect,
    /// From this day on.
    #[serde(with = "iso")]
    pub opened: Date,
    /// Up to, not including, this day; `None` while it is open.
    #[serde(default, with = "iso::option", skip_serializing_if = "Option::is_none")]
    pub closed: Option<Date>,
    /// When it ends by itself: only with [`HoldEffect::Capped`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<Cap>,
}

/// What a hold is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldKind {
    /// A lawsuit or claim.
    Legal,
    /// A trial or study.
    Research,
    /// A statutory inquiry.
    Inquiry,
}

/// What a hold does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldEffect {
    /// Nothing goes while it is open.
    Block,
    /// Nothing goes while it is open, and periods that run do not run meanwhile.
    Toll,
    /// Nothing goes while it is open, up to a day at which it ends by itself.
    Capped,
}

/// The day at which a statutory hold ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cap {
    /// What it is counted from.
    pub from: Anchor,
    /// How long.
    #[serde(rename = "for")]
    pub period: Period,
}

impl Hold {
    /// True from its first day to the one before its last; a cap apart.
    #[must_use]
    pub fn is_open(&self, as_of: Date) -> bool {
        self.opened <= as_of && self.closed.is_none_or(|closed| as_of < closed)
    }
}
