use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use engine::{EventStore, Importer};
use types::{Clock as _, Position, SystemClock, Timestamp};

use super::settings::Place;
use crate::output;
use crate::progress::Progress;

/// Events written in one commit.
const GROUP_EVENTS: usize = 1_024;
const GROUP_BYTES: usize = 256 * 1024;
/// The longest line that is taken, in bytes: far more than any event needs.
const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// By how much the clock of the machine that wrote the export may be ahead of ours.
const CLOCK_DIFFERENCE_MAX_NANOSECONDS: u64 = 24 * 60 * 60 * 1_000_000_000;

/// Read an export into an empty data directory: positions, times and ids stay what they were.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    data: Place,
    /// The export; standard input if not given.
    file: Option<PathBuf>,
    /// The outcome as one JSON object.
    #[arg(long)]
    json: bool,
}

impl Options {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let mut lines: Box<dyn BufRead> = match &self.file {
            Some(path) => {
                Box::new(BufReader::new(File::open(path).with_context(|| {
                    format!("{} cannot be opened", path.display())
                })?))
            }
            None => Box::new(BufReader::new(std::io::stdin())),
        };
        let latest = Timestamp(
            SystemClock
                .now()
                .0
                .saturating_add(CLOCK_DIFFERENCE_MAX_NANOSECONDS),
        );
        let (data, master_key) = (self.data.data_dir()?, self.data.master_key()?);
        let store = server::import_log(&data, &master_key, |store| {
            import(store, &mut lines, latest)
        })?;
        let head = store.log.head();
        if self.json {
            let outcome =
                serde_json::json!({"events": head.position.0, "root": head.root.to_string()});
            output::data_json(&outcome)?;
        } else {
            output::note(&format!(
                "{} events imported, root {}",
                head.position, head.root
            ));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn import(store: &EventStore, lines: &mut dyn BufRead, latest: Timestamp) -> anyhow::Result<()> {
    let log = &store.log;
    let mut importer = Importer::new(latest, Arc::clone(&store.vault));
    let (mut group, mut bytes) = (Vec::new(), 0);
    let mut line = String::new();
    let mut number = 0_u64;
    let progress = Progress::endless();
    loop {
        line.clear();
        let read = Read::take(&mut *lines, LINE_BYTES_MAX)
            .read_line(&mut line)
            .with_context(|| format!("line {} cannot be read", number + 1))?;
        if read == 0 {
            break;
        }
        number += 1;
        let Some(whole) = line.strip_suffix('\n') else {
            bail!("line {number}: it is cut off: the line break is missing");
        };
        group.push(importer.record(whole)?);
        bytes += line.len();
        if group.len() == GROUP_EVENTS || bytes >= GROUP_BYTES {
            log.append(&group)?;
            progress.reached(Position(number));
            group.clear();
            bytes = 0;
        }
    }
    log.append(&group)?;
    Ok(())
}
