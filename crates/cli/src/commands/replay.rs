use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Args;
use engine::{EventStore, Until};
use types::{Clock as _, Position, SystemClock, Timestamp};

use super::digest;
use super::settings::Place;
use crate::output;
use crate::progress::Progress;

/// Rebuild the read models from the log, and print their digests.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    data: Place,
    /// Stop after this position, or after the last event recorded by this time (RFC 3339).
    #[arg(long, value_parser = until, value_name = "POSITION|TIME")]
    until: Option<Until>,
    /// Write a data directory that ends there, keys included; it must not be there yet.
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Digests as one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn until(text: &str) -> Result<Until, String> {
    if let Ok(position) = text.parse() {
        return Ok(Until::Position(Position(position)));
    }
    let time: Result<Timestamp, _> = text.parse();
    time.map(Until::Time)
        .map_err(|_| "neither a position nor an RFC 3339 time".to_owned())
}

/// What is asked for, the head unless anything is. A moment that the log has not reached is refused: what
/// would come of it today would be something else tomorrow.
pub(crate) fn reached(store: &EventStore, until: Option<Until>) -> anyhow::Result<Until> {
    let until = until.unwrap_or(Until::Head);
    match until {
        Until::Head => {}
        Until::Position(position) => {
            let head = store.log.head().position;
            ensure!(position <= head, "the log ends at position {head}");
        }
        Until::Time(time) => ensure!(time <= SystemClock.now(), "{time} is in the future"),
    }
    Ok(until)
}

impl Options {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let store = self.data.store()?;
        let until = reached(&store, self.until)?;
        let progress = Progress::new(store.log.head().position.0);
        let started = Instant::now();
        let rebuilt = engine::replay(&store, until, &mut |position| progress.reached(position))?;
        let took = started.elapsed();
        drop(progress);
        let events = rebuilt.read_models.checkpoint();
        output::note(&format!(
            "{events} events in {:.2} s: {:.0} events/s",
            took.as_secs_f64(),
            per_second(events, took),
        ));
        if let Some(to) = &self.to {
            let last = rebuilt.read_models.checkpoint();
            let (data, master_key) = (self.data.existing()?, self.data.master_key()?);
            server::copy_until(&store, &data, to, &master_key, last)?;
            output::note(&format!(
                "{} holds the log up to position {last}",
                to.display()
            ));
        }
        digest::print(&rebuilt.read_models, self.json)?;
        Ok(ExitCode::SUCCESS)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rate for a person needs few digits"
)]
fn per_second(events: Position, took: Duration) -> f64 {
    events.0 as f64 / took.as_secs_f64()
}
