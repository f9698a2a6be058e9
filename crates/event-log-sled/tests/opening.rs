//! What opening accepts, finishes, and refuses; and that a refusal leaves everything as it was.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use event_log::conformance::{check, labels_of, record};
use event_log::{AppendError, EventLog as _, NewRecord};
use event_log_sled::{OpenError, SledLog, SledLogOptions, compact, doctor, rewrite_head};
use tempfile::TempDir;
use types::Position;

fn open(data: &Path) -> Result<SledLog, OpenError> {
    SledLog::open(data, &SledLogOptions::default())
}

fn records(range: std::ops::Range<u32>) -> Vec<NewRecord> {
    range.map(|number| record(number, 200)).collect()
}

/// A closed store with this many events, each in a commit of its own.
fn store(events: u32) -> TempDir {
    let data = tempfile::tempdir().expect("a file of the test can be used");
    append(data.path(), 0..events);
    data
}

#[track_caller]
fn append(data: &Path, range: std::ops::Range<u32>) {
    let log = open(data).expect("a file of the test can be used");
    for record in records(range) {
        log.append(&[record])
            .expect("a file of the test can be used");
    }
}

#[track_caller]
fn holds(data: &Path, events: u32) {
    let log = open(data).expect("a file of the test can be used");
    check(&log, &records(0..events));
    assert_eq!(
        log.stats().expect("a file of the test can be used").blobs,
        0
    );
}

/// Every file below, but for the lock, which holds no more than a process id.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next).expect("a file of the test can be used") {
            let path = entry.expect("a file of the test can be used").path();
            if path.is_dir() {
                waiting.push(path);
            } else if !path.ends_with("lock") {
                found.insert(
                    path.clone(),
                    fs::read(&path).expect("a file of the test can be used"),
                );
            }
        }
    }
    found
}

fn copy(from: &Path, to: &Path) {
    for (path, bytes) in files(from) {
        let path = to.join(
            path.strip_prefix(from)
                .expect("a file of the test can be used"),
        );
        fs::create_dir_all(path.parent().expect("a file of the test can be used"))
            .expect("a file of the test can be used");
        fs::write(path, bytes).expect("a file of the test can be used");
    }
}

/// A store that is damaged is refused as it lies.
#[track_caller]
fn refused(data: &Path) -> OpenError {
    let before = files(data);
    let refusal = open(data).err().expect("the store is refused");
    assert!(
        files(data) == before,
        "a refusal changed something: {refusal}"
    );
    refusal
}

/// A store that is whole, but not the one that it should be, may be opened by sled, which writes
/// down what it found; every record stays.
#[track_caller]
fn refused_whole(data: &Path) -> OpenError {
    let refusal = open(data).err().expect("the store is refused");
    let again = open(data).err().expect("the store is refused again");
    assert_eq!(refusal.to_string(), again.to_string());
    refusal
}

fn flip(path: &Path, places: impl IntoIterator<Item = usize>) {
    let mut bytes = fs::read(path).expect("a file of the test can be used");
    for place in places {
        bytes[place] ^= 0x55;
    }
    fs::write(path, bytes).expect("a file of the test can be used");
}

fn remove_snapshots(data: &Path) {
    for path in files(&data.join("log")).into_keys() {
        if path.to_string_lossy().contains("snap.") {
            fs::remove_file(path).expect("a file of the test can be used");
        }
    }
}

#[test]
fn a_second_open_is_refused_and_names_the_process() {
    let data = store(1);
    let first = open(data.path()).unwrap();
    let refusal = open(data.path()).err().unwrap().to_string();
    assert!(
        refusal.contains(&std::process::id().to_string()),
        "{refusal}"
    );
    drop(first);
    holds(data.path(), 1);
}

#[test]
fn a_store_with_other_settings_is_refused_by_name() {
    let data = store(3);
    {
        let config = sled::Config::new()
            .path(data.path().join("log"))
            .segment_size(2 * 1024 * 1024);
        config
            .open()
            .unwrap()
            .insert("Msettings", "format 9")
            .unwrap();
    }
    let refusal = refused_whole(data.path()).to_string();
    assert!(
        refusal.contains("format 9") && refusal.contains("format 2"),
        "{refusal}"
    );
}

