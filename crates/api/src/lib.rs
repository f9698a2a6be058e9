//! HTTP: requests into commands and queries, outcomes into responses. The only crate that knows
//! status codes.

mod cursor;
mod error;
mod extract;
mod metrics;
mod request;
mod router;
mod routes;
mod state;

pub use error::CODES;
pub use metrics::Metrics;
pub use router::router;
pub use state::{ApiState, Authenticator};
