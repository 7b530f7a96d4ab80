//! What is known of a study and its patient: the input of a decision.

use std::sync::Arc;

use time::Date;

use super::{PartialDate, Purpose, Source};

/// A study, as far as rules ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StudyFacts {
    /// (0020,000D).
    pub study_instance_uid: String,
    /// The site whose policies hold.
    pub site: String,
    /// Payers and programmes that it was made under.
    pub programmes: Vec<String>,
    /// Made here or elsewhere.
    pub source: Source,
    /// (0008,0061).
    pub modalities: Vec<String>,
    /// (0008,0062).
    pub sop_classes: Vec<String>,
    /// (0020,1208).
    pub instances: u64,
    /// When the first instance came.
    pub received: Date,
    /// When the latest came.
    pub last_received: Date,
    /// (0008,0020).
    pub study_date: Option<PartialDate>,
    /// As somebody said; else it is told from the modalities.
    pub purpose: Option<Purpose>,
    /// When it was completed.
    pub completed: Option<PartialDate>,
    /// End of the encounter that it belongs to, where somebody said so of this study.
    pub encounter_end: Option<PartialDate>,
    /// Flags of this study alone.
    pub flags: Vec<Flag>,
    /// Codes that all of it is rejected as.
    pub rejected_as: Vec<String>,
    /// Whose it is.
    pub patient: Arc<PatientFacts>,
}

/// A patient.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PatientFacts {
    /// Birth.
    pub birth: Option<PartialDate>,
    /// Death; `None` when nothing is known of one.
    pub death: Option<Death>,
    /// Last encounter, where somebody said so.
    pub last_encounter: Option<PartialDate>,
    /// Stays and visits.
    pub encounters: Vec<Encounter>,
    /// Flags.
    pub flags: Vec<Flag>,
    /// End of the trial.
    pub trial_end: Option<PartialDate>,
    /// End of the employment.
    pub employment_end: Option<PartialDate>,
    /// All studies of the patient, those that were destroyed among them, the one in question too.
    pub studies: Vec<OtherStudy>,
    /// What sources do not agree on, one sentence each.
    pub conflicts: Vec<String>,
}

/// A death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// The day, month or year is known.
    On(PartialDate),
    /// It was known on this day; when it was is not.
    KnownOn(Date),
}

/// A stay or visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Encounter {
    /// Admission.
    pub start: PartialDate,
    /// Discharge; `None` while it lasts.
    pub end: Option<PartialDate>,
}

/// A flag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flag {
    /// Its word.
    pub name: String,
    /// Since when: of a diagnosis its day.
    pub date: Option<PartialDate>,
    /// When somebody said so.
    pub known_on: Date,
}

/// A study of the same patient, as far as rules ask.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OtherStudy {
    /// (0020,000D).
    pub study_instance_uid: String,
    /// (0008,0020).
    pub date: Option<PartialDate>,
    /// (0008,0061).
    pub modalities: Vec<String>,
    /// Where it was made.
    pub site: String,
    /// Made here or elsewhere.
    pub source: Source,
}

/// Modalities of treatment (PS3.3 §C.7.3.1.1.1).
const TREATMENT: [&str; 7] = [
    "RTDOSE", "RTIMAGE", "RTPLAN", "RTRECORD", "RTSTRUCT", "RTINTENT", "RTRAD",
];

impl StudyFacts {
    /// What it was made for: as somebody said, else treatment where a modality is one of treatment, else diagnosis.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        let is_treatment = || {
            self.modalities
                .iter()
                .any(|modality| TREATMENT.contains(&modality.as_str()))
        };
        match self.purpose {
            Some(purpose) => purpose,
            None if is_treatment() => Purpose::Treatment,
            None => Purpose::Diagnostic,
        }
    }

    /// Flags of the study and of its patient.
    pub fn all_flags(&self) -> impl Iterator<Item = &Flag> {
        self.flags.iter().chain(&self.patient.flags)
    }
}
