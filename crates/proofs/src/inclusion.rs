use crate::tree::split;
use crate::{Hash, Node, ProofError, TreeHead, node_hash, root_of_range};

/// The audit path of a leaf in the tree of the first `size` leaves, from the leaf up (RFC 6962 section
/// 2.1.1). `node` gives the hash of a complete subtree; none beyond `size` is asked for.
///
/// # Errors
/// Those of `node`; `None` in the result where there is no such leaf.
pub fn prove_inclusion<E>(
    index: u64,
    size: u64,
    mut node: impl FnMut(Node) -> Result<Hash, E>,
) -> Result<Option<Vec<Hash>>, E> {
    if index >= size {
        return Ok(None);
    }
    let (mut from, mut to) = (0, size);
    let mut from_the_top = Vec::new();
    while to - from > 1 {
        let middle = split(from, to);
        if index < middle {
            from_the_top.push(root_of_range(middle, to, &mut node)?);
            to = middle;
        } else {
            from_the_top.push(root_of_range(from, middle, &mut node)?);
            from = middle;
        }
    }
    from_the_top.reverse();
    Ok(Some(from_the_top))
}

/// Whether the leaf is at `index` in the tree with this head (RFC 9162 section 2.1.3.2).
pub fn verify_inclusion(
    leaf: Hash,
    index: u64,
    head: &TreeHead,
    proof: &[Hash],
) -> Result<(), ProofError> {
    let size = head.size;
    if index >= size {
        return Err(ProofError::NoSuchIndex { index, size });
    }
    let found = proof.len();
    // Where the leaf's subtree is on its level, and where the last one is.
    let (mut place, mut last) = (index, size - 1);
    let mut hash = leaf;
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::Length { found });
        }
        if place & 1 == 1 || place == last {
            hash = node_hash(*sibling, hash);
            // On levels where the last subtree has no sibling it goes up as it is.
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(hash, *sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::Length { found });
    }
    if hash == head.root {
        Ok(())
    } else {
        Err(ProofError::OtherRoot)
    }
}
