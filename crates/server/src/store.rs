//! The one place that knows which store is used.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use engine::EventStore;
use event_log::{EventLog, Head};
use event_log_sled::{Compacted, DoctorReport, OpenError, SledLog, SledLogOptions};
use types::Position;
use vault::{Vault, VaultError};

use crate::master_key::MasterKeySource;

/// Opens the event log of a data directory, and makes one where there is none.
pub fn open_log(data: &Path) -> anyhow::Result<Arc<dyn EventLog>> {
    ensure!(
        !being_filled(data).exists(),
        "an import into {} or a restore was not finished: remove the directory and begin again",
        data.display(),
    );
    let log = SledLog::open(data, &SledLogOptions::default());
    match log {
        Ok(log) => Ok(Arc::new(log)),
        // The others say what they are about, and what can be done.
        Err(error @ OpenError::Io { .. }) => Err(error).with_context(|| {
            format!(
                "the event log in {} cannot be read; `muster log doctor` says what is the matter",
                data.display()
            )
        }),
        Err(error) => Err(error.into()),
    }
}

/// Opens the event log of a data directory with the keys that it needs, and makes both where there are
/// none.
pub fn open_store(data: &Path, master_key: &MasterKeySource) -> anyhow::Result<EventStore> {
    let (log, vault) = open_both(data, master_key)?;
    let store = EventStore::open(log, Arc::new(vault));
    store.context("erasures that were cut short could not be finished")
}

fn open_both(
    data: &Path,
    master_key: &MasterKeySource,
) -> anyhow::Result<(Arc<dyn EventLog>, Vault)> {
    // The keys come first: without them nothing is touched, for opening the log writes to it.
    let master_key = master_key.read(data)?;
    let vault = match &master_key {
        Some(master_key) => Vault::open(data, master_key.clone())?,
        None => None,
    };
    let log = open_log(data)?;
    if let Some(vault) = vault {
        return Ok((log, vault));
    }
    if log.head().position != Position::START {
        return Err(VaultError::Missing(data.join(Vault::FILE)).into());
    }
    let master_key = match master_key {
        Some(master_key) => master_key,
        None => MasterKeySource::make(data)?,
    };
    Ok((log, Vault::create(data, master_key)?))
}

/// Fills an empty data directory by an import. Until it is finished nobody else can open the log: a
/// part of a history is none.
pub fn import_log(
    data: &Path,
    master_key: &MasterKeySource,
    import: impl FnOnce(&EventStore) -> anyhow::Result<()>,
) -> anyhow::Result<EventStore> {
    let store = open_store(data, master_key)?;
    ensure!(
        store.log.head().position == Position::START,
        "{} already holds events; import needs an empty data directory",
        data.display(),
    );
    let mark = being_filled(data);
    File::create(&mark)?.sync_all()?;
    File::open(data)?.sync_all()?;
    import(&store)?;
    store.log.close()?;
    fs::remove_file(&mark)?;
    File::open(data)?.sync_all()?;
    Ok(store)
}

/// The log of a data directory that has the mark of [`being_filled`].
pub(crate) fn log_being_filled(data: &Path) -> anyhow::Result<SledLog> {
    Ok(SledLog::open(data, &SledLogOptions::default())?)
}

/// There while an import or a restore is under way.
pub(crate) fn being_filled(data: &Path) -> PathBuf {
    data.join("importing")
}

/// Seals the vault of a data directory that nobody has open with another master key.
pub fn rotate_master_key(
    data: &Path,
    old: &MasterKeySource,
    new: &MasterKeySource,
) -> anyhow::Result<()> {
    let (log, vault) = open_both(data, old)?;
    let new = new.read(data)?.context("there is no other master key")?;
    vault.rotate_master_key(new)?;
    Ok(log.close()?)
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
