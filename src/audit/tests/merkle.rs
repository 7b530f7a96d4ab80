use std::io;

use proptest::prelude::*;

use crate::{
    merkle::{
        Hash, Subtrees, consistency_proof, empty_root, inclusion_proof, leaf_hash, leaves_of, node_hash, root,
        stored_count, stored_position, verify_consistency, verify_inclusion,
    },
    tree::Peaks,
};

/// MTH of RFC 6962 §2.1, as it is written there.
fn naive(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        more => {
            let mut middle = 1;
            while middle * 2 < more.len() {
                middle *= 2;
            }
            node_hash(&naive(&more[..middle]), &naive(&more[middle..]))
        }
    }
}

struct Stored(Vec<Hash>);

impl Subtrees for Stored {
    fn subtree(&self, level: u32, position: u64) -> io::Result<Hash> {
        let at = usize::try_from(stored_position(level, position)).unwrap();
        self.0.get(at).copied().ok_or(io::ErrorKind::UnexpectedEof.into())
    }
}

fn grown(count: u64) -> (Vec<Hash>, Stored, Peaks) {
    let leaves: Vec<_> = (0..count).map(|number| leaf_hash(&number.to_le_bytes())).collect();
    let (mut peaks, mut stored) = (Peaks::default(), Vec::new());
    for leaf in &leaves {
        peaks.push(*leaf, &mut stored);
    }
    (leaves, Stored(stored), peaks)
}

#[test]
fn hashes_leaves_nodes_and_nothing_as_the_rfc_has_it() {
    let hex = |hash: Hash| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(
        hex(empty_root()),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    // Known from the test vectors of Certificate Transparency.
    assert_eq!(
        hex(leaf_hash(&[])),
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    );
    let inputs: [&[u8]; 8] = [
        &[],
        &[0],
        &[0x10],
        &[0x20, 0x21],
        &[0x30, 0x31],
        &[0x40, 0x41, 0x42, 0x43],
        &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
        &[
            0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f,
        ],
    ];
    let leaves: Vec<_> = inputs.iter().map(|input| leaf_hash(input)).collect();
    assert_eq!(
        hex(naive(&leaves)),
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    );
    assert_eq!(
        hex(naive(&leaves[..3])),
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"
    );
}

#[test]
fn every_root_and_every_proof_up_to_forty_leaves_is_that_of_the_naive_tree() {
    for size in 0..=40 {
        let (leaves, stored, peaks) = grown(size);
        assert_eq!(stored.0.len() as u64, stored_count(size));
        assert_eq!(leaves_of(stored_count(size)), size);
        let now = naive(&leaves);
        assert_eq!((root(&stored, size).unwrap(), peaks.root()), (now, now), "{size}");
        assert_eq!(Peaks::read(&stored, size).unwrap(), peaks);
        for index in 0..size {
            let proof = inclusion_proof(&stored, index, size).unwrap();
            let leaf = &leaves[usize::try_from(index).unwrap()];
            assert!(verify_inclusion(leaf, index, size, &proof, &now), "{index} of {size}");
        }
        for old in 0..=size {
            let then = naive(&leaves[..usize::try_from(old).unwrap()]);
            let proof = consistency_proof(&stored, old, size).unwrap();
            assert!(verify_consistency(old, &then, size, &now, &proof), "{old} to {size}");
        }
    }
}

proptest! {
    #[test]
    fn no_proof_that_was_changed_holds(size in 2_u64..300, at in any::<prop::sample::Index>(), what in 0_u8..5, bit in 0_usize..256) {
        let (leaves, stored, peaks) = grown(size);
        let index = at.index(usize::try_from(size).unwrap());
        let number = index as u64;
        let mut proof = inclusion_proof(&stored, number, size).unwrap();
        let (mut leaf, mut now, mut place) = (leaves[index], peaks.root(), number);
        match what {
            0 => leaf[bit / 8] ^= 1 << (bit % 8),
            1 => now[bit / 8] ^= 1 << (bit % 8),
            2 => { let step = bit % proof.len(); proof[step][bit / 8] ^= 1 << (bit % 8); }
            3 => drop(proof.pop()),
            _ => place = (number + 1) % size,
        }
        prop_assert!(!verify_inclusion(&leaf, place, size, &proof, &now));
    }

    #[test]
    fn no_proof_of_consistency_that_was_changed_holds(new in 2_u64..300, at in any::<prop::sample::Index>(), what in 0_u8..4, bit in 0_usize..256) {
        let (leaves, stored, peaks) = grown(new);
        let old = 1 + at.index(usize::try_from(new - 1).unwrap()) as u64;
        let mut proof = consistency_proof(&stored, old, new).unwrap();
        let (mut then, mut now) = (naive(&leaves[..usize::try_from(old).unwrap()]), peaks.root());
        match what {
            0 => then[bit / 8] ^= 1 << (bit % 8),
            1 => now[bit / 8] ^= 1 << (bit % 8),
            2 => { let step = bit % proof.len(); proof[step][bit / 8] ^= 1 << (bit % 8); }
            _ => proof.push(now),
        }
        prop_assert!(!verify_consistency(old, &then, new, &now, &proof));
    }
}
