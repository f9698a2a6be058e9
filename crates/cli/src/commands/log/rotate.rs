use std::process::ExitCode;

use clap::Args;

use crate::commands::settings::Place;
use crate::output;

/// Sign with a new key from now on, for which the old one vouches, while the server is stopped.
#[derive(Debug, Args)]
pub(super) struct RotateKey {
    #[command(flatten)]
    place: Place,
}

impl RotateKey {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let config = self.place.existing_config()?;
        let log = server::open_log(&config.data_dir)?;
        let key = transparency::rotate_key(&log, &config.transparency())?;
        log.close()?;
        output::note(
            "the new key signs from now on; the old one vouches for it in `muster log keys`",
        );
        output::data(&key.to_string())?;
        Ok(ExitCode::SUCCESS)
    }
}
