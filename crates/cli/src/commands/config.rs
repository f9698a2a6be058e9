use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::settings::Flags;
use crate::output;

/// Look at the settings without starting the server.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Whether the settings are as they should be.
    Check(Flags),
    /// Every setting with its value and who chose it; secrets are hidden.
    Show {
        #[command(flatten)]
        flags: Flags,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
}

impl Options {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Check(flags) => {
                let settings = flags.settings()?;
                settings.log_format()?;
                server::check(&settings.config()?)?;
                output::note("the settings are good");
            }
            Command::Show { flags, json } => {
                let settings = flags.settings()?;
                if json {
                    let shown = settings.shown().map(|(name, value, source)| {
                        let shown = serde_json::json!({"value": value, "source": source});
                        (name.to_owned(), shown)
                    });
                    let shown: serde_json::Map<_, _> = shown.collect();
                    output::data_json(&shown)?;
                } else {
                    for (name, value, source) in settings.shown() {
                        output::data(&format!("{name} = {value}  # {source}"))?;
                    }
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
