//! Worklist files that other programs drop in a folder, as DCMTK's wlmscpfs and Orthanc take them: `*.wl`, in the folder itself
//! or in one folder below it (wlmscpfs has one for each AE title). They are only ever read.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use filmroom_dataset::{parse, read_file_head};
use time::OffsetDateTime;

use super::entry::{ENTRY_BYTES_MAX, Entry, Source};

/// Most files; more are not looked at.
const FILES_MAX: usize = 20_000;
/// Most entries of folders that are looked through for them.
const NAMES_MAX: usize = 100_000;
/// The folder is not looked at more often.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Longest preamble and file meta information.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// How the id of an entry begins that is a file.
pub(super) const PREFIX: &str = "file:";

/// A file that is no entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// Its name below the folder.
    pub name: String,
    /// Why.
    pub why: String,
}

/// The folder, as it was seen last.
#[derive(Debug, Default)]
pub(super) struct Dropped {
    folder: Option<PathBuf>,
    looked_at: Option<Instant>,
    files: BTreeMap<String, Seen>,
    /// The folder itself could not be read.
    trouble: String,
}

#[derive(Debug)]
struct Seen {
    length: u64,
    modified: Option<SystemTime>,
    /// As it was read last; an entry stays while a newer version of its file cannot be read yet.
    entry: Option<Arc<Entry>>,
    /// Why the newest version is no entry; empty when it is one.
    why: String,
}

impl Dropped {
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self {
            folder,
            ..Self::default()
        }
    }

    /// Reads what has changed, unless that was done a moment ago. Blocks.
    pub(super) fn look(&mut self) {
        let Some(folder) = &self.folder else { return };
        if self.looked_at.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return;
        }
        match names(folder) {
            Ok(found) => {
                self.trouble.clear();
                self.files.retain(|name, _| found.contains_key(name));
                for (name, path) in found {
                    see(&mut self.files, name, &path);
                }
            }
            Err(error) => {
                // What was seen last stands: a share that is away for a moment must not empty the worklist.
                let trouble = format!("{}: {error}", folder.display());
                if trouble != self.trouble {
                    tracing::error!(folder = %folder.display(), %error, "the folder of worklist files cannot be read");
                }
                self.trouble = trouble;
            }
        }
        self.looked_at = Some(Instant::now());
    }

    /// Has the next look read the folder, however soon it comes.
    #[cfg(test)]
    pub(super) fn forget_when(&mut self) {
        self.looked_at = None;
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.files.values().filter_map(|file| file.entry.as_ref())
    }

    pub(super) fn unusable(&self) -> Vec<Unusable> {
        let files = self.files.iter().filter(|(_, file)| !file.why.is_empty());
        let folder = (!self.trouble.is_empty()).then(|| Unusable {
            name: String::new(),
            why: self.trouble.clone(),
        });
        folder
            .into_iter()
            .chain(files.map(|(name, file)| Unusable {
                name: name.clone(),
                why: file.why.clone(),
            }))
            .collect()
    }
}

/// Worklist files by their names below the folder. Links are not followed.
fn names(folder: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    let mut seen = 0;
    let mut waiting = vec![(String::new(), folder.to_owned())];
    while let Some((below, path)) = waiting.pop() {
        for child in fs::read_dir(&path)? {
            let child = child?;
            seen += 1;
            if seen > NAMES_MAX || found.len() >= FILES_MAX {
                tracing::warn!(folder = %folder.display(), "too many files; the rest is not looked at");
                return Ok(found);
            }
            let Ok(name) = child.file_name().into_string() else {
                continue;
            };
            let Ok(kind) = child.file_type() else { continue };
            if kind.is_dir() && below.is_empty() {
                waiting.push((format!("{name}/"), child.path()));
            } else if kind.is_file() && is_worklist(&name) {
                found.insert(format!("{below}{name}"), child.path());
            }
        }
    }
    Ok(found)
}

fn is_worklist(name: &str) -> bool {
    !name.starts_with('.')
        && name
            .rsplit_once('.')
            .is_some_and(|(_, extension)| extension.eq_ignore_ascii_case("wl"))
}

/// Reads a file where it is new or has changed.
fn see(files: &mut BTreeMap<String, Seen>, name: String, path: &Path) {
    let Ok(metadata) = fs::metadata(path) else {
        files.remove(&name); // gone since
        return;
    };
    let (length, modified) = (metadata.len(), metadata.modified().ok());
    let before = files.get(&name);
    if before.is_some_and(|seen| (seen.length, seen.modified) == (length, modified)) {
        return;
    }
    let before = before.and_then(|seen| seen.entry.clone());
    let changed_at = modified.map_or_else(OffsetDateTime::now_utc, OffsetDateTime::from);
    let seen = match read(&name, path, changed_at) {
        Ok(entry) => Seen {
            length,
            modified,
            entry: Some(Arc::new(entry)),
            why: String::new(),
        },
        Err(why) => {
            tracing::warn!(name, why, "a worklist file is not offered");
            Seen {
                length,
                modified,
                entry: before,
                why,
            }
        }
    };
    files.insert(name, seen);
}

fn read(name: &str, path: &Path, changed_at: OffsetDateTime) -> Result<Entry, String> {
    let most = ENTRY_BYTES_MAX + HEAD_BYTES_MAX;
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(most as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| error.to_string())?;
    if bytes.len() > most {
        return Err(format!("it is longer than {most} bytes"));
    }
    let bytes = Bytes::from(bytes);
    let head = read_file_head(&bytes)
        .map_err(|error| error.to_string())?
        .ok_or("it ends within its file meta information")?;
    let data_set = bytes.slice(head.data_set_offset.min(bytes.len())..);
    let attributes = parse(&data_set, &head.transfer_syntax_uid, most).map_err(|error| error.to_string())?;
    Entry::new(&format!("{PREFIX}{name}"), Source::File, changed_at, attributes, None).map_err(|error| error.0)
}
