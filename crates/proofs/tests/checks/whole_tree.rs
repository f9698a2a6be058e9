use std::convert::Infallible;

use proofs::{Hash, Node, TreeHead, leaf_hash, node_hash, prove_consistency, prove_inclusion};

/// Every complete subtree of a tree, level by level.
#[derive(Default)]
pub(crate) struct WholeTree(Vec<Vec<Hash>>);

impl WholeTree {
    pub(crate) fn of(leaves: impl IntoIterator<Item = Hash>) -> Self {
        let mut tree = Self::default();
        leaves.into_iter().for_each(|leaf| tree.push(leaf));
        tree
    }

    /// With the leaves that are the numbers from 0 on.
    pub(crate) fn of_size(size: u64) -> Self {
        Self::of((0..size).map(|n| leaf_hash(&n.to_be_bytes())))
    }

    pub(crate) fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for level in 0.. {
            if self.0.len() == level {
                self.0.push(vec![]);
            }
            let row = &mut self.0[level];
            row.push(hash);
            if row.len() % 2 == 1 {
                return;
            }
            hash = node_hash(row[row.len() - 2], row[row.len() - 1]);
        }
    }

    pub(crate) fn node(&self, node: Node) -> Hash {
        self.0[node.level as usize][usize::try_from(node.index).unwrap()]
    }

    pub(crate) fn head(&self, size: u64) -> TreeHead {
        let root = proofs::root_of_range::<Infallible>(0, size, &mut |node| Ok(self.node(node)));
        TreeHead {
            size,
            root: root.unwrap(),
        }
    }

    pub(crate) fn inclusion(&self, index: u64, size: u64) -> Vec<Hash> {
        let proof = prove_inclusion::<Infallible>(index, size, |node| Ok(self.node(node)));
        proof.unwrap().unwrap()
    }

    pub(crate) fn consistency(&self, from: u64, to: u64) -> Vec<Hash> {
        let proof = prove_consistency::<Infallible>(from, to, |node| Ok(self.node(node)));
        proof.unwrap().unwrap()
    }
}
