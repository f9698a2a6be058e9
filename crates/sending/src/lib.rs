//! From an accepted message to what became of it for everybody.
//!
//! Finds out whom a message is for, decides for each person, writes what they are told, hands it to the
//! providers, and has the log note the outcome. Everything that it has to remember over an end of the
//! process is in the log: whoever has no outcome there is looked at again.

mod carry;
mod collector;
mod evaluate;
mod foresee;
mod in_flight;
mod lanes;
mod links;
mod paces;
mod runner;
mod spec;
mod writing;

pub use evaluate::{
    Asked, Evaluation, Evaluator, Prediction, Prepared, PreparedChannel, PreparedRoute,
};
pub use foresee::{Foreseen, ForeseenPerson, Page};
pub use links::{LinkSecret, Links, Unsubscribing};
pub use runner::{CancelError, Sending, SendingSources};
pub use spec::{Spec, SpecError, UnreadableSpec, given_in_bulk, text_of};
pub use writing::Writing;
