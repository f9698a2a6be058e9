//! The keys under which the log seals what it says of people, and their destruction.
//!
//! One small file beside the log holds the roots of a tree of keys. Everybody's key follows from it, so
//! that somebody new needs no write; erasing somebody replaces the roots by others from which every key
//! follows but theirs. Knows no events and no log.

mod cipher;
mod file;
mod key_tree;
mod master_key;
mod vault;

pub use cipher::{Forged, Label};
pub use file::VaultError;
pub use master_key::{BadMasterKey, MasterKey};
pub use vault::{Owner, SnapshotKey, Vault};
