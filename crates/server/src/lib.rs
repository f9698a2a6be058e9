//! The composition root: wires the crates together, so that tests start the real thing.

mod app;
mod clock;
mod config;
mod connections;
mod self_check;
mod store;
mod telemetry;

pub use app::{Server, Stopped};
pub use config::Config;
pub use engine::TENANT_LEVELS_LOADED;
pub use store::{compact_log, doctor, import_log, open_log, rewrite_head};
pub use telemetry::start_tracing;
