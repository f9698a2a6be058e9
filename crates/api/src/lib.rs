//! HTTP: requests into commands and queries, outcomes into responses. The only crate that knows
//! status codes.

mod admission;
mod answers;
mod as_of;
mod cursor;
mod duration;
mod endpoint;
mod error;
mod extract;
mod metrics;
mod openapi;
mod rate;
mod reach;
mod request;
mod router;
mod routes;
mod starting;
mod state;

pub use error::CODES;
pub use metrics::{Metrics, Process};
pub use openapi::files as documentation;
pub use rate::RateLimit;
pub use router::router;
pub use starting::{Progress, starting_router};
pub use state::{ApiOptions, ApiState, Authenticator, Files, Sources};
