use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde::Deserialize;

use super::batch::{BadRow, Batch, SentRow, read_all};
use super::progress::{Progress, Source};
use super::rejected::{Rejected, RejectedFile};
use super::rows::{Reading, Rows};
use super::{Format, beside};
use crate::commands::server::{Address, Refused, Server};
use crate::output;

/// Requests that are read ahead of those under way.
const REQUESTS_AHEAD: usize = 2;
/// Requests under way: while the server writes one, it reads the next.
const REQUESTS_UNDER_WAY: usize = 3;

/// Write users from a file: each row as a whole or not at all, added to what is there.
///
/// A row holds `user_id`, and `profile`, `lists`, `tenants`, `preferences`, `tokens`,
/// `recipient_preferences` and `quiet_hours` as far as there are any. In comma-separated values a
/// column is what it is called, and an attribute of the profile where its name is none of these.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Lines of JSON, or comma-separated values with a header.
    file: PathBuf,
    #[command(flatten)]
    address: Address,
    /// Told by the name of the file unless given.
    #[arg(long)]
    format: Option<Format>,
    /// What stands between two values of comma-separated values, such as `;`, where it is no comma.
    #[arg(long)]
    delimiter: Option<char>,
    /// What a column holds, as COLUMN=TARGET: `user_id`, `profile.<path>` (with `:number`,
    /// `:boolean` or `:json` where it is not a string), `profile`, `lists`, `tenants`, `preferences`,
    /// `tokens`, `recipient_preferences`, `quiet_hours`, or `-` for nothing.
    #[arg(long = "map", value_name = "COLUMN=TARGET")]
    mapping: Vec<String>,
    /// Users in one request, 1 to 1,000.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    batch: u16,
    /// Where rows are told that were not written, as lines of JSON; FILE.errors unless given.
    #[arg(long, value_name = "FILE")]
    errors: Option<PathBuf>,
    /// Go on where an import of the same file was broken off.
    #[arg(long)]
    resume: bool,
    /// The file is an export: take choices as they were made, whatever the topics are here, and leave
    /// out device tokens that have expired since.
    #[arg(long)]
    restore: bool,
    /// The outcome as one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct Answer {
    accepted: u64,
    errors: Vec<AnswerError>,
}

#[derive(Deserialize)]
struct AnswerError {
    index: usize,
    code: String,
    message: String,
    path: Option<String>,
}

/// A batch whose answer is waited for.
struct UnderWay<'scope> {
    batch: Arc<Batch>,
    answer: ScopedJoinHandle<'scope, anyhow::Result<Answer>>,
}

impl Options {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let format = Format::of(self.format, Some(&self.file))?;
        let server = Server::at(&self.address)?;
        // Whatever decides what is written, and where: nothing else is gone on with.
        let how = format!(
            "{format:?} {:?} {:?} {} {}",
            self.delimiter,
            self.mapping,
            self.restore,
            server.url()
        );
        let source = Source::of(&self.file, how)?;
        let file_bytes = source.bytes;
        let progress_path = beside(&self.file, ".progress");
        let mut progress = if self.resume {
            Progress::read(&progress_path, &source)?
        } else {
            Progress::of_file(source)
        };
        let reading = Reading {
            format,
            delimiter: self.delimiter,
            mapping: &self.mapping,
        };
        let from = self.resume.then_some(progress.done);
        let rows = Rows::open(&self.file, &reading, from)?;
        if !self.resume {
            RejectedFile::check(&self.errors_path(), &self.file)?;
        }
        if !self.resume && progress_path.exists() {
            fs::remove_file(&progress_path)?;
        }
        let mut rejected_file = RejectedFile::new(self.errors_path(), progress.errors_bytes)?;
        let bar = ProgressBar::new(file_bytes).with_style(ProgressStyle::with_template(
            "{bar:40} {percent}%  {msg}  {eta} left",
        )?);
        bar.set_position(progress.done.byte);
        bar.reset_eta();

