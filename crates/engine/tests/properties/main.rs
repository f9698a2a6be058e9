//! Everything with state against a naive model of it, over random histories: after every batch of
//! commands the read models show what the model holds, and a restart, a replay and an import give the
//! same again.
//!
//! Each part prints its seed, and says by which variables it is repeated and made longer.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod audiences;
mod people;
mod random;
mod running;
mod snapshots;
