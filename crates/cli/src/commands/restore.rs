use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use backup::{BackupError, BackupSet};
use clap::Args;
use engine::Until;
use proofs::Checkpoint;
use serde_json::json;

use super::replay::until;
use super::settings::Place;
use crate::output;
use crate::progress::Progress;

/// Make an empty data directory hold what a backup holds, or held up to a moment.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The backup.
    directory: PathBuf,
    #[command(flatten)]
    data: Place,
    /// Restore nothing; read all that the backup holds, and say whether it is as it was written.
    #[arg(long, conflicts_with_all = ["until", "data_dir"])]
    verify: bool,
    /// Up to this position, or to the last event recorded by this time (RFC 3339).
    #[arg(long, value_parser = until, value_name = "POSITION|TIME")]
    until: Option<Until>,
    /// The outcome as one JSON object.
    #[arg(long)]
    json: bool,
}

impl Options {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let set = BackupSet::open(&self.directory)?;
        let progress = Progress::new(set.manifest().position);
        if self.verify {
            set.read(&mut |position, _, _| {
                progress.reached(position);
                Ok::<_, BackupError>(ControlFlow::Continue(()))
            })?;
            check_checkpoint(&set)?;
            drop(progress);
            let manifest = set.manifest();
            return self.say("holds", manifest.position, &manifest.root);
        }
        let until = self.until.unwrap_or(Until::Head);
        let (data, master_key) = (self.data.data_dir()?, self.data.master_key()?);
        let head = server::restore(&set, &data, &master_key, until, &mut |position| {
            progress.reached(position);
        })?;
        drop(progress);
        self.say("restored", head.position.0, &head.root.to_string())
    }

    fn say(&self, what: &str, position: u64, root: &str) -> anyhow::Result<ExitCode> {
        if self.json {
            output::data_json(&json!({"position": position, "root": root}))?;
        } else {
            output::note(&format!("{what} {position} events (root {root})"));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The checkpoint of the backup is of its head. Whether it is signed by somebody whom one trusts is told by
/// the file itself, as that of any checkpoint.
fn check_checkpoint(set: &BackupSet) -> anyhow::Result<()> {
    let files = set.files()?;
    let note = files.iter().find(|file| file.name == "checkpoint");
    let note = note.context("the backup holds no checkpoint")?;
    let signed = Checkpoint::read_unverified(&note.content)?;
    let manifest = set.manifest();
    ensure!(
        signed.head.size == manifest.position && signed.head.root.to_string() == manifest.root,
        "the checkpoint of the backup is of another log, or of another moment",
    );
    Ok(())
}
