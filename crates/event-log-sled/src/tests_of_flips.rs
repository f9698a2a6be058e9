//! Every bit of every stored value, flipped one at a time: found when the log is opened, or when it is
//! verified.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use event_log::conformance::record;
use event_log::{EventLog as _, NewRecord, verify};

use crate::open::{OpenError, log_directory, open_log};
use crate::sled_tree::{Entry, SledTree};
use crate::trial::Trial;
use crate::{SledLog, SledLogOptions};

/// In memory where that is possible: every flip is written, and most are read by another opening.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).expect("a directory")
    } else {
        tempfile::tempdir().expect("a directory")
    }
}

/// A log that was written in these groups, closed.
fn written(data: &Path, groups: &[&[NewRecord]]) -> PathBuf {
    let log = SledLog::open(data, &SledLogOptions::default()).expect("a new log");
    for group in groups {
        log.append(group).expect("the group is written");
    }
    log_directory(data)
}

fn entries(log: &Path) -> Vec<Entry> {
    let tree = SledTree::open(log).expect("the store opens");
    tree.piece(&[], &[u8::MAX; 12], usize::MAX)
        .expect("the store is read")
}

fn insert(log: &Path, key: &[u8], value: Vec<u8>) -> SledTree {
    let tree = SledTree::open(log).expect("the store opens");
    let mut batch = sled::Batch::default();
    batch.insert(key, value);
    tree.write(batch).expect("the value is written");
    tree
}

/// Whether an opening or a verification says that something is wrong.
fn is_found(log: &Path) -> bool {
    match open_log(log) {
        Err(
            OpenError::Damaged { .. } | OpenError::Settings { .. } | OpenError::OtherRoot { .. },
        ) => true,
        Err(error) => panic!("another reason: {error}"),
        Ok(opened) => {
            let trial = Trial::of(opened, Path::new("nowhere"));
            verify(&trial, &mut |_| ()).damage.is_some()
        }
    }
}

/// Flips the chosen bits of the values, and counts by kind of value how many were.
#[track_caller]
fn flip(log: &Path, of: impl Fn(&[u8]) -> bool) -> BTreeMap<char, usize> {
    let mut flips = BTreeMap::new();
    for (key, value) in entries(log).iter().filter(|(key, _)| of(key)) {
        for bit in 0..8 * value.len() {
            let mut flipped = value.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            drop(insert(log, key, flipped));
            let kind = char::from(key[0]);
            assert!(
                is_found(log),
                "bit {bit} of {} of the value of {kind} {key:?}",
                8 * value.len()
            );
            *flips.entry(kind).or_default() += 1;
        }
        drop(insert(log, key, value.clone()));
    }
    assert!(!is_found(log));
    flips
}

#[test]
fn every_flipped_bit_of_a_small_log_is_found() {
    let data = scratch();
    let one = [record(3, 4)];
    let two = [record(4, 30), record(5, 30)];
    let log = written(data.path(), &[&one, &two]);
    let flips = flip(&log, |_| true);
    // Blocks, what they hold, and with what the store was made.
    assert_eq!(flips.keys().collect::<String>(), "BIM");
    assert!(flips.values().sum::<usize>() > 2_500, "{flips:?}");
}

#[test]
fn every_flipped_bit_of_the_noted_edge_is_found() {
    let data = scratch();
    let groups: Vec<[NewRecord; 1]> = (0..260).map(|n| [record(n, 3)]).collect();
    let groups: Vec<&[NewRecord]> = groups.iter().map(<[NewRecord; 1]>::as_slice).collect();
    let log = written(data.path(), &groups);
    let flips = flip(&log, |key| key[0] == b'F');
    assert_eq!(flips.values().sum::<usize>(), 8 * 32);
}
