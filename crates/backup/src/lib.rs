//! Backups: the records of a log up to a position, and the files that a restored server needs besides.
//!
//! A running server sends *frames* ([`send`]); a *set* ([`BackupSet`]) takes them in, checks every record
//! against the tree, and grows by what is new. Knows records as bytes, not events, and no store.

mod error;
mod frame;
mod manifest;
mod send;
mod set;

pub use error::BackupError;
pub use frame::{Frame, NamedFile, read_frame, write_frame};
pub use manifest::Manifest;
pub use send::{SendError, send};
pub use set::{BackupSet, EachRecord};
