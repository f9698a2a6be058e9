mod backup;
mod config;
mod diff;
mod digest;
mod erase;
mod explain;
mod export;
mod history;
mod import;
mod key;
mod log;
mod replay;
mod restore;
mod serve;
mod server;
mod settings;
mod users;
mod vault;

use std::process::ExitCode;

use ::server::LogFormat;
use clap::{Parser, Subcommand};

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
    History(history::Options),
    Explain(explain::Options),
    Diff(diff::Options),
    Erase(erase::Options),
    Backup(backup::Options),
    Restore(restore::Options),
    Vault(vault::Options),
    Key(key::Options),
    Config(config::Options),
}

impl Cli {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        // The server writes traces in the form that its settings say.
        if !matches!(self.command, Command::Serve(_)) {
            ::server::start_tracing(LogFormat::Text);
        }
        match self.command {
            Command::Serve(options) => options.run(),
            Command::Digest(options) => options.run(),
            Command::Export(options) => options.run(),
            Command::Import(options) => options.run(),
            Command::Replay(options) => options.run(),
            Command::Log(options) => options.run(),
            Command::Users(options) => options.run(),
            Command::History(options) => options.run(),
            Command::Explain(options) => options.run(),
            Command::Diff(options) => options.run(),
            Command::Erase(options) => options.run(),
            Command::Backup(options) => options.run(),
            Command::Restore(options) => options.run(),
            Command::Vault(options) => options.run(),
            Command::Key(options) => options.run(),
            Command::Config(options) => options.run(),
        }
    }
}
