use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use event_log::{
    AppendError, EventLog, Head, LogIndex, NewRecord, RawBlock, ReadError, Stats, encode,
};
use types::Position;

/// A log that counts what it is given, so that the baseline can write the same.
pub(crate) struct CountingLog {
    log: Arc<dyn EventLog>,
    commits: AtomicU64,
    bytes: AtomicU64,
}

impl CountingLog {
    pub(crate) fn new(log: Arc<dyn EventLog>) -> Self {
        Self {
            log,
            commits: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    /// Commits so far.
    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Bytes of the first record of each commit, encoded, so far.
    pub(crate) fn sampled_bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl EventLog for CountingLog {
    fn append(&self, group: &[NewRecord]) -> Result<Head, AppendError> {
        if let Some(first) = group.first() {
            let mut bytes = Vec::new();
            encode(first, Position(1_000_000), &mut bytes);
            self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            self.commits.fetch_add(1, Ordering::Relaxed);
        }
        self.log.append(group)
    }

    fn head(&self) -> Head {
        self.log.head()
    }

    fn read(&self, from: Position, bytes_max: usize) -> Result<Vec<RawBlock>, ReadError> {
        self.log.read(from, bytes_max)
    }

    fn index(&self) -> &LogIndex {
        self.log.index()
    }

    fn stats(&self) -> Result<Stats, ReadError> {
        self.log.stats()
    }

    fn release_memory(&self) -> Result<(), ReadError> {
        self.log.release_memory()
    }
}
