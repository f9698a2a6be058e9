//! The states that a power cut may leave, built from a recording.
//!
//! What the model grants: a write that was over before a finished `fsync` or `fdatasync` of its
//! file began, and a name whose directory was synced likewise. Everything else is left to chance.
//!
//! A disk holds, of each 512-byte sector, what the page cache held of it at some time since it was
//! last synced, so a state chooses one of the versions that each sector went through. Dropped,
//! torn and reordered writes are such choices; mixtures that no disk could show are not.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::PathBuf;

use crate::random::Random;
use crate::recording::{Deed, Name, Node, NodeId, Operation, ROOT, Recording};
use crate::trace::Moment;
use crate::tree::{Entry, Tree};

const SECTOR_BYTES: usize = 512;

/// Everything done, nothing lost: what the process itself saw at the end.
pub(crate) fn complete(recording: &Recording) -> Tree {
    let mut contents: HashMap<NodeId, Vec<u8>> = HashMap::new();
    let mut names = recording.names.clone();
    for operation in &recording.operations {
        apply_name(&mut names, &operation.deed);
        let file = operation.deed.node();
        if let Node::File(initial) = &recording.nodes[file] {
            let content = contents.entry(file).or_insert_with(|| initial.clone());
            operation.deed.apply_to(content);
        }
    }
    assemble(recording, &names, |node, initial| {
        contents
            .get(&node)
            .cloned()
            .unwrap_or_else(|| initial.to_vec())
    })
}

/// One of the states that a power cut at `cut` may leave.
pub(crate) fn after_power_cut(recording: &Recording, cut: Moment, random: &mut Random) -> Tree {
    let begun: Vec<&Operation> = recording
        .operations
        .iter()
        .filter(|operation| operation.entered <= cut)
        .collect();
    // When the latest sync of each node that was over at the cut had begun.
    let mut synced: HashMap<NodeId, Moment> = HashMap::new();
    for operation in &begun {
        if let Deed::Sync { node } = operation.deed
            && operation.left.is_some_and(|left| left <= cut)
        {
            let latest = synced.entry(node).or_default();
            *latest = operation.entered.max(*latest);
        }
    }
    let names = surviving_names(recording, &begun, &synced, random);
    let mut by_file: HashMap<NodeId, Vec<&Operation>> = HashMap::new();
    for operation in &begun {
        if matches!(operation.deed, Deed::Write { .. } | Deed::Resize { .. }) {
            by_file
                .entry(operation.deed.node())
                .or_default()
                .push(operation);
        }
    }
    assemble(recording, &names, |node, initial| {
        let operations = by_file.get(&node).map_or(&[][..], Vec::as_slice);
        surviving_content(initial, operations, synced.get(&node).copied(), random)
    })
}

fn surviving_names(
    recording: &Recording,
    begun: &[&Operation],
    synced: &HashMap<NodeId, Moment>,
    random: &mut Random,
) -> HashMap<Name, NodeId> {
    let is_durable = |operation: &Operation, directory: NodeId| {
        let sync = synced.get(&directory);
        sync.is_some_and(|sync| operation.left.is_some_and(|left| left < *sync))
    };
    let changes: Vec<(&Deed, bool)> = begun
        .iter()
        .filter_map(|operation| {
            let durable = match &operation.deed {
                Deed::Link { name, .. } | Deed::Unlink { name, .. } => {
                    is_durable(operation, name.directory)
                }
                Deed::Rename { from, to, .. } => {
                    is_durable(operation, from.directory) && is_durable(operation, to.directory)
                }
                Deed::Write { .. } | Deed::Resize { .. } | Deed::Sync { .. } => return None,
            };
            Some((&operation.deed, durable))
        })
        .collect();
    // A journal commits names in order; a file system without one in any.
    let in_order = random.percent(50);
    let kept_in_order = random.below(changes.iter().filter(|(_, durable)| !durable).count() + 1);
    let mut names = recording.names.clone();
    let mut pending = 0;
    for (deed, durable) in changes {
        let kept = durable
            || if in_order {
                pending < kept_in_order
            } else {
                random.percent(50)
            };
        pending += usize::from(!durable);
        if kept {
            apply_name(&mut names, deed);
        }
    }
    names
}

/// How a file's unsynced writes fare. One fate for a whole file is as likely as a mixture, because
/// both a lazy disk and a busy one are.
#[derive(Clone, Copy)]
enum Fate {
    AllDropped,
    AllKept,
    /// The first so many are kept.
    FirstKept(usize),
    /// The last so many are kept, those before them are not: the disk reordered.
    LastKept(usize),
    /// Each write is dropped, kept or torn.
    Mixed,
}

