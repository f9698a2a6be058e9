use std::fs;
use std::path::Path;

use event_log::Scan;
use proofs::{Checkpoint, Tile, leaf_hash};
use transparency::{ProveError, TileCheck, TransparencyLog};
use types::Position;

use crate::world::{World, check_inclusion, files, trusted};

/// More than one tile of the second level.
const LARGE: u32 = 70_000;

#[test]
fn the_tiles_are_those_of_the_layout_and_come_again_when_they_are_removed() {
    let world = World::with(LARGE);
    let log = world.open();
    let paths: Vec<_> = files(&world.tiles()).into_iter().map(|it| it.0).collect();
    // As the layout says of a tree of 70,000: 273 full ones of leaves, one above, and the edge.
    let is_full = |path: &&std::path::PathBuf| !path.to_string_lossy().contains(".p/");
    let full = paths.iter().filter(is_full).count();
    assert_eq!(full, 273 + 1 + "checkpoint keys".split(' ').count());
    for partial in Tile::partial_of(LARGE.into()) {
        assert!(
            paths.contains(&world.tiles().join(partial.to_string())),
            "{partial}"
        );
    }
    for position in [1, 2, 255, 256, 257, 65_535, 65_536, 65_537, 69_999, 70_000] {
        check_inclusion(&log, position, None);
        check_inclusion(&log, position, Some(position));
    }
    let before = files(&world.tiles());
    drop(log);
    fs::remove_dir_all(world.tiles()).unwrap();
    drop(world.open());
    // The signatures are the same too: Ed25519 takes no randomness.
    assert!(files(&world.tiles()) == before);
}

#[test]
fn every_record_is_proven_at_every_size_while_the_log_grows() {
    let mut world = World::with(0);
    let log = world.open();
    assert_eq!(log.checkpoint().unwrap().lines().nth(1), Some("0"));
    let mut kept = vec![log.checkpoint().unwrap()];
    for step in [1, 1, 2, 3, 60, 188, 1, 1, 254, 1, 300] {
        world.write(step);
        let size = world.log.head().position.0;
        for position in [1, size / 2, size - 1, size]
            .into_iter()
            .filter(|it| *it > 0)
        {
            check_inclusion(&log, position, None);
            check_inclusion(&log, position, Some(position.midpoint(size)));
        }
        let note = log.checkpoint().unwrap();
        for old in &kept {
            let old = Checkpoint::open(old.as_bytes(), &trusted(&log)).unwrap();
            let proof = log.consistency(old.head.size, None).unwrap();
            let new = proof.verify(&old.head, &trusted(&log)).unwrap();
            assert_eq!(new.head.size, size);
            assert_eq!(new.head.root, world.log.head().root);
        }
        kept.push(note);
    }
    // Another opening goes on where this one ended.
    drop(log);
    check_inclusion(&world.open(), 300, None);
}

#[test]
fn a_damaged_tile_spoils_no_proof_and_is_made_again() {
    let world = World::with(2_000);
    let whole = files(&world.tiles_of_open());
    for (path, good) in whole.iter().filter(|it| it.1.len() == 8_192) {
        for bad in [flipped(good), vec![0; 8_192], good[..100].to_vec()] {
            // After the opening, which would have found it.
            let log = world.open();
            fs::write(path, bad).unwrap();
            for position in (1..=2_000).step_by(97).chain([700, 1_791, 1_792]) {
                // Whatever it does meanwhile, it gives out nothing that is wrong.
                match log.inclusion(Position(position), Some(1_990)) {
                    Ok(proof) => {
                        let leaf = leaf_hash(&log.record(Position(position)).unwrap());
                        proof.verify(leaf, &trusted(&log)).unwrap();
                    }
                    Err(ProveError::NotInTree { .. }) => assert!(position > 1_990),
                    Err(ProveError::Rebuilding) => log.mend().unwrap(),
                    Err(error) => panic!("{error}"),
                }
            }
            assert_eq!(log.status().tiles_rebuilt, 1, "{}", path.display());
            drop(log);
            assert!(!tile_damage(&world));
            fs::write(path, flipped(good)).unwrap();
            assert!(tile_damage(&world));
            fs::write(path, good).unwrap();
        }
    }
    assert!(!tile_damage(&world));
}

#[test]
fn what_cannot_be_proven_is_said() {
    let world = World::with(10);
    let log = world.open();
    let inclusion = |position, size| log.inclusion(Position(position), size).unwrap_err();
    for position in [0, 11, u64::MAX] {
        let error = inclusion(position, None);
        assert!(
            matches!(error, ProveError::NoSuchPosition { head: 10, .. }),
            "{error}"
        );
    }
    assert!(matches!(
        inclusion(5, Some(4)),
        ProveError::NotInTree { .. }
    ));
    assert!(matches!(
        inclusion(5, Some(11)),
        ProveError::NoSuchSize { .. }
    ));
    let consistency = |from, to| log.consistency(from, to).unwrap_err();
    assert!(matches!(
        consistency(5, Some(4)),
        ProveError::Backwards { .. }
    ));
    assert!(matches!(
        consistency(5, Some(11)),
        ProveError::NoSuchSize { .. }
    ));
    assert!(matches!(
        consistency(11, None),
        ProveError::Backwards { .. }
    ));
    let tile = |path: &str| log.tile(path.parse().unwrap()).unwrap();
    assert_eq!(tile("tile/0/000.p/10").map(|it| it.len()), Some(320));
    assert_eq!(tile("tile/0/000.p/3").map(|it| it.len()), Some(96));
    for path in [
        "tile/0/000.p/11",
        "tile/0/000",
        "tile/1/000.p/1",
        "tile/63/000",
        "tile/0/x001/000",
    ] {
        assert_eq!(tile(path), None, "{path}");
    }
}

impl World {
    fn tiles_of_open(&self) -> std::path::PathBuf {
        let log: TransparencyLog = self.open();
        log.directory().to_owned()
    }
}

fn flipped(good: &[u8]) -> Vec<u8> {
    let mut bad = good.to_vec();
    bad[4_000] ^= 1;
    bad
}

/// Whether the tiles are not those of the records, by reading all.
fn tile_damage(world: &World) -> bool {
    let mut scan = Scan::of(&*world.log);
    let mut tiles = TileCheck::of(Path::new(&world.tiles()));
    while scan.next(&mut |leaf| tiles.leaf(leaf)).unwrap().is_some() {}
    assert_eq!(tiles.checked(), 7);
    tiles.damage().is_some()
}
