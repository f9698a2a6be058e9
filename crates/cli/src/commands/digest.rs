use std::process::ExitCode;

use clap::Args;
use engine::Until;

use super::replay::{reached, until};
use super::settings::Place;
use crate::output;
use crate::progress::Progress;

/// Print one SHA-256 per read model: equal logs give equal digests.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    data: Place,
    /// As of this position, or of the last event recorded by this time (RFC 3339).
    #[arg(long, value_parser = until, value_name = "POSITION|TIME")]
    as_of: Option<Until>,
    /// As one JSON object.
    #[arg(long)]
    json: bool,
}

impl Options {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let store = self.data.store()?;
        let until = reached(&store, self.as_of)?;
        // From the log alone: what snapshots hold is what it is to be compared with.
        let progress = Progress::new(store.log.head().position.0);
        let told = &mut |position| progress.reached(position);
        let rebuilt = engine::replay(&store, until, told)?;
        drop(progress);
        print(&rebuilt.read_models, self.json)?;
        Ok(ExitCode::SUCCESS)
    }
}

pub(crate) fn print(models: &projections::ReadModels, json: bool) -> anyhow::Result<()> {
    let digests = models.digests();
    if json {
        let object: serde_json::Map<_, _> = digests
            .into_iter()
            .map(|(name, digest)| (name.to_owned(), digest.into()))
            .collect();
        return output::data_json(&object);
    }
    digests
        .iter()
        .try_for_each(|(name, digest)| output::data(&format!("{name} {digest}")))
}