        let started = Instant::now();
        let (before, batch) = (progress.done.rows, usize::from(self.batch));
        let restore = self.restore;
        thread::scope(|scope| {
            let (batches, ready) = mpsc::sync_channel(REQUESTS_AHEAD);
            let reading = scope.spawn(move || read_all(rows, batch, &batches));
            let mut under_way: VecDeque<UnderWay<'_>> = VecDeque::new();
            let mut finish = |first: UnderWay<'_>| -> anyhow::Result<()> {
                let answer = first.answer.join().expect("sending does not panic")?;
                let (accepted, rejected) = note(&first.batch, &answer, &mut rejected_file)?;
                progress.accepted += accepted;
                progress.rejected += rejected;
                progress.done = first.batch.end;
                progress.errors_bytes = rejected_file.bytes();
                progress.write(&progress_path)?;
                bar.set_position(progress.done.byte);
                bar.set_message(pace(progress.done.rows - before, started.elapsed()));
                Ok(())
            };
            for batch in ready {
                let batch = Arc::new(batch);
                // Rows of one user are written in the order of the file.
                let must_wait = |under_way: &VecDeque<UnderWay<'_>>| {
                    under_way.len() == REQUESTS_UNDER_WAY
                        || under_way.iter().any(|it| it.batch.shares_users(&batch))
                };
                while must_wait(&under_way)
                    && let Some(first) = under_way.pop_front()
                {
                    finish(first)?;
                }
                let (server, sending) = (&server, Arc::clone(&batch));
                let answer = scope.spawn(move || send(server, &sending.sent, restore));
                under_way.push_back(UnderWay { batch, answer });
            }
            under_way.into_iter().try_for_each(finish)?;
            reading.join().expect("reading does not panic")
        })
        .with_context(|| match progress.done.rows {
            0 => "nothing was written".to_owned(),
            done => {
                let done = HumanCount(done);
                format!("after {done} rows; `--resume` goes on from there")
            }
        })?;
        bar.finish_and_clear();
        if progress_path.exists() {
            fs::remove_file(&progress_path)?;
        }
        self.report(&progress, progress.done.rows - before, started.elapsed())
    }

    fn errors_path(&self) -> PathBuf {
        let beside_it = || beside(&self.file, ".errors");
        self.errors.clone().unwrap_or_else(beside_it)
    }

    fn report(&self, all: &Progress, rows: u64, took: Duration) -> anyhow::Result<ExitCode> {
        let (accepted, rejected) = (all.accepted, all.rejected);
        if self.json {
            output::data_json(&serde_json::json!({
                "rows": all.done.rows,
                "accepted": accepted,
                "rejected": rejected,
                "seconds": took.as_secs_f64(),
            }))?;
        } else {
            output::note(&format!(
                "{} rows written, {} rejected; {} in {:.1} s",
                HumanCount(accepted),
                HumanCount(rejected),
                pace(rows, took),
                took.as_secs_f64(),
            ));
        }
        if rejected == 0 {
            return Ok(ExitCode::SUCCESS);
        }
        output::problem(&format!(
            "what was rejected, and why, is in {}",
            self.errors_path().display()
        ));
        Ok(ExitCode::FAILURE)
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate for a person needs few digits"
)]
fn pace(rows: u64, took: Duration) -> String {
    let per_second = rows as f64 / took.as_secs_f64().max(0.001);
    format!(
        "{} rows, {}/s",
        HumanCount(rows),
        HumanCount(per_second as u64)
    )
}

/// Has the rows written. What the server takes offence at as a whole, such as a row that nests too
/// deep or rows that are too much together, is sent in ever smaller parts, until the row is found.
fn send(server: &Server, rows: &[SentRow], restore: bool) -> anyhow::Result<Answer> {
    if rows.is_empty() {
        return Ok(Answer {
            accepted: 0,
            errors: vec![],
        });
    }
    let texts: Vec<&str> = rows.iter().map(|row| row.text.as_str()).collect();
    let body = format!("{{\"restore\":{restore},\"users\":[{}]}}", texts.join(","));
    let mut answer = match server.post::<Answer>("/v1/users:batch", &body) {
        Ok(answer) => answer,
        Err(failed) => match failed.downcast::<Refused>()? {
            Refused {
                status: 400 | 413,
                problem,
            } if rows.len() == 1 => Answer {
                accepted: 0,
                errors: vec![AnswerError {
                    index: 0,
                    code: problem.code.unwrap_or_default(),
                    message: problem.message,
                    path: problem.path,
                }],
            },
            Refused {
                status: 400 | 413, ..
            } => {
                let (first, second) = rows.split_at(rows.len() / 2);
                let mut all = send(server, first, restore)?;
                let rest = send(server, second, restore)?;
                all.accepted += rest.accepted;
                all.errors.extend(rest.errors.into_iter().map(|mut error| {
                    error.index += first.len();
                    error
                }));
                return Ok(all);
            }
            refused @ Refused { .. } => return Err(refused.into()),
        },
    };
    ensure!(
        answer.accepted + answer.errors.len() as u64 == rows.len() as u64,
        "the server tells of {} rows that were written and {} that were not, where {} were sent",
        answer.accepted,
        answer.errors.len(),
        rows.len()
    );
    for error in &mut answer.errors {
        // Where in the row, not in the request.
        let row = format!("/users/{}", error.index);
        error.message = error.message.replace(&row, "");
        error.path = error.path.take().map(|path| {
            let within = path.strip_prefix(&row).map(str::to_owned);
            within.unwrap_or(path)
        });
    }
    Ok(answer)
}

/// Takes note of what was not written; how many rows were, and how many were not.
fn note(batch: &Batch, answer: &Answer, file: &mut RejectedFile) -> anyhow::Result<(u64, u64)> {
    for BadRow { number, line, cell } in &batch.bad {
        file.write(&Rejected {
            row: *number,
            line: *line,
            user_id: None,
            column: cell.column.as_deref(),
            code: None,
            message: &cell.message,
            path: None,
        })?;
    }
    for error in &answer.errors {
        let Some(row) = batch.sent.get(error.index) else {
            bail!("the server tells of a row that was not sent");
        };
        file.write(&Rejected {
            row: row.number,
            line: row.line,
            user_id: Some(&row.user_id),
            column: None,
            code: Some(&error.code),
            message: &error.message,
            path: error.path.as_deref(),
        })?;
    }
    file.flush()?;
    let rejected = batch.bad.len() + answer.errors.len();
    Ok((answer.accepted, rejected as u64))
}
