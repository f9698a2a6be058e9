use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use super::beside;
use super::rows::Place;

/// How far an import has come, kept beside the file until it is through.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Progress {
    /// What is imported, and how: nothing else is gone on with.
    source: Source,
    /// How much of the file of rejected rows belongs to what is done.
    pub(super) errors_bytes: u64,
    /// Everything before it is written.
    pub(super) done: Place,
    pub(super) accepted: u64,
    pub(super) rejected: u64,
}

/// A file as it was when its import began, how it is read and to which server it goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Source {
    pub(super) bytes: u64,
    modified_nanoseconds: u128,
    how: String,
}

impl Source {
    pub(super) fn of(path: &Path, how: String) -> anyhow::Result<Self> {
        let metadata =
            fs::metadata(path).with_context(|| format!("{} cannot be opened", path.display()))?;
        let modified = metadata.modified()?.duration_since(std::time::UNIX_EPOCH);
        Ok(Self {
            bytes: metadata.len(),
            modified_nanoseconds: modified.unwrap_or_default().as_nanos(),
            how,
        })
    }
}

impl Progress {
    pub(super) fn of_file(source: Source) -> Self {
        Self {
            source,
            ..Self::default()
        }
    }

    /// What an earlier import of the same file left behind.
    pub(super) fn read(path: &Path, source: &Source) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| {
            format!(
                "{} cannot be read: there is nothing to resume",
                path.display()
            )
        })?;
        let progress: Self = serde_json::from_str(&text)
            .with_context(|| format!("{} does not hold what it should", path.display()))?;
        if progress.source != *source {
            bail!(
                "the file, how it is to be read or the server is not what it was when the import began"
            );
        }
        Ok(progress)
    }

    /// Replaces the file as a whole, so that there is always one that can be read.
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let new = beside(path, ".new");
        let mut file = fs::File::create(&new)?;
        file.write_all(serde_json::to_string(self)?.as_bytes())?;
        fs::rename(&new, path)?;
        Ok(())
    }
}
