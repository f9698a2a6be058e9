use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use engine::{EventJson, tenant_of};
use event_log::{Frontier, Record, leaf_hash};
use proofs::{BundleReader, BundleRecord};
use serde_json::json;
use vault::Vault;

use super::bundle::BundleFile;
use super::check::{Trust, line};
use super::source::{Filter, From, RecordedHead};
use crate::output;

/// Write all records about a tenant, up to where its history was recorded last, to a bundle that proves
/// that none is missing.
#[derive(Debug, Args)]
pub(super) struct ExportTenant {
    tenant: String,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    from: From,
}

/// Check that a bundle holds all that the log has about a tenant; nothing is needed but the key.
#[derive(Debug, Args)]
pub(super) struct CheckTenant {
    tenant: String,
    bundle: PathBuf,
    #[command(flatten)]
    trust: Trust,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

impl ExportTenant {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let mut source = self.from.open()?;
        let head = source.recorded_head(&self.tenant)?;
        let head = head.with_context(|| {
            format!(
                "the history of {} was never recorded: POST /v1/tenants/{}/log/checkpoint does it",
                self.tenant, self.tenant
            )
        })?;
        let filter = Filter::of_tenant(&self.tenant);
        let mut bundle = BundleFile::create(&self.out, &source, &filter)?;
        source.positions(&filter, head.through, &mut |source, position| {
            bundle.put(source, position)
        })?;
        // The event that says how many there are comes last, and is not among them.
        bundle.put(&source, head.position)?;
        let records = bundle.finish()?;
        output::note(&format!(
            "{} records, and what the log says of them",
            records - 1
        ));
        Ok(ExitCode::SUCCESS)
    }
}

impl CheckTenant {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let file = File::open(&self.bundle);
        let file = file.with_context(|| format!("{} cannot be read", self.bundle.display()))?;
        let mut reader = BundleReader::open(BufReader::new(file), &self.trust.keys()?)?;
        let mut frontier = Frontier::default();
        let mut shown = Vec::new();
        // The last one says what the others must be.
        let mut before: Option<BundleRecord> = None;
        while let Some(proven) = reader.next_record()? {
            if let Some(before) = before.replace(proven) {
                let record = about(&before, &self.tenant)?;
                if !self.json {
                    shown.push(line(&record));
                }
                frontier.append(leaf_hash(&before.record));
            }
        }
        let Some(last) = before else {
            bail!("the bundle holds no record");
        };
        let head = recorded(&about(&last, &self.tenant)?, &self.tenant)?;
        ensure!(
            frontier.size() == head.size && frontier.root().to_string() == head.root,
            "the bundle has {} records, and the log says at position {} that there are {} with \
             another root: some are missing, or are not those",
            frontier.size(),
            last.position,
            head.size,
        );
        let checkpoint = reader.checkpoint();
        if self.json {
            output::data_json(&json!({
                "log": checkpoint.origin,
                "tenant": self.tenant,
                "records": head.size,
                "root": head.root,
                "through": head.through,
                "recorded_at_position": last.position,
            }))?;
            return Ok(ExitCode::SUCCESS);
        }
        shown.iter().try_for_each(|line| output::data(line))?;
        output::note(&format!(
            "It is proven: these {} records are all that the log {} had about the tenant {} up to \
             position {}, as it says itself at position {}.",
            head.size, checkpoint.origin, self.tenant, head.through, last.position,
        ));
        Ok(ExitCode::SUCCESS)
    }
}

/// The record, which must be about the tenant.
fn about<'a>(proven: &'a BundleRecord, tenant: &str) -> anyhow::Result<Record<'a>> {
    let record = super::check::shown(&proven.record, proven.position - 1)?;
    let of = tenant_of(&record)?;
    ensure!(
        of.as_deref() == Some(tenant),
        "the record at position {} is not about the tenant",
        proven.position
    );
    Ok(record)
}

/// What the log says of the tenant's history in this record.
fn recorded(record: &Record<'_>, tenant: &str) -> anyhow::Result<RecordedHead> {
    ensure!(
        record.stream == format!("tenant-{tenant}")
            && record.event_type == "tenant.history_recorded",
        "the bundle does not end with what the log says of the tenant's history"
    );
    // It says nothing of people, so no keys are needed.
    let event = EventJson::from_record(record, &Vault::ephemeral(), |_| None)?;
    let head: RecordedHead = serde_json::from_str(event.data.get())?;
    ensure!(
        head.through < record.position.0,
        "what the log says of the tenant's history is of a time to come"
    );
    Ok(RecordedHead {
        position: record.position.0,
        ..head
    })
}
