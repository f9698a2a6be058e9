use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde::Serialize;
use types::parse_json;

/// No line of such a file is longer.
const LINE_BYTES_MAX: u64 = 64 * 1024;

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
    /// For an import that begins: an earlier one's file is overwritten, anything else is not.
    pub(super) fn check(path: &Path, input: &Path) -> anyhow::Result<()> {
        let Ok(file) = File::open(path) else {
            return Ok(());
        };
        let canonical = |path: &Path| fs::canonicalize(path).ok();
        ensure!(
            canonical(path) != canonical(input),
            "--errors names the file that is imported"
        );
        let mut line = Vec::new();
        BufReader::new(Read::take(file, LINE_BYTES_MAX)).read_until(b'\n', &mut line)?;
        let line = (!line.is_empty()).then(|| parse_json(&line));
        let is_ours = match line {
            None => true,
            Some(line) => line.is_ok_and(|it| it["row"].is_u64() && it["message"].is_string()),
        };
        ensure!(
            is_ours,
            "{} exists and is not of an import: --errors would overwrite it",
            path.display()
        );
        Ok(())
    }

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
