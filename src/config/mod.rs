//! Settings: one typed tree, each setting declared once with default, unit, range and reason.
//!
//! Flags win over the environment, the environment over the file, the file over defaults. What nobody knows is refused,
//! naming the nearest setting there is.

mod audit;
mod doors;
mod exposure;
mod hl7;
mod load;
mod objects;
mod records;
mod section;
mod settings;
#[cfg(test)]
mod tests;
mod value;

pub use audit::{Audit, Receiver};
pub use exposure::{check_exposure, given_up};
pub use load::{ConfigError, FILE_DEFAULT, FILE_VARIABLE, FlagValue, Loaded, Source, load};
pub use objects::{
    AcknowledgeAt, CredentialsFrom, EncryptedBy, LockedAs, Objects, ObjectsAt, PathStyle, ReplicaS3, S3,
};
pub use records::Records;
pub use section::{Section, Setting};
pub use settings::{Access, Config, Data, Dicom, Http, Log, Replica, Run, Scrub, Storage, Worklist};
pub use value::{Authentication, Given, Insecure, LogFilter, LogFormat, Secret, Size, TlsCallers, Value, WebOrigin};
