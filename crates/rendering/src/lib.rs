//! What a message says to one person on one channel.
//!
//! Knows content, variables and brands; knows nothing of people, of providers or of the log. A pure
//! function of what it is given: no clock, no randomness, nothing from outside.

mod rendered;

pub use rendered::{Action, Rendered};
