//! Opens what a process left, killed or not: cuts what was never acknowledged, and says what is missing.

use std::{fs, io, path::Path, sync::Arc};

use crate::{
    checkpoint,
    error::AuditError,
    merkle::{self, Subtrees},
    segment::{EXTENSION, Scan, Segment},
    shared::Shared,
    tree::Peaks,
};

/// What was found.
pub(crate) struct Recovered {
    pub(crate) peaks: Peaks,
    /// The last segment and its bytes, when it goes on growing.
    pub(crate) growing: Option<(Arc<Segment>, u64)>,
}

/// First indices of all segments, in order.
pub(crate) fn list(folder: &Path) -> io::Result<Vec<u64>> {
    let mut firsts = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == EXTENSION)
            && let Some(first) = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok())
        {
            firsts.push(first);
        }
    }
    firsts.sort_unstable();
    Ok(firsts)
}

/// Takes up all segments, and brings tree and entries together. Without `is_writable` nothing is changed.
///
/// # Errors
/// [`AuditError::Damaged`] when neither entries nor tree reach as far as the latest checkpoint: this log cannot be gone on with.
pub(crate) fn recover(shared: &Shared, is_writable: bool) -> Result<Recovered, AuditError> {
    let firsts = list(&shared.folder)?;
    let hashed = shared.tree.size()?;
    let (mut end, mut growing) = (0, None);
    for (position, first) in firsts.iter().enumerate() {
        if *first > end {
            shared.note_damage(end, "entries are not there")?;
        }
        let next = firsts.get(position + 1).copied();
        let segment = match next {
            Some(next) => Some(Arc::new(full_segment(shared, *first, next, is_writable)?)),
            None => last_segment(shared, *first, hashed, is_writable)?.map(|(segment, bytes, goes_on)| {
                let segment = Arc::new(segment);
                growing = goes_on.then(|| (Arc::clone(&segment), bytes));
                segment
            }),
        };
        if let Some(segment) = segment {
            end = first + u64::from(segment.len());
            shared.add_segment(segment);
        }
    }
    let size = end.max(hashed);
    if end < hashed {
        shared.note_damage(end, "entries that were written are not there any more")?;
        // What comes now begins a segment of its own, behind what is missing.
        growing = None;
    }
    check_latest_checkpoint(shared, size, is_writable)?;
    let peaks = Peaks::read(&shared.tree, shared.tree.size()?.min(size))?;
    shared.grow_to(peaks.size());
    Ok(Recovered { peaks, growing })
}

/// A segment that is followed by another.
fn full_segment(shared: &Shared, first: u64, next: u64, is_writable: bool) -> Result<Segment, AuditError> {
    let path = crate::segment::path_of(&shared.folder, first);
    match Segment::open_settled(&path, first, is_writable) {
        Ok(segment) if first + u64::from(segment.len()) == next => return Ok(segment),
        Ok(_) => {}
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {}
        Err(error) => return Err(error.into()),
    }
    let mut scan = Scan::read(&path, first, &shared.sealer, &shared.facets)?;
    if let Some((index, reason)) = &scan.damage {
        shared.note_damage(*index, reason)?;
    }
    let found = first + scan.leaves.len() as u64;
    if found != next {
        shared.note_damage(found.min(next), "entries are not there")?;
    }
    follow(shared, first, &mut scan, is_writable)?;
    while first + u64::from(scan.index.len()) < next {
        scan.index.push(crate::postings::MISSING, None, &[]);
    }
    let segment = Segment::scanned(&path, first, scan.index, is_writable)?;
    if is_writable && let Err(error) = segment.settle() {
        tracing::warn!(%error, "the index of a segment of the audit log cannot be written");
    }
    Ok(segment)
}

