//! Where hashes are in the tree, and what a proof is made of.

use crate::{Hash, node_hash};

/// A complete subtree: that of the leaves from `index << level` on, `1 << level` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// 0 is a leaf.
    pub level: u32,
    pub index: u64,
}

/// What a checkpoint says of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeHead {
    /// Leaves.
    pub size: u64,
    pub root: Hash,
}

/// A proof that proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    #[error("there is no record {index} in a tree of {size}")]
    NoSuchIndex { index: u64, size: u64 },
    #[error("a tree of {from} is not the beginning of a tree of {to}")]
    NoSuchSize { from: u64, to: u64 },
    #[error("the proof has {found} hashes, and between these sizes it has another number")]
    Length { found: usize },
    #[error("the proof leads to another root")]
    OtherRoot,
    #[error("the proof leads to another root of the smaller tree")]
    OtherOldRoot,
}

/// The Merkle tree hash over the leaves from `from` up to but not including `to`, where `from` is 0 or
/// such that the RFC's splits of a tree lead there. Asks for as many subtrees as `to - from` has ones.
pub fn root_of_range<E>(
    from: u64,
    to: u64,
    node: &mut impl FnMut(Node) -> Result<Hash, E>,
) -> Result<Hash, E> {
    let mut subtrees = Vec::new();
    let mut start = from;
    while start < to {
        // The largest complete subtree that begins here and does not go beyond the end.
        let fits = (to - start).ilog2();
        let level = if start == 0 {
            fits
        } else {
            fits.min(start.trailing_zeros())
        };
        subtrees.push(node(Node {
            level,
            index: start >> level,
        })?);
        start += 1 << level;
    }
    let mut from_the_right = subtrees.into_iter().rev();
    Ok(match from_the_right.next() {
        Some(last) => from_the_right.fold(last, |right, left| node_hash(left, right)),
        None => Hash::of_nothing(),
    })
}

/// Where a range of at least two leaves is split: after the largest power of two that is smaller than
/// their number.
pub(crate) fn split(from: u64, to: u64) -> u64 {
    from + (1 << (to - from - 1).ilog2())
}
