//! What is passed on, and to whom.

use serde::{Deserialize, Serialize};

use filmroom_ingest::Arrived;
use filmroom_peers::AeTitle;

/// What is done for a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// It is sent the instances.
    Send,
    /// It is told that they are available here (Instance Availability Notification, PS3.4 §R).
    Notify,
}

/// A rule. A condition that is empty is met by all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The peer that it is for.
    pub to: AeTitle,
    /// What is done for it.
    #[serde(default = "send")]
    pub task: Task,
    /// AE titles that the instance came from; `*` at the end stands for anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calling: Vec<String>,
    /// Modalities (0008,0060).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modality: Vec<String>,
    /// SOP Class UIDs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sop_class: Vec<String>,
}

fn send() -> Task {
    Task::Send
}

impl Rule {
    /// Everything goes to this peer.
    #[must_use]
    pub fn to(to: AeTitle) -> Self {
        Self {
            to,
            task: Task::Send,
            calling: Vec::new(),
            modality: Vec::new(),
            sop_class: Vec::new(),
        }
    }

    /// True when the rule is about an instance. What came from the destination itself never goes back to it.
    #[must_use]
    pub fn means(&self, arrived: &Arrived) -> bool {
        let sender = arrived.origin.sender.as_str();
        let is_like = |pattern: &String| match pattern.strip_suffix('*') {
            Some(start) => sender.starts_with(start),
            None => sender == pattern,
        };
        let is_one_of = |values: &[String], value: &str| values.is_empty() || values.iter().any(|one| one == value);
        (self.task == Task::Notify || sender != self.to.as_str())
            && (self.calling.is_empty() || self.calling.iter().any(is_like))
            && is_one_of(&self.modality, &arrived.modality)
            && is_one_of(&self.sop_class, arrived.sop_class_uid.as_str())
    }
}
