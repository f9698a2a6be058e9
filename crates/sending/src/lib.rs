//! From an accepted message to what became of it for everybody.
//!
//! Finds out whom a message is for, decides for each person, writes what they are told, hands it to the
//! providers, and has the log note the outcome. Everything that it has to remember over an end of the
//! process is in the log: whoever has no outcome there is looked at again.

mod carry;
mod collector;
mod evaluate;
mod links;
mod runner;
mod spec;
mod targets;
mod writing;

pub use evaluate::{Evaluation, Prediction, Prepared, evaluate};
pub use links::{LinkSecret, Links, Unsubscribing};
pub use runner::{CancelError, Sending, SendingSources};
pub use spec::{Spec, SpecError, UnreadableSpec};
pub use targets::{Foreseen, ForeseenPerson, foresee};
pub use writing::Writing;
