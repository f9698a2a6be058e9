//! Checking, for which nothing is needed but files and a verifier key.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::Args;
use event_log::Record;
use proofs::{
    Checkpoint, ConsistencyProof, InclusionProof, KeyHistory, TrustedKey, VerifierKey, leaf_hash,
};
use serde_json::json;
use types::Position;

use crate::output;

/// Whom to believe.
#[derive(Debug, Args)]
pub(super) struct Trust {
    /// A verifier key of the log, from somebody who is to be believed: `name+id+key`.
    #[arg(long, value_name = "KEY")]
    key: VerifierKey,
    /// What `muster log keys` printed: keys that followed the one that is believed are believed too.
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
}

/// Check that a record is in the log; nothing is needed but the key, the proof and the record.
#[derive(Debug, Args)]
pub(super) struct CheckProof {
    /// The proof; `-` is standard input.
    proof: PathBuf,
    /// The record as it is stored.
    #[arg(long, value_name = "FILE")]
    record: PathBuf,
    #[command(flatten)]
    trust: Trust,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// Check that the log only grew since a checkpoint that was kept.
#[derive(Debug, Args)]
pub(super) struct CheckConsistency {
    /// The proof; `-` is standard input.
    proof: PathBuf,
    /// The checkpoint that was kept.
    #[arg(long, value_name = "FILE")]
    since: PathBuf,
    #[command(flatten)]
    trust: Trust,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

impl Trust {
    pub(super) fn keys(self) -> anyhow::Result<Vec<TrustedKey>> {
        let Some(path) = &self.keys else {
            return Ok(vec![TrustedKey::always(self.key)]);
        };
        let history = KeyHistory::parse(&read_text(path)?);
        let history = history.with_context(|| format!("{} holds no keys", path.display()))?;
        let followed = history.followed_from(&self.key);
        followed.with_context(|| format!("{} does not know the key", path.display()))
    }
}

impl CheckProof {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let proof = InclusionProof::parse(&read_text(&self.proof)?)?;
        let record = fs::read(&self.record);
        let record = record.with_context(|| format!("{} cannot be read", self.record.display()))?;
        let checkpoint = proof.verify(leaf_hash(&record), &self.trust.keys()?)?;
        let said = shown(&record, proof.index)?;
        if self.json {
            output::data_json(&json!({
                "log": checkpoint.origin,
                "size": checkpoint.head.size,
                "root": checkpoint.head.root.to_string(),
                "position": proof.index + 1,
                "stream": said.stream,
                "type": said.event_type,
                "recorded_at": said.recorded_at.to_string(),
            }))?;
        } else {
            output::data(&format!(
                "It is proven: the record is at position {} of the log {}, which has {} records \
                 and the root {}.",
                proof.index + 1,
                checkpoint.origin,
                checkpoint.head.size,
                checkpoint.head.root,
            ))?;
            output::data(&line(&said))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl CheckConsistency {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let proof = ConsistencyProof::parse(&read_text(&self.proof)?)?;
        let keys = self.trust.keys()?;
        let since = Checkpoint::open(read_text(&self.since)?.as_bytes(), &keys);
        let since = since.with_context(|| format!("{} is none", self.since.display()))?;
        let checkpoint = proof.verify(&since.head, &keys)?;
        if self.json {
            output::data_json(&json!({
                "log": checkpoint.origin,
                "from": since.head.size,
                "size": checkpoint.head.size,
                "root": checkpoint.head.root.to_string(),
            }))?;
        } else {
            output::data(&format!(
                "It is proven: the log {} has grown from {} to {} records, and the first {} are \
                 what they were.",
                checkpoint.origin, since.head.size, checkpoint.head.size, since.head.size,
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What a record says of itself, which must be where the proof says it is.
pub(super) fn shown(record: &[u8], index: u64) -> anyhow::Result<Record<'_>> {
    let record = Record::decode(record).map_err(anyhow::Error::msg)?;
    ensure!(
        record.position == Position(index + 1),
        "the record says that it is at another position"
    );
    Ok(record)
}

pub(super) fn line(record: &Record<'_>) -> String {
    let Record {
        position,
        stream,
        version,
        event_type,
        recorded_at,
        ..
    } = record;
    format!(
        "{position}  {recorded_at}  {event_type}  {stream}  version {}",
        version.0
    )
}

fn read_text(path: &Path) -> anyhow::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}
