//! Users in and out of a running server, as lines of JSON or comma-separated values.

mod batch;
mod columns;
mod export;
mod import;
mod progress;
mod records;
mod rejected;
mod rows;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};

/// Write many users, or read them all, over a running server.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Import(import::Options),
    Export(export::Options),
}

impl Options {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Import(options) => options.run(),
            Command::Export(options) => options.run(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One JSON object per line.
    Jsonl,
    /// Comma-separated values (RFC 4180), with a header.
    Csv,
}

impl Format {
    /// As asked for, or as the file's name says.
    fn of(asked: Option<Self>, path: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(format) = asked {
            return Ok(format);
        }
        let extension = path.and_then(|path| path.extension()?.to_str());
        match extension.map(str::to_ascii_lowercase).as_deref() {
            Some("jsonl" | "ndjson" | "json") => Ok(Self::Jsonl),
            Some("csv") => Ok(Self::Csv),
            _ => bail!("the name does not tell the format: say --format jsonl or --format csv"),
        }
    }
}

/// The file of that ending beside another.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
