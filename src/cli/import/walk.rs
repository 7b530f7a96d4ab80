//! Finds what is to be imported: files, folders, archives and media directories.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    dicomdir,
    tally::{Outcome, Refusal, Skipped},
    zip::{self, Archive},
};

/// Something to import.
pub enum Item {
    /// A file.
    File {
        /// Where it lies.
        path: PathBuf,
        /// What the user named.
        medium: Arc<str>,
    },
    /// An entry of an archive.
    Entry {
        /// The archive's path.
        path: Arc<Path>,
        /// The archive.
        archive: Archive,
        /// The entry.
        entry: zip::Entry,
        /// What the user named.
        medium: Arc<str>,
    },
    /// What needs no more work than to be counted.
    Settled {
        /// For the report.
        path: String,
        /// What became of it.
        outcome: Outcome,
    },
}

impl Item {
    /// How the report names it.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::File { path, .. } => path.display().to_string(),
            Self::Entry { path, entry, .. } => format!("{}!{}", path.display(), entry.name),
            Self::Settled { path, .. } => path.clone(),
        }
    }
}

/// How to walk.
#[derive(Debug, Clone)]
pub struct Walk {
    /// Folders that are left out: the data folder, lest the archive imports itself.
    pub leave_out: Vec<PathBuf>,
    /// What one archive may unpack to: at least so many bytes, and a hundred times its own length.
    pub zip_max_bytes: u64,
}

/// An archive may unpack to so many times its length; native images of air shrink to a twentieth.
const ZIP_RATIO: u64 = 100;

impl Walk {
    /// Gives every item below a path that the user named. Returns early when `give` returns [`Go::Stop`].
    ///
    /// Symbolic links are followed where the user named one, not below.
    pub fn walk(&self, named: &Path, give: &mut dyn FnMut(Item) -> Go) -> Go {
        let medium: Arc<str> = std::path::absolute(named)
            .unwrap_or_else(|_| named.into())
            .to_string_lossy()
            .into();
        match fs::metadata(named) {
            Ok(metadata) if metadata.is_dir() => self.folder(named, &medium, give),
            Ok(metadata) if !metadata.is_file() => give(settled(named, Outcome::Skipped(Skipped::SpecialFile))),
            Ok(_) if dicomdir::is_media_directory(named) => media_directory(named, &medium, give),
            Ok(_) if is_archive(named) => self.archive(named, &medium, give),
            Ok(_) => give(Item::File {
                path: named.to_path_buf(),
                medium,
            }),
            Err(error) => give(settled(named, unreadable(&error))),
        }
    }

