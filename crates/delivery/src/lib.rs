//! Webhooks: whoever asked for it is told of what happens, at least once, in order for each person.
//!
//! Knows the log and the read models, and targets on the network; knows nothing of our own API. Where a
//! webhook has got to is kept in a small file beside the log and survives every kind of end.

mod content;
mod dead_letters;
mod delivery;
mod options;
mod pending;
mod progress_file;
mod reading;
mod retry;
mod signature;
mod status;
mod target;
mod topics;
mod worker;

pub use delivery::{Counts, Delivery, NotRunning};
pub use options::DeliveryOptions;
pub use status::{Attempt, DeadLetter, Status};
pub use target::{Target, TargetError};
pub use topics::{AUDIENCE_TYPES, Topics};
