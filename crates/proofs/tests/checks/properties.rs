//! Nothing but the true proof convinces.

use proofs::{
    Checkpoint, Hash, InclusionProof, ProofError, SignerKey, Tile, TreeHead, TrustedKey, leaf_hash,
    verify_consistency, verify_inclusion,
};
use proptest::prelude::*;

use crate::whole_tree::WholeTree;

const SIZE_MAX: u64 = 600;

fn leaf(n: u64) -> Hash {
    leaf_hash(&n.to_be_bytes())
}

/// One bit of a hash flipped.
fn flipped(hash: Hash, bit: usize) -> Hash {
    let mut bytes = hash.0;
    bytes[bit / 8 % 32] ^= 1 << (bit % 8);
    Hash(bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn an_altered_inclusion_proof_fails(
        size in 1..SIZE_MAX, place in any::<u64>(), bit in 0..256_usize, which in any::<prop::sample::Index>(),
        other in 0..SIZE_MAX + 3,
    ) {
        let index = place % size;
        let tree = WholeTree::of_size(size);
        let head = tree.head(size);
        let proof = tree.inclusion(index, size);
        prop_assert_eq!(verify_inclusion(leaf(index), index, &head, &proof), Ok(()));

        let check = |leaf, index, head: &TreeHead, proof: &[Hash]| {
            verify_inclusion(leaf, index, head, proof).is_err()
        };
        prop_assert!(check(flipped(leaf(index), bit), index, &head, &proof));
        prop_assert!(check(leaf(size), index, &head, &proof));
        let root = flipped(head.root, bit);
        let other_root = TreeHead { root, ..head };
        prop_assert!(check(leaf(index), index, &other_root, &proof));
        // Another index, every one of them.
        if other != index {
            prop_assert!(check(leaf(index), other, &head, &proof));
        }
        // A size of which the tree would have another root.
        if other != size {
            let claimed = TreeHead { size: other, ..head };
            let real = (other > 0 && other <= size).then(|| tree.head(other));
            let convinced = verify_inclusion(leaf(index), index, &claimed, &proof).is_ok();
            // A path says where a leaf is, not how many there are: it is the checkpoint that binds the
            // size to the root, so with the true root of that size nothing else passes.
            prop_assert!(!convinced || real.is_none_or(|real| real.root != head.root));
            if let Some(real) = real {
                prop_assert!(check(leaf(index), index, &real, &proof));
            }
        }
        let mut longer = proof.clone();
        longer.push(root);
        prop_assert!(check(leaf(index), index, &head, &longer));
        if !proof.is_empty() {
            let at = which.index(proof.len());
            let mut altered = proof.clone();
            altered[at] = flipped(altered[at], bit);
            prop_assert!(check(leaf(index), index, &head, &altered));
            let mut shorter = proof.clone();
            shorter.remove(at);
            prop_assert!(check(leaf(index), index, &head, &shorter));
            let mut swapped = proof.clone();
            swapped.rotate_left(1);
            prop_assert!(proof.len() < 2 || check(leaf(index), index, &head, &swapped));
        }
        // A node is no leaf, whatever it hashes.
        if size > 1 {
            let middle = tree.node(proofs::Node { level: 1, index: 0 });
            let up = proof.get(1..).unwrap_or_default();
            prop_assert!(check(middle, 0, &head, up) || size == 2);
        }
    }

    #[test]
    fn an_altered_consistency_proof_fails(
        to in 1..SIZE_MAX, place in any::<u64>(), bit in 0..256_usize, which in any::<prop::sample::Index>(),
        other in 1..SIZE_MAX + 3,
    ) {
        let from = place % to + 1;
        let tree = WholeTree::of_size(to);
        let (old, new) = (tree.head(from), tree.head(to));
        let proof = tree.consistency(from, to);
        prop_assert_eq!(verify_consistency(&old, &new, &proof), Ok(()));

        let check = |old: &TreeHead, new: &TreeHead, proof: &[Hash]| {
            verify_consistency(old, new, proof).is_err()
        };
        let (other_old, other_new) = (
            TreeHead { root: flipped(old.root, bit), ..old },
            TreeHead { root: flipped(new.root, bit), ..new },
        );
        prop_assert!(check(&other_old, &new, &proof));
        prop_assert!(check(&old, &other_new, &proof));
        if other != from && other <= to {
            prop_assert!(check(&tree.head(other), &new, &proof));
        }
        if other != to && other >= from && other < to {
            prop_assert!(check(&old, &tree.head(other), &proof));
        }
        prop_assert_eq!(from < to, check(&new, &old, &proof));
        let mut longer = proof.clone();
        longer.push(old.root);
        prop_assert!(check(&old, &new, &longer));
        if !proof.is_empty() {
            let at = which.index(proof.len());
            let mut altered = proof.clone();
            altered[at] = flipped(altered[at], bit);
            prop_assert!(check(&old, &new, &altered));
            let mut shorter = proof.clone();
            shorter.remove(at);
            prop_assert!(check(&old, &new, &shorter));
        }
        // A history with one other record.
        let forked = WholeTree::of((0..to).map(|n| leaf(if n == from - 1 { n + 1_000_000 } else { n })));
        prop_assert!(check(&old, &forked.head(to), &forked.consistency(from, to)));
    }

    #[test]
    fn nodes_are_found_in_tiles(size in 1..3_000_u64, level in 0..11_u32, place in any::<u64>()) {
        let tree = WholeTree::of_size(size);
        let level = level.min(size.ilog2());
        let node = proofs::Node { level, index: place % (size >> level) };
        let (tile, range) = Tile::of_node(node);
        let hashes: Vec<Hash> = range.map(|it| tree.node(tile.node(u16::try_from(it).unwrap()))).collect();
        prop_assert_eq!(Tile::root(&hashes), tree.node(node));
    }

    #[test]
    fn no_byte_of_a_proof_can_be_altered(
        size in 1..SIZE_MAX, place in any::<u64>(), at in any::<prop::sample::Index>(), bit in 0..8_u32,
    ) {
        let index = place % size;
        let tree = WholeTree::of_size(size);
        let key = SignerKey::from_seed("example.com/log", &[7; 32]).unwrap();
        let checkpoint = Checkpoint { origin: "example.com/log".to_owned(), head: tree.head(size) };
        let checkpoint = checkpoint.sign(&key).unwrap();
        let proof = InclusionProof { index, hashes: tree.inclusion(index, size), checkpoint };
        let keys = [TrustedKey::always(key.verifier().clone())];
        let text = proof.to_string();
        let read = InclusionProof::parse(&text).unwrap();
        prop_assert_eq!(&read, &proof);
        prop_assert!(read.verify(leaf(index), &keys).is_ok());
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        let convinced = String::from_utf8(bytes).ok()
            .and_then(|text| InclusionProof::parse(&text).ok())
            .is_some_and(|proof| proof.verify(leaf(index), &keys).is_ok());
        prop_assert!(!convinced, "byte {}, bit {}", at, bit);
    }
}

#[test]
fn what_is_not_in_the_tree_is_said() {
    let tree = WholeTree::of_size(5);
    let head = tree.head(5);
    let proof = tree.inclusion(4, 5);
    let no_such = ProofError::NoSuchIndex { index: 5, size: 5 };
    assert_eq!(verify_inclusion(leaf(4), 5, &head, &proof), Err(no_such));
    let empty = WholeTree::default().head(0);
    assert_eq!(verify_consistency(&empty, &head, &[]), Ok(()));
    assert_eq!(verify_consistency(&empty, &empty, &[]), Ok(()));
    let wrong = TreeHead { size: 0, ..head };
    assert_eq!(
        verify_consistency(&wrong, &head, &[]),
        Err(ProofError::OtherOldRoot)
    );
}
