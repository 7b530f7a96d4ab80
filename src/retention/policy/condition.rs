//! Conditions: what has to be so of a study for a rule to be for it.

use serde::{Deserialize, Serialize};

use crate::{Anchor, Period, Purpose, Source};

/// All of what it names has to be so; what it does not name does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Condition {
    /// One of these is in (0008,0061).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub modality: Vec<String>,
    /// One of these is in (0008,0062).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sop_class: Vec<String>,
    /// It was made for one of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub purpose: Vec<Purpose>,
    /// The patient's age on the day of the study.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_at_study: Option<AgeRange>,
    /// The patient's age when last seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_last_seen: Option<AgeRange>,
    /// The patient has died, or not as far as is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deceased: Option<bool>,
    /// The patient has died within a period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub death_within: Option<DeathWithin>,
    /// One of these flags is set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flag: Vec<String>,
    /// Made here or elsewhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub source: Vec<Source>,
    /// The patient came back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub later_study: Option<LaterStudy>,
    /// All of it is rejected as one of these codes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected_as: Vec<String>,
    /// At one of these sites.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub site: Vec<String>,
    /// One of these is so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub any: Vec<Condition>,
    /// This is not so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not: Option<Box<Condition>>,
}

impl Condition {
    /// True when it lets every study through.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The flags that it asks for: those whose day `flag.date` is.
    pub(crate) fn flags<'a>(&'a self, found: &mut Vec<&'a str>) {
        found.extend(self.flag.iter().map(String::as_str));
        for one in &self.any {
            one.flags(found);
        }
    }
}

/// Years of age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgeRange {
    /// At least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gte: Option<u16>,
    /// Less than.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lt: Option<u16>,
}

impl AgeRange {
    pub(crate) fn has(self, years: i32) -> bool {
        self.gte.is_none_or(|least| years >= i32::from(least)) && self.lt.is_none_or(|below| years < i32::from(below))
    }
}

/// A death no later than so long after an anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeathWithin {
    /// The anchor.
    pub of: Anchor,
    /// How long after it.
    #[serde(rename = "for")]
    pub period: Period,
}

/// A later study of the patient at the same site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaterStudy {
    /// One of these is in its (0008,0061); any, when there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modality: Vec<String>,
    /// No later than so long after the study.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Period>,
}
