mod digest;
mod export;
mod import;
mod log;
mod replay;
mod serve;
mod users;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Self-hosted, event-sourced user management for notification targeting.
#[derive(Debug, Parser)]
#[command(name = "muster", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Options),
    Digest(digest::Options),
    Export(export::Options),
    Import(import::Options),
    Replay(replay::Options),
    Log(log::Options),
    Users(users::Options),
}

#[derive(Debug, Args)]
struct DataDir {
    /// The data directory.
    #[arg(long = "data-dir", env = "MUSTER_DATA_DIR", default_value = "data")]
    path: PathBuf,
}

impl DataDir {
    /// The directory, which must hold a log already: only `serve` and `import` make one.
    fn existing(&self) -> anyhow::Result<&PathBuf> {
        anyhow::ensure!(
            self.path.join("log").exists() || self.path.join("head").exists(),
            "{} holds no event log",
            self.path.display(),
        );
        Ok(&self.path)
    }
}

impl Cli {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Serve(options) => options.run(),
            Command::Digest(options) => options.run(),
            Command::Export(options) => options.run(),
            Command::Import(options) => options.run(),
            Command::Replay(options) => options.run(),
            Command::Log(options) => options.run(),
            Command::Users(options) => options.run(),
        }
    }
}