/// The last segment, its bytes, and whether it goes on growing; `None` when it was not yet made when the process ended.
fn last_segment(
    shared: &Shared,
    first: u64,
    hashed: u64,
    is_writable: bool,
) -> Result<Option<(Segment, u64, bool)>, AuditError> {
    let path = crate::segment::path_of(&shared.folder, first);
    let mut scan = Scan::read(&path, first, &shared.sealer, &shared.facets)?;
    let end = first + scan.leaves.len() as u64;
    let mut goes_on = true;
    if scan.bytes < crate::segment::SEGMENT_HEAD_BYTES && end >= hashed {
        return Ok(None);
    }
    if scan.whole_bytes < scan.bytes {
        if end >= hashed {
            // Its hash was never written, so that nobody was told of it.
            if is_writable {
                tracing::warn!(
                    bytes = scan.bytes - scan.whole_bytes,
                    "cuts the end of the audit log, which was never acknowledged"
                );
                fs::OpenOptions::new()
                    .write(true)
                    .open(&path)?
                    .set_len(scan.whole_bytes)?;
            }
        } else {
            // It stays as it is, to be looked at.
            shared.note_damage(end, "its bytes are not those that were written")?;
            goes_on = false;
        }
    }
    if let Some((index, reason)) = &scan.damage {
        shared.note_damage(*index, reason)?;
    }
    follow(shared, first, &mut scan, is_writable)?;
    let bytes = scan.whole_bytes;
    let segment = Segment::scanned(&path, first, scan.index, is_writable)?;
    Ok(Some((segment, bytes, goes_on)))
}

/// Compares the hashes of entries with those of the tree, and adds those that the tree does not have yet.
fn follow(shared: &Shared, first: u64, scan: &mut Scan, is_writable: bool) -> Result<(), AuditError> {
    let mut hashed = shared.tree.size()?;
    let mut behind: Option<Peaks> = None;
    for (index, leaf) in (first..).zip(&scan.leaves) {
        if index < hashed {
            let known = shared.tree.subtree(0, index)?;
            if leaf.is_some_and(|leaf| leaf != known) {
                shared.note_damage(index, "it is not the entry that was written")?;
            }
            continue;
        }
        let Some(leaf) = leaf else {
            return Err(AuditError::Damaged {
                index,
                reason: "neither the entry nor its hash is there".into(),
            });
        };
        if index != hashed || !is_writable {
            break;
        }
        let mut peaks = match behind.take() {
            Some(peaks) => peaks,
            None => Peaks::read(&shared.tree, hashed)?,
        };
        let mut stored = Vec::new();
        peaks.push(*leaf, &mut stored);
        shared.tree.write(hashed, &stored)?;
        hashed += 1;
        behind = Some(peaks);
    }
    Ok(())
}

fn check_latest_checkpoint(shared: &Shared, size: u64, is_writable: bool) -> Result<(), AuditError> {
    let kept = checkpoint::read_all(&shared.checkpoints_path())?;
    if kept.is_torn && is_writable {
        // Nobody was given it. What comes next must not stand behind half a note.
        let path = shared.checkpoints_path();
        fs::copy(&path, path.with_extension("torn"))?;
        fs::OpenOptions::new()
            .write(true)
            .open(&path)?
            .set_len(kept.whole_bytes)?;
        tracing::warn!("cuts the last checkpoint of the audit log, which is not whole; a copy is kept");
    }
    let mut agreed = 0;
    let verifier = shared.signer.verifier();
    let signed: Vec<_> = kept
        .notes
        .into_iter()
        .flatten()
        .filter(|checkpoint| verifier.has_signed(checkpoint))
        .collect();
    if let [.., before, _] = signed.as_slice() {
        agreed = before.size;
    }
    let Some(latest) = signed.into_iter().next_back() else {
        return Ok(());
    };
    if latest.size > size || latest.size > shared.tree.size()? {
        return Err(AuditError::Damaged {
            index: size.min(latest.size),
            reason: format!(
                "a checkpoint was signed over {} entries, and they are not there",
                latest.size
            ),
        });
    }
    if merkle::root(&shared.tree, latest.size)? != latest.root {
        shared.note_damage(
            agreed.min(latest.size),
            &format!("the tree of {} entries is not the one that was signed", latest.size),
        )?;
    }
    *shared
        .latest_checkpoint
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(latest);
    Ok(())
}
