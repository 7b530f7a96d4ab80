//! Master keys: where they come from, and what they are called.

use std::{
    fmt, fs,
    io::{self, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    str::FromStr,
    sync::mpsc,
    thread,
    time::Duration,
};

use zeroize::Zeroize;

use super::{
    EncryptionError,
    secret::{KEY_BYTES, Secret},
};
use crate::hexadecimal::{bytes_from_hexadecimal, hexadecimal};

/// Longest text of keys.
const TEXT_MAX_BYTES: u64 = 64 << 10;
/// Longest wait for a command that gives keys.
const COMMAND_MAX: Duration = Duration::from_secs(60);

/// Tells master keys apart: it follows from the key, so that no two are confused, and says nothing about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MasterKeyId(pub(crate) [u8; Self::BYTES]);

impl MasterKeyId {
    pub(crate) const BYTES: usize = 8;
}

impl fmt::Display for MasterKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hexadecimal(&self.0))
    }
}

/// Where master keys come from: `file:PATH`, `env:VARIABLE` or `command:COMMAND LINE`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd)]
pub enum MasterKeySource {
    /// A file.
    File(PathBuf),
    /// A variable of the environment.
    Environment(String),
    /// What a command prints, run by `sh -c`.
    Command(String),
}

/// Why there are no master keys.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// The setting is none.
    #[error("it begins with neither file: nor env: nor command:")]
    Source,
    /// The file does not read.
    #[error("the master key file {0} cannot be read: {1}")]
    File(PathBuf, io::Error),
    /// The variable is not set.
    #[error("the environment has no variable {0}, which is to hold the master key")]
    Environment(String),
    /// The command failed.
    #[error("the command that is to give the master key failed: {0}")]
    Command(String),
    /// The text is no key.
    #[error("line {line} of the master keys is no key: 64 hexadecimal digits are, as `filmroom key new` prints them")]
    Text {
        /// Number of the line, from 1.
        line: usize,
    },
    /// There is nothing.
    #[error("there is no master key: 64 hexadecimal digits are one, as `filmroom key new` prints them")]
    Empty,
    /// One key stands there twice.
    #[error("master key {0} stands there twice")]
    Twice(MasterKeyId),
    /// The system gave no randomness.
    #[error(transparent)]
    Encryption(#[from] EncryptionError),
}

/// The master keys. The first wraps what is new; all unwrap what they wrapped.
pub struct MasterKeys {
    first: (MasterKeyId, Secret),
    others: Vec<(MasterKeyId, Secret)>,
}

impl fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKeys({})", self.ids_as_text())
    }
}

impl FromStr for MasterKeySource {
    type Err = MasterKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("file", path)) if !path.trim().is_empty() => Ok(Self::File(path.trim().into())),
            Some(("env", name)) if !name.trim().is_empty() => Ok(Self::Environment(name.trim().to_owned())),
            Some(("command", line)) if !line.trim().is_empty() => Ok(Self::Command(line.trim().to_owned())),
            _ => Err(MasterKeyError::Source),
        }
    }
}

impl fmt::Display for MasterKeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Environment(name) => write!(f, "env:{name}"),
            Self::Command(line) => write!(f, "command:{line}"),
        }
    }
}

impl MasterKeySource {
    /// Reads the keys. Blocks, at most a minute for a command.
    ///
    /// # Errors
    /// [`MasterKeyError`], one sentence.
    pub fn load(&self) -> Result<MasterKeys, MasterKeyError> {
        let mut text = match self {
            Self::File(path) => {
                warn_of_readers(path);
                let file = fs::File::open(path).and_then(read_text);
                file.map_err(|error| MasterKeyError::File(path.clone(), error))?
            }
            Self::Environment(name) => std::env::var(name).map_err(|_| MasterKeyError::Environment(name.clone()))?,
            Self::Command(line) => run(line)?,
        };
        let keys = MasterKeys::from_text(&text);
        text.zeroize();
        keys
    }
}

fn warn_of_readers(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    if let Ok(metadata) = fs::metadata(path)
        && metadata.permissions().mode() & 0o077 != 0
    {
        tracing::warn!(file = %path.display(), "users other than its owner may read the master key file: chmod 600 it");
    }
}

