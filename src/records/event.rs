//! What the journal has of this room: one of these a line.

use std::collections::BTreeMap;

use filmroom_retention::{Approval, Binding, Pack, PartialDate};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Actor, Message, PatientKey,
    disposal::{Item, LeftItem},
    fact::{NewFact, Subject},
    holds::{NewHold, Scope},
    policies::Simulated,
    rejection::{NoteAt, RejectionReason},
};

/// Whose studies may be decided on otherwise by an event.
pub(crate) enum Stirs {
    Nothing,
    These(Vec<Subject>),
    /// Those that a hold is on.
    Hold(String),
    /// Those of the patients of a merge.
    Link(String),
    Scope(Box<Scope>),
    Everything,
}

impl Event {
    pub(crate) fn stirs(&self) -> Stirs {
        match self {
            Self::Facts { facts, .. } => Stirs::These(facts.iter().filter_map(NewFact::subject).collect()),
            Self::PatientsLinked { survivor, .. } => Stirs::These(vec![Subject::Patient(survivor.clone())]),
            Self::PatientsParted { link, .. } => Stirs::Link(link.clone()),
            Self::HoldOpened { hold, .. } => Stirs::Scope(Box::new(hold.scope.clone())),
            Self::HoldReleased { hold, .. } => Stirs::Hold(hold.clone()),
            Self::InstancesRejected { studies, .. } | Self::InstancesRestored { studies, .. } => {
                Stirs::These(studies.keys().cloned().map(Subject::Study).collect())
            }
            Self::PolicyPublished { .. } => Stirs::Everything,
            _ => Stirs::Nothing,
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub(crate) enum Event {
    Facts {
        by: Actor,
        facts: Vec<NewFact>,
        /// The message that said so, where one did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<Message>,
    },
    /// From now on two identifiers are one person's.
    PatientsLinked {
        by: Actor,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<Message>,
        survivor: PatientKey,
        subsumed: PatientKey,
    },
    PatientsParted {
        by: Actor,
        link: String,
        reason: String,
    },
    HoldOpened {
        by: Actor,
        hold: NewHold,
    },
    HoldReleaseAsked {
        by: Actor,
        hold: String,
        reason: String,
        closed: PartialDate,
    },
    HoldReleaseRefused {
        by: Actor,
        hold: String,
    },
    HoldReleased {
        by: Actor,
        hold: String,
        closed: PartialDate,
    },
    PolicySubmitted {
        by: Actor,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pack: Option<Box<Pack>>,
        /// As it was written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bindings: Option<Vec<Binding>>,
    },
    PolicySimulated {
        by: Actor,
        submission: String,
        simulated: Simulated,
    },
    PolicyPublished {
        by: Actor,
        submission: String,
        acknowledges_shortening: bool,
    },
    PolicyWithdrawn {
        by: Actor,
        submission: String,
    },
    BatchProposed {
        by: Actor,
        items: Vec<Item>,
        approval: Approval,
        /// The note that asked for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<NoteAt>,
    },
    InstancesRejected {
        by: Actor,
        reason: RejectionReason,
        why: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<NoteAt>,
        /// Instances by study.
        studies: BTreeMap<String, Vec<String>>,
    },
    InstancesRestored {
        by: Actor,
        why: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<NoteAt>,
        studies: BTreeMap<String, Vec<String>>,
    },
    ReinstateAsked {
        by: Actor,
        study: String,
        reason: String,
    },
    ReinstateRefused {
        by: Actor,
        study: String,
    },
    BatchItemsLeft {
        batch: String,
        items: Vec<LeftItem>,
    },
    BatchApproved {
        by: Actor,
        batch: String,
        role: String,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        opinion: String,
    },
    BatchVetoed {
        by: Actor,
        batch: String,
        reason: String,
    },
    BatchStarted {
        by: Actor,
        batch: String,
    },
    BatchEnded {
        batch: String,
        /// `None` where nothing was destroyed.
        certificate: Option<Value>,
    },
}
