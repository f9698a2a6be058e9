use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::Args;
use proofs::{BundleReader, BundleRecord, InclusionProof, bundle_end, bundle_head};
use serde_json::json;

use super::check::{Trust, line, shown};
use super::source::{Filter, From};
use crate::output;

/// Write the records of some events, with their proofs and the checkpoint, to one file.
#[derive(Debug, Args)]
pub(super) struct ExportBundle {
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    from: From,
}

/// Check a bundle; nothing is needed but the key. Prints what each record says of itself.
#[derive(Debug, Args)]
pub(super) struct CheckBundle {
    bundle: PathBuf,
    #[command(flatten)]
    trust: Trust,
    /// One JSON object for each record, and one for the bundle.
    #[arg(long)]
    json: bool,
}

impl ExportBundle {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let mut source = self.from.open()?;
        let checkpoint = source.checkpoint()?;
        let size = proofs::Checkpoint::read_unverified(checkpoint.as_bytes())?
            .head
            .size;
        let out = File::create(&self.out);
        let out = out.with_context(|| format!("{} cannot be written", self.out.display()))?;
        let mut out = BufWriter::new(out);
        write!(out, "{}", bundle_head(&self.filter.query(), &checkpoint))?;
        let mut records = 0;
        source.positions(&self.filter, size, &mut |source, position| {
            let proof = InclusionProof::parse(&source.inclusion(position, Some(size))?)?;
            let record = BundleRecord {
                position,
                record: source.record(position)?,
                hashes: proof.hashes,
            };
            write!(out, "{record}")?;
            records += 1;
            Ok(())
        })?;
        write!(out, "{}", bundle_end(records))?;
        out.into_inner()?.sync_all()?;
        output::note(&format!("{records} records of a log of {size}"));
        Ok(ExitCode::SUCCESS)
    }
}

impl CheckBundle {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let file = File::open(&self.bundle);
        let file = file.with_context(|| format!("{} cannot be read", self.bundle.display()))?;
        let mut reader = BundleReader::open(BufReader::new(file), &self.trust.keys()?)?;
        while let Some(proven) = reader.next_record()? {
            let said = shown(&proven.record, proven.position - 1)?;
            if self.json {
                output::data_json(&json!({
                    "position": proven.position,
                    "stream": said.stream,
                    "type": said.event_type,
                    "recorded_at": said.recorded_at.to_string(),
                }))?;
            } else {
                output::data(&line(&said))?;
            }
        }
        let checkpoint = reader.checkpoint();
        let (log, head, records) = (&checkpoint.origin, checkpoint.head, reader.records());
        ensure!(
            records <= head.size,
            "there are more records than the log has"
        );
        if self.json {
            output::data_json(&json!({
                "log": log,
                "size": head.size,
                "root": head.root.to_string(),
                "records": records,
                "filter": reader.filter(),
            }))?;
            return Ok(ExitCode::SUCCESS);
        }
        output::note(&format!(
            "It is proven: these {records} records are in the log {log}, which has {} records and the \
             root {}.",
            head.size, head.root,
        ));
        if records == head.size {
            output::note("They are all that it has.");
        } else {
            output::note(&format!(
                "That they are all for which `{}` asks is what whoever made the bundle says.",
                reader.filter(),
            ));
        }
        Ok(ExitCode::SUCCESS)
    }
}
