//! What people and programs do here, and what their roles let them do.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// One kind of thing that a caller wants. Every route and every service is one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Search: which patients, studies, series and instances there are.
    Query,
    /// Look at what is stored: instances, metadata, frames, pictures of them.
    Retrieve,
    /// Add instances.
    Store,
    /// See how the archive is: queues, metrics.
    Operate,
    /// See what is scheduled, and tell what was performed of it.
    Worklist,
    /// Put on the worklist what is scheduled, and take it off.
    Schedule,
    /// Change whom the archive talks to.
    Administer,
    /// Change who may come in, and what they may do.
    ManageAccounts,
    /// Read who did what.
    ReadAudit,
    /// Read how long studies are kept, what holds them, and what was decided on them.
    ReadRecords,
    /// Say what is known of patients and studies.
    AssertFacts,
    /// Open and release holds.
    Hold,
    /// Write and publish how long studies are kept.
    WritePolicies,
    /// Reject instances, restore them, and see those that are rejected.
    Reject,
    /// Propose what is to be destroyed.
    ProposeDisposal,
    /// Agree to it, or say no.
    ApproveDisposal,
    /// Have it carried out.
    CarryOutDisposal,
    /// Let in again what was destroyed.
    Reinstate,
    /// Say which studies are protected, and by what label.
    Label,
    /// Let somebody see what they would not.
    Grant,
    /// Take access in an emergency.
    TakeEmergencyAccess,
    /// Look afterwards at access that was taken.
    ReviewEmergencyAccess,
}

impl Action {
    /// All actions.
    pub const ALL: [Self; 22] = [
        Self::Query,
        Self::Retrieve,
        Self::Store,
        Self::Operate,
        Self::Worklist,
        Self::Schedule,
        Self::Administer,
        Self::ManageAccounts,
        Self::ReadAudit,
        Self::ReadRecords,
        Self::AssertFacts,
        Self::Hold,
        Self::WritePolicies,
        Self::Reject,
        Self::ProposeDisposal,
        Self::ApproveDisposal,
        Self::CarryOutDisposal,
        Self::Reinstate,
        Self::Label,
        Self::Grant,
        Self::TakeEmergencyAccess,
        Self::ReviewEmergencyAccess,
    ];

    /// True for what nobody does without saying who they are, not even where nobody is asked: it outlasts the day on which
    /// somebody is, and for records it is decided by persons.
    #[must_use]
    pub const fn takes_somebody(self) -> bool {
        matches!(
            self,
            Self::ManageAccounts
                | Self::AssertFacts
                | Self::Hold
                | Self::WritePolicies
                | Self::Reject
                | Self::ProposeDisposal
                | Self::ApproveDisposal
                | Self::CarryOutDisposal
                | Self::Reinstate
        )
    }

    /// Its word in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Retrieve => "retrieve",
            Self::Store => "store",
            Self::Operate => "operate",
            Self::Worklist => "worklist",
            Self::Schedule => "schedule",
            Self::Administer => "administer",
            Self::ManageAccounts => "manage-accounts",
            Self::ReadAudit => "read-audit",
            Self::ReadRecords => "read-records",
            Self::AssertFacts => "assert-facts",
            Self::Hold => "hold",
            Self::WritePolicies => "write-policies",
            Self::Reject => "reject",
            Self::ProposeDisposal => "propose-disposal",
            Self::ApproveDisposal => "approve-disposal",
            Self::CarryOutDisposal => "carry-out-disposal",
            Self::Reinstate => "reinstate",
            Self::Label => "label",
            Self::Grant => "grant",
            Self::TakeEmergencyAccess => "take-emergency-access",
            Self::ReviewEmergencyAccess => "review-emergency-access",
        }
    }
}

macro_rules! roles {
    ($($(#[$meaning:meta])* $variant:ident $word:literal $about:literal => [$($action:ident),*];)*) => {
        /// A job that somebody has in a hospital, and what it lets them do in the archive.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Role {
            $($(#[$meaning])* $variant,)*
        }

        impl Role {
            /// All roles.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its word in settings, commands and JSON.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// What it is for, in one phrase.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self {
                    $(Self::$variant => $about,)*
                }
            }

            /// What it lets its holder do.
            #[must_use]
            pub const fn actions(self) -> &'static [Action] {
                match self {
                    $(Self::$variant => &[$(Action::$action),*],)*
                }
            }
        }
    };
}