    fn folder(&self, top: &Path, medium: &Arc<str>, give: &mut dyn FnMut(Item) -> Go) -> Go {
        let mut folders = vec![top.to_path_buf()];
        while let Some(folder) = folders.pop() {
            if self.is_left_out(&folder) {
                continue;
            }
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) => {
                    if give(settled(&folder, unreadable(&error))) == Go::Stop {
                        return Go::Stop;
                    }
                    continue;
                }
            };
            for entry in entries {
                let go = match entry.and_then(|entry| Ok((entry.path(), entry.file_type()?))) {
                    Ok((path, kind)) if kind.is_dir() => {
                        folders.push(path);
                        Go::On
                    }
                    Ok((path, kind)) => self.found(path, kind, medium, give),
                    Err(error) => give(settled(&folder, unreadable(&error))),
                };
                if go == Go::Stop {
                    return Go::Stop;
                }
            }
        }
        Go::On
    }

    fn found(&self, path: PathBuf, kind: fs::FileType, medium: &Arc<str>, give: &mut dyn FnMut(Item) -> Go) -> Go {
        if kind.is_symlink() {
            return give(settled(&path, Outcome::Skipped(Skipped::SymbolicLink)));
        }
        if !kind.is_file() {
            return give(settled(&path, Outcome::Skipped(Skipped::SpecialFile)));
        }
        if dicomdir::is_media_directory(&path) {
            return listed_but_missing(&path, give);
        }
        if path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("zip"))
            && is_archive(&path)
        {
            return self.archive(&path, medium, give);
        }
        give(Item::File {
            path,
            medium: Arc::clone(medium),
        })
    }

    fn archive(&self, path: &Path, medium: &Arc<str>, give: &mut dyn FnMut(Item) -> Go) -> Go {
        let length = fs::metadata(path).map(|metadata| metadata.len()).unwrap_or_default();
        let archive = match Archive::open(path, self.zip_max_bytes.max(length.saturating_mul(ZIP_RATIO))) {
            Ok(archive) => archive,
            Err(error) => return give(settled(path, damaged_archive(&error))),
        };
        let shared: Arc<Path> = path.into();
        for entry in archive.entries() {
            let item = match entry {
                Ok(entry) if entry.is_folder() => continue,
                Ok(entry) => Item::Entry {
                    path: Arc::clone(&shared),
                    archive: archive.clone(),
                    entry,
                    medium: Arc::clone(medium),
                },
                Err(error) => settled(path, damaged_archive(&error)),
            };
            if give(item) == Go::Stop {
                return Go::Stop;
            }
        }
        Go::On
    }

    fn is_left_out(&self, folder: &Path) -> bool {
        !self.leave_out.is_empty()
            && folder
                .canonicalize()
                .is_ok_and(|folder| self.leave_out.contains(&folder))
    }
}

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Go {
    /// Yes.
    On,
    /// No: the import was interrupted.
    Stop,
}

/// A directory that the user named: what it lists is what is meant.
fn media_directory(path: &Path, medium: &Arc<str>, give: &mut dyn FnMut(Item) -> Go) -> Go {
    let references = match dicomdir::references(path) {
        Ok(references) => references,
        Err(why) => return give(settled(path, damaged_directory(why))),
    };
    if give(settled(path, Outcome::Skipped(Skipped::MediaDirectory))) == Go::Stop {
        return Go::Stop;
    }
    for found in references.found {
        if give(Item::File {
            path: found,
            medium: Arc::clone(medium),
        }) == Go::Stop
        {
            return Go::Stop;
        }
    }
    missing(path, references.missing, give)
}

/// A directory within a folder: the folder is walked anyway; only what is not there needs to be said.
fn listed_but_missing(path: &Path, give: &mut dyn FnMut(Item) -> Go) -> Go {
    if give(settled(path, Outcome::Skipped(Skipped::MediaDirectory))) == Go::Stop {
        return Go::Stop;
    }
    match dicomdir::references(path) {
        Ok(references) => missing(path, references.missing, give),
        Err(why) => give(settled(path, damaged_directory(why))),
    }
}

fn missing(directory: &Path, missing: Vec<String>, give: &mut dyn FnMut(Item) -> Go) -> Go {
    for id in missing {
        let outcome = Outcome::Refused(Refusal {
            reason: "listed by a media directory, but not there",
            detail: format!("{} lists it", directory.display()),
        });
        if give(Item::Settled { path: id, outcome }) == Go::Stop {
            return Go::Stop;
        }
    }
    Go::On
}

fn damaged_directory(why: String) -> Outcome {
    Outcome::Refused(Refusal {
        reason: "media directory that cannot be read",
        detail: why,
    })
}

fn damaged_archive(error: &zip::ZipError) -> Outcome {
    Outcome::Refused(Refusal {
        reason: "archive that cannot be read",
        detail: error.to_string(),
    })
}

/// The operating system would not let it be read.
pub fn unreadable(error: &std::io::Error) -> Outcome {
    Outcome::Refused(Refusal {
        reason: "cannot be read",
        detail: error.to_string(),
    })
}

fn settled(path: &Path, outcome: Outcome) -> Item {
    Item::Settled {
        path: path.display().to_string(),
        outcome,
    }
}

fn is_archive(path: &Path) -> bool {
    let mut start = [0; 4];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && (start == zip::LOCAL_HEADER || start == *b"PK\x05\x06")
}
