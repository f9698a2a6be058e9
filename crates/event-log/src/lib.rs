//! The event log: an append-only, totally ordered sequence of opaque records.
//!
//! Knows bytes, not events: a log written by a later version can still be verified.

mod block;
#[cfg(feature = "testing")]
pub mod conformance;
mod error;
mod index;
mod log;
mod memory;
mod merkle;
mod record;
mod verify;

pub use block::{Block, BlockHeader, RawBlock};
pub use error::{AppendError, ReadError};
pub use index::{BlockIndex, LogIndex, Span};
pub use log::{EventLog, Head, Stats};
pub use memory::MemoryLog;
pub use merkle::{Frontier, Hash, leaf_hash};
pub use record::{NewRecord, Record, Subjects, encode};
pub use verify::{Damage, Report, verify};
