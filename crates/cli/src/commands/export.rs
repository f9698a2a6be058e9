use std::io::{BufWriter, Write as _};
use std::process::ExitCode;

use clap::Args;
use engine::{EventJson, to_envelope};
use projections::{Projection as _, Subjects};
use types::Position;

use super::settings::Place;
use crate::progress::Progress;

/// How much of the log is read at a time, as stored.
const PIECE_BYTES: usize = 1024 * 1024;

/// Print every event as one line of JSON.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    data: Place,
}

impl Options {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let store = self.data.store()?;
        let (log, vault) = (&store.log, &*store.vault);
        // People are registered before they are named, so one reading is enough.
        let subjects = Subjects::default();
        let mut out = BufWriter::new(std::io::stdout().lock());
        let head = log.head().position;
        let mut next = Position(1);
        let progress = Progress::new(head.0);
        while next <= head {
            progress.reached(next);
            for raw in log.read(next, PIECE_BYTES)? {
                for record in raw.decode()?.records() {
                    let record = record?;
                    next = record.position.next();
                    subjects.apply(&to_envelope(&record, vault)?);
                    serde_json::to_writer(
                        &mut out,
                        &EventJson::from_record(&record, vault, |subject| {
                            subjects.user_id(subject)
                        })?,
                    )
                    .map_err(std::io::Error::from)?;
                    out.write_all(b"\n")?;
                }
            }
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}
