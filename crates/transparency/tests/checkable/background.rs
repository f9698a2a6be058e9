use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use proofs::Checkpoint;
use transparency::{Background, Options, TransparencyLog};

use crate::world::{World, check_inclusion, files, trusted};

fn published(log: &TransparencyLog) -> u64 {
    let note = fs::read(log.directory().join("checkpoint")).unwrap();
    let checkpoint = Checkpoint::open(&note, &trusted(log)).unwrap();
    checkpoint.head.size
}

#[test]
fn checkpoints_follow_the_log_by_themselves_and_the_last_one_is_of_its_end() {
    let mut world = World::with(300);
    let anchors = vec![world.path("anchor")];
    let options = Options {
        anchors,
        ..world.options()
    };
    let log = Arc::new(world.open_with(&options).unwrap());
    let background = Background::start(Arc::clone(&log)).unwrap();
    for _ in 0..2 {
        world.write(300);
        let head = world.log.head().position.0;
        while published(&log) < head {
            thread::yield_now();
        }
    }
    world.write(1);
    background.stop();
    assert_eq!(published(&log), 901);
    let anchor = fs::read(world.path("anchor")).unwrap();
    let own = fs::read(log.directory().join("checkpoint")).unwrap();
    assert_eq!(anchor, own);
}

#[test]
fn the_scrubber_finds_a_damaged_tile_that_a_start_need_not_read() {
    let world = World::with(66_000);
    let before = files(&world.open_directory());
    // Under a tile of the second level that is full, and so not at the edge.
    let tile = world.tiles().join("tile/0/100");
    let mut bad = fs::read(&tile).unwrap();
    bad[77] ^= 16;
    fs::write(&tile, bad).unwrap();
    let log = Arc::new(world.open());
    assert_eq!(log.status().tiles_rebuilt, 0);
    let background = Background::start(Arc::clone(&log)).unwrap();
    while log.status().tiles_rebuilt == 0 {
        thread::yield_now();
    }
    background.stop();
    assert!(files(&world.tiles()) == before);
    assert_eq!((log.status().scrubs, log.status().damage), (1, 0));
}

impl World {
    fn open_directory(&self) -> std::path::PathBuf {
        self.open().directory().to_owned()
    }
}

#[test]
fn everybody_is_given_good_proofs_while_the_log_grows() {
    let mut world = World::with(200);
    let log = Arc::new(world.open());
    let background = Background::start(Arc::clone(&log)).unwrap();
    let done = AtomicBool::new(false);
    let proofs = AtomicU64::new(0);
    thread::scope(|scope| {
        for reader in 0..3_u64 {
            let (log, done, proofs) = (&log, &done, &proofs);
            scope.spawn(move || {
                let mut kept: Option<Checkpoint> = None;
                for n in reader.. {
                    if done.load(Ordering::Relaxed) {
                        return;
                    }
                    let note = log.checkpoint().unwrap();
                    let checkpoint = Checkpoint::open(note.as_bytes(), &trusted(log)).unwrap();
                    let size = checkpoint.head.size;
                    check_inclusion(log, n * 7_919 % size + 1, Some(size));
                    if let Some(old) = kept.replace(checkpoint) {
                        let proof = log.consistency(old.head.size, Some(size)).unwrap();
                        proof.verify(&old.head, &trusted(log)).unwrap();
                    }
                    proofs.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..60 {
            world.write(97);
            let before = proofs.load(Ordering::Relaxed);
            while proofs.load(Ordering::Relaxed) < before + 3 {
                thread::yield_now();
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    background.stop();
    assert_eq!(published(&log), 200 + 60 * 97);
    assert_eq!(log.status().tiles_rebuilt, 0);
}
