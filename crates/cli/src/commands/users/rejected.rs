use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use serde::Serialize;

/// A row that was not written.
#[derive(Serialize)]
pub(super) struct Rejected<'a> {
    pub(super) row: u64,
    pub(super) line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) column: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<&'a str>,
    pub(super) message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<&'a str>,
}

/// The file of rejected rows, made when there is one.
pub(super) struct RejectedFile {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    bytes: u64,
}

impl RejectedFile {
    /// With as much of what an earlier import wrote as belongs to what it had done.
    pub(super) fn new(path: PathBuf, kept_bytes: u64) -> anyhow::Result<Self> {
        let cannot = || format!("{} cannot be written", path.display());
        if kept_bytes == 0 && path.exists() {
            fs::remove_file(&path).with_context(cannot)?;
        } else if kept_bytes > 0 {
            let file = OpenOptions::new().write(true).open(&path);
            file.and_then(|file| file.set_len(kept_bytes))
                .with_context(cannot)?;
        }
        Ok(Self {
            path,
            file: None,
            bytes: kept_bytes,
        })
    }

    /// What has been written, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn write(&mut self, rejected: &Rejected<'_>) -> anyhow::Result<()> {
        let cannot = || format!("{} cannot be written", self.path.display());
        let file = if let Some(file) = &mut self.file {
            file
        } else {
            let mut options = OpenOptions::new();
            let file = options.create(true).append(true).open(&self.path);
            self.file.insert(BufWriter::new(file.with_context(cannot)?))
        };
        let line = format!("{}\n", serde_json::to_string(rejected)?);
        file.write_all(line.as_bytes()).with_context(cannot)?;
        self.bytes += line.len() as u64;
        Ok(())
    }

    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        if let Some(file) = &mut self.file {
            file.flush()
                .with_context(|| format!("{} cannot be written", self.path.display()))?;
        }
        Ok(())
    }
}
