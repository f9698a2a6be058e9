//! Agreement with two implementations by others, at every size up to 2,000.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proofs::{Frontier, Hash, Tile, leaf_hash};
use sha2::Sha256;
use tlog_tiles::{HashReader, prove_record, prove_tree, stored_hashes, tree_hash};

use crate::whole_tree::WholeTree;

const SIZE_MAX: u64 = 2_000;

/// The store of hashes that `tlog_tiles` works with.
#[derive(Default)]
struct Stored(Vec<tlog_tiles::Hash>);

impl HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        let hash = |index: &u64| self.0[usize::try_from(*index).unwrap()];
        Ok(indexes.iter().map(hash).collect())
    }
}

fn theirs(hashes: &[tlog_tiles::Hash]) -> Vec<Hash> {
    hashes.iter().map(|hash| Hash(hash.0)).collect()
}

fn cut(bytes: &[u8]) -> Vec<Hash> {
    bytes.as_chunks().0.iter().copied().map(Hash).collect()
}

/// Places where a mistake would show: the ends, both sides of every power of two, counted from the left
/// and from the right, and some that depend on the size.
fn places(size: u64) -> Vec<u64> {
    let mut places = vec![0, size - 1, size / 2, size / 3, size * 7 / 11];
    for power in (0..11).map(|it| 1_u64 << it).filter(|it| *it < size) {
        places.extend([power - 1, power, size - power, size - power - 1]);
    }
    places.retain(|place| *place < size);
    places.sort_unstable();
    places.dedup();
    places
}

#[test]
fn roots_and_proofs_are_those_of_others_at_every_size() {
    let mut ours = WholeTree::default();
    let mut frontier = Frontier::default();
    let mut stored = Stored::default();
    let mut memory = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    let mut compared = 0_u64;
    for size in 1..=SIZE_MAX {
        let record = format!("record {size}").into_bytes();
        let leaf = leaf_hash(&record);
        ours.push(leaf);
        frontier.append(leaf);
        let new = stored_hashes(size - 1, &record, &stored).unwrap();
        stored.0.extend(new);
        memory.push(record);

        let head = ours.head(size);
        assert_eq!(frontier.head(), head);
        assert_eq!(tree_hash(size, &stored).unwrap().0, head.root.0);
        assert_eq!(memory.root().as_bytes().as_slice(), head.root.0);
        for place in places(size) {
            let proof = ours.inclusion(place, size);
            assert_eq!(proof, theirs(&prove_record(size, place, &stored).unwrap()));
            let memory_proof = memory.prove_inclusion(usize::try_from(place).unwrap());
            assert_eq!(proof, cut(memory_proof.as_bytes()), "{place} in {size}");

            let from = place + 1;
            let proof = ours.consistency(from, size);
            assert_eq!(proof, theirs(&prove_tree(size, from, &stored).unwrap()));
            let additions = usize::try_from(size - from).unwrap();
            let memory_proof = memory.prove_consistency(additions);
            assert_eq!(proof, cut(memory_proof.as_bytes()), "{from} to {size}");
            compared += 2;
        }
    }
    assert!(compared > 100_000, "{compared}");
}

#[test]
fn tiles_have_the_paths_and_the_bytes_of_others() {
    let size = 70_000;
    let ours = WholeTree::of_size(size);
    let mut stored = Stored::default();
    for n in 0..size {
        let new = stored_hashes(n, &n.to_be_bytes(), &stored).unwrap();
        stored.0.extend(new);
    }
    let tiles = tlog_tiles::Tile::new_tiles(8, 0, size);
    assert!(tiles.len() > 270);
    for theirs in &tiles {
        let width = u16::try_from(theirs.width()).unwrap();
        let tile = Tile {
            level: theirs.level(),
            index: theirs.level_index(),
            width,
        };
        // Theirs names the height as well, which is always 8 here.
        let path = theirs.path().replacen("tile/8/", "tile/", 1);
        assert_eq!(tile.to_string(), path);
        assert_eq!(path.parse(), Ok(tile));
        assert!(tile.is_in(size));
        let hashes: Vec<Hash> = (0..width)
            .map(|place| ours.node(tile.node(place)))
            .collect();
        let bytes = theirs.read_data(&stored).unwrap();
        assert_eq!(Tile::to_bytes(&hashes), bytes);
        assert_eq!(tile.hashes(&bytes), Some(hashes));
    }
}
