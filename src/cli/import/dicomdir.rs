//! Media directories (PS3.3 Annex F, PS3.10 §8.6): which instances a DICOMDIR says are on a medium.

use std::{
    collections::HashMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use filmroom_storage::model::Elements;

/// Media Storage Directory Storage (PS3.6 table A-1).
pub const MEDIA_DIRECTORY_CLASS: &str = "1.2.840.10008.1.3.10";
/// A directory is at most this long, in bytes: one of a full Blu-ray has some ten million.
const DIRECTORY_BYTES_MAX: u64 = 64 << 20;

/// (0004,1220) Directory Record Sequence.
const DIRECTORY_RECORDS: u32 = 0x0004_1220;
/// (0004,1500) Referenced File ID.
const REFERENCED_FILE_ID: u32 = 0x0004_1500;

/// True for a name that a media directory has; mounted media show it in any case.
#[must_use]
pub fn is_media_directory(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.eq_ignore_ascii_case("DICOMDIR"))
}

/// What a directory refers to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// Those that are there.
    pub found: Vec<PathBuf>,
    /// The file IDs of those that are not, components joined with `/`.
    pub missing: Vec<String>,
}

/// Reads a directory and looks for what it refers to, below its own folder only.
///
/// # Errors
/// One sentence when it cannot be read.
pub fn references(path: &Path) -> Result<References, String> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    let read = file
        .take(DIRECTORY_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if read as u64 > DIRECTORY_BYTES_MAX {
        return Err(format!(
            "the media directory is longer than {} MiB",
            DIRECTORY_BYTES_MAX >> 20
        ));
    }
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let mut references = References::default();
    let mut folders = Folders::default();
    for components in file_ids(bytes)? {
        match folders.resolve(folder, &components) {
            Some(found) => references.found.push(found),
            None => references.missing.push(components.join("/")),
        }
    }
    references.found.sort();
    references.found.dedup();
    Ok(references)
}

/// The file IDs of all records that have one.
fn file_ids(bytes: Vec<u8>) -> Result<Vec<Vec<String>>, String> {
    let head = filmroom_dataset::read_file_head(&bytes).map_err(|error| error.to_string())?;
    let head = head.ok_or("the media directory ends within its head")?;
    let data_set = Bytes::from(bytes).split_off(head.data_set_offset);
    let length = data_set.len();
    let directory =
        filmroom_dataset::parse(&data_set, &head.transfer_syntax_uid, length).map_err(|error| error.to_string())?;
    let records = directory
        .get(DIRECTORY_RECORDS)
        .ok_or("the media directory has no records")?;
    let mut ids = Vec::new();
    for item in filmroom_dataset::items(records.value) {
        let id = Elements::new(item).find(|element| element.tag == REFERENCED_FILE_ID);
        if let Some(id) = id.map(|element| element.text()).filter(|text| !text.is_empty()) {
            ids.push(id.split('\\').map(|component| component.trim().to_owned()).collect());
        }
    }
    Ok(ids)
}

/// Names in folders, looked up whatever their case.
#[derive(Default)]
struct Folders(HashMap<PathBuf, HashMap<String, PathBuf>>);

impl Folders {
    /// The file of an ID. Media are written in capitals, and mounted in small letters or with version numbers by some
    /// systems.
    fn resolve(&mut self, folder: &Path, components: &[String]) -> Option<PathBuf> {
        let mut path = folder.to_path_buf();
        for component in components {
            // A component is a plain name (PS3.10 §8.2); anything else could lead out of the medium.
            if component.is_empty() || component == "." || component == ".." || component.contains(['/', '\0']) {
                return None;
            }
            let exact = path.join(component);
            path = if exact.symlink_metadata().is_ok() {
                exact
            } else {
                self.alike(&path, component)?
            };
            if path.symlink_metadata().ok()?.is_symlink() {
                return None;
            }
        }
        path.is_file().then_some(path)
    }

    fn alike(&mut self, folder: &Path, component: &str) -> Option<PathBuf> {
        let names = self.0.entry(folder.to_path_buf()).or_insert_with(|| {
            let paths = fs::read_dir(folder)
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path());
            paths.map(|path| (plain_name(&path), path)).collect()
        });
        names.get(&component.to_ascii_uppercase()).cloned()
    }
}

fn plain_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.split_once(';').map_or(name.as_ref(), |(name, _)| name);
    name.trim_end_matches('.').to_ascii_uppercase()
}
