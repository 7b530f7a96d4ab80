//! The Merkle tree over all entries (RFC 6962 §2.1, RFC 9162 §2.1): hashes, roots, proofs and their verification.

use std::io;

use ring::digest::{Context, SHA256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// Hash of a leaf: SHA-256(00 ‖ data).
#[must_use]
pub fn leaf_hash(data: &[u8]) -> Hash {
    digest(&[&[0], data])
}

/// Hash of a node: SHA-256(01 ‖ left ‖ right).
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    digest(&[&[1], left, right])
}

/// Root of the tree without entries: SHA-256 of nothing.
#[must_use]
pub fn empty_root() -> Hash {
    digest(&[])
}

fn digest(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// Where hashes of whole subtrees come from: the one at `level` (0: leaves) and `position` within it covers the leaves from
/// `position << level` on.
pub trait Subtrees {
    /// The hash.
    ///
    /// # Errors
    /// When it cannot be read.
    fn subtree(&self, level: u32, position: u64) -> io::Result<Hash>;
}

/// Place of a subtree's hash in the order in which subtrees become whole.
#[must_use]
pub fn stored_position(level: u32, position: u64) -> u64 {
    let mut leaf = position;
    for _ in 0..level {
        leaf = 2 * leaf + 1;
    }
    // Before leaf n stand n leaves, and a node for each pair, each pair of pairs, ….
    let (mut before, mut rest) = (0, leaf);
    while rest > 0 {
        before += rest;
        rest >>= 1;
    }
    before + u64::from(level)
}

/// How many hashes stand stored for `size` leaves.
#[must_use]
pub fn stored_count(size: u64) -> u64 {
    2 * size - u64::from(size.count_ones())
}

/// The most leaves for which no more than `count` hashes stand stored.
#[must_use]
pub fn leaves_of(count: u64) -> u64 {
    let (mut low, mut high) = (count / 2, count);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if stored_count(middle) <= count {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}

/// Largest power of two below `n`, for n above 1.
fn split(n: u64) -> u64 {
    1 << (63 - (n - 1).leading_zeros())
}

/// Hash of the leaves from `start` to `end`, where `start` is a multiple of the power of two that covers them.
fn range(tree: &impl Subtrees, start: u64, end: u64) -> io::Result<Hash> {
    let count = end - start;
    if count.is_power_of_two() {
        let level = count.trailing_zeros();
        return tree.subtree(level, start >> level);
    }
    // At most 64 deep: the left part halves.
    let middle = start + split(count);
    Ok(node_hash(&range(tree, start, middle)?, &range(tree, middle, end)?))
}

/// Root of the tree of the first `size` leaves.
///
/// # Errors
/// When a hash cannot be read.
pub fn root(tree: &impl Subtrees, size: u64) -> io::Result<Hash> {
    if size == 0 {
        return Ok(empty_root());
    }
    range(tree, 0, size)
}

/// Proof that leaf `index` is among the first `size` (RFC 9162 §2.1.3.1), from the leaf upwards.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] when it is not; else when a hash cannot be read.
pub fn inclusion_proof(tree: &impl Subtrees, index: u64, size: u64) -> io::Result<Vec<Hash>> {
    if index >= size {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "there is no such entry"));
    }
    let (mut start, mut end) = (0, size);
    let mut proof = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            proof.push(range(tree, middle, end)?);
            end = middle;
        } else {
            proof.push(range(tree, start, middle)?);
            start = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// Proof that the tree of `old` leaves is the beginning of that of `new` (RFC 9162 §2.1.4.1).
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] when `old` is more than `new`; else when a hash cannot be read.
pub fn consistency_proof(tree: &impl Subtrees, old: u64, new: u64) -> io::Result<Vec<Hash>> {
    if old > new {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the older tree is the larger",
        ));
    }
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    let (mut start, mut end) = (0, new);
    let mut proof = Vec::new();
    let mut is_whole_known = true; // the old root is the hash of start..end
    while end != old {
        let middle = start + split(end - start);
        if old <= middle {
            proof.push(range(tree, middle, end)?);
            end = middle;
        } else {
            proof.push(range(tree, start, middle)?);
            start = middle;
            is_whole_known = false;
        }
    }
    if !is_whole_known {
        proof.push(range(tree, start, end)?);
    }
    proof.reverse();
    Ok(proof)
}

/// True when the proof shows that a leaf of this hash is number `index` of the `size` under `root` (RFC 9162 §2.1.3.2).
#[must_use]
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut position, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for step in proof {
        if last == 0 {
            return false;
        }
        if position & 1 == 1 || position == last {
            hash = node_hash(step, &hash);
            while position & 1 == 0 && position != 0 {
                position >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, step);
        }
        position >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// True when the proof shows that the tree of `old` leaves under `old_root` is the beginning of that of `new` leaves under
/// `new_root` (RFC 9162 §2.1.4.2).
#[must_use]
pub fn verify_consistency(old: u64, old_root: &Hash, new: u64, new_root: &Hash, proof: &[Hash]) -> bool {
    if old > new {
        return false;
    }
    if old == new {
        return proof.is_empty() && old_root == new_root;
    }
    if old == 0 {
        return proof.is_empty() && *old_root == empty_root();
    }
    let mut steps = proof.iter();
    let first = if old.is_power_of_two() {
        old_root
    } else {
        let Some(first) = steps.next() else { return false };
        first
    };
    let (mut position, mut last) = (old - 1, new - 1);
    while position & 1 == 1 {
        position >>= 1;
        last >>= 1;
    }
    let (mut of_old, mut of_new) = (*first, *first);
    for step in steps {
        if last == 0 {
            return false;
        }
        if position & 1 == 1 || position == last {
            of_old = node_hash(step, &of_old);
            of_new = node_hash(step, &of_new);
            while position & 1 == 0 && position != 0 {
                position >>= 1;
                last >>= 1;
            }
        } else {
            of_new = node_hash(&of_new, step);
        }
        position >>= 1;
        last >>= 1;
    }
    last == 0 && of_old == *old_root && of_new == *new_root
}
