mod store;

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

use crate::survey::message::checksum;
use crate::survey::segment::LSN_MASK;
use crate::survey::tests::store::{Random, Store, open};
use crate::survey::{Finding, Oddity, Survey, survey};

const SEGMENT_SIZE: u64 = 2 * 1024 * 1024;
const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

#[track_caller]
fn assert_clean(survey: &Survey) {
    assert!(survey.is_clean(), "{:?}", survey.findings);
}

#[test]
fn a_closed_store_is_clean() {
    let mut store = Store::new(1);
    for bytes in [0, 1, 5 * MIB, 0, 5 * MIB, 1] {
        store.session(bytes);
        let survey = store.survey();
        assert_clean(&survey);
        assert!(survey.bytes_read >= store.length());
        assert_eq!(survey.blobs, 0);
    }
    store.until_used_again();
    assert_clean(&store.survey());
}

#[test]
fn a_store_that_is_copied_while_it_is_open_is_clean() {
    let mut store = Store::new(2);
    store.session(3 * MIB);
    let db = open(store.path());
    for _ in 0..8 {
        store.write(&db, MIB);
        // A copy is not of one instant, and sled has a thread of its own.
        let is_clean = (0..3).any(|_| {
            let copy = store.copy();
            let survey = survey(copy.path(), SEGMENT_SIZE, store.length()).unwrap();
            survey.is_clean()
        });
        assert!(is_clean);
    }
}

#[test]
fn a_flipped_bit_is_found_or_does_no_harm() {
    for (seed, used_again) in [(3, false), (4, true)] {
        let mut store = Store::new(seed);
        store.session(4 * MIB);
        if used_again {
            store.until_used_again();
        } else {
            store.session(2 * MIB);
        }
        assert_clean(&store.survey());
        let (end, _) = store.log_end();
        let mut random = Random(seed);
        for round in 0..240 {
            let offset = match round % 4 {
                0 | 1 => random.below(store.length()),
                // The last message has nothing behind it that could tell.
                2 => end - 1 - random.below(100),
                _ => random.below(store.length()) / SEGMENT_SIZE * SEGMENT_SIZE + random.below(60),
            };
            let bit = random.below(8);
            store.with_damage("db", offset, |bytes| bytes[0] ^= 1 << bit, 1);
        }
    }
}

#[test]
fn a_flipped_bit_in_the_small_files_is_found() {
    let mut store = Store::new(5);
    store.session(100 * KIB);
    store.session(0);
    let names = fs::read_dir(store.path())
        .unwrap()
        .map(|it| it.unwrap().file_name());
    let names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    let snapshot = names.iter().find(|name| name.starts_with("snap.")).unwrap();
    for name in ["conf", snapshot] {
        let path = store.path().join(name);
        let before = fs::read(&path).unwrap();
        for at in 0..before.len().min(200) {
            // From the end, where checksum and length are.
            let at = before.len() - 1 - at;
            let mut after = before.clone();
            after[at] ^= 1 << (at % 8);
            fs::write(&path, after).unwrap();
            assert!(!store.survey().is_clean(), "{name} at {at}");
        }
        fs::write(&path, before).unwrap();
    }
    assert_clean(&store.survey());
}

#[test]
fn zeroed_sectors_and_segments_are_found_or_do_no_harm() {
    let mut store = Store::new(6);
    store.session(5 * MIB);
    store.session(2 * MIB);
    store.until_used_again();
    let (end, _) = store.log_end();
    let mut random = Random(6);
    for round in 0..120 {
        let sector = if round % 4 == 0 { 4096 } else { 512 };
        let offset = match round % 3 {
            0 => end.saturating_sub(random.below(32 * KIB)),
            _ => random.below(store.length()),
        };
        let offset = offset / sector * sector;
        store.with_damage(
            "db",
            offset,
            |bytes| bytes.fill(0),
            usize::try_from(sector).unwrap(),
        );
    }
    for index in 0..store.length().div_ceil(SEGMENT_SIZE) {
        let count = usize::try_from(SEGMENT_SIZE).unwrap();
        store.with_damage("db", index * SEGMENT_SIZE, |bytes| bytes.fill(0), count);
    }
    assert_clean(&store.survey());
}

