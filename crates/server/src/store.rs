//! The one place that knows which store is used.

use std::path::Path;
use std::sync::Arc;

use event_log::{EventLog, Head};
use event_log_sled::{Compacted, DoctorReport, SledLog, SledLogOptions};
use types::Position;

/// Opens the event log of a data directory, and makes one where there is none.
pub fn open_log(data: &Path) -> anyhow::Result<Arc<dyn EventLog>> {
    Ok(Arc::new(SledLog::open(data, &SledLogOptions::default())?))
}

/// Rewrites the log into less space.
pub fn compact_log(data: &Path, progress: &mut dyn FnMut(Position)) -> anyhow::Result<Compacted> {
    Ok(event_log_sled::compact(data, progress)?)
}

/// Says what is the matter with a store.
pub fn doctor(data: &Path) -> anyhow::Result<DoctorReport> {
    Ok(event_log_sled::doctor(data)?)
}

/// Writes a new head file for a log that is whole.
pub fn rewrite_head(data: &Path) -> anyhow::Result<Head> {
    Ok(event_log_sled::rewrite_head(data)?)
}
