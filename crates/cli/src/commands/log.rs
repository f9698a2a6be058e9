mod bundle;
mod check;
mod prove;
mod rotate;
mod source;
mod tail;
mod tenant;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use event_log::{Damage, Scan};
use serde_json::json;
use transparency::{TileCheck, TransparencyLog};
use types::Position;

use super::settings::Place;
use crate::output;
use crate::progress::Progress;

/// Look after the event log itself.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read everything, and compare checksums, positions, the tree, its tiles and the anchors.
    Verify(Common),
    /// Say how large the log is and what it holds.
    Stats(Common),
    /// Say what is the matter with a log that does not open, and what can be done.
    Doctor {
        #[command(flatten)]
        common: Common,
        /// Write a new head file, when the old one is lost and the log is known to be whole.
        #[arg(long)]
        rewrite_head: bool,
    },
    /// Rewrite the log into less space. Every event and the root stay what they are.
    Compact(Common),
    Tail(tail::Tail),
    Checkpoint(prove::Checkpoint),
    Keys(prove::Keys),
    Prove(prove::Prove),
    ProveConsistency(prove::ProveConsistency),
    CheckProof(check::CheckProof),
    CheckConsistency(check::CheckConsistency),
    ExportBundle(bundle::ExportBundle),
    CheckBundle(bundle::CheckBundle),
    ExportTenant(tenant::ExportTenant),
    CheckTenant(tenant::CheckTenant),
    RotateKey(rotate::RotateKey),
}

#[derive(Debug, Args)]
struct Common {
    #[command(flatten)]
    data: Place,
    /// As one JSON object.
    #[arg(long)]
    json: bool,
}

impl Options {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Verify(common) => common.verify(),
            Command::Stats(common) => common.stats(),
            Command::Doctor {
                common,
                rewrite_head: true,
            } => common.rewrite_head(),
            Command::Doctor {
                common,
                rewrite_head: false,
            } => common.doctor(),
            Command::Compact(common) => common.compact(),
            Command::Tail(options) => options.run(),
            Command::Checkpoint(options) => options.run(),
            Command::Keys(options) => options.run(),
            Command::Prove(options) => options.run(),
            Command::ProveConsistency(options) => options.run(),
            Command::CheckProof(options) => options.run(),
            Command::CheckConsistency(options) => options.run(),
            Command::ExportBundle(options) => options.run(),
            Command::CheckBundle(options) => options.run(),
            Command::ExportTenant(options) => options.run(),
            Command::CheckTenant(options) => options.run(),
            Command::RotateKey(options) => options.run(),
        }
    }
}

impl Common {
    fn verify(&self) -> anyhow::Result<ExitCode> {
        let config = self.data.existing_config()?;
        TransparencyLog::check_keys(&config.transparency())?;
        let store = self.data.store()?;
        let progress = Progress::new(store.log.head().position.0);
        let mut scan = Scan::of(&*store.log);
        let mut tiles = TileCheck::of(&config.data_dir.join("tiles"));
        let mut report = loop {
            match scan.next(&mut |leaf| tiles.leaf(leaf)) {
                Ok(Some(_)) => progress.reached(scan.position()),
                Ok(None) => break scan.report(None),
                Err(error) => break scan.report(Some(error)),
            }
        };
        // The bytes are what was written; whether they are events that can follow each other
        // is looked at here.
        if report.damage.is_none()
            && let Err(error) = engine::check(&store)
        {
            let (position, what) = (error.position(), error.to_string());
            let last_good = Position(position.0.saturating_sub(1));
            report.damage = Some(Damage {
                position,
                last_good,
                what,
            });
        }
        drop(progress);
        let damage = report.damage.as_ref();
        let tile = tiles.damage();
        // Tiles that are wrong are said and nothing worse: the next start makes them again.
        let anchors = match damage {
            None => TransparencyLog::compare(&store.log, &config.transparency()).err(),
            Some(_) => None,
        };
        if self.json {
            output::data_json(&json!({
                "events": report.events,
                "blocks": report.blocks,
                "root": report.root.to_string(),
                "tiles": tiles.checked(),
                "damaged_tile": tile.map(|tile| tile.path.display().to_string()),
                "anchors": anchors.as_ref().map(ToString::to_string),
                "damage": damage.map(|damage| json!({
                    "position": damage.position.0,
                    "last_good": damage.last_good.0,
                    "what": damage.what,
                })),
            }))?;
        } else {
            output::data(&format!("events {}", report.events))?;
            output::data(&format!("blocks {}", report.blocks))?;
            output::data(&format!("root {}", report.root))?;
            output::data(&format!("tiles {}", tiles.checked()))?;
        }
        if let Some(tile) = tile {
            output::problem(&format!(
                "the tile {} is not that of the records: {}. The records are good, and the next \
                 start makes the tiles again",
                tile.path.display(),
                tile.what,
            ));
        }
        if let Some(error) = &anchors {
            output::problem(&error.to_string());
        }
        let Some(damage) = damage else {
            let is_good = tile.is_none() && anchors.is_none();
            return Ok(if is_good {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            });
        };
        output::problem(&format!(
            "the log is damaged at position {} (the last good one is {}): {}",
            damage.position, damage.last_good, damage.what,
        ));
        Ok(ExitCode::FAILURE)
    }

