//! Signed checkpoints: size and root of the tree, in the text form of C2SP tlog-checkpoint and signed-note, with Ed25519.
//!
//! ```text
//! filmroom-audit/3f9c2a7b18d0e455        the log's name, made of its key
//! 4711                                   entries
//! 8l6m…=                                 root, base64
//! time 2026-11-23T01:02:03Z              when
//!
//! — filmroom-audit/3f9c2a7b18d0e455 zX8e…=   signature over all up to the empty line, with the id of the key
//! ```

use std::{fs, io, os::unix::fs::OpenOptionsExt, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{error::AuditError, merkle::Hash};

/// The algorithm's number in signed notes: Ed25519.
const ALGORITHM: u8 = 1;
const PUBLIC_KEY_BYTES: usize = 32;

/// Size and root of the tree at a time, signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Name of the log.
    pub origin: String,
    /// Entries.
    pub size: u64,
    /// Root of the tree of these entries.
    pub root: Hash,
    /// When it was made.
    pub at: Option<OffsetDateTime>,
    text: String,
    signatures: Vec<(String, Vec<u8>)>,
}

/// Makes checkpoints.
pub(crate) struct Signer {
    pair: Ed25519KeyPair,
    verifier: Verifier,
}

/// Whom checkpoints have to be signed by. As text: `name+id+key`, as in signed notes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    id: [u8; 4],
    key: [u8; PUBLIC_KEY_BYTES],
}

impl Signer {
    /// Reads the key, or draws one. The file is for its owner alone.
    pub(crate) fn open(path: &Path, is_made: bool) -> Result<Self, AuditError> {
        let pkcs8 = match fs::read(path) {
            Err(error) if is_made && error.kind() == io::ErrorKind::NotFound => {
                let random = SystemRandom::new();
                let made = Ed25519KeyPair::generate_pkcs8(&random)
                    .map_err(|_| AuditError::Key("the operating system gives no random numbers".into()))?;
                write_secret(path, made.as_ref())?;
                made.as_ref().to_vec()
            }
            other => other?,
        };
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8)
            .map_err(|_| AuditError::Key(format!("{} holds no key", path.display())))?;
        let mut key = [0; PUBLIC_KEY_BYTES];
        key.copy_from_slice(pair.public_key().as_ref());
        Ok(Self {
            pair,
            verifier: Verifier::of_key(key),
        })
    }

    pub(crate) fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Signs size and root.
    pub(crate) fn sign(&self, size: u64, root: Hash, at: OffsetDateTime) -> Checkpoint {
        let at = at.replace_nanosecond(0).unwrap_or(at);
        let time = at.format(&Rfc3339).unwrap_or_default();
        let name = &self.verifier.name;
        let text = format!("{name}\n{size}\n{}\ntime {time}\n", STANDARD.encode(root));
        let mut signature = self.verifier.id.to_vec();
        signature.extend_from_slice(self.pair.sign(text.as_bytes()).as_ref());
        Checkpoint {
            origin: name.clone(),
            size,
            root,
            at: Some(at),
            signatures: vec![(name.clone(), signature)],
            text,
        }
    }
}