fn surviving_content(
    initial: &[u8],
    operations: &[&Operation],
    synced: Option<Moment>,
    random: &mut Random,
) -> Vec<u8> {
    let (durable, pending): (Vec<&Operation>, Vec<&Operation>) =
        operations.iter().partition(|operation| {
            synced.is_some_and(|sync| operation.left.is_some_and(|left| left < sync))
        });
    let mut live = initial.to_vec();
    for operation in durable {
        operation.deed.apply_to(&mut live);
    }
    if pending.is_empty() {
        return live;
    }
    let mut disk = live.clone();
    let mut lengths = vec![live.len()];
    let fate = match random.below(8) {
        0 => Fate::AllDropped,
        1 => Fate::AllKept,
        2 | 3 => Fate::FirstKept(random.below(pending.len() + 1)),
        4 | 5 => Fate::LastKept(random.below(pending.len() + 1)),
        _ => Fate::Mixed,
    };
    for (number, operation) in pending.iter().enumerate() {
        operation.deed.apply_to(&mut live);
        lengths.push(live.len());
        let kept_percent = match fate {
            Fate::AllDropped => 0,
            Fate::AllKept => 100,
            Fate::FirstKept(count) => {
                if number < count {
                    100
                } else {
                    0
                }
            }
            Fate::LastKept(count) => {
                if number + count >= pending.len() {
                    100
                } else {
                    0
                }
            }
            Fate::Mixed => *random.pick(&[0, 100, 50]),
        };
        // A call that was not over may have been anywhere within.
        let kept_percent = if operation.left.is_none() {
            kept_percent.min(50)
        } else {
            kept_percent
        };
        match &operation.deed {
            Deed::Write { start, data, .. } => {
                for sector in sectors(*start, data.len()) {
                    if random.percent(kept_percent) {
                        let range = sector.start..sector.end.min(live.len());
                        if disk.len() < range.end {
                            disk.resize(range.end, 0);
                        }
                        disk[range.clone()].copy_from_slice(&live[range]);
                    }
                }
            }
            Deed::Resize { length, .. } => {
                if random.percent(kept_percent) {
                    disk.resize(*length, 0);
                }
            }
            Deed::Link { .. } | Deed::Rename { .. } | Deed::Unlink { .. } | Deed::Sync { .. } => {}
        }
    }
    // The length is written by itself, so it may be any that the file had, or one in between.
    match fate {
        Fate::AllDropped => disk.resize(lengths[0], 0),
        Fate::AllKept => disk.resize(live.len(), 0),
        Fate::FirstKept(_) | Fate::LastKept(_) | Fate::Mixed => match random.below(4) {
            0 => disk.resize(*random.pick(&lengths), 0),
            1 => disk.resize(live.len(), 0),
            2 if live.len() > lengths[0] => {
                let between = random.between(lengths[0], live.len());
                let at_sector = (between / SECTOR_BYTES * SECTOR_BYTES).max(lengths[0]);
                disk.resize(at_sector, 0);
            }
            _ => {}
        },
    }
    disk
}

fn sectors(start: usize, length: usize) -> impl Iterator<Item = Range<usize>> {
    let last = (start + length).div_ceil(SECTOR_BYTES);
    (start / SECTOR_BYTES..last).map(|number| number * SECTOR_BYTES..(number + 1) * SECTOR_BYTES)
}

fn apply_name(names: &mut HashMap<Name, NodeId>, deed: &Deed) {
    match deed {
        Deed::Link { name, node } => {
            names.insert(name.clone(), *node);
        }
        Deed::Rename { from, to, node } => {
            if names.get(from) == Some(node) {
                names.remove(from);
            }
            names.insert(to.clone(), *node);
        }
        Deed::Unlink { name, node } => {
            if names.get(name) == Some(node) {
                names.remove(name);
            }
        }
        Deed::Write { .. } | Deed::Resize { .. } | Deed::Sync { .. } => {}
    }
}