    fn stats(&self) -> anyhow::Result<ExitCode> {
        let log = server::open_log(&self.data.existing()?)?;
        let (stats, head) = (log.stats()?, log.head());
        let types = log.index().types();
        if self.json {
            let types: serde_json::Map<_, _> = types
                .into_iter()
                .map(|(name, count)| (name, count.into()))
                .collect();
            output::data_json(&json!({
                "events": stats.events,
                "blocks": stats.blocks,
                "disk_bytes": stats.disk_bytes,
                "blobs": stats.blobs,
                "root": head.root.to_string(),
                "types": types,
            }))?;
            return Ok(ExitCode::SUCCESS);
        }
        output::data(&format!("events {}", stats.events))?;
        output::data(&format!("blocks {}", stats.blocks))?;
        output::data(&format!("disk_bytes {}", stats.disk_bytes))?;
        output::data(&format!("blobs {}", stats.blobs))?;
        output::data(&format!("root {}", head.root))?;
        types
            .iter()
            .try_for_each(|(name, count)| output::data(&format!("{name} {count}")))?;
        Ok(ExitCode::SUCCESS)
    }

    fn doctor(&self) -> anyhow::Result<ExitCode> {
        let found = server::doctor(&self.data.existing()?)?;
        let report = found.report.as_ref();
        let damage = report.and_then(|report| report.damage.as_ref());
        let healthy = found.refusal.is_none() && report.is_some() && damage.is_none();
        if self.json {
            output::data_json(&json!({
                "healthy": healthy,
                "refusal": found.refusal,
                "remembered": found.remembered.map(|head| head.position.0),
                "readable_events": report.map(|report| report.events),
                "damage": damage.map(|damage| &damage.what),
                "advice": found.advice,
            }))?;
        } else {
            if let Some(refusal) = &found.refusal {
                output::data(&format!("The store does not open: {refusal}."))?;
            }
            if let Some(head) = found.remembered {
                output::data(&format!("Acknowledged up to position {}.", head.position))?;
            }
            if let Some(report) = report {
                output::data(&format!(
                    "Readable and good up to position {}.",
                    report.events
                ))?;
            }
            found
                .advice
                .iter()
                .try_for_each(|advice| output::data(advice))?;
        }
        Ok(if healthy {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    fn rewrite_head(&self) -> anyhow::Result<ExitCode> {
        let head = server::rewrite_head(&self.data.existing()?)?;
        output::note(&format!(
            "the head file now says position {}, root {}",
            head.position, head.root
        ));
        Ok(ExitCode::SUCCESS)
    }

    fn compact(&self) -> anyhow::Result<ExitCode> {
        let progress = Progress::endless();
        let compacted =
            server::compact_log(&self.data.existing()?, &mut |it| progress.reached(it))?;
        drop(progress);
        if self.json {
            output::data_json(&json!({
                "events": compacted.events,
                "bytes_before": compacted.bytes_before,
                "bytes_after": compacted.bytes_after,
            }))?;
        } else {
            output::note(&format!(
                "{} events: {} bytes before, {} after",
                compacted.events, compacted.bytes_before, compacted.bytes_after,
            ));
        }
        Ok(ExitCode::SUCCESS)
    }
}