#[test]
fn a_closed_log_is_read_and_not_written() {
    let data = store(3);
    let log = open(data.path()).unwrap();
    log.close().unwrap();
    assert_eq!(log.append(&records(3..4)), Err(AppendError::Poisoned));
    check(&log, &records(0..3));
}

#[test]
fn a_copy_made_while_the_store_is_open_opens() {
    let data = store(20);
    let log = open(data.path()).unwrap();
    log.append(&records(20..21)).unwrap();
    let taken = tempfile::tempdir().unwrap();
    copy(data.path(), taken.path());
    drop(log);
    holds(taken.path(), 21);
}

#[test]
fn a_creation_that_was_cut_off_is_done_again_or_finished() {
    let fresh = store(0);
    let whole = files(&fresh.path().join("log"));
    // How many of sled's files there are, whether they are whole, and whether the head file is.
    for (count, half, with_head) in [
        (None, false, false),
        (Some(0), false, false),
        (Some(1), false, false),
        (Some(usize::MAX), true, false),
        (Some(usize::MAX), false, false),
        (Some(usize::MAX), false, true),
    ] {
        let what = format!("{count:?} files, half {half}, head {with_head}");
        let data = tempfile::tempdir().unwrap();
        fs::write(data.path().join("creating"), "").unwrap();
        if let Some(count) = count {
            fs::create_dir(data.path().join("log")).unwrap();
            for (path, bytes) in whole.iter().take(count) {
                let length = if half { bytes.len() / 2 } else { bytes.len() };
                let name = path.file_name().unwrap();
                fs::write(data.path().join("log").join(name), &bytes[..length]).unwrap();
            }
        }
        if with_head {
            fs::copy(fresh.path().join("head"), data.path().join("head")).unwrap();
        }
        let begun = open(data.path()).expect(&what).head();
        assert_eq!(begun.position, Position::START, "{what}");
        append(data.path(), 0..5);
        holds(data.path(), 5);
        assert!(!data.path().join("creating").exists(), "{what}");
    }
}

#[test]
fn events_are_kept_even_beside_the_mark_of_a_creation() {
    let data = store(5);
    fs::write(data.path().join("creating"), "").unwrap();
    holds(data.path(), 5);
    fs::write(data.path().join("creating"), "").unwrap();
    fs::remove_file(data.path().join("head")).unwrap();
    assert!(matches!(refused(data.path()), OpenError::NoHead));
}

#[test]
fn a_log_without_its_head_file_is_never_begun_anew() {
    // Damage near the beginning makes sled take the log for an empty one.
    for damaged in [None, Some(20..400), Some(0..20), Some(3_000..3_100)] {
        let data = store(50);
        fs::remove_file(data.path().join("head")).unwrap();
        if let Some(places) = damaged {
            remove_snapshots(data.path());
            flip(&data.path().join("log/db"), places);
        }
        let refusal = refused(data.path());
        assert!(
            matches!(refusal, OpenError::NoHead | OpenError::Damaged { .. }),
            "{refusal}"
        );
    }
}

#[test]
fn a_head_file_that_cannot_be_trusted_is_rewritten_on_demand_and_kept() {
    let data = store(50);
    flip(&data.path().join("head"), [20, 4_096 + 20]);
    let damaged = fs::read(data.path().join("head")).unwrap();
    assert!(matches!(refused(data.path()), OpenError::NoHead));
    let found = doctor(data.path()).unwrap();
    assert!(found.refusal.is_some() && found.report.unwrap().damage.is_none());
    assert_eq!(rewrite_head(data.path()).unwrap().position, Position(50));
    assert_eq!(fs::read(data.path().join("aside/head.0")).unwrap(), damaged);
    holds(data.path(), 50);
}

#[test]
fn a_head_file_that_says_what_is_missing_is_believed() {
    let (data, shorter) = (store(50), store(20));
    fs::remove_dir_all(data.path().join("log")).unwrap();
    copy(&shorter.path().join("log"), &data.path().join("log"));
    assert!(matches!(
        refused_whole(data.path()),
        OpenError::Behind {
            found: Position(20),
            remembered: Position(50)
        },
    ));
    let before = files(data.path());
    assert!(matches!(
        rewrite_head(data.path()),
        Err(OpenError::Behind { .. })
    ));
    assert_eq!(files(data.path()), before);
    let report = doctor(data.path()).unwrap().report.unwrap();
    assert_eq!((report.events, report.damage), (20, None));
}

