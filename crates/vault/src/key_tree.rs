use std::collections::{BTreeMap, HashMap};

use sha2::{Digest as _, Sha256};

/// Bits of the number of a leaf.
pub(crate) const DEPTH: u8 = 33;
/// The depth of the nodes that are remembered once they were worked out: each is above 256 leaves.
const REMEMBERED_DEPTH: u8 = DEPTH - 8;

pub(crate) type Secret = [u8; 32];

/// A key for every number below 2^33, all from one secret: the tree of Goldreich, Goldwasser and Micali
/// ("How to construct random functions", 1986), with SHA-256 as the function that doubles. Knowing a node
/// is knowing all keys below it and nothing else.
///
/// Puncturing at a number replaces the node above it by the siblings along the way down: at most 33
/// nodes, from which every other key still follows, and that one no longer.
pub(crate) struct KeyTree {
    /// By the first leaf below each. No node is below another.
    nodes: BTreeMap<u64, Node>,
    /// By the number of the leaf without its last eight bits. What has been punctured is not among them.
    remembered: HashMap<u64, Secret>,
}

#[derive(Clone, Copy)]
struct Node {
    depth: u8,
    secret: Secret,
}

impl Node {
    fn leaves(self) -> u64 {
        1 << (DEPTH - self.depth)
    }

    /// The node `depth` levels from the root on the way to the leaf.
    fn descend(self, leaf: u64, depth: u8) -> Self {
        let mut secret = self.secret;
        for level in self.depth..depth {
            secret = child(&secret, bit(leaf, level));
        }
        Self { depth, secret }
    }
}

/// Which way the path to the leaf turns at this level.
fn bit(leaf: u64, level: u8) -> u8 {
    ((leaf >> (DEPTH - 1 - level)) & 1) as u8
}

fn child(secret: &Secret, bit: u8) -> Secret {
    Sha256::new()
        .chain_update(secret)
        .chain_update([bit])
        .finalize()
        .into()
}

impl KeyTree {
    pub(crate) fn new(root: Secret) -> Self {
        let root = Node {
            depth: 0,
            secret: root,
        };
        Self {
            nodes: BTreeMap::from([(0, root)]),
            remembered: HashMap::new(),
        }
    }

    /// The key of the leaf; `None` if the tree was punctured there.
    pub(crate) fn key(&self, leaf: u64) -> Option<Secret> {
        if let Some(secret) = self.remembered.get(&(leaf >> 8)) {
            let near = Node {
                depth: REMEMBERED_DEPTH,
                secret: *secret,
            };
            return Some(near.descend(leaf, DEPTH).secret);
        }
        self.above(leaf)
            .map(|(_, node)| node.descend(leaf, DEPTH).secret)
    }

    /// Whether [`KeyTree::remember`] would make this key quicker to find.
    pub(crate) fn is_remembered(&self, leaf: u64) -> bool {
        self.remembered.contains_key(&(leaf >> 8))
            || self
                .above(leaf)
                .is_none_or(|(_, node)| node.depth > REMEMBERED_DEPTH)
    }

    /// Has the keys of the leaf and its neighbours found more quickly from now on.
    pub(crate) fn remember(&mut self, leaf: u64) {
        if let Some((_, node)) = self.above(leaf)
            && node.depth <= REMEMBERED_DEPTH
        {
            let near = node.descend(leaf, REMEMBERED_DEPTH);
            self.remembered.insert(leaf >> 8, near.secret);
        }
    }

    /// Destroys the key of the leaf; whether there was one.
    pub(crate) fn puncture(&mut self, leaf: u64) -> bool {
        let Some((first, node)) = self.above(leaf) else {
            return false;
        };
        self.nodes.remove(&first);
        self.remembered.remove(&(leaf >> 8));
        let mut secret = node.secret;
        for level in node.depth..DEPTH {
            let turn = bit(leaf, level);
            let sibling = Node {
                depth: level + 1,
                secret: child(&secret, 1 - turn),
            };
            // The path so far, then the other way, then zeros.
            let below = DEPTH - 1 - level;
            let first = ((leaf >> below) ^ 1) << below;
            self.nodes.insert(first, sibling);
            secret = child(&secret, turn);
        }
        true
    }

    /// Gives the leaves from here up to the end, which is exclusive, keys that have nothing to do with
    /// those that they had or had not.
    pub(crate) fn renew(&mut self, first: u64, end: u64, random: impl Fn() -> Secret) {
        self.split_before(first);
        self.split_before(end);
        let gone: Vec<u64> = self
            .nodes
            .range(first..end)
            .map(|(start, _)| *start)
            .collect();
        for start in gone {
            self.nodes.remove(&start);
        }
        self.remembered
            .retain(|leaf, _| (leaf << 8) + 255 < first || leaf << 8 >= end);
        // The largest subtrees that fit, from the left.
        let mut start = first;
        while start < end {
            let by_place = start.trailing_zeros().min(u32::from(DEPTH));
            let by_room = (end - start).ilog2();
            let height = u8::try_from(by_place.min(by_room)).unwrap_or(0);
            let secret = random();
            let depth = DEPTH - height;
            self.nodes.insert(start, Node { depth, secret });
            start += 1 << height;
        }
    }

