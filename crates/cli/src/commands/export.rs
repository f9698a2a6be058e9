use std::io::{BufWriter, Write as _};
use std::process::ExitCode;

use clap::Args;
use engine::{EventJson, Until};
use types::Position;

use super::DataDir;

/// How much of the log is read at a time, as stored.
const PIECE_BYTES: usize = 1024 * 1024;

/// Print every event as one line of JSON.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    data: DataDir,
}

impl Options {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let log = server::open_log(self.data.existing()?)?;
        // Who the numbers are is known only after the log has been read once.
        let rebuilt = engine::replay(&log, Until::Head, &mut |_| ())?;
        let subjects = &rebuilt.read_models.subjects;
        let mut out = BufWriter::new(std::io::stdout().lock());
        let head = log.head().position;
        let mut next = Position(1);
        while next <= head {
            for raw in log.read(next, PIECE_BYTES)? {
                for record in raw.decode()?.records() {
                    let record = record?;
                    next = record.position.next();
                    serde_json::to_writer(
                        &mut out,
                        &EventJson::from_record(&record, |subject| subjects.user_id(subject))?,
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
