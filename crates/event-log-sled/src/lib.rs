//! The event log on sled 0.34.
//!
//! ```text
//! data directory
//!   lock    held while the store is open; holds the process id
//!   head    size and root of the log, remembered outside sled
//!   log/    sled's files
//!   aside/  what was moved out of the way; never deleted
//!
//! only for a while, and cleared away by the next open:
//!   creating        marks a log that is being made
//!   log.check/      a copy of a log that looks damaged, opened first; log.doctor/ one that is examined
//!   log.compact/, log.compacted/, log.old/   a compaction, see `compact`
//! ```
//! A log without a head file is taken for an unfinished one only beside that mark.
//!
//! sled's `flush` does not reach the disk by itself (docs/adr/0001-sled.md), so the commit protocol
//! is ours: one batch, `flush`, then `fdatasync` on our own handle of its file. Only this crate
//! knows sled.

mod commit;
mod compact;
mod directory;
mod doctor;
mod head_file;
mod keys;
mod open;
mod sled_tree;
mod store;
mod survey;
#[cfg(test)]
mod tests_of_flips;
mod trial;

pub use compact::{CompactError, Compacted, compact};
pub use doctor::{DoctorReport, doctor, rewrite_head};
pub use open::{OpenError, SledLogOptions};
pub use store::SledLog;
