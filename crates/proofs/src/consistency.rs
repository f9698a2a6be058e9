use crate::tree::split;
use crate::{Hash, Node, ProofError, TreeHead, node_hash, root_of_range};

/// The proof that the tree of the first `from` leaves is the beginning of that of the first `to` (RFC
/// 6962 section 2.1.2). `node` gives the hash of a complete subtree; none beyond `to` is asked for.
/// From an empty tree, or to one that is the same, it takes no hash.
///
/// # Errors
/// Those of `node`; `None` in the result where `from` is the larger.
pub fn prove_consistency<E>(
    from: u64,
    to: u64,
    mut node: impl FnMut(Node) -> Result<Hash, E>,
) -> Result<Option<Vec<Hash>>, E> {
    if from > to {
        return Ok(None);
    }
    if from == 0 {
        return Ok(Some(vec![]));
    }
    let (mut start, mut end) = (0, to);
    let mut from_the_top = Vec::new();
    while from != end {
        let middle = split(start, end);
        if from <= middle {
            from_the_top.push(root_of_range(middle, end, &mut node)?);
            end = middle;
        } else {
            from_the_top.push(root_of_range(start, middle, &mut node)?);
            start = middle;
        }
    }
    // Whoever checks knows the root of the smaller tree, but not that of a part of it.
    if start != 0 {
        from_the_top.push(root_of_range(start, end, &mut node)?);
    }
    from_the_top.reverse();
    Ok(Some(from_the_top))
}

/// Whether the smaller tree is the beginning of the larger (RFC 9162 section 2.1.4.2).
pub fn verify_consistency(
    old: &TreeHead,
    new: &TreeHead,
    proof: &[Hash],
) -> Result<(), ProofError> {
    let (from, to) = (old.size, new.size);
    let found = proof.len();
    if from > to {
        return Err(ProofError::NoSuchSize { from, to });
    }
    if from == 0 || from == to {
        if found != 0 {
            return Err(ProofError::Length { found });
        }
        if from == 0 && old.root != Hash::of_nothing() {
            return Err(ProofError::OtherOldRoot);
        }
        return if from == to && old.root != new.root {
            Err(ProofError::OtherRoot)
        } else {
            Ok(())
        };
    }
    let mut hashes = proof.iter().copied();
    let (mut place, mut last) = (from - 1, to - 1);
    while place & 1 == 1 {
        place >>= 1;
        last >>= 1;
    }
    // A tree of a power of two is a subtree of the larger: its root begins the proof.
    let first = if from.is_power_of_two() {
        old.root
    } else {
        hashes.next().ok_or(ProofError::Length { found })?
    };
    let (mut old_root, mut new_root) = (first, first);
    for hash in hashes {
        if last == 0 {
            return Err(ProofError::Length { found });
        }
        if place & 1 == 1 || place == last {
            old_root = node_hash(hash, old_root);
            new_root = node_hash(hash, new_root);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            new_root = node_hash(new_root, hash);
        }
        place >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::Length { found });
    }
    if old_root != old.root {
        return Err(ProofError::OtherOldRoot);
    }
    if new_root == new.root {
        Ok(())
    } else {
        Err(ProofError::OtherRoot)
    }
}
