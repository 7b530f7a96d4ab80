//! Packs of rules: what they may say, and how they are read.

mod condition;
mod in_force;
mod node;
mod read;

use serde::{Deserialize, Serialize};
use time::Date;

pub use condition::{AgeRange, Condition, DeathWithin, LaterStudy};
pub use in_force::{Binding, Policies};
pub use read::{Lint, Severity, read_json, read_toml};

use super::{Anchor, Class, Combine, Period, date::iso};

/// Rules that belong together: a law, a contract, a house's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pack {
    /// Its name: lower case letters, digits and hyphens.
    pub pack: String,
    /// Its version; what was published under it is never changed.
    pub version: String,
    /// In one line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// It ships with the archive, and counsel has not looked at it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub template: bool,
    /// From this day on.
    #[serde(with = "iso")]
    pub effective_from: Date,
    /// Up to, not including, this day.
    #[serde(default, with = "iso::option", skip_serializing_if = "Option::is_none")]
    pub effective_until: Option<Date>,
    /// Who has to approve before something is destroyed under it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// The rules.
    pub rule: Vec<Rule>,
}

impl Pack {
    /// Name and version: `us-fed@2026.1`.
    #[must_use]
    pub fn reference(&self) -> String {
        format!("{}@{}", self.pack, self.version)
    }

    /// True on days on which it is in force.
    #[must_use]
    pub fn is_effective(&self, as_of: Date) -> bool {
        self.effective_from <= as_of && self.effective_until.is_none_or(|until| as_of < until)
    }
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its id, once in a pack.
    pub id: String,
    /// What it says.
    pub class: Class,
    /// In one line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// Which studies it is for.
    #[serde(default, skip_serializing_if = "Condition::is_empty")]
    pub when: Condition,
    /// How long.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<Keep>,
    /// Which of several dates counts.
    #[serde(default = "latest")]
    pub combine: Combine,
    /// Ids of rules that do not apply where this one does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub supersedes: Vec<String>,
    /// From this day on.
    #[serde(default, with = "iso::option", skip_serializing_if = "Option::is_none")]
    pub effective_from: Option<Date>,
    /// Up to, not including, this day.
    #[serde(default, with = "iso::option", skip_serializing_if = "Option::is_none")]
    pub effective_until: Option<Date>,
    /// Where it is written.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cite: String,
}

fn latest() -> Combine {
    Combine::Latest
}

impl Rule {
    /// True on days on which it is in force.
    #[must_use]
    pub fn is_effective(&self, as_of: Date) -> bool {
        self.effective_from.is_none_or(|from| from <= as_of) && self.effective_until.is_none_or(|until| as_of < until)
    }
}

/// A period and what it runs from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    /// What it runs from.
    pub from: Anchor,
    /// How long.
    #[serde(rename = "for")]
    pub period: Period,
    /// Left out, rather than waited for, where its anchor is not known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// Who has to approve before something is destroyed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// All of these.
    pub steps: Vec<ApprovalStep>,
    /// Each by another person.
    #[serde(default = "yes")]
    pub distinct_subjects: bool,
    /// What lies between the last approval and the destruction.
    pub cooling_off: Period,
}

/// So many approvals by holders of a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalStep {
    /// The role.
    pub role: String,
    /// How many.
    pub n: u32,
    /// An opinion in writing is asked for with each.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub opinion: bool,
    /// Asked for only at sites that are so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
}

fn yes() -> bool {
    true
}

impl Default for Approval {
    fn default() -> Self {
        Self {
            steps: vec![ApprovalStep {
                role: "records-approver".to_owned(),
                n: 2,
                opinion: false,
                when: None,
            }],
            distinct_subjects: true,
            cooling_off: Period::days(14),
        }
    }
}