    /// Has no node hold leaves of both sides; every leaf keeps its key.
    fn split_before(&mut self, leaf: u64) {
        while let Some((start, node)) = self.above(leaf)
            && start < leaf
        {
            let depth = node.depth + 1;
            let [left, right] = [0, 1].map(|turn| Node {
                depth,
                secret: child(&node.secret, turn),
            });
            self.nodes.insert(start, left);
            self.nodes.insert(start + right.leaves(), right);
        }
    }

    fn above(&self, leaf: u64) -> Option<(u64, Node)> {
        let (first, node) = self.nodes.range(..=leaf).next_back()?;
        (leaf - first < node.leaves()).then_some((*first, *node))
    }

    /// First leaf, depth and secret of every node, in the order of the leaves.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (u64, u8, &Secret)> {
        self.nodes
            .iter()
            .map(|(first, node)| (*first, node.depth, &node.secret))
    }

    /// The tree of which these are the nodes; `None` if one is below another or none can be so.
    pub(crate) fn from_nodes(nodes: impl Iterator<Item = (u64, u8, Secret)>) -> Option<Self> {
        let mut tree = Self {
            nodes: BTreeMap::new(),
            remembered: HashMap::new(),
        };
        let mut end = 0;
        for (first, depth, secret) in nodes {
            if depth > DEPTH {
                return None;
            }
            let node = Node { depth, secret };
            if first < end || first % node.leaves() != 0 || first >> DEPTH != 0 {
                return None;
            }
            end = first + node.leaves();
            tree.nodes.insert(first, node);
        }
        Some(tree)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Punctured keys are gone, whatever was remembered, and all others are as in the whole tree.
        #[test]
        fn puncturing_takes_one_key_and_no_other(
            punctured in proptest::collection::vec(0_u64..2_000, 0..40),
            far in proptest::collection::vec(0_u64..1 << DEPTH, 0..10),
            remembered in proptest::collection::vec(0_u64..2_000, 0..20),
        ) {
            let whole = KeyTree::new([7; 32]);
            let mut tree = KeyTree::new([7; 32]);
            let mut gone = BTreeSet::new();
            for leaf in remembered {
                tree.remember(leaf);
            }
            for leaf in punctured.into_iter().chain(far.iter().copied()) {
                prop_assert_eq!(tree.puncture(leaf), gone.insert(leaf));
                tree.remember(leaf ^ 1);
            }
            let nodes: Vec<_> = tree.nodes().map(|(first, depth, it)| (first, depth, *it)).collect();
            let read = KeyTree::from_nodes(nodes.into_iter()).expect("they are the nodes of a tree");
            for leaf in (0..2_000).chain(far.iter().flat_map(|it| [*it, *it ^ 1])) {
                let expected = whole.key(leaf).filter(|_| !gone.contains(&leaf));
                prop_assert_eq!(tree.key(leaf), expected);
                prop_assert_eq!(read.key(leaf), expected);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Everybody before keeps what they had, whether a key or none; everybody after gets another.
        #[test]
        fn renewing_leaves_what_is_before_and_after(
            punctured in prop_oneof![Just(vec![]), proptest::collection::vec(0_u64..600, 0..30)],
            first in 0_u64..600,
            end in prop_oneof![Just(1_u64 << 32), 600_u64..700],
        ) {
            let mut tree = KeyTree::new([7; 32]);
            for leaf in punctured {
                tree.puncture(leaf);
                tree.remember(leaf ^ 256);
            }
            let before: Vec<_> = (0..800).map(|leaf| tree.key(leaf)).collect();
            let several = tree.key(1 << 32 | 5);
            tree.renew(first, end, || [9; 32]);
            for leaf in 0..800 {
                let (was, is) = (before[usize::try_from(leaf).unwrap()], tree.key(leaf));
                if (first..end).contains(&leaf) {
                    prop_assert!(is.is_some() && is != was, "{leaf}");
                } else {
                    prop_assert_eq!(is, was, "{}", leaf);
                }
            }
            prop_assert_eq!(tree.key(1 << 32 | 5), several);
            let nodes: Vec<_> = tree.nodes().map(|(first, depth, it)| (first, depth, *it)).collect();
            prop_assert!(KeyTree::from_nodes(nodes.into_iter()).is_some());
        }
    }

    #[test]
    fn all_keys_of_a_range_differ() {
        let tree = KeyTree::new([1; 32]);
        let keys: BTreeSet<_> = (0..5_000).map(|leaf| tree.key(leaf)).collect();
        assert_eq!(keys.len(), 5_000);
    }

    #[test]
    fn nodes_that_no_tree_has_are_refused() {
        for nodes in [
            vec![(0, DEPTH + 1, [0; 32])],
            vec![(1, DEPTH - 1, [0; 32])],
            vec![(0, 0, [0; 32]), (8, DEPTH, [0; 32])],
            vec![(1 << DEPTH, DEPTH, [0; 32])],
        ] {
            assert!(KeyTree::from_nodes(nodes.into_iter()).is_none());
        }
    }
}
