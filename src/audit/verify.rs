//! Follows the whole log: every entry, every hash of the tree, every checkpoint. Names the first entry that is wrong.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use crate::{
    checkpoint::{self, Checkpoint, Verifier},
    error::AuditError,
    frame::{self, HEAD_BYTES, Head, Part},
    merkle::{Hash, leaf_hash, stored_count},
    recover,
    segment::{self, Scan, whole_entry},
    shared::Shared,
    tree::Peaks,
};

/// What was found. The log is good when [`Verified::first_bad`] is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// Entries of the tree.
    pub size: u64,
    /// Root of the tree, as the entries give it.
    pub root: Hash,
    /// Entries whose values beside the tree were erased.
    pub erased: u64,
    /// Checkpoints that agree.
    pub checkpoints: u64,
    /// The first entry that is wrong, from 0, and what is wrong.
    pub first_bad: Option<(u64, String)>,
    /// Entries that are wrong.
    pub bad: u64,
}

impl Verified {
    fn wrong(&mut self, index: u64, reason: impl Into<String>) {
        self.bad += 1;
        if self.first_bad.as_ref().is_none_or(|(first, _)| index < *first) {
            self.first_bad = Some((index, reason.into()));
        }
    }
}

/// Reads everything. `witnessed`: checkpoints that were kept elsewhere; `verifier`: whom all have to be signed by, the log's own
/// key when it is `None`. `progress` is told of every 10,000 entries.
pub(crate) fn verify(
    shared: &Shared,
    verifier: Option<&Verifier>,
    witnessed: &[Checkpoint],
    mut progress: impl FnMut(u64),
) -> Result<Verified, AuditError> {
    // What is added while this runs is left for the next time.
    let size = shared.tree.size()?;
    let mut found = Verified::default();
    let verifier = verifier.unwrap_or(shared.signer.verifier());
    let mut signed = Checkpoints::read(shared, verifier, witnessed, size, &mut found)?;
    let mut walk = Walk {
        shared,
        size,
        peaks: Peaks::default(),
    };
    signed.check(&walk.peaks, &mut found);
    let firsts = recover::list(&shared.folder)?;
    for (position, first) in firsts.iter().enumerate() {
        while walk.peaks.size() < (*first).min(size) {
            walk.missing(&mut signed, &mut found)?;
        }
        let end = firsts.get(position + 1).copied().unwrap_or(size).min(size);
        walk.segment(*first, end, &mut signed, &mut found, &mut progress)?;
    }
    while walk.peaks.size() < size {
        walk.missing(&mut signed, &mut found)?;
    }
    found.size = size;
    found.root = walk.peaks.root();
    Ok(found)
}

/// Checkpoints by their size, of those that are still to be compared.
struct Checkpoints {
    waiting: BTreeMap<u64, Vec<Hash>>,
    agreed: u64,
}

impl Checkpoints {
    fn read(
        shared: &Shared,
        verifier: &Verifier,
        witnessed: &[Checkpoint],
        size: u64,
        found: &mut Verified,
    ) -> io::Result<Self> {
        let mut waiting: BTreeMap<u64, Vec<Hash>> = BTreeMap::new();
        let mut before = 0;
        let kept = checkpoint::read_all(&shared.checkpoints_path())?;
        let is_torn = kept.is_torn;
        for checkpoint in kept.notes.into_iter().chain(witnessed.iter().cloned().map(Ok)) {
            match checkpoint {
                Ok(checkpoint) if verifier.has_signed(&checkpoint) => {
                    if checkpoint.size > size {
                        let reason = format!(
                            "a checkpoint was signed over {} entries, and they are not there",
                            checkpoint.size
                        );
                        found.wrong(size, reason);
                    }
                    before = checkpoint.size;
                    waiting.entry(checkpoint.size).or_default().push(checkpoint.root);
                }
                _ => found.wrong(
                    before.min(size),
                    format!("the checkpoint behind that of {before} entries is not one that this log signed"),
                ),
            }
        }
        if is_torn {
            found.wrong(before.min(size), "the last checkpoint is not whole");
        }
        Ok(Self { waiting, agreed: 0 })
    }

    /// Compares those of the size that was reached.
    fn check(&mut self, peaks: &Peaks, found: &mut Verified) {
        let size = peaks.size();
        let Some(roots) = self.waiting.remove(&size) else {
            return;
        };
        let root = peaks.root();
        let is_agreed = roots.iter().all(|signed| *signed == root);
        for signed in roots {
            if signed == root {
                found.checkpoints += 1;
            } else {
                let reason = format!(
                    "the checkpoint of {size} entries was signed over others: up to entry {} they agree",
                    self.agreed
                );
                found.wrong(self.agreed, reason);
            }
        }
        if is_agreed {
            self.agreed = size;
        }
    }
}

