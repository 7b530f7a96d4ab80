//! What a change of policies would do to studies.

use serde::{Deserialize, Serialize};
use time::Date;

use super::{Decision, Status, date::iso};

/// Which way a study goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shift {
    /// It may go earlier than before.
    Earlier,
    /// It is kept longer than before.
    Later,
}

/// One study that a change touches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// (0020,000D).
    pub study: String,
    /// Which way it goes.
    pub shift: Shift,
    /// It may be proposed for disposal at once, and could not before.
    pub newly_eligible: bool,
    /// Kept until, as it is now; `None` where that is without a day.
    #[serde(with = "iso::option")]
    pub before: Option<Date>,
    /// Kept until, as it would be.
    #[serde(with = "iso::option")]
    pub after: Option<Date>,
    /// The rules that decide now.
    pub binding_before: Vec<String>,
    /// The rules that would.
    pub binding_after: Vec<String>,
}

impl Change {
    /// What a change does to one study; `None` when nothing.
    #[must_use]
    pub fn between(before: &Decision, after: &Decision) -> Option<Self> {
        // What has no day is kept longest.
        let order = |decision: &Decision| match decision.status {
            Status::Barred => Date::MAX,
            _ => decision.retain_until.unwrap_or(Date::MAX),
        };
        let newly_eligible = after.is_eligible() && !before.is_eligible();
        let shift = match order(after).cmp(&order(before)) {
            std::cmp::Ordering::Less => Shift::Earlier,
            std::cmp::Ordering::Greater => Shift::Later,
            std::cmp::Ordering::Equal if newly_eligible => Shift::Earlier,
            std::cmp::Ordering::Equal => return None,
        };
        Some(Self {
            study: before.study.clone(),
            shift,
            newly_eligible,
            before: before.retain_until,
            after: after.retain_until,
            binding_before: before.binding.clone(),
            binding_after: after.binding.clone(),
        })
    }
}

/// What a change of policies would do to the studies of an archive.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Simulation {
    /// Studies looked at.
    pub studies: u64,
    /// Those for which nothing changes.
    pub unchanged: u64,
    /// Those that may go earlier.
    pub earlier: u64,
    /// Those that are kept longer.
    pub later: u64,
    /// Those that may be proposed for disposal at once, and could not before.
    pub newly_eligible: u64,
    /// Their bytes.
    pub newly_eligible_bytes: u64,
    /// The first of those that change.
    pub changes: Vec<Change>,
    /// There are more than are listed.
    pub truncated: bool,
}

impl Simulation {
    /// Adds a study; lists at most `listed_max` of those that change, so that memory stays flat.
    pub fn add(&mut self, before: &Decision, after: &Decision, length: u64, listed_max: usize) {
        self.studies += 1;
        let Some(change) = Change::between(before, after) else {
            self.unchanged += 1;
            return;
        };
        match change.shift {
            Shift::Earlier => self.earlier += 1,
            Shift::Later => self.later += 1,
        }
        if change.newly_eligible {
            self.newly_eligible += 1;
            self.newly_eligible_bytes += length;
        }
        if self.changes.len() < listed_max {
            self.changes.push(change);
        } else {
            self.truncated = true;
        }
    }

    /// True when some study may go earlier than it does now.
    #[must_use]
    pub fn shortens(&self) -> bool {
        self.earlier > 0 || self.newly_eligible > 0
    }
}
