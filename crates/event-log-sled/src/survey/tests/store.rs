//! A store of sled's to spoil, and random numbers to fill it with.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use tempfile::TempDir;

use crate::survey::segment::{Content, Layout, read_segments};
use crate::survey::tests::{KIB, SEGMENT_SIZE};
use crate::survey::{Survey, survey};

/// splitmix64: the same numbers for the same seed, and nothing more is asked of it.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        it ^ (it >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(super) fn bytes(&mut self, count: u64) -> Vec<u8> {
        let words = (0..count.div_ceil(8)).flat_map(|_| self.next().to_le_bytes());
        words.take(usize::try_from(count).unwrap()).collect()
    }
}

/// A store of sled's, and what was written to it.
pub(super) struct Store {
    directory: TempDir,
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) random: Random,
    next: u64,
}

impl Store {
    pub(super) fn new(seed: u64) -> Self {
        println!("seed {seed}");
        Self {
            directory: tempfile::tempdir().unwrap(),
            values: BTreeMap::new(),
            random: Random(seed),
            next: 1,
        }
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Opens, writes batches that are each flushed, and closes.
    pub(super) fn session(&mut self, bytes: u64) {
        let db = open(self.path());
        self.write(&db, bytes);
    }

    pub(super) fn write(&mut self, db: &sled::Db, bytes: u64) {
        let mut written = 0;
        while written < bytes {
            let mut batch = sled::Batch::default();
            for _ in 0..=self.random.below(6) {
                let size = match self.random.below(3) {
                    0 => 100 + self.random.below(24 * KIB - 100),
                    _ => 100 + self.random.below(2 * KIB),
                };
                for (prefix, size) in [(b'B', size), (b'I', 60)] {
                    let key = [&[prefix], self.next.to_be_bytes().as_slice()].concat();
                    let value = self.random.bytes(size);
                    batch.insert(&*key, &*value);
                    self.values.insert(key, value);
                    written += size;
                }
                self.next += 1;
            }
            db.apply_batch(batch).unwrap();
            db.flush().unwrap();
        }
    }

    pub(super) fn length(&self) -> u64 {
        fs::metadata(self.path().join("db")).unwrap().len()
    }

    pub(super) fn survey(&self) -> Survey {
        survey(self.path(), SEGMENT_SIZE, self.length()).unwrap()
    }

    /// Where the log ends, and whether its newest segment was used before.
    pub(super) fn log_end(&self) -> (u64, bool) {
        let layout = Layout {
            segment_size: SEGMENT_SIZE,
            segment_bytes: usize::try_from(SEGMENT_SIZE).unwrap(),
        };
        let file = File::open(self.path().join("db")).unwrap();
        let (contents, _) = read_segments(&file, self.length(), layout).unwrap();
        let lives = (0..)
            .zip(&contents)
            .filter_map(|(index, content)| match content {
                Content::Life(life) => Some((index, life)),
                Content::Zeros | Content::Unreadable => None,
            });
        let (index, newest) = lives.max_by_key(|(_, life)| life.lsn).unwrap();
        let offset = index * SEGMENT_SIZE;
        (offset + newest.end as u64, newest.lsn > offset)
    }

    /// Writes until the newest segment has remains of an earlier life behind the log's end.
    pub(super) fn until_used_again(&mut self) {
        let db = open(self.path());
        for _ in 0..400 {
            self.write(&db, 100 * KIB);
            if let (end, true) = self.log_end()
                && self.next_byte_at(end) != [0; 64]
                && end % SEGMENT_SIZE > 256 * KIB
            {
                return;
            }
        }
        panic!("no segment was used again");
    }

    fn next_byte_at(&self, offset: u64) -> [u8; 64] {
        let mut bytes = [0; 64];
        let file = File::open(self.path().join("db")).unwrap();
        let _ = file.read_at(&mut bytes, offset).unwrap();
        bytes
    }

    /// Changes some bytes of a file, looks, and changes them back.
    #[track_caller]
    pub(super) fn with_damage(
        &self,
        name: &str,
        offset: u64,
        damage: impl Fn(&mut [u8]),
        count: usize,
    ) {
        let path = self.path().join(name);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .unwrap();
        let mut before = vec![0; count];
        let count = file.read_at(&mut before, offset).unwrap();
        before.truncate(count);
        let mut after = before.clone();
        damage(&mut after);
        file.write_all_at(&after, offset).unwrap();
        let survey = self.survey();
        if after != before && survey.is_clean() {
            println!("no finding for {name} at {offset}");
            assert!(self.is_whole(), "missed: {name} at {offset}");
        }
        file.write_all_at(&before, offset).unwrap();
    }

    /// Whether sled, on a copy, still has every value.
    fn is_whole(&self) -> bool {
        let copy = self.copy();
        let values = std::panic::catch_unwind(|| {
            let db = open(copy.path());
            let entries = db.iter().map(Result::unwrap);
            let entries = entries.map(|(key, value)| (key.to_vec(), value.to_vec()));
            entries.collect::<BTreeMap<_, _>>()
        });
        values.is_ok_and(|values| values == self.values)
    }

    /// What a killed process would leave behind.
    pub(super) fn copy(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        fs::create_dir(copy.path().join("blobs")).unwrap();
        for entry in fs::read_dir(self.path()).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
            }
        }
        copy
    }
}

pub(super) fn open(directory: &Path) -> sled::Db {
    let config = sled::Config::new().path(directory);
    let config = config.segment_size(usize::try_from(SEGMENT_SIZE).unwrap());
    config.flush_every_ms(Some(500)).open().unwrap()
}
