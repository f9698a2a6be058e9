//! The composition root: wires the crates together, so that tests start the real thing.

mod app;
mod clock;
mod config;
mod connections;
mod process;
mod secret;
mod self_check;
mod store;
mod telemetry;
mod tls;

pub use app::{Server, Stopped, check};
pub use config::{Config, DeliveryOptions, TlsFiles};
pub use engine::TENANT_LEVELS_LOADED;
pub use secret::rotate_signing_secret;
pub use store::{compact_log, doctor, import_log, open_log, rewrite_head};
pub use telemetry::{LogFormat, start_tracing};