/// Writes and syncs a file that only its owner reads.
pub(crate) fn write_secret(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use io::Write;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

impl Verifier {
    fn of_key(key: [u8; PUBLIC_KEY_BYTES]) -> Self {
        let hash = digest(&SHA256, &key);
        let name: String = hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let name = format!("filmroom-audit/{name}");
        let mut named = name.clone().into_bytes();
        named.extend_from_slice(&[b'\n', ALGORITHM]);
        named.extend_from_slice(&key);
        let id = digest(&SHA256, &named);
        let id = id.as_ref().first_chunk::<4>().copied().unwrap_or_default();
        Self { name, id, key }
    }

    /// Reads `name+id+key`.
    ///
    /// # Errors
    /// [`AuditError::Key`] when it is none.
    pub fn from_text(text: &str) -> Result<Self, AuditError> {
        let wrong =
            || AuditError::Key("a public key is written as name+id+key, as `filmroom audit key` says it".into());
        let (name, rest) = text.trim().split_once('+').ok_or_else(wrong)?;
        let (id, key) = rest.split_once('+').ok_or_else(wrong)?;
        let key = STANDARD.decode(key).map_err(|_| wrong())?;
        let (algorithm, key) = key.split_first().ok_or_else(wrong)?;
        let key = key.try_into().map_err(|_| wrong())?;
        let verifier = Self::of_key(key);
        if *algorithm != ALGORITHM || verifier.name != name || id != verifier.id_text() {
            return Err(wrong());
        }
        Ok(verifier)
    }

    fn id_text(&self) -> String {
        self.id.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Name of the log.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `name+id+key`.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut key = vec![ALGORITHM];
        key.extend_from_slice(&self.key);
        format!("{}+{}+{}", self.name, self.id_text(), STANDARD.encode(key))
    }

    /// True when the checkpoint is of this log and bears its signature.
    #[must_use]
    pub fn has_signed(&self, checkpoint: &Checkpoint) -> bool {
        checkpoint.origin == self.name
            && checkpoint.signatures.iter().any(|(name, signature)| {
                let Some((id, signature)) = signature.split_first_chunk::<4>() else {
                    return false;
                };
                let key = UnparsedPublicKey::new(&ED25519, &self.key);
                *name == self.name && *id == self.id && key.verify(checkpoint.text.as_bytes(), signature).is_ok()
            })
    }
}

impl Checkpoint {
    /// The note, as it is given to witnesses.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut note = format!("{}\n", self.text);
        for (name, signature) in &self.signatures {
            note.push_str(&format!("\u{2014} {name} {}\n", STANDARD.encode(signature)));
        }
        note
    }

    /// Reads a note. Whether it is signed by whom it should be, [`Verifier::has_signed`] says.
    #[must_use]
    pub fn from_text(note: &str) -> Option<Self> {
        let (text, signed) = note.split_once("\n\n")?;
        let mut lines = text.lines();
        let origin = lines.next()?.to_owned();
        let number = lines.next()?;
        let size = number.parse().ok().filter(|size: &u64| size.to_string() == number)?;
        let root = STANDARD.decode(lines.next()?).ok()?.try_into().ok()?;
        let at = lines
            .find_map(|line| line.strip_prefix("time "))
            .and_then(|time| OffsetDateTime::parse(time, &Rfc3339).ok());
        let mut signatures = Vec::new();
        for line in signed.lines().take_while(|line| !line.is_empty()) {
            let (name, signature) = line.strip_prefix("\u{2014} ")?.rsplit_once(' ')?;
            signatures.push((name.to_owned(), STANDARD.decode(signature).ok()?));
        }
        Some(Self {
            origin,
            size,
            root,
            at,
            text: format!("{text}\n"),
            signatures,
        })
        .filter(|checkpoint| !checkpoint.signatures.is_empty())
    }
}

/// What a file of checkpoints holds: notes one after the other, with an empty line behind each.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Notes, or what stands where one should be.
    pub(crate) notes: Vec<Result<Checkpoint, String>>,
    /// Bytes of whole notes.
    pub(crate) whole_bytes: u64,
    /// True when something stands behind them.
    pub(crate) is_torn: bool,
}

/// Reads all checkpoints.
pub(crate) fn read_all(path: &Path) -> io::Result<Kept> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Kept::default()),
        other => other?,
    };
    let text = String::from_utf8_lossy(&bytes);
    let mut kept = Kept::default();
    let mut blocks = text.split_inclusive("\n\n");
    while let Some(text) = blocks.next() {
        let Some(signed) = blocks.next().filter(|signed| signed.ends_with("\n\n")) else {
            kept.is_torn = true;
            break;
        };
        let note = format!("{text}{signed}");
        kept.whole_bytes += note.len() as u64;
        kept.notes.push(Checkpoint::from_text(&note).ok_or(note));
    }
    Ok(kept)
}
