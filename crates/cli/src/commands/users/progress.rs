use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use super::rows::Place;

/// How far an import has come, kept beside the file until it is through.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Of the file that is imported: another file is not gone on with.
    file_bytes: u64,
    /// Everything before it is written.
    pub(super) done: Place,
    pub(super) accepted: u64,
    pub(super) rejected: u64,
}

impl Progress {
    pub(super) fn of_file(file_bytes: u64) -> Self {
        Self {
            file_bytes,
            ..Self::default()
        }
    }

    pub(super) fn path(of: &Path) -> PathBuf {
        let mut name = of.as_os_str().to_owned();
        name.push(".progress");
        name.into()
    }

    /// What an earlier import of the same file left behind.
    pub(super) fn read(path: &Path, file_bytes: u64) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| {
            format!(
                "{} cannot be read: there is nothing to resume",
                path.display()
            )
        })?;
        let progress: Self = serde_json::from_str(&text)
            .with_context(|| format!("{} does not hold what it should", path.display()))?;
        if progress.file_bytes != file_bytes {
            bail!("the file has another length than when its import began");
        }
        Ok(progress)
    }

    /// Replaces the file as a whole, so that there is always one that can be read.
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        let new = PathBuf::from(new);
        let mut file = fs::File::create(&new)?;
        file.write_all(serde_json::to_string(self)?.as_bytes())?;
        fs::rename(&new, path)?;
        Ok(())
    }
}
