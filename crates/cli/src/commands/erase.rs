use std::process::ExitCode;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::server::{Address, Server, encoded};
use crate::output;

/// Erase a person for ever: what is known about them is removed, and the key of all that the log says of
/// them destroyed. Nothing brings it back but a backup of before.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The user id.
    user_id: String,
    /// Do it without asking; needed, for it cannot be undone.
    #[arg(long, required = true)]
    yes: bool,
    #[command(flatten)]
    address: Address,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize, Serialize)]
struct Erased {
    erased: bool,
    position: u64,
}

impl Options {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let path = format!("/v1/users/{}/erase", encoded(&self.user_id));
        let erased: Erased = Server::at(&self.address)?.post_once(&path, "{}")?;
        if self.json {
            output::data_json(&erased)?;
        } else {
            output::note(&format!("erased at position {}", erased.position));
        }
        Ok(ExitCode::SUCCESS)
    }
}
