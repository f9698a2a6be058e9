//! The composition root: wires the crates together, so that tests start the real thing.

mod app;
mod clock;
mod config;
mod connections;
mod master_key;
mod process;
mod restore;
mod secret;
mod self_check;
mod snapshots;
mod starting;
mod store;
mod telemetry;
mod tls;

pub use app::{Server, Stopped, check};
pub use config::{Config, DeliveryOptions, ProvidersConfig, TlsFiles};
pub use engine::TENANT_LEVELS_LOADED;
pub use master_key::{MasterKeySource, write_master_key};
pub use restore::{copy_until, restore};
pub use secret::rotate_signing_secret;
pub use snapshots::open_snapshots;
pub use store::{
    compact_log, doctor, import_log, open_log, open_store, rewrite_head, rotate_master_key,
};
pub use telemetry::{LogFormat, start_tracing};
pub use vault::MasterKey;