struct Walk<'a> {
    shared: &'a Shared,
    size: u64,
    peaks: Peaks,
}

impl Walk<'_> {
    /// Takes the next leaf, `None` for one that is not there: then the tree's own hash stands in its place.
    fn leaf(
        &mut self,
        leaf: Option<Hash>,
        reason: &str,
        signed: &mut Checkpoints,
        found: &mut Verified,
    ) -> Result<(), AuditError> {
        let index = self.peaks.size();
        let count = stored_count(index + 1) - stored_count(index);
        let mut known = vec![[0; 32]; usize::try_from(count).unwrap_or_default()];
        self.shared.tree.read(stored_count(index), &mut known)?;
        let of_tree = known.first().copied().unwrap_or_default();
        let mut stored = Vec::new();
        match leaf {
            None => {
                found.wrong(index, reason);
                self.peaks.push(of_tree, &mut stored);
            }
            Some(leaf) if leaf == of_tree => {
                self.peaks.push(leaf, &mut stored);
                if stored != known {
                    found.wrong(index, "a hash of the tree over it is not the one that was written");
                }
            }
            Some(leaf) => {
                found.wrong(index, "the entry and its hash in the tree are not the same");
                // Checkpoints say which of the two was changed.
                self.peaks.push(leaf, &mut stored);
            }
        }
        signed.check(&self.peaks, found);
        Ok(())
    }

    fn missing(&mut self, signed: &mut Checkpoints, found: &mut Verified) -> Result<(), AuditError> {
        self.leaf(None, "the entry is not there", signed, found)
    }

    fn segment(
        &mut self,
        first: u64,
        end: u64,
        signed: &mut Checkpoints,
        found: &mut Verified,
        progress: &mut impl FnMut(u64),
    ) -> Result<(), AuditError> {
        let path = segment::path_of(&self.shared.folder, first);
        // One at a time while all is well; where something is wrong, the whole segment, which finds what is behind.
        if self.straight(&path, first, end, found, signed, progress)? {
            return Ok(());
        }
        let scan = Scan::read(&path, first, &self.shared.sealer, &self.shared.facets)?;
        let reason = scan
            .damage
            .as_ref()
            .map_or("the entry is not there", |(_, reason)| reason.as_str());
        if let Some((index, reason)) = &scan.damage {
            found.wrong(*index, reason.clone());
        }
        let done = usize::try_from(self.peaks.size().saturating_sub(first)).unwrap_or(usize::MAX);
        for leaf in scan.leaves.iter().skip(done) {
            if self.peaks.size() < end {
                self.leaf(*leaf, reason, signed, found)?;
            }
        }
        while self.peaks.size() < end {
            self.leaf(None, "the entry is not there, or is cut short", signed, found)?;
        }
        Ok(())
    }

    /// Follows entries as long as each is right. True when all were.
    fn straight(
        &mut self,
        path: &Path,
        first: u64,
        end: u64,
        found: &mut Verified,
        signed: &mut Checkpoints,
        progress: &mut impl FnMut(u64),
    ) -> Result<bool, AuditError> {
        let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
        let mut head = vec![0; usize::try_from(segment::SEGMENT_HEAD_BYTES).unwrap_or_default()];
        if file.read_exact(&mut head).is_err() || !segment::is_head(&head, first) {
            return Ok(end <= first);
        }
        file.seek(SeekFrom::Start(segment::SEGMENT_HEAD_BYTES))?;
        while self.peaks.size() < end {
            let index = self.peaks.size();
            let mut head = [0; HEAD_BYTES];
            if file.read_exact(&mut head).is_err() {
                return Ok(false);
            }
            let Some(head) = Head::read(&head).filter(|head| head.index == index) else {
                return Ok(false);
            };
            let mut behind = vec![0; head.leaf_bytes + head.value_bytes];
            if file.read_exact(&mut behind).is_err() || whole_entry(&head, &behind, &self.shared.sealer).is_err() {
                return Ok(false);
            }
            let (Some(leaf), Some(values)) = head.parts(&behind) else {
                return Ok(false);
            };
            let leaf = self.shared.sealer.open(&head, Part::Leaf, leaf)?;
            found.erased += u64::from(frame::is_erased(values));
            self.leaf(Some(leaf_hash(&leaf)), "", signed, found)?;
            if self.peaks.size().is_multiple_of(10_000) {
                progress(self.peaks.size());
            }
        }
        debug_assert!(self.peaks.size() <= self.size);
        Ok(true)
    }
}
