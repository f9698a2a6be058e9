use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::ensure;
use clap::{Args, Subcommand};
use server::{MasterKey, MasterKeySource};

use super::settings::Place;
use crate::output;

/// Look after the keys of what the log says of people.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    NewKey(NewKey),
    Rotate(Rotate),
}

/// Make a master key, in a file that is not there yet.
#[derive(Debug, Args)]
struct NewKey {
    file: PathBuf,
}

/// Seal the vault with another master key, while the server is stopped.
#[derive(Debug, Args)]
struct Rotate {
    #[command(flatten)]
    place: Place,
    /// The file with the other master key.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

impl Options {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::NewKey(NewKey { file }) => {
                server::write_master_key(&file, &MasterKey::generate())?;
                output::note(&format!("a new master key is in {}", file.display()));
            }
            Command::Rotate(Rotate { place, to }) => {
                ensure!(
                    to.exists(),
                    "{} is not there: make it first with `muster vault new-key`",
                    to.display(),
                );
                let (data, old) = (place.existing()?, place.master_key()?);
                server::rotate_master_key(&data, &old, &MasterKeySource::File(to.clone()))?;
                output::note(&format!(
                    "the vault is sealed with the master key in {}; the old one opens nothing any \
                     more but backups of before. Say `master_key_file` from now on",
                    to.display()
                ));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
