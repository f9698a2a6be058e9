use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use backup::BackupSet;
use clap::Args;
use serde_json::json;

use super::server::{Address, Server};
use crate::output;
use crate::progress::Progress;

/// Take a backup of a running server, which goes on writing; taken again into the same directory, what is
/// new is added.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where the backup is, or is to be.
    directory: PathBuf,
    #[command(flatten)]
    address: Address,
    /// The outcome as one JSON object.
    #[arg(long)]
    json: bool,
}

impl Options {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let started = Instant::now();
        let server = Server::at(&self.address)?;
        let mut set = BackupSet::open_or_create(&self.directory)?;
        let before = set.manifest().position;
        let path = format!("/v1/backup?after={before}");
        let frames = server.stream(&path);
        let mut frames = match before {
            0 => frames?,
            _ => frames.with_context(|| {
                format!("the backup holds events up to {before}: is it of this server?")
            })?,
        };
        let progress = Progress::endless();
        set.take(&mut frames, &mut |position| progress.reached(position))
            .context("nothing was added to the backup")?;
        drop(progress);
        let manifest = set.manifest();
        let (position, root) = (manifest.position, &manifest.root);
        let added = position - before;
        if self.json {
            output::data_json(&json!({"position": position, "root": root, "added": added}))?;
        } else {
            let seconds = started.elapsed().as_secs_f64();
            output::note(&format!(
                "{position} events (root {root}), {added} of them new, in {seconds:.1} s"
            ));
        }
        Ok(ExitCode::SUCCESS)
    }
}