#[test]
fn a_cut_or_missing_file_is_found() {
    let mut store = Store::new(7);
    store.session(5 * MIB);
    let length = store.length();
    let file = OpenOptions::new()
        .write(true)
        .open(store.path().join("db"))
        .unwrap();
    for part in (0..20).rev() {
        let cut = length * part / 20 + store.random.below(10 * KIB);
        file.set_len(cut).unwrap();
        let found = survey(store.path(), SEGMENT_SIZE, length).unwrap();
        assert!(!found.is_clean(), "cut to {cut} bytes");
        // Only where a message ends does the log itself not show it.
        let found = survey(store.path(), SEGMENT_SIZE, 0).unwrap();
        assert!(
            !found.is_clean(),
            "cut to {cut} bytes, with no length known"
        );
    }
    for name in ["db", "conf"] {
        fs::remove_file(store.path().join(name)).unwrap();
        let survey = survey(store.path(), SEGMENT_SIZE, 0).unwrap();
        let is_missing = |finding: &Finding| {
            finding.file == Path::new(name) && matches!(finding.what, Oddity::Missing)
        };
        assert!(survey.findings.iter().any(is_missing));
    }
}

#[test]
fn what_is_behind_the_last_commit_was_never_acknowledged() {
    let mut store = Store::new(8);
    store.session(MIB);
    let length = store.length();
    let file = OpenOptions::new()
        .append(true)
        .open(store.path().join("db"))
        .unwrap();
    io::Write::write_all(&mut &file, &[7; 100]).unwrap();
    assert_clean(&survey(store.path(), SEGMENT_SIZE, length).unwrap());
    assert!(
        !survey(store.path(), SEGMENT_SIZE, length + 100)
            .unwrap()
            .is_clean()
    );
}

#[test]
fn a_file_beside_the_log_is_found() {
    let mut store = Store::new(9);
    store.session(1);
    fs::write(store.path().join("blobs/17"), b"page").unwrap();
    let survey = store.survey();
    assert_eq!(survey.blobs, 1);
    assert!(matches!(survey.findings[0].what, Oddity::Blob));
    assert_eq!(survey.findings[0].file, Path::new("blobs/17"));
}

/// Small segments hold all that large ones do, and it takes less time to spoil them.
#[test]
fn no_bytes_make_it_panic() {
    let seed = 10;
    println!("seed {seed}");
    let mut random = Random(seed);
    let directory = tempfile::tempdir().unwrap();
    let (path, snapshot) = (directory.path(), directory.path().join("snap.0"));
    for _ in 0..300 {
        let segment_size = 256 << random.below(4);
        let mut db = Vec::new();
        for index in 0..random.below(6) {
            db.extend(segment(&mut random, index, segment_size));
        }
        db.truncate(db.len() - usize::try_from(random.below(db.len() as u64 + 1) / 4).unwrap());
        fs::write(path.join("db"), db).unwrap();
        let table = [
            [u8::from(random.below(2) == 0); 8].to_vec(),
            random.bytes(40),
        ]
        .concat();
        let length = (table.len() as u64).to_le_bytes();
        let checksum = crc32fast::hash(&table).to_le_bytes();
        fs::write(&snapshot, [&table, &length[..], &checksum[..]].concat()).unwrap();
        survey(path, segment_size, random.below(2000)).unwrap();
    }
    assert!(survey(path, 0, 0).is_err());
}

/// A segment with a right header and messages whose checksums are right, and nonsense else.
fn segment(random: &mut Random, index: u64, segment_size: u64) -> Vec<u8> {
    let lsn = (index + random.below(3)) * segment_size;
    let number = u8::try_from(lsn / segment_size).unwrap();
    let stable = if random.below(4) == 0 {
        random.next()
    } else {
        random.below(2000)
    };
    let lsns = [lsn, stable].map(|it| (it.cast_signed() ^ LSN_MASK).to_le_bytes());
    let mut bytes = (!crc32fast::hash(&lsns.concat())).to_le_bytes().to_vec();
    bytes.extend(lsns.concat());
    for _ in 0..random.below(8) {
        let body_bytes = random.below(40);
        let head = [
            random.next().to_le_bytes()[0] % 13,
            body_bytes.to_le_bytes()[0],
            number,
            3,
        ];
        let body = random.bytes(body_bytes);
        let checksum = checksum(&[&[0; 4], &head[..]].concat(), &body);
        bytes.extend([&checksum.to_le_bytes(), &head[..], &body].concat());
    }
    if random.below(2) == 0 {
        bytes.extend(random.bytes(segment_size));
    }
    bytes.resize(usize::try_from(segment_size).unwrap(), 0);
    bytes
}
