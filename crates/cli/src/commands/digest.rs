use std::process::ExitCode;

use clap::Args;
use engine::Until;

use super::settings::Place;
use crate::output;

/// Print one SHA-256 per read model: equal logs give equal digests.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    data: Place,
    /// As one JSON object.
    #[arg(long)]
    json: bool,
}

impl Options {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let store = self.data.store()?;
        let rebuilt = engine::replay(&store, Until::Head, &mut |_| ())?;
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