/// The tree that `names` span; what no name leads to is gone.
fn assemble(
    recording: &Recording,
    names: &HashMap<Name, NodeId>,
    mut content: impl FnMut(NodeId, &[u8]) -> Vec<u8>,
) -> Tree {
    let mut children: HashMap<NodeId, Vec<(&str, NodeId)>> = HashMap::new();
    for (name, node) in names {
        children
            .entry(name.directory)
            .or_default()
            .push((&name.text, *node));
    }
    for entries in children.values_mut() {
        // A map has no order, and a seed must give the same state again.
        entries.sort_unstable();
    }
    let mut tree = Tree::default();
    let mut seen = HashSet::new();
    let mut waiting = vec![(PathBuf::new(), ROOT)];
    while let Some((path, directory)) = waiting.pop() {
        for (text, node) in children.get(&directory).map_or(&[][..], Vec::as_slice) {
            let path = path.join(text);
            match &recording.nodes[*node] {
                Node::Directory => {
                    if seen.insert(*node) {
                        tree.entries.insert(path.clone(), Entry::Directory);
                        waiting.push((path, *node));
                    }
                }
                Node::File(initial) => {
                    tree.entries
                        .insert(path, Entry::File(content(*node, initial)));
                }
            }
        }
    }
    tree
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::trace::Trace;

    fn recorded(lines: &str) -> Recording {
        let trace = Trace::parse(lines).unwrap();
        let mut before = Tree::default();
        before
            .entries
            .insert("old".into(), Entry::File(b"....".to_vec()));
        Recording::from_trace(&trace, Path::new("/"), &before).unwrap()
    }

    /// Every state that 400 tries find for a cut after everything, as (name, content) pairs.
    fn states(recording: &Recording) -> HashSet<Vec<(String, Vec<u8>)>> {
        let mut random = Random::new(1);
        let try_once = |_| {
            let tree = after_power_cut(recording, recording.end, &mut random);
            let files = tree
                .files()
                .map(|(path, content)| (path.display().to_string(), content.to_vec()));
            files.collect()
        };
        (0..400).map(try_once).collect()
    }

    fn contents(recording: &Recording, name: &str) -> HashSet<Option<Vec<u8>>> {
        let found = states(recording).into_iter().map(|state| {
            state
                .into_iter()
                .find(|(other, _)| other == name)
                .map(|(_, content)| content)
        });
        found.collect()
    }

    // `/old` and `/new` in the notation of strace -xx.
    const OPEN_OLD: &str = "1 openat(AT_FDCWD, \"\\x2f\\x6f\\x6c\\x64\", O_RDWR) = 3\n";
    const CREATE_NEW: &str =
        "1 openat(AT_FDCWD, \"\\x2f\\x6e\\x65\\x77\", O_RDWR|O_CREAT, 0666) = 3\n";
    const RENAME_NEW: &str = "1 rename(\"\\x2f\\x6e\\x65\\x77\", \"\\x2f\\x6f\\x6c\\x64\") = 0\n";
    const WRITE_A: &str = "1 pwrite64(3, \"\\x41\", 1, 0) = 1\n";
    const SYNC: &str = "1 fdatasync(3) = 0\n";
    const SYNC_ROOT: &str = "1 openat(AT_FDCWD, \"\\x2f\", O_RDONLY) = 4\n1 fsync(4) = 0\n";

    #[test]
    fn a_synced_write_survives_and_an_unsynced_one_may_not() {
        let synced = recorded(&format!("{OPEN_OLD}{WRITE_A}{SYNC}"));
        assert_eq!(
            contents(&synced, "old"),
            HashSet::from([Some(b"A...".to_vec())])
        );
        let unsynced = recorded(&format!("{OPEN_OLD}{SYNC}{WRITE_A}"));
        assert_eq!(
            contents(&unsynced, "old"),
            HashSet::from([Some(b"A...".to_vec()), Some(b"....".to_vec())])
        );
    }

    #[test]
    fn a_write_during_a_sync_is_not_covered_by_it() {
        let overlapping = format!(
            "{OPEN_OLD}1 fdatasync(3 <unfinished ...>\n2 pwrite64(3, \"\\x41\", 1, 0) = 1\n\
             1 <... fdatasync resumed>) = 0\n"
        );
        assert_eq!(contents(&recorded(&overlapping), "old").len(), 2);
    }

    #[test]
    fn an_injected_sync_and_a_sync_of_a_range_keep_nothing() {
        for sync in [
            "1 fdatasync(3) = 0 (INJECTED)\n",
            "1 sync_file_range(3, 0, 0, 7) = 0\n",
        ] {
            let skipped = recorded(&format!("{OPEN_OLD}{WRITE_A}{sync}"));
            assert_eq!(contents(&skipped, "old").len(), 2);
        }
    }

    #[test]
    fn a_new_name_survives_only_with_its_directory() {
        let unsynced = recorded(&format!("{CREATE_NEW}{WRITE_A}{SYNC}"));
        assert_eq!(
            contents(&unsynced, "new"),
            HashSet::from([None, Some(b"A".to_vec())])
        );
        let synced = recorded(&format!("{CREATE_NEW}{WRITE_A}{SYNC}{SYNC_ROOT}"));
        assert_eq!(
            contents(&synced, "new"),
            HashSet::from([Some(b"A".to_vec())])
        );
    }

    #[test]
    fn a_rename_without_a_sync_of_its_directory_shows_either_file_whole() {
        let renamed = recorded(&format!("{CREATE_NEW}{WRITE_A}{SYNC}{RENAME_NEW}"));
        assert_eq!(
            contents(&renamed, "old"),
            HashSet::from([Some(b"....".to_vec()), Some(b"A".to_vec())])
        );
    }

    #[test]
    fn a_long_write_can_be_torn_at_sectors() {
        let data = "\\x41".repeat(1024);
        let write = format!("1 pwrite64(3, \"{data}\", 1024, 0) = 1024\n");
        let found = contents(&recorded(&format!("{OPEN_OLD}{write}")), "old");
        let torn = [vec![0; 512], vec![0x41; 512]].concat();
        let mut torn_over_old = torn;
        torn_over_old[..4].copy_from_slice(b"....");
        assert!(found.contains(&Some(torn_over_old)));
    }
}