roles! {
    /// A device that sends what it made.
    Modality "modality" "a device that sends what it made, and reads its worklist" => [Store, Worklist];
    /// Reads studies.
    Viewer "viewer" "searches and reads studies" => [Query, Retrieve, TakeEmergencyAccess];
    /// Reads studies and adds what was found in them.
    Radiologist "radiologist" "reads studies, adds reports, key objects and presentation states" => [Query, Retrieve, Store, Worklist, TakeEmergencyAccess];
    /// Checks what modalities sent.
    Technologist "technologist" "checks and completes what modalities sent" => [Query, Retrieve, Store, Worklist, Schedule, Operate, Reject, TakeEmergencyAccess];
    /// Works the queues of the records department.
    HimClerk "him-clerk" "works the queues of the records department" => [Query, Retrieve, Worklist, Schedule, ReadRecords, AssertFacts, Reject, ProposeDisposal];
    /// Runs the records department.
    HimManager "him-manager" "runs the records department" => [Query, Retrieve, Store, Worklist, Schedule, Operate, ReadRecords, AssertFacts, Hold, WritePolicies, Reject, ProposeDisposal, ApproveDisposal, CarryOutDisposal, Reinstate, Label];
    /// Looks after privacy.
    PrivacyOfficer "privacy-officer" "looks after privacy: reads who saw what" => [Query, ReadAudit, ReadRecords, Hold, WritePolicies, ApproveDisposal, Reinstate, Label, Grant, ReviewEmergencyAccess];
    /// Approves what others propose to destroy.
    RecordsApprover "records-approver" "approves what others propose to destroy" => [Query, ReadRecords, ApproveDisposal, Reinstate];
    /// Gives an opinion on what others propose to destroy.
    PhysicianDim "physician-dim" "answers for medical information: gives an opinion on what is to be destroyed" => [Query, ReadRecords, ApproveDisposal];
    /// Agrees to what public houses destroy.
    Archives "archives" "the public archives: agree to what is to be destroyed" => [Query, ReadRecords, ApproveDisposal];
    /// Opens and closes legal holds.
    Legal "legal" "opens and closes legal holds" => [Query, ReadRecords, Hold, WritePolicies, ApproveDisposal];
    /// Works with what was released for research, and sees nothing by this role alone.
    Researcher "researcher" "works with what was released for research; sees only what was granted" => [Query, Retrieve];
    /// Takes identification out of studies for research.
    HonestBroker "honest-broker" "takes identification out of studies for research" => [Query, Retrieve];
    /// Runs the archive, without seeing patients.
    Administrator "administrator" "runs the archive: accounts, peers, queues; sees no patient" => [Operate, Administer, ManageAccounts];
    /// Reads who did what, and changes nothing.
    Auditor "auditor" "reads who did what" => [ReadAudit];
}

impl Role {
    /// True when the role lets its holder see what was granted to them, and nothing else.
    #[must_use]
    pub const fn sees_granted_alone(self) -> bool {
        matches!(self, Self::Researcher)
    }

    /// True when it takes no clearance to see protected studies: who protects them, who answers for them, who looks after who saw them.
    #[must_use]
    pub const fn sees_labelled(self) -> bool {
        matches!(self, Self::PrivacyOfficer | Self::HimManager | Self::Auditor)
    }
}

/// What somebody sees by their roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reach {
    /// Studies that are neither labelled nor granted.
    pub sees_most: bool,
    /// Labelled ones too.
    pub sees_labelled: bool,
}

/// What these roles let their holder see when they do this.
pub(crate) fn reach(roles: &BTreeSet<Role>, action: Action) -> Reach {
    let of_action = || roles.iter().filter(|role| role.actions().contains(&action));
    Reach {
        sees_most: of_action().any(|role| !role.sees_granted_alone()),
        sees_labelled: of_action().any(|role| role.sees_labelled()),
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Role {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|role| role.word() == text);
        found.copied().ok_or_else(|| {
            let words: Vec<&str> = Self::ALL.iter().map(|role| role.word()).collect();
            format!("\"{text}\" is no role; roles are {}", words.join(", "))
        })
    }
}

/// True when any of the roles lets its holder do this.
#[must_use]
pub fn may(roles: &BTreeSet<Role>, action: Action) -> bool {
    roles.iter().any(|role| role.actions().contains(&action))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_json() {
        for role in Role::ALL {
            assert_eq!(serde_json::to_value(role).unwrap(), role.word());
            assert_eq!(role.word().parse::<Role>().unwrap(), *role);
        }
        assert!("root".parse::<Role>().is_err());
    }

    #[test]
    fn who_runs_the_archive_sees_no_patient() {
        let administrator = BTreeSet::from([Role::Administrator]);
        for action in [Action::Query, Action::Retrieve, Action::Store, Action::ReadAudit] {
            assert!(!may(&administrator, action));
        }
        assert!(may(&administrator, Action::Administer));
        assert!(!may(&BTreeSet::new(), Action::Query));
    }
}
