use crate::{Hash, TreeHead, node_hash};

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
            None => Hash::of_nothing(),
        }
    }

    pub fn head(&self) -> TreeHead {
        TreeHead {
            size: self.size,
            root: self.root(),
        }
    }
}
