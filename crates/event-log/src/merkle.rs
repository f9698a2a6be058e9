//! The Merkle tree of RFC 6962 section 2.1 over the records as stored.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash(pub [u8; 32]);

/// Lower-case hexadecimal.
impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The hash of a leaf: SHA-256 over 0x00 and the record's bytes.
pub fn leaf_hash(record: &[u8]) -> Hash {
    Hash(
        Sha256::new()
            .chain_update([0])
            .chain_update(record)
            .finalize()
            .into(),
    )
}

fn node_hash(left: Hash, right: Hash) -> Hash {
    Hash(
        Sha256::new()
            .chain_update([1])
            .chain_update(left.0)
            .chain_update(right.0)
            .finalize()
            .into(),
    )
}

/// The right edge of the tree: the roots of its largest complete subtrees, from the left. All that
/// is needed to append and to know the root; it grows with the logarithm of the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    roots: Vec<Hash>,
}

impl Frontier {
    /// `None` unless there are as many roots as a tree of that size has.
    pub fn from_parts(size: u64, roots: Vec<Hash>) -> Option<Self> {
        (roots.len() == size.count_ones() as usize).then_some(Self { size, roots })
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn roots(&self) -> &[Hash] {
        &self.roots
    }

    pub fn append(&mut self, leaf: Hash) {
        // A complete subtree of the same height to the left joins, as in counting in binary.
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.roots.pop() {
                node = node_hash(left, node);
            }
        }
        self.roots.push(node);
        self.size += 1;
    }

    /// The root of the tree; of an empty one SHA-256 of nothing.
    pub fn root(&self) -> Hash {
        let mut from_the_right = self.roots.iter().rev().copied();
        match from_the_right.next() {
            Some(last) => from_the_right.fold(last, |right, left| node_hash(left, right)),
            None => Hash(Sha256::digest([]).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, word for word.
    fn naive(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Hash(Sha256::digest([]).into()),
            [leaf] => *leaf,
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                node_hash(naive(&leaves[..split]), naive(&leaves[split..]))
            }
        }
    }

    #[test]
    fn the_root_is_that_of_the_definition_at_every_size() {
        let mut frontier = Frontier::default();
        let mut leaves = Vec::new();
        for n in 0_u32..200 {
            assert_eq!(frontier.root(), naive(&leaves), "{n} leaves");
            let leaf = leaf_hash(&n.to_be_bytes());
            leaves.push(leaf);
            frontier.append(leaf);
        }
    }

    #[test]
    fn the_vectors_of_certificate_transparency_hold() {
        // The leaves and roots of the reference tests of Certificate Transparency.
        let leaves: [&[u8]; 4] = [&[], &[0x00], &[0x10], &[0x20, 0x21]];
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ];
        let mut frontier = Frontier::default();
        assert_eq!(frontier.root().to_string(), roots[0]);
        for (leaf, root) in leaves.iter().zip(&roots[1..]) {
            frontier.append(leaf_hash(leaf));
            assert_eq!(frontier.root().to_string(), *root);
        }
    }
}
