//! Which SOP classes and transfer syntaxes this node takes, and for what.

use filmroom_storage::model::check_uid;

use crate::config::OtherSopClasses;

/// Query/Retrieve information models (PS3.4 §C.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryModel {
    /// Patient, study, series, instance.
    PatientRoot,
    /// Study, series, instance.
    StudyRoot,
    /// Patient, study (retired).
    PatientStudyOnly,
}

/// What a SOP class is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// C-ECHO (PS3.4 §A).
    Verification,
    /// C-STORE (PS3.4 §B).
    Storage,
    /// C-FIND (PS3.4 §C.4.1).
    Find(QueryModel),
    /// C-MOVE (PS3.4 §C.4.2).
    Move(QueryModel),
    /// C-GET (PS3.4 §C.4.3).
    Get(QueryModel),
    /// Storage Commitment Push Model (PS3.4 §J).
    StorageCommitment,
    /// Modality Worklist Information Model (PS3.4 §K).
    Worklist,
    /// Modality Performed Procedure Step (PS3.4 §F.7).
    ProcedureStep,
    /// Modality Performed Procedure Step Retrieve (PS3.4 §F.8).
    ProcedureStepRetrieve,
    /// Instance Availability Notification (PS3.4 §R): told to others, not taken.
    InstanceAvailability,
}

/// Verification SOP Class.
pub(crate) const VERIFICATION: &str = "1.2.840.10008.1.1";
/// Storage Commitment Push Model SOP Class.
pub(crate) const STORAGE_COMMITMENT: &str = "1.2.840.10008.1.20.1";
/// Instance Availability Notification SOP Class.
pub(crate) const INSTANCE_AVAILABILITY_NOTIFICATION: &str = "1.2.840.10008.5.1.4.33";
/// Modality Worklist Information Model – FIND.
const MODALITY_WORKLIST: &str = "1.2.840.10008.5.1.4.31";
/// Modality Performed Procedure Step SOP Class.
pub(crate) const PROCEDURE_STEP: &str = "1.2.840.10008.3.1.2.3.3";
/// Modality Performed Procedure Step Retrieve SOP Class.
const PROCEDURE_STEP_RETRIEVE: &str = "1.2.840.10008.3.1.2.3.4";
/// Implicit VR Little Endian.
pub(crate) const IMPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2";
/// Explicit VR Little Endian.
pub(crate) const EXPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";
/// Deflated Explicit VR Little Endian.
pub(crate) const DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1.99";
/// Explicit VR Big Endian (retired).
pub(crate) const EXPLICIT_VR_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

const DICOM_ROOT: &str = "1.2.840.10008.";
const STORAGE_ROOT: &str = "1.2.840.10008.5.1.4.1.1.";

/// Storage classes that stand outside the storage root. Hanging protocols, palettes and implant templates do not: they
/// belong to no patient (PS3.4 §GG) and have no study to be kept in.
const STORAGE_ELSEWHERE: [&str; 6] = [
    "1.2.840.10008.5.1.1.27",    // Stored Print Storage (retired)
    "1.2.840.10008.5.1.1.29",    // Hardcopy Grayscale Image Storage (retired)
    "1.2.840.10008.5.1.1.30",    // Hardcopy Color Image Storage (retired)
    "1.2.840.10008.5.1.4.34.1",  // RT Beams Delivery Instruction Storage - Trial (retired)
    "1.2.840.10008.5.1.4.34.7",  // RT Beams Delivery Instruction Storage
    "1.2.840.10008.5.1.4.34.10", // RT Brachy Application Setup Delivery Instruction Storage
];

/// Vendors' query and retrieve models: private, but nothing to be stored.
const PRIVATE_NOT_STORAGE: [&str; 4] = [
    "1.2.40.0.13.1.5.1.4.1.2.",
    "1.2.40.0.13.1.5.1.4.31",
    "1.2.826.0.1.3680043.2.135.1066.5.1.4.1.2.",
    "1.3.12.2.1107.5.9.20",
];

/// The service that a SOP class belongs to; `None` when this node does not offer it.
#[must_use]
pub fn service_of(sop_class_uid: &str, other: &OtherSopClasses) -> Option<Service> {
    use QueryModel::{PatientRoot, PatientStudyOnly, StudyRoot};
    if let Some(rest) = sop_class_uid.strip_prefix("1.2.840.10008.5.1.4.1.2.") {
        return Some(match rest {
            "1.1" => Service::Find(PatientRoot),
            "1.2" => Service::Move(PatientRoot),
            "1.3" => Service::Get(PatientRoot),
            "2.1" => Service::Find(StudyRoot),
            "2.2" => Service::Move(StudyRoot),
            "2.3" => Service::Get(StudyRoot),
            "3.1" => Service::Find(PatientStudyOnly),
            "3.2" => Service::Move(PatientStudyOnly),
            "3.3" => Service::Get(PatientStudyOnly),
            _ => return None,
        });
    }
    match sop_class_uid {
        VERIFICATION => Some(Service::Verification),
        STORAGE_COMMITMENT => Some(Service::StorageCommitment),
        MODALITY_WORKLIST => Some(Service::Worklist),
        PROCEDURE_STEP => Some(Service::ProcedureStep),
        PROCEDURE_STEP_RETRIEVE => Some(Service::ProcedureStepRetrieve),
        INSTANCE_AVAILABILITY_NOTIFICATION => Some(Service::InstanceAvailability),
        _ => is_storage(sop_class_uid, other).then_some(Service::Storage),
    }
}

