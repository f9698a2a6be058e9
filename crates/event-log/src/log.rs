use types::Position;

use crate::{AppendError, Hash, LogIndex, NewRecord, RawBlock, ReadError};

/// Metadata and payload of one record together, in bytes. What is written must be readable, and a
/// reader believes no block that claims to be much larger.
pub const RECORD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// People that one record names. What the index says of a record must fit into one value.
pub const RECORD_SUBJECTS_MAX: usize = 4_096;
/// The name of a type of event, in bytes.
pub const EVENT_TYPE_BYTES_MAX: usize = 255;

/// The end of the log: the last position, which is also the size of the tree, and the tree's root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub position: Position,
    pub root: Hash,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub events: u64,
    pub blocks: u64,
    /// Bytes that the store takes on disk; 0 in memory.
    pub disk_bytes: u64,
    /// Files that the store keeps beside its log and never syncs; must be 0.
    pub blobs: u64,
}

/// An append-only, totally ordered sequence of records.
///
/// ```text
///   position   1    2    3  │  4    5  │  6  …
///              └── a block ─┘ └─ one ──┘        head = the last position
/// ```
/// For implementers: `append` is called by one thread at a time and returns only when all records
/// are durable; they are readable then, and not before. After a failed append every later one
/// fails. What is read has been checked: contiguous positions, checksums, and roots that continue
/// each other.
pub trait EventLog: Send + Sync {
    /// Appends all records or none. An empty group writes nothing.
    fn append(&self, group: &[NewRecord]) -> Result<Head, AppendError>;

    fn head(&self) -> Head;

    /// Whole blocks from the one that holds `from` on: about `bytes_max` of them as stored, and at
    /// least one unless `from` is past the head.
    fn read(&self, from: Position, bytes_max: usize) -> Result<Vec<RawBlock>, ReadError>;

    fn index(&self) -> &LogIndex;

    fn stats(&self) -> Result<Stats, ReadError>;

    /// Gives memory back after a long scan.
    fn release_memory(&self) -> Result<(), ReadError>;

    /// Ends the writing, and has the head remembered on disk. Reading goes on. A store that is
    /// dropped does the same.
    fn close(&self) -> Result<(), ReadError> {
        Ok(())
    }
}

/// Refuses a group that could be written but not read again. Every store asks before it writes.
pub fn check_limits(group: &[NewRecord]) -> Result<(), AppendError> {
    for (place, record) in group.iter().enumerate() {
        let limits = [
            (
                "the number of bytes",
                record.metadata.len().saturating_add(record.payload.len()),
                RECORD_BYTES_MAX,
            ),
            (
                "the number of people",
                record.subjects.len(),
                RECORD_SUBJECTS_MAX,
            ),
            (
                "the length of the event type",
                record.event_type.len(),
                EVENT_TYPE_BYTES_MAX,
            ),
        ];
        for (what, actual, max) in limits {
            if actual > max {
                return Err(AppendError::TooLarge {
                    place,
                    what,
                    actual,
                    max,
                });
            }
        }
    }
    Ok(())
}
