//! The one place that knows which store is used.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::ensure;
use event_log::{EventLog, Head};
use event_log_sled::{Compacted, DoctorReport, SledLog, SledLogOptions};
use types::Position;

/// Opens the event log of a data directory, and makes one where there is none.
pub fn open_log(data: &Path) -> anyhow::Result<Arc<dyn EventLog>> {
    ensure!(
        !importing(data).exists(),
        "an import into {} was not finished: remove the directory and import again",
        data.display(),
    );
    Ok(Arc::new(SledLog::open(data, &SledLogOptions::default())?))
}

/// Fills an empty data directory by an import. Until it is finished nobody else can open the log: a
/// part of a history is none.
pub fn import_log(
    data: &Path,
    import: impl FnOnce(&dyn EventLog) -> anyhow::Result<()>,
) -> anyhow::Result<Arc<dyn EventLog>> {
    let log = open_log(data)?;
    ensure!(
        log.head().position == Position::START,
        "{} already holds events; import needs an empty data directory",
        data.display(),
    );
    let mark = importing(data);
    File::create(&mark)?.sync_all()?;
    File::open(data)?.sync_all()?;
    import(&*log)?;
    log.close()?;
    fs::remove_file(&mark)?;
    File::open(data)?.sync_all()?;
    Ok(log)
}

/// There while an import is under way.
fn importing(data: &Path) -> PathBuf {
    data.join("importing")
}

/// Rewrites the log into less space.
pub fn compact_log(data: &Path, progress: &mut dyn FnMut(Position)) -> anyhow::Result<Compacted> {
    Ok(event_log_sled::compact(data, engine::labels_of, progress)?)
}

/// Says what is the matter with a store.
pub fn doctor(data: &Path) -> anyhow::Result<DoctorReport> {
    Ok(event_log_sled::doctor(data)?)
}

/// Writes a new head file for a log that is whole.
pub fn rewrite_head(data: &Path) -> anyhow::Result<Head> {
    Ok(event_log_sled::rewrite_head(data)?)
}
