//! `muster`: the server, and the tools around its event log. Data goes to standard output, all else
//! to standard error.

mod commands;
mod output;
mod progress;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = commands::Cli::parse();
    match cli.run() {
        Ok(code) => code,
        Err(error) => {
            // Whoever reads the data has gone away, as `head` does.
            if output::is_broken_pipe(&error) {
                return ExitCode::SUCCESS;
            }
            output::problem(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
