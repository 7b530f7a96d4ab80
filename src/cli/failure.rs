//! How a command ends: one clear sentence, what to do next, and an exit status.

use std::{fmt, path::Path, process::ExitCode};

use filmroom_storage::{encryption::MasterKeyError, store::StoreError};

/// Exit statuses, after BSD's `sysexits`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// All was done.
    Done,
    /// The work was done, but for some of what was asked: the report says what.
    Partly,
    /// The command line is wrong (EX_USAGE).
    Usage,
    /// What was read is damaged (EX_DATAERR).
    Data,
    /// What was to be read is not there (EX_NOINPUT).
    NoInput,
    /// A peer does not answer or refuses, or an address cannot be listened on (EX_UNAVAILABLE).
    Unavailable,
    /// An error in Filmroom itself (EX_SOFTWARE).
    Software,
    /// A disk failed or is full (EX_IOERR).
    InputOutput,
    /// It may work later: the data folder is in use (EX_TEMPFAIL).
    TryLater,
    /// The operating system does not permit it (EX_NOPERM).
    Permission,
    /// A setting is wrong (EX_CONFIG).
    Config,
}

impl Status {
    /// Every status, with what it means to a script.
    pub const ALL: [(Self, &'static str); 11] = [
        (Self::Done, "all was done"),
        (
            Self::Partly,
            "done but for some of it: the report names what was refused",
        ),
        (Self::Usage, "the command line is wrong"),
        (Self::Data, "what was read is damaged"),
        (Self::NoInput, "what was to be read is not there"),
        (
            Self::Unavailable,
            "a peer does not answer or refuses, or an address cannot be listened on",
        ),
        (Self::Software, "an error in Filmroom itself"),
        (Self::InputOutput, "a disk failed or is full"),
        (Self::TryLater, "the data folder is in use: it may work later"),
        (Self::Permission, "the operating system does not permit it"),
        (Self::Config, "a setting is wrong"),
    ];

    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Partly => 1,
            Self::Usage => 64,
            Self::Data => 65,
            Self::NoInput => 66,
            Self::Unavailable => 69,
            Self::Software => 70,
            Self::InputOutput => 74,
            Self::TryLater => 75,
            Self::Permission => 77,
            Self::Config => 78,
        }
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status.code())
    }
}

/// Why a command did not do what was asked.
#[derive(Debug)]
pub struct Failure {
    /// What happened: one sentence without a full stop.
    pub sentence: String,
    /// What to do next; may be empty.
    pub advice: String,
    /// What scripts see.
    pub status: Status,
}

impl Failure {
    /// A failure with its advice.
    pub fn new(status: Status, sentence: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            sentence: sentence.into(),
            advice: advice.into(),
            status,
        }
    }

    /// A failure of the operating system on a path.
    #[must_use]
    pub fn io(doing: &str, path: &Path, error: &std::io::Error) -> Self {
        let sentence = format!("cannot {doing} {}: {}", path.display(), plain(error));
        match error.kind() {
            std::io::ErrorKind::NotFound => Self::new(Status::NoInput, sentence, "check the path"),
            std::io::ErrorKind::PermissionDenied => Self::new(
                Status::Permission,
                sentence,
                "run as a user who may, or change the owner of the path",
            ),
            std::io::ErrorKind::StorageFull => Self::new(
                Status::InputOutput,
                sentence,
                "make room on the disk; nothing stored is lost",
            ),
            _ => Self::new(Status::InputOutput, sentence, "check the disk and the path"),
        }
    }

    /// The master keys cannot be had.
    #[must_use]
    pub fn master_key(error: &MasterKeyError) -> Self {
        Self::new(
            Status::Config,
            format!("encryption.master_key: {error}"),
            "the setting is file:PATH, env:VARIABLE or command:COMMAND, which gives one key a line, the one for new data first",
        )
    }

    /// The store at a data folder would not open or stop.
    #[must_use]
    pub fn store(folder: &Path, error: &StoreError) -> Self {
        match error {
            StoreError::Io(error) => Self::io("use the data folder", folder, error),
            StoreError::Damaged(_) | StoreError::Index(_) => Self::new(
                Status::Data,
                format!("the data folder {} cannot be used: {error}", folder.display()),
                "keep a copy of the folder before anything else is tried",
            ),
            StoreError::Keys(why) => Self::new(
                Status::Config,
                format!("the data folder {} cannot be used: {why}", folder.display()),
                "let encryption.master_key give the key that the archive was encrypted with: without it nothing in it can be read",
            ),
            StoreError::OutOfSpace(_) => Self::new(
                Status::InputOutput,
                format!("the data folder {} cannot be used: {error}", folder.display()),
                "make room on the disk, or lower storage.free_space_min; nothing stored is lost",
            ),
            StoreError::Objects(why) => Self::new(
                Status::Unavailable,
                why.clone(),
                "`filmroom config check` tries the object store again; what is in it is not touched",
            ),
            StoreError::Unavailable(why) => Self::new(
                Status::TryLater,
                why.clone(),
                "if another Filmroom is using it, stop that one first, or name another folder with --data",
            ),
            _ => Self::new(
                Status::TryLater,
                format!("the data folder {} cannot be used: {error}", folder.display()),
                "if another Filmroom is running on it, stop that one first or name another folder with --data",
            ),
        }
    }
}

/// The words of an error without the number that the operating system gives it.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text.get(..end).unwrap_or_default().to_lowercase(),
        None => text,
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "filmroom: {}", self.sentence)?;
        if !self.advice.is_empty() {
            write!(f, "\n  {}", self.advice)?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

impl From<crate::config::ConfigError> for Failure {
    fn from(error: crate::config::ConfigError) -> Self {
        let sentence = error.problems.join("\nfilmroom: ");
        Self::new(
            Status::Config,
            sentence,
            "`filmroom config settings` lists every setting with its default and what is allowed",
        )
    }
}
