//! The journal of decisions: what only people decided, kept as carefully as pixels.
//!
//! One line of JSON a decision, appended and synced before [`Journal::append`] returns. Each line carries the SHA-256 of the
//! one before, so that nothing can be taken out or changed unnoticed. Lines are mirrored to the object store, from where a
//! journal that was lost is made again.

mod decision;
mod mirror;
mod seal;
#[cfg(test)]
mod tests;

pub use decision::Decision;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::Value;
use time::OffsetDateTime;

use self::seal::Lines;
use crate::{encryption::Secret, intake::medium::sync_folder, objects::ObjectStore};

/// Why the journal did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk failed: nothing was decided.
    #[error("the journal cannot be written: {0}")]
    Io(#[from] io::Error),
    /// A line is not what was written, or one is missing.
    #[error("the journal is damaged at decision {number}: {reason}")]
    Damaged {
        /// Number of the decision.
        number: u64,
        /// What is wrong.
        reason: String,
    },
    /// The mirror failed.
    #[error("the journal cannot be mirrored: {0}")]
    Mirror(String),
}

/// The journal. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    path: PathBuf,
    objects: Arc<dyn ObjectStore>,
    lines: Arc<Lines>,
    end: Arc<Mutex<End>>,
    /// Decisions up to this number are mirrored.
    mirrored: Arc<tokio::sync::Mutex<u64>>,
}

/// The end of the journal, where the next decision goes.
struct End {
    file: File,
    length: u64,
    number: u64,
    hash: [u8; 32],
}

impl Journal {
    /// Opens or makes the journal, cuts a torn last line, and takes over from the mirror what the disk lost. With a key its
    /// lines are encrypted; those from before are written anew.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] when a line before the last is not what was written and the mirror does not have it.
    pub(crate) async fn open(
        folder: &Path,
        objects: Arc<dyn ObjectStore>,
        key: Option<&Secret>,
    ) -> Result<Self, JournalError> {
        let path = folder.join("decisions.jsonl");
        let lines = Arc::new(Lines::new(key).map_err(io::Error::from)?);
        let (mut decisions, whole, damage) = {
            let (path, lines, folder) = (path.clone(), Arc::clone(&lines), folder.to_owned());
            blocking(move || {
                let read = read_all(&path, &lines)?;
                seal_all(&path, &folder, &lines, &read)?;
                Ok(read_all(&path, &lines)?)
            })
            .await?
        };
        let mirrored = mirror::read(objects.as_ref(), decisions.last()).await?;
        let mirrored_to = mirrored.last().map_or_else(|| 0, |decision| decision.number);
        if let Some(damage) = damage
            && mirrored.is_empty()
            && damage.has_lines_behind
        {
            return Err(JournalError::Damaged {
                number: decisions.len() as u64 + 1,
                reason: damage.reason,
            });
        }
        if !mirrored.is_empty() {
            tracing::warn!(
                decisions = mirrored.len(),
                "takes decisions over from the mirror of the journal"
            );
        }
        decisions.extend(mirrored.iter().cloned());
        let end = {
            let (path, folder, lines) = (path.clone(), folder.to_owned(), Arc::clone(&lines));
            blocking(move || Ok(open_end(&path, &folder, whole, &lines, &mirrored, decisions.last())?)).await?
        };
        Ok(Self {
            path,
            objects,
            lines,
            end: Arc::new(Mutex::new(end)),
            mirrored: Arc::new(tokio::sync::Mutex::new(mirrored_to)),
        })
    }

    /// Appends a decision; it is on stable storage when this returns.
    ///
    /// # Errors
    /// [`JournalError::Io`]: nothing was decided.
    pub async fn append(&self, kind: &str, payload: Value) -> Result<Decision, JournalError> {
        let (journal, kind) = (self.clone(), kind.to_owned());
        blocking(move || {
            let mut end = journal.end.lock().unwrap_or_else(PoisonError::into_inner);
            let decision = Decision::new(end.number + 1, OffsetDateTime::now_utc(), kind, payload, end.hash);
            let line = journal.lines.write(&decision).map_err(io::Error::from)?;
            let written = end.file.write_all(line.as_bytes()).and_then(|()| end.file.sync_data());
            if let Err(error) = written {
                // What may have been written is no decision: nobody was told of it.
                let length = end.length;
                end.file.set_len(length)?;
                return Err(error.into());
            }
            end.length += line.len() as u64;
            end.number = decision.number;
            end.hash = decision.hash;
            Ok(decision)
        })
        .await
    }

