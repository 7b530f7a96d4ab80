//! What the journal has of this room: one of these a line.

use std::collections::BTreeSet;

use filmroom_storage::model::StudyInstanceUid;
use serde::{Deserialize, Serialize};

use super::{Label, emergency::Finding, scope::Scope};

/// The kind under which the journal has what this room decides.
pub(crate) const KIND: &str = "privacy";

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub(crate) enum Event {
    /// All labels that a study has from now on.
    Labelled {
        by: String,
        study: StudyInstanceUid,
        labels: BTreeSet<Label>,
        reason: String,
    },
    Granted {
        by: String,
        to: String,
        scope: Scope,
        reason: String,
        /// In seconds since 1970.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<u64>,
    },
    Revoked {
        by: String,
        grant: String,
    },
    EmergencyBegan {
        by: String,
        /// The account or token.
        name: String,
        scope: Scope,
        code: String,
        reason: String,
        /// In seconds since 1970.
        until: u64,
    },
    EmergencyEnded {
        /// Nobody: its time was over.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
        emergency: String,
    },
    EmergencyReviewed {
        by: String,
        emergency: String,
        finding: Finding,
        text: String,
    },
}
