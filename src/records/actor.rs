//! Who decides.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::RecordsError;

/// A person, or a system that a person answers for, and the roles it acts in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The person, whatever the account: two accounts of one person have one subject.
    pub subject: String,
    /// Roles.
    pub roles: BTreeSet<String>,
}

impl Actor {
    /// A person in some roles.
    #[must_use]
    pub fn new(subject: &str, roles: &[&str]) -> Self {
        Self {
            subject: subject.to_owned(),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        }
    }

    /// Whoever has none of the roles is not let.
    pub(crate) fn needs(&self, roles: &[&str], what: &str) -> Result<(), RecordsError> {
        if self.subject.is_empty() {
            return Err(RecordsError::NotLet(format!("nobody is named who would {what}")));
        }
        if roles.iter().any(|role| self.roles.contains(*role)) {
            return Ok(());
        }
        Err(RecordsError::NotLet(format!(
            "to {what} takes one of the roles {}",
            roles.join(", ")
        )))
    }
}

/// Who may assert facts.
pub(crate) const ASSERT: &[&str] = &["him-clerk", "him-manager", "interface"];
/// Who may say that a merge was none.
pub(crate) const PART: &[&str] = &["him-manager"];
/// Who may open holds.
pub(crate) const HOLD: &[&str] = &["legal", "privacy-officer", "him-manager"];
/// Who may open holds for research.
pub(crate) const HOLD_RESEARCH: &[&str] = &["legal", "privacy-officer", "him-manager", "researcher", "honest-broker"];
/// Who may release them, two at a time.
pub(crate) const RELEASE: &[&str] = &["legal", "privacy-officer", "him-manager"];
/// Who may write policies.
pub(crate) const WRITE_POLICY: &[&str] = &["him-manager", "privacy-officer", "legal"];
/// Who may propose what is to be destroyed.
pub(crate) const PROPOSE: &[&str] = &["him-clerk", "him-manager"];
/// Who may say no to it.
pub(crate) const VETO: &[&str] = &[
    "him-manager",
    "records-approver",
    "legal",
    "privacy-officer",
    "archives",
    "physician-dim",
];
/// Who may reject instances, and restore them.
pub(crate) const REJECT: &[&str] = &["technologist", "him-clerk", "him-manager"];
/// Who may restore what was rejected for the safety of a patient.
pub(crate) const RESTORE_SAFETY: &[&str] = &["him-manager"];
/// Who may let in again what was destroyed, two at a time.
pub(crate) const REINSTATE: &[&str] = &["him-manager", "privacy-officer", "records-approver"];
/// Who may have it carried out.
pub(crate) const EXECUTE: &[&str] = &["him-manager"];
