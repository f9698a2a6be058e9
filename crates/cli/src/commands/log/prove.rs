use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::source::From;
use crate::output;

/// Print the signed checkpoint of the log as it is now.
#[derive(Debug, Args)]
pub(super) struct Checkpoint {
    #[command(flatten)]
    from: From,
}

/// Print the verifier keys, the one that signs now first, and how each followed the one before.
#[derive(Debug, Args)]
pub(super) struct Keys {
    #[command(flatten)]
    from: From,
}

/// Print the proof that a record is in the log (c2sp.org/tlog-proof).
#[derive(Debug, Args)]
pub(super) struct Prove {
    /// The position of the event.
    position: u64,
    /// In the tree of the first so many records; of all unless given.
    #[arg(long, value_name = "N")]
    size: Option<u64>,
    /// Write the record as it is stored to this file: whoever checks the proof needs it.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    #[command(flatten)]
    from: From,
}

/// Print the proof that the log only grew since it had so many records.
#[derive(Debug, Args)]
pub(super) struct ProveConsistency {
    /// The smaller size.
    size: u64,
    /// The larger size; that of the whole log unless given.
    #[arg(long, value_name = "N")]
    to: Option<u64>,
    #[command(flatten)]
    from: From,
}

impl Checkpoint {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        print(&self.from.open()?.checkpoint()?)
    }
}

impl Keys {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        print(&self.from.open()?.keys()?)
    }
}

impl Prove {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let source = self.from.open()?;
        let proof = source.inclusion(self.position, self.size)?;
        if let Some(path) = &self.record {
            fs::write(path, source.record(self.position)?)?;
        }
        print(&proof)
    }
}

impl ProveConsistency {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        print(&self.from.open()?.consistency(self.size, self.to)?)
    }
}

/// The texts end in a line break of their own.
fn print(text: &str) -> anyhow::Result<ExitCode> {
    output::data(text.trim_end_matches('\n'))?;
    Ok(ExitCode::SUCCESS)
}
