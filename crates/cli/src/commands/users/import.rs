use std::collections::{HashSet, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use super::Format;
use super::columns::BadCell;
use super::progress::{Progress, Source};
use super::rows::{Place, Row, Rows};
use super::server::{Address, Server};
use crate::output;

/// Bytes of users in one request: well below what the server takes.
const REQUEST_BYTES: usize = 2 * 1024 * 1024;
/// The largest user that is sent: with what a request holds already it stays below what the server
/// takes.
const USER_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Requests that are read ahead of those under way.
const REQUESTS_AHEAD: usize = 2;
/// Requests under way: while the server writes one, it reads the next.
const REQUESTS_UNDER_WAY: usize = 3;
/// What a row takes in a request beyond itself.
const BETWEEN: &str = ",";

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
    /// What stands between two values of comma-separated values, such as `;`.
    #[arg(long, default_value_t = ',')]
    delimiter: char,
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

/// A row that was not written.
#[derive(Serialize)]
struct Rejected<'a> {
    row: u64,
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
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

/// Some rows, ready to be sent.
struct Batch {
    /// The request, and which row stands at which place in it.
    body: String,
    sent: Vec<Sent>,
    /// Rows that cannot be sent.
    bad: Vec<Row>,
    end: Place,
}

/// A batch whose answer is waited for.
struct UnderWay<'scope> {
    batch: Arc<Batch>,
    answer: ScopedJoinHandle<'scope, anyhow::Result<Answer>>,
}

struct Sent {
    row: u64,
    line: u64,
    user_id: String,
}

