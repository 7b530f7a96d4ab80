//! Encrypts what a log has from the time before its archive was encrypted.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

use crate::{
    error::AuditError,
    frame::{self, HEAD_BYTES, Sealer},
    recover,
    segment::{SEGMENT_HEAD_BYTES, next_head, path_of},
    shared::sync_folder,
};

/// Seals every entry that is plain, segment by segment; hashes, proofs and checkpoints stay as they are, for they are of what
/// was said. Returns how many entries were sealed. Nobody may have the log open meanwhile. Blocks.
///
/// A segment is replaced when its new bytes are on stable storage, so that it can end anywhere and be run again.
///
/// # Errors
/// [`AuditError::Io`]; what was sealed stays so.
pub fn seal(folder: &Path, key: &[u8; 32]) -> Result<u64, AuditError> {
    if !folder.exists() {
        return Ok(0);
    }
    let sealer = Sealer::new(Some(key))?;
    let mut count = 0;
    for first in recover::list(folder)? {
        let path = path_of(folder, first);
        let before = fs::read(&path)?;
        let (after, sealed) = sealed(&before, first, &sealer)?;
        if sealed == 0 {
            continue;
        }
        let beside = path.with_extension("sealing");
        let mut file = File::create(&beside)?;
        file.write_all(&after)?;
        file.sync_all()?;
        // Where entries stand has changed; it is made anew with the next start.
        match fs::remove_file(path.with_extension("find")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        fs::rename(&beside, &path)?;
        sync_folder(folder)?;
        count += sealed;
    }
    Ok(count)
}

/// The bytes of a segment with all its plain entries sealed. What is no whole entry stays as it is: it is damage, or a torn end,
/// and what is to be said of it is said when the log is opened.
fn sealed(before: &[u8], first: u64, sealer: &Sealer) -> Result<(Vec<u8>, u64), AuditError> {
    let mut after = Vec::with_capacity(before.len() + before.len() / 8);
    let (mut copied, mut at, mut next, mut count) = (0, before.len().min(SEGMENT_HEAD_BYTES as usize), first, 0);
    while let Some((found, head)) = next_head(before, at, next) {
        at = found + head.bytes() as usize;
        next = head.index + 1;
        let behind = before.get(found + HEAD_BYTES..at).unwrap_or_default();
        if head.is_sealed() {
            continue;
        }
        let (Some(leaf), Some(values)) = head.parts(behind) else {
            continue;
        };
        after.extend_from_slice(before.get(copied..found).unwrap_or_default());
        frame::write(sealer, head.index, leaf, values, &mut after)?;
        copied = at;
        count += 1;
    }
    after.extend_from_slice(before.get(copied..).unwrap_or_default());
    Ok((after, count))
}
