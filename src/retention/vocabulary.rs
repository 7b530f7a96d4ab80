//! The closed vocabulary of rules.

use serde::{Deserialize, Serialize};

macro_rules! vocabulary {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)*
        }

        impl $name {
            /// All words, for messages.
            pub const WORDS: &'static [&'static str] = &[$($word,)*];

            /// Its word.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// The one of this word.
            #[must_use]
            pub fn of(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}

vocabulary! {
    /// What a period runs from.
    Anchor {
        /// The day of the study (0008,0020).
        StudyDate = "study.date",
        /// The day on which the study was completed.
        StudyCompleted = "study.completed",
        /// The day of discharge; of an outpatient the day of the visit.
        EncounterEnd = "encounter.end",
        /// The patient's birth.
        PatientBirth = "patient.birth",
        /// The patient's death.
        PatientDeath = "patient.death",
        /// The day on which the patient was last seen.
        PatientLastEncounter = "patient.last_encounter",
        /// The day of the flag that the rule names: of a diagnosis, an implantation …
        FlagDate = "flag.date",
        /// The end of the trial.
        TrialEnd = "trial.end",
        /// The end of the employment.
        EmploymentEnd = "employment.end",
        /// The day on which the first instance came here.
        Received = "received",
    }
}

vocabulary! {
    /// What a rule says.
    Class {
        /// Keep at least until then.
        Min = "min",
        /// Keep no longer than that.
        Max = "max",
        /// Keep, without a date.
        Bar = "bar",
    }
}

vocabulary! {
    /// Which of several dates counts.
    Combine {
        /// The last.
        Latest = "latest",
        /// The first.
        Earliest = "earliest",
    }
}

vocabulary! {
    /// What a study was made for.
    Purpose {
        /// To find what is the matter.
        Diagnostic = "diagnostic",
        /// To find what nobody complains of.
        Screening = "screening",
        /// To treat.
        Treatment = "treatment",
    }
}

vocabulary! {
    /// Where a study was made.
    Source {
        /// Here.
        Own = "own",
        /// Elsewhere, and brought here.
        Imported = "imported",
    }
}

/// Flags that rules name and facts set. A site's own begin with `x-`.
pub const FLAGS: &[&str] = &[
    "cjd",
    "implant",
    "mental-health",
    "obstetric",
    "occupational",
    "oncology",
    "organ-donor",
    "pneumoconiosis",
    "safeguarding",
    "transfusion",
    "transplant",
    "trial",
];

/// True for a flag of [`FLAGS`], and for a site's own.
#[must_use]
pub fn is_flag(flag: &str) -> bool {
    FLAGS.contains(&flag)
        || flag.strip_prefix("x-").is_some_and(|own| {
            (1..=40).contains(&own.len())
                && own
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        })
}