impl Options {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let format = Format::of(self.format, Some(&self.file))?;
        let server = Server::at(&self.address)?;
        let reading = format!(
            "{format:?} {} {:?} {}",
            self.delimiter, self.mapping, self.restore
        );
        let source = Source::of(&self.file, reading)?;
        let file_bytes = source.bytes;
        let kept = Progress::path(&self.file);
        let mut progress = if self.resume {
            Progress::read(&kept, &source)?
        } else {
            Progress::of_file(source)
        };
        let from = self.resume.then_some(progress.done);
        let separator = u8::try_from(self.delimiter).ok().filter(u8::is_ascii);
        let separator = separator.context("the delimiter is one ASCII character")?;
        let rows = Rows::open(&self.file, format, separator, &self.mapping, from)?;
        let mut errors = Errors::new(self.errors_path(), progress.errors_bytes)?;
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
                let (accepted, rejected) = note(&first.batch, &answer, &mut errors)?;
                progress.accepted += accepted;
                progress.rejected += rejected;
                progress.done = first.batch.end;
                progress.errors_bytes = errors.bytes;
                progress.write(&kept)?;
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
                let (server, sent) = (&server, Arc::clone(&batch));
                let answer = scope.spawn(move || send(server, &sent, restore));
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
        errors.flush()?;
        if kept.exists() {
            fs::remove_file(&kept)?;
        }
        self.report(&progress, progress.done.rows - before, started.elapsed())
    }

    fn errors_path(&self) -> PathBuf {
        self.errors.clone().unwrap_or_else(|| {
            let mut name = self.file.as_os_str().to_owned();
            name.push(".errors");
            name.into()
        })
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
                "{} users written, {} rows rejected; {} in {:.1} s",
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

/// Reads the whole file in batches. Stops quietly where nobody takes them any more.
fn read_all(
    mut rows: Rows,
    at_most: usize,
    batches: &mpsc::SyncSender<Batch>,
) -> anyhow::Result<()> {
    let mut batch = Batch::new();
    while let Some(row) = rows.next()? {
        batch.add(row);
        if batch.sent.len() + batch.bad.len() == at_most || batch.body.len() > REQUEST_BYTES {
            let full = std::mem::replace(&mut batch, Batch::new());
            if batches.send(full).is_err() {
                return Ok(());
            }
        }
    }
    if !(batch.sent.is_empty() && batch.bad.is_empty()) {
        // Whoever does not take it has a failure of their own to tell.
        let _ = batches.send(batch);
    }
    Ok(())
}

impl Batch {
    fn new() -> Self {
        Self {
            body: String::new(),
            sent: Vec::new(),
            bad: Vec::new(),
            end: Place::default(),
        }
    }

    fn add(&mut self, mut row: Row) {
        self.end = row.end;
        let Ok(user) = &row.user else {
            self.bad.push(row);
            return;
        };
        let text = user.to_string();
        if text.len() > USER_BYTES_MAX {
            let message = format!("the user takes more than {USER_BYTES_MAX} bytes of JSON");
            row.user = Err(BadCell {
                column: None,
                message,
            });
            self.bad.push(row);
            return;
        }
        if !self.sent.is_empty() {
            self.body.push_str(BETWEEN);
        }
        self.body.push_str(&text);
        self.sent.push(Sent {
            row: row.number,
            line: row.line,
            user_id: user["user_id"].as_str().unwrap_or_default().to_owned(),
        });
    }

    fn shares_users(&self, other: &Self) -> bool {
        let users: HashSet<&str> = self.sent.iter().map(|sent| sent.user_id.as_str()).collect();
        other
            .sent
            .iter()
            .any(|sent| users.contains(sent.user_id.as_str()))
    }
}

fn send(server: &Server, batch: &Batch, restore: bool) -> anyhow::Result<Answer> {
    if batch.sent.is_empty() {
        return Ok(Answer {
            accepted: 0,
            errors: vec![],
        });
    }
    let body = format!("{{\"restore\":{restore},\"users\":[{}]}}", batch.body);
    server.post("/v1/users:batch", &body)
}

/// Takes note of what was not written; how many rows were, and how many were not.
fn note(batch: &Batch, answer: &Answer, errors: &mut Errors) -> anyhow::Result<(u64, u64)> {
    for row in &batch.bad {
        let Err(bad) = &row.user else { continue };
        errors.write(&Rejected {
            row: row.number,
            line: row.line,
            user_id: None,
            column: bad.column.as_deref(),
            code: None,
            message: &bad.message,
            path: None,
        })?;
    }
    for error in &answer.errors {
        let Some(sent) = batch.sent.get(error.index) else {
            bail!("the server tells of a row that was not sent");
        };
        // Where in the row, not in the request.
        let row = format!("/users/{}", error.index);
        let path = error
            .path
            .as_deref()
            .map(|path| path.strip_prefix(&row).unwrap_or(path));
        errors.write(&Rejected {
            row: sent.row,
            line: sent.line,
            user_id: Some(&sent.user_id),
            column: None,
            code: Some(&error.code),
            message: &error.message.replace(&row, ""),
            path,
        })?;
    }
    errors.flush()?;
    let rejected = batch.bad.len() + answer.errors.len();
    Ok((answer.accepted, rejected as u64))
}

/// The file of rejected rows, made when there is one.
struct Errors {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    bytes: u64,
}

impl Errors {
    /// With as much of what an earlier import wrote as belongs to what it had done.
    fn new(path: PathBuf, kept: u64) -> anyhow::Result<Self> {
        let cannot = || format!("{} cannot be written", path.display());
        if kept == 0 && path.exists() {
            fs::remove_file(&path).with_context(cannot)?;
        } else if kept > 0 {
            let file = OpenOptions::new().write(true).open(&path);
            file.and_then(|file| file.set_len(kept))
                .with_context(cannot)?;
        }
        Ok(Self {
            path,
            file: None,
            bytes: kept,
        })
    }

    fn write(&mut self, rejected: &Rejected<'_>) -> anyhow::Result<()> {
        if self.file.is_none() {
            let file = OpenOptions::new()
                .create(true)
                .append(true)
                .open(&self.path);
            let file =
                file.with_context(|| format!("{} cannot be written", self.path.display()))?;
            self.file = Some(BufWriter::new(file));
        }
        if let Some(file) = &mut self.file {
            let line = format!("{}\n", serde_json::to_string(rejected)?);
            file.write_all(line.as_bytes())?;
            self.bytes += line.len() as u64;
        }
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        if let Some(file) = &mut self.file {
            file.flush()?;
        }
        Ok(())
    }
}
