//! The event log: an append-only, totally ordered sequence of opaque records.
//!
//! Knows bytes, not events: a log written by a later version can still be verified.

mod block;
#[cfg(feature = "testing")]
pub mod conformance;
mod error;
mod index;
mod labels;
mod log;
mod memory;
mod record;
mod verify;

pub use block::{Block, BlockHeader, RawBlock, fill, fill_encoded};
pub use error::{AppendError, ReadError};
pub use index::{BlockIndex, LogIndex, Span};
pub use labels::Labels;
pub use log::{
    EVENT_TYPE_BYTES_MAX, EventLog, Head, RECORD_BYTES_MAX, RECORD_SUBJECTS_MAX, Stats,
    check_limits,
};
pub use memory::MemoryLog;
pub use proofs::{Frontier, Hash, leaf_hash};
pub use record::{NewRecord, Reader, Record, Subjects, encode, put_bytes, put_varint};
pub use verify::{Damage, Report, Scan, verify};
