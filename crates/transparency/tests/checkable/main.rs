//! The log as it is seen from outside: tiles, proofs, keys and anchors, over the log in memory.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod anchors;
mod background;
mod keys;
mod tiles;
mod world;