fn is_storage(sop_class_uid: &str, other: &OtherSopClasses) -> bool {
    if check_uid(sop_class_uid).is_err() {
        return false;
    }
    if sop_class_uid.starts_with(STORAGE_ROOT) || STORAGE_ELSEWHERE.contains(&sop_class_uid) {
        return true;
    }
    match other {
        OtherSopClasses::Listed(listed) => listed.iter().any(|uid| uid == sop_class_uid),
        OtherSopClasses::AllPrivate => {
            !sop_class_uid.starts_with(DICOM_ROOT)
                && !PRIVATE_NOT_STORAGE
                    .iter()
                    .any(|prefix| sop_class_uid.starts_with(prefix))
        }
    }
}

/// True for every transfer syntax of PS3.6 that can carry a stored instance, retired ones included. Left out: MIME and XML
/// encapsulation, and the real-time video ones (PS3.22), which are no files.
#[must_use]
pub fn is_known_transfer_syntax(uid: &str) -> bool {
    let Some(rest) = uid.strip_prefix(IMPLICIT_VR_LITTLE_ENDIAN) else {
        return false;
    };
    match rest {
        "" | ".1" | ".1.98" | ".1.99" | ".2" | ".5" | ".8.1" => true,
        _ => match rest.strip_prefix(".4.") {
            // Fragmentable variants (PS3.5 §A.4.11 and on) end in .1.
            Some(number) => match number.strip_suffix(".1").unwrap_or(number).parse::<u16>() {
                Ok(100..=106) => true,
                Ok(50..=66 | 70 | 80 | 81 | 90..=95 | 107 | 108 | 110..=112 | 201..=205) => !number.ends_with(".1"),
                _ => false,
            },
            None => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(uid: &str, expected: Option<Service>) {
        assert_eq!(service_of(uid, &OtherSopClasses::AllPrivate), expected);
    }

    #[test]
    fn every_storage_class_of_the_dictionary_is_stored() {
        check("1.2.840.10008.5.1.4.1.1.2", Some(Service::Storage));
        check("1.2.840.10008.5.1.4.1.1.481.23", Some(Service::Storage));
        check("1.2.840.10008.5.1.1.30", Some(Service::Storage));
        check("1.2.840.113619.4.26", Some(Service::Storage));
        check("1.3.12.2.1107.5.9.1", Some(Service::Storage));
    }

    #[test]
    fn what_is_no_storage_is_not_stored() {
        check(
            "1.2.840.10008.5.1.4.1.2.2.1",
            Some(Service::Find(QueryModel::StudyRoot)),
        );
        check("1.2.840.10008.5.1.4.1.2.9.1", None);
        check("1.2.840.10008.5.1.1.9", None);
        check("1.2.840.10008.1.3.10", None);
        check("../etc", None);
        check("", None);
        assert_eq!(service_of("1.2.3", &OtherSopClasses::Listed(vec![])), None);
        assert_eq!(
            service_of("1.2.3", &OtherSopClasses::Listed(vec!["1.2.3".into()])),
            Some(Service::Storage)
        );
    }

    #[test]
    fn every_transfer_syntax_for_files_is_known() {
        let numbers = "50 51 57 70 80 81 90 91 92 93 100 100.1 101 101.1 102 102.1 103 103.1 104 104.1 105 105.1 106 106.1 \
                       107 108 110 111 112 201 202 203";
        for number in numbers.split_whitespace() {
            assert!(
                is_known_transfer_syntax(&format!("1.2.840.10008.1.2.4.{number}")),
                "{number}"
            );
        }
        for uid in [
            "1.2.840.10008.1.2",
            "1.2.840.10008.1.2.1.98",
            "1.2.840.10008.1.2.5",
            "1.2.840.10008.1.2.8.1",
        ] {
            assert!(is_known_transfer_syntax(uid), "{uid}");
        }
        for uid in [
            "1.2.3.4.5.6",
            "1.2.840.10008.1.2.4.107.1",
            "1.2.840.10008.1.2.7.1",
            "1.2.840.10008.1.20",
            "1.2.840.10008.1.2.4.",
            "",
        ] {
            assert!(!is_known_transfer_syntax(uid), "{uid}");
        }
    }
}
