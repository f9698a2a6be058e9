//! What it takes to check a log without trusting whoever keeps it: the tree of RFC 6962 with proofs
//! that a record is in it and that it only grew, and the text forms of C2SP in which they travel.
//!
//! Knows bytes and nothing of what they mean; reads no file, asks no clock. To check something takes a
//! verifier key, the proof and the record.
//!
//! ```text
//! record ─ leaf hash ─▶ tree ─▶ root ─ with origin and size ─▶ checkpoint ─ Ed25519 ─▶ signed note
//! ```

mod bundle;
mod checkpoint;
mod consistency;
mod frontier;
mod hash;
mod inclusion;
mod key;
mod key_history;
mod note;
mod text;
mod tile;
mod tlog_proof;
mod tree;

pub use bundle::{BundleReader, BundleRecord, InvalidBundle, bundle_end, bundle_head};
pub use checkpoint::{Checkpoint, InvalidCheckpoint};
pub use consistency::{prove_consistency, verify_consistency};
pub use frontier::Frontier;
pub use hash::{Hash, leaf_hash, node_hash};
pub use inclusion::{prove_inclusion, verify_inclusion};
pub use key::{InvalidKey, SignerKey, VerifierKey};
pub use key_history::{InvalidHistory, KeyHistory, Rotation, TrustedKey};
pub use note::{InvalidNote, NOTE_BYTES_MAX, Note, Unverified};
pub use text::InvalidText;
pub use tile::{InvalidTile, TILE_HEIGHT, TILE_WIDTH, Tile};
pub use tlog_proof::{ConsistencyProof, InclusionProof, Unproven};
pub use tree::{Node, ProofError, TreeHead, root_of_range};
