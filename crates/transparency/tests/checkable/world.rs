use std::path::{Path, PathBuf};
use std::sync::Arc;

use event_log::conformance::record;
use event_log::{EventLog, MemoryLog};
use proofs::{InclusionProof, TrustedKey, leaf_hash};
use transparency::{OpenError, Options, TransparencyLog};
use types::Position;

/// A log in memory, and a data directory.
pub(crate) struct World {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) data: tempfile::TempDir,
    written: u32,
}

impl World {
    pub(crate) fn with(records: u32) -> Self {
        let mut world = Self {
            log: Arc::new(MemoryLog::default()),
            data: tempfile::tempdir().unwrap(),
            written: 0,
        };
        world.write(records);
        world
    }

    pub(crate) fn write(&mut self, records: u32) {
        self.write_as(records, 0);
    }

    /// Records of which the bytes depend on `kind`.
    pub(crate) fn write_as(&mut self, records: u32, kind: usize) {
        let numbers: Vec<u32> = (self.written..self.written + records).collect();
        for group in numbers.chunks(500) {
            let group: Vec<_> = group.iter().map(|n| record(*n, 5 + kind)).collect();
            self.log.append(&group).unwrap();
        }
        self.written += records;
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.data.path().join(name)
    }

    pub(crate) fn tiles(&self) -> PathBuf {
        self.path("tiles")
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            data_dir: self.data.path().to_owned(),
            ..Options::default()
        }
    }

    pub(crate) fn open(&self) -> TransparencyLog {
        self.open_with(&self.options()).unwrap()
    }

    pub(crate) fn open_with(&self, options: &Options) -> Result<TransparencyLog, OpenError> {
        TransparencyLog::open(Arc::clone(&self.log), options)
    }
}

pub(crate) fn trusted(log: &TransparencyLog) -> Vec<TrustedKey> {
    log.keys().history().all()
}

/// Asks for a proof, and checks it as somebody would who has nothing but the key.
#[track_caller]
pub(crate) fn check_inclusion(log: &TransparencyLog, position: u64, size: Option<u64>) {
    let text = log.inclusion(Position(position), size).unwrap().to_string();
    let proof = InclusionProof::parse(&text).unwrap();
    let leaf = leaf_hash(&log.record(Position(position)).unwrap());
    let checkpoint = proof.verify(leaf, &trusted(log)).unwrap();
    assert_eq!(proof.index + 1, position);
    assert!(size.is_none_or(|size| size == checkpoint.head.size));
}

/// Every file below a directory, with its content.
pub(crate) fn files(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            found.push((path, bytes));
        }
    }
    found.sort();
    found
}
