//! The coded words of audit messages: DCM (PS3.16 CID 400–403), RFC 3881 and HL7 v3 ActReason.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// A code, its coding scheme and its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// Code value.
    pub value: &'static str,
    /// Coding scheme designator.
    pub system: &'static str,
    /// Code meaning.
    pub meaning: &'static str,
}

macro_rules! codes {
    ($(#[$about:meta])* $name:ident in $system:literal { $($(#[$doc:meta])* $variant:ident = $value:literal $meaning:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$doc])* #[doc = concat!($value, " ", $meaning)] $variant,)*
        }

        impl $name {
            /// Every one there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code.
            #[must_use]
            pub fn code(self) -> Code {
                match self {
                    $(Self::$variant => Code { value: $value, system: $system, meaning: $meaning },)*
                }
            }

            /// The one with a code value.
            #[must_use]
            pub fn of(value: &str) -> Option<Self> {
                match value {
                    $($value => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.code().value)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = std::borrow::Cow::<str>::deserialize(deserializer)?;
                Self::of(&value).ok_or_else(|| D::Error::custom(format!("there is no code {value}")))
            }
        }
    };
}

codes! {
    /// What kind of event (CID 400).
    EventId in "DCM" {
        ApplicationActivity = "110100" "Application Activity",
        AuditLogUsed = "110101" "Audit Log Used",
        BeginTransferring = "110102" "Begin Transferring DICOM Instances",
        InstancesAccessed = "110103" "DICOM Instances Accessed",
        InstancesTransferred = "110104" "DICOM Instances Transferred",
        StudyDeleted = "110105" "DICOM Study Deleted",
        Export = "110106" "Export",
        Import = "110107" "Import",
        NetworkEntry = "110108" "Network Entry",
        OrderRecord = "110109" "Order Record",
        PatientRecord = "110110" "Patient Record",
        ProcedureRecord = "110111" "Procedure Record",
        Query = "110112" "Query",
        SecurityAlert = "110113" "Security Alert",
        UserAuthentication = "110114" "User Authentication",
    }
}

codes! {
    /// Which of its kind (CID 401).
    EventType in "DCM" {
        ApplicationStart = "110120" "Application Start",
        ApplicationStop = "110121" "Application Stop",
        Login = "110122" "Login",
        Logout = "110123" "Logout",
        Attach = "110124" "Attach",
        Detach = "110125" "Detach",
        NodeAuthentication = "110126" "Node Authentication",
        EmergencyOverrideStarted = "110127" "Emergency Override Started",
        NetworkConfiguration = "110128" "Network Configuration",
        SecurityConfiguration = "110129" "Security Configuration",
        HardwareConfiguration = "110130" "Hardware Configuration",
        SoftwareConfiguration = "110131" "Software Configuration",
        UseOfRestrictedFunction = "110132" "Use of Restricted Function",
        AuditRecordingStopped = "110133" "Audit Recording Stopped",
        AuditRecordingStarted = "110134" "Audit Recording Started",
        ObjectSecurityAttributesChanged = "110135" "Object Security Attributes Changed",
        SecurityRolesChanged = "110136" "Security Roles Changed",
        UserSecurityAttributesChanged = "110137" "User Security Attributes Changed",
        EmergencyOverrideStopped = "110138" "Emergency Override Stopped",
        RemoteServiceStarted = "110139" "Remote Service Operation Started",
        RemoteServiceStopped = "110140" "Remote Service Operation Stopped",
        LocalServiceStarted = "110141" "Local Service Operation Started",
        LocalServiceStopped = "110142" "Local Service Operation Stopped",
    }
}

codes! {
    /// The part that somebody plays (CID 402).
    Role in "DCM" {
        Application = "110150" "Application",
        ApplicationLauncher = "110151" "Application Launcher",
        Destination = "110152" "Destination Role ID",
        Source = "110153" "Source Role ID",
        DestinationMedia = "110154" "Destination Media",
        SourceMedia = "110155" "Source Media",
    }
}

codes! {
    /// What for (HL7 v3 ActReason, PurposeOfUse).
    Purpose in "HL7 v3 ActReason" {
        Treatment = "TREAT" "treatment",
        Emergency = "ETREAT" "Emergency Treatment",
        BreakTheGlass = "BTG" "break the glass",
        Payment = "HPAYMT" "healthcare payment",
        Operations = "HOPERAT" "healthcare operations",
        PatientRequest = "PATRQT" "patient requested",
        Research = "HRESCH" "healthcare research",
        PublicHealth = "PUBHLTH" "public health",
        Legal = "HLEGAL" "legal",
        RecordsManagement = "RECORDMGT" "records management",
        SystemAdministration = "HSYSADMIN" "health system administration",
    }
}

/// What was done (RFC 3881 §5.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Action {
    /// Made.
    #[serde(rename = "C")]
    Create,
    /// Read, viewed, printed, queried.
    #[serde(rename = "R")]
    Read,
    /// Changed.
    #[serde(rename = "U")]
    Update,
    /// Deleted.
    #[serde(rename = "D")]
    Delete,
    /// Carried out.
    #[serde(rename = "E")]
    Execute,
}

impl Action {
    /// C, R, U, D or E.
    #[must_use]
    pub fn letter(self) -> &'static str {
        match self {
            Self::Create => "C",
            Self::Read => "R",
            Self::Update => "U",
            Self::Delete => "D",
            Self::Execute => "E",
        }
    }

    /// The action of a letter.
    #[must_use]
    pub fn of(letter: &str) -> Option<Self> {
        [Self::Create, Self::Read, Self::Update, Self::Delete, Self::Execute]
            .into_iter()
            .find(|action| action.letter() == letter)
    }
}

/// How it ended (RFC 3881 §5.1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Outcome {
    /// 0: as it was meant to.
    #[default]
    Success,
    /// 4: it failed, and can be done again.
    MinorFailure,
    /// 8: it failed.
    SeriousFailure,
    /// 12: it failed, and nothing of the kind can be done any more.
    MajorFailure,
}

impl Outcome {
    /// 0, 4, 8 or 12.
    #[must_use]
    pub fn indicator(self) -> &'static str {
        match self {
            Self::Success => "0",
            Self::MinorFailure => "4",
            Self::SeriousFailure => "8",
            Self::MajorFailure => "12",
        }
    }

    /// The outcome of an indicator.
    #[must_use]
    pub fn of(indicator: &str) -> Option<Self> {
        [
            Self::Success,
            Self::MinorFailure,
            Self::SeriousFailure,
            Self::MajorFailure,
        ]
        .into_iter()
        .find(|outcome| outcome.indicator() == indicator)
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.indicator())
    }
}

impl<'de> Deserialize<'de> for Outcome {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::of(&value).ok_or_else(|| D::Error::custom(format!("there is no outcome {value}")))
    }
}