#[test]
fn another_log_of_the_same_length_is_refused() {
    let (data, other) = (store(20), tempfile::tempdir().unwrap());
    let log = open(other.path()).unwrap();
    for number in 0..20 {
        log.append(&[record(number + 1, 200)]).unwrap();
    }
    drop(log);
    fs::remove_dir_all(data.path().join("log")).unwrap();
    copy(&other.path().join("log"), &data.path().join("log"));
    assert!(matches!(
        refused_whole(data.path()),
        OpenError::OtherRoot {
            position: Position(20)
        }
    ));
}

#[test]
fn damage_is_refused_or_does_no_harm() {
    let sound = store(300);
    for round in 0..40_usize {
        let data = tempfile::tempdir().unwrap();
        copy(sound.path(), data.path());
        let db = data.path().join("log/db");
        let used = fs::read(&db)
            .unwrap()
            .iter()
            .rposition(|byte| *byte != 0)
            .unwrap();
        if round.is_multiple_of(2) {
            remove_snapshots(data.path());
        }
        if round.is_multiple_of(5) {
            fs::OpenOptions::new()
                .write(true)
                .open(&db)
                .unwrap()
                .set_len((used * round / 40) as u64)
                .unwrap();
        } else {
            flip(&db, [used * round / 40]);
        }
        let before = files(data.path());
        match open(data.path()) {
            Err(refusal) => {
                assert!(refusal.to_string().len() > 20, "round {round}");
                assert!(files(data.path()) == before, "round {round}: {refusal}");
                doctor(data.path()).expect("the doctor looks at anything");
            }
            Ok(log) => {
                assert_eq!(log.head().position, Position(300), "round {round}");
                let report = event_log::verify(&log, &mut |_| ());
                if report.damage.is_none() {
                    check(&log, &records(0..300));
                }
            }
        }
    }
}

#[test]
fn a_damaged_snapshot_is_moved_aside() {
    let data = store(300);
    let snapshot = files(&data.path().join("log")).into_keys();
    let snapshot = snapshot.filter(|path| path.to_string_lossy().contains("snap."));
    let snapshot: Vec<PathBuf> = snapshot.collect();
    assert!(
        !snapshot.is_empty(),
        "sled leaves a snapshot when it is closed"
    );
    flip(&snapshot[0], [10]);
    holds(data.path(), 300);
    assert!(data.path().join("aside").is_dir());
}

#[test]
fn compacting_after_a_power_cut_leaves_a_log_that_opens() {
    let data = store(50);
    // The head file may be behind the log by what was written since its last sync.
    let stale = fs::read(data.path().join("head")).unwrap();
    append(data.path(), 50..60);
    fs::write(data.path().join("head"), &stale).unwrap();
    assert_eq!(
        compact(data.path(), labels_of, &mut |_| ()).unwrap().events,
        60
    );
    holds(data.path(), 60);
    // Even where the head file falls behind once more, and its position lies within a block now.
    fs::write(data.path().join("head"), &stale).unwrap();
    holds(data.path(), 60);
}

#[test]
fn a_compaction_that_was_cut_off_leaves_the_log_whole() {
    let sound = store(60);
    let compacted = tempfile::tempdir().unwrap();
    copy(sound.path(), compacted.path());
    compact(compacted.path(), labels_of, &mut |_| ()).unwrap();
    let (old, new) = (sound.path().join("log"), compacted.path().join("log"));
    let states: [&[(&str, &Path)]; 5] = [
        &[("log", &old), ("log.compact/log", &new)],
        &[("log", &old), ("log.compacted", &new)],
        &[("log.old", &old), ("log.compacted", &new)],
        &[("log.old", &old), ("log", &new)],
        &[("log.old", &old)],
    ];
    for state in states {
        let data = tempfile::tempdir().unwrap();
        fs::copy(sound.path().join("head"), data.path().join("head")).unwrap();
        for (name, from) in state {
            copy(from, &data.path().join(name));
        }
        holds(data.path(), 60);
        for gone in ["log.old", "log.compact", "log.compacted"] {
            assert!(!data.path().join(gone).exists(), "{gone} after {state:?}");
        }
    }
}
