//! Which studies a grant or an emergency is about.

use filmroom_storage::model::StudyInstanceUid;
use serde::{Deserialize, Serialize};

use super::{Label, PrivacyError};

/// Longest ID of a patient, or name of who issued it, in bytes: ten times what PS3.5 lets.
const ID_BYTES_MAX: usize = 640;

/// A patient as the archive tells them apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatientKey {
    /// (0010,0020).
    pub id: String,
    /// (0010,0021); empty where none is said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub issuer: String,
}

/// Which studies are meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// All of a patient.
    Patient(PatientKey),
    /// One.
    Study(StudyInstanceUid),
    /// All with a label.
    Label(Label),
}

impl Scope {
    pub(crate) fn check(&self) -> Result<(), PrivacyError> {
        match self {
            Self::Patient(patient) if patient.id.is_empty() => {
                Err(PrivacyError::Wrong("a patient is named by an ID".to_owned()))
            }
            Self::Patient(patient) if patient.id.len() + patient.issuer.len() > ID_BYTES_MAX => Err(
                PrivacyError::Wrong(format!("an ID is at most {ID_BYTES_MAX} bytes long")),
            ),
            _ => Ok(()),
        }
    }
}