fn read_text(from: impl Read) -> io::Result<String> {
    let mut text = String::new();
    from.take(TEXT_MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

fn run(line: &str) -> Result<String, MasterKeyError> {
    let failed = |error: io::Error| MasterKeyError::Command(error.to_string());
    let mut child = Command::new("sh")
        .args(["-c", line])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let (sender, receiver) = mpsc::channel();
    if let Some(output) = child.stdout.take() {
        thread::spawn(move || sender.send(read_text(output)));
    }
    let read = receiver.recv_timeout(COMMAND_MAX);
    if read.is_err() {
        // It is of no use any more, whatever it says to that.
        let _ = child.kill();
    }
    let status = child.wait().map_err(failed)?;
    match read {
        Ok(text) if status.success() => text.map_err(failed),
        Ok(_) => Err(MasterKeyError::Command(format!("it ended with {status}"))),
        Err(_) => Err(MasterKeyError::Command(format!(
            "it gave nothing within {} s",
            COMMAND_MAX.as_secs()
        ))),
    }
}

impl MasterKeys {
    /// Reads keys from a text: one a line, or separated by commas; `#` begins a comment.
    ///
    /// # Errors
    /// [`MasterKeyError::Text`], [`MasterKeyError::Empty`], [`MasterKeyError::Twice`].
    pub fn from_text(text: &str) -> Result<Self, MasterKeyError> {
        let mut keys: Vec<(MasterKeyId, Secret)> = Vec::new();
        for (line, content) in text.lines().enumerate() {
            let content = content.split('#').next().unwrap_or_default();
            for word in content.split([',', ' ', '\t']).filter(|word| !word.is_empty()) {
                let mut bytes = bytes_from_hexadecimal(word).ok_or(MasterKeyError::Text { line: line + 1 })?;
                let key = <[u8; KEY_BYTES]>::try_from(bytes.as_slice()).map(Secret::new);
                bytes.zeroize();
                let key = key.map_err(|_| MasterKeyError::Text { line: line + 1 })?;
                let id = id_of(&key);
                if keys.iter().any(|(other, _)| *other == id) {
                    return Err(MasterKeyError::Twice(id));
                }
                keys.push((id, key));
            }
        }
        let mut keys = keys.into_iter();
        let first = keys.next().ok_or(MasterKeyError::Empty)?;
        Ok(Self {
            first,
            others: keys.collect(),
        })
    }

    /// A new key as text, and its id.
    ///
    /// # Errors
    /// [`MasterKeyError::Encryption`] when the system gives no randomness.
    pub fn new_text() -> Result<(String, MasterKeyId), MasterKeyError> {
        let key = Secret::random()?;
        Ok((hexadecimal(key.as_bytes()), id_of(&key)))
    }

    /// The id of the key that wraps what is new.
    #[must_use]
    pub fn first_id(&self) -> MasterKeyId {
        self.first.0
    }

    /// The ids of all keys, the first one first.
    pub fn ids(&self) -> impl Iterator<Item = MasterKeyId> {
        std::iter::once(&self.first).chain(&self.others).map(|(id, _)| *id)
    }

    pub(super) fn ids_as_text(&self) -> String {
        self.ids().map(|id| id.to_string()).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn first(&self) -> (MasterKeyId, &Secret) {
        (self.first.0, &self.first.1)
    }

    pub(super) fn by_id(&self, id: &MasterKeyId) -> Option<&Secret> {
        std::iter::once(&self.first)
            .chain(&self.others)
            .find_map(|(own, key)| (own == id).then_some(key))
    }
}

fn id_of(key: &Secret) -> MasterKeyId {
    MasterKeyId(key.derive(&[], "filmroom master key id", &[]))
}

#[cfg(test)]
impl MasterKeys {
    pub(crate) fn random() -> Result<Self, MasterKeyError> {
        Self::from_text(&Self::new_text()?.0)
    }

    /// These, then others.
    pub(crate) fn then(&self, other: &Self) -> Self {
        let others = self.others.iter().chain([&other.first]).chain(&other.others);
        Self {
            first: self.first.clone(),
            others: others.cloned().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_from_file_environment_and_command() {
        let (text, id) = MasterKeys::new_text().unwrap();
        let (old, old_id) = MasterKeys::new_text().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        fs::write(&path, format!("# the current one\n{text}\n\n{old} # last year's\n")).unwrap();
        let sources = [
            format!("file:{}", path.display()),
            format!("command:cat '{}'", path.display()),
        ];
        for source in sources {
            let keys = source.parse::<MasterKeySource>().unwrap().load().unwrap();
            assert_eq!(keys.ids().collect::<Vec<_>>(), [id, old_id]);
            assert!(!format!("{keys:?}").contains(&text), "keys are not printed");
        }
        assert_eq!(MasterKeys::from_text(&format!("{text},{old}")).unwrap().first_id(), id);
    }

    #[test]
    fn what_is_no_key_is_refused_with_a_sentence() {
        let check = |text: &str, words: &str| {
            let error = MasterKeys::from_text(text).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        };
        check("", "there is no master key");
        check("# nothing\n", "there is no master key");
        check("\nabc", "line 2");
        check(&"ab".repeat(31), "64 hexadecimal digits");
        let twice = format!("{0}\n{0}", "ab".repeat(32));
        check(&twice, "twice");
        assert!("vault:x".parse::<MasterKeySource>().is_err());
        let load = |source: &str| {
            source
                .parse::<MasterKeySource>()
                .unwrap()
                .load()
                .unwrap_err()
                .to_string()
        };
        assert!(load("file:/nowhere/at/all").contains("/nowhere/at/all"));
        assert!(load("env:FILMROOM_NO_SUCH_VARIABLE").contains("FILMROOM_NO_SUCH_VARIABLE"));
        assert!(load("command:exit 3").contains("3"));
    }
}