    /// Number of the latest decision; 0 when there is none.
    #[must_use]
    pub fn latest(&self) -> u64 {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).number
    }

    /// All decisions after the number `after`, in order.
    ///
    /// # Errors
    /// [`JournalError::Damaged`], [`JournalError::Io`].
    pub async fn read(&self, after: u64) -> Result<Vec<Decision>, JournalError> {
        let (path, lines, latest) = (self.path.clone(), Arc::clone(&self.lines), self.latest());
        let (decisions, _, damage) = blocking(move || Ok(read_all(&path, &lines)?)).await?;
        let read = decisions.len() as u64;
        if read < latest {
            let reason = damage.map_or_else(|| "lines are missing".to_owned(), |damage| damage.reason);
            return Err(JournalError::Damaged {
                number: read + 1,
                reason,
            });
        }
        Ok(decisions
            .into_iter()
            .filter(|decision| decision.number > after)
            .collect())
    }

    /// Follows the chain from the first decision to the latest, here and in the mirror. Returns how many there are.
    ///
    /// # Errors
    /// As [`Journal::read`].
    pub async fn verify(&self) -> Result<u64, JournalError> {
        // Held, so that nothing is mirrored in between.
        let known = self.mirrored.lock().await;
        let decisions = self.read(0).await?;
        let mirrored = mirror::read(self.objects.as_ref(), None).await?;
        for (decision, copy) in decisions.iter().zip(&mirrored) {
            if decision.hash != copy.hash {
                return Err(JournalError::Mirror(format!(
                    "decision {} is not the same there",
                    decision.number
                )));
            }
        }
        if (mirrored.len() as u64) < *known {
            return Err(JournalError::Mirror(format!(
                "decision {} and those behind it are not there any more",
                mirrored.len() + 1
            )));
        }
        Ok(decisions.len() as u64)
    }

    /// Puts what is new into the object store. Returns when it is there.
    ///
    /// # Errors
    /// [`JournalError::Mirror`]: it is tried again with the next call.
    pub async fn mirror(&self) -> Result<(), JournalError> {
        let mut mirrored = self.mirrored.lock().await;
        if self.latest() == *mirrored {
            return Ok(());
        }
        let new = self.read(*mirrored).await?;
        if let Some(last) = new.last() {
            mirror::put(self.objects.as_ref(), &new).await?;
            *mirrored = last.number;
        }
        Ok(())
    }
}

/// What stands behind the last whole line.
struct Damage {
    reason: String,
    /// True when whole lines follow: then it is no torn end.
    has_lines_behind: bool,
}

/// Decisions whose chain holds, their bytes, and what is wrong behind them.
type ReadBack = (Vec<Decision>, u64, Option<Damage>);

/// Writes a journal anew, encrypted, that was whole and is not, or not wholly, encrypted.
fn seal_all(path: &Path, folder: &Path, lines: &Lines, (decisions, _, damage): &ReadBack) -> io::Result<()> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let is_behind = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .any(|line| lines.is_behind(line));
    if !is_behind || damage.is_some() {
        return Ok(());
    }
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    for decision in decisions {
        file.write_all(lines.write(decision)?.as_bytes())?;
    }
    file.sync_all()?;
    fs::rename(&new, path)?;
    sync_folder(folder)
}

/// All decisions whose chain holds, their bytes, and what is wrong behind them.
fn read_all(path: &Path, lines: &Lines) -> io::Result<ReadBack> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        other => other?,
    };
    let (mut decisions, mut whole): (Vec<Decision>, u64) = (Vec::new(), 0);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let previous = decisions.last().map_or([0; 32], |decision| decision.hash);
        match lines.read(line, decisions.len() as u64 + 1, previous) {
            Ok(decision) => {
                decisions.push(decision);
                whole += line.len() as u64;
            }
            Err(reason) => {
                let behind = usize::try_from(whole).unwrap_or(usize::MAX).saturating_add(line.len());
                let has_lines_behind = bytes.get(behind..).is_some_and(|rest| rest.contains(&b'\n'));
                return Ok((
                    decisions,
                    whole,
                    Some(Damage {
                        reason,
                        has_lines_behind,
                    }),
                ));
            }
        }
    }
    Ok((decisions, whole, None))
}

/// Cuts what is not whole, keeping a copy, appends what the mirror has, and stands at the end.
fn open_end(
    path: &Path,
    folder: &Path,
    whole: u64,
    lines: &Lines,
    mirrored: &[Decision],
    last: Option<&Decision>,
) -> io::Result<End> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let mut length = file.metadata()?.len();
    if length > whole {
        tracing::warn!(
            bytes = length - whole,
            "cuts the end of the journal, which is not whole; a copy is kept"
        );
        fs::copy(path, folder.join("decisions.torn"))?;
        file.set_len(whole)?;
        length = whole;
    }
    for decision in mirrored {
        let line = lines.write(decision)?;
        file.write_all(line.as_bytes())?;
        length += line.len() as u64;
    }
    file.sync_all()?;
    sync_folder(folder)?;
    let (number, hash) = last.map_or((0, [0; 32]), |decision| (decision.number, decision.hash));
    Ok(End {
        file,
        length,
        number,
        hash,
    })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, JournalError> + Send + 'static,
) -> Result<T, JournalError> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
