//! What the proofs and the texts are worth: known answers, two other implementations, and properties.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod known_answers;
mod oracles;
mod properties;
mod texts;
mod whole_tree;
