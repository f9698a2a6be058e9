use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::Args;
use proofs::{BundleReader, BundleRecord, InclusionProof, bundle_end, bundle_head};
use serde_json::json;

use super::check::{Trust, line, shown};
use super::source::{Filter, From, Source};
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
        let mut bundle = BundleFile::create(&self.out, &source, &self.filter)?;
        let size = bundle.size;
        source.positions(&self.filter, size, &mut |source, position| {
            bundle.put(source, position)
        })?;
        let records = bundle.finish()?;
        output::note(&format!("{records} records of a log of {size}"));
        Ok(ExitCode::SUCCESS)
    }
}

/// A bundle that is being written: records with their proofs under one checkpoint.
pub(super) struct BundleFile {
    out: BufWriter<File>,
    /// Of the log that the checkpoint is of.
    size: u64,
    records: u64,
}

impl BundleFile {
    pub(super) fn create(path: &Path, source: &Source, filter: &Filter) -> anyhow::Result<Self> {
        let checkpoint = source.checkpoint()?;
        let read = proofs::Checkpoint::read_unverified(checkpoint.as_bytes())?;
        let out = File::create(path);
        let out = out.with_context(|| format!("{} cannot be written", path.display()))?;
        let mut out = BufWriter::new(out);
        write!(out, "{}", bundle_head(&filter.query(), &checkpoint))?;
        Ok(Self {
            out,
            size: read.head.size,
            records: 0,
        })
    }

    pub(super) fn put(&mut self, source: &Source, position: u64) -> anyhow::Result<()> {
        let proof = InclusionProof::parse(&source.inclusion(position, Some(self.size))?)?;
        let record = BundleRecord {
            position,
            record: source.record(position)?,
            hashes: proof.hashes,
        };
        write!(self.out, "{record}")?;
        self.records += 1;
        Ok(())
    }

    /// Ends the bundle; how many records are in it.
    pub(super) fn finish(mut self) -> anyhow::Result<u64> {
        write!(self.out, "{}", bundle_end(self.records))?;
        self.out.into_inner()?.sync_all()?;
        Ok(self.records)
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
