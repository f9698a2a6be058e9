use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::value::RawValue;
use types::parse_json;

use super::columns::{ALL, Columns};
use super::{Format, beside};
use crate::commands::server::{Address, Server};

/// Write every user to a file, in the form in which `users import` reads them.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Standard output if not given.
    file: Option<PathBuf>,
    #[command(flatten)]
    address: Address,
    /// Told by the name of the file unless given; lines of JSON on standard output.
    #[arg(long)]
    format: Option<Format>,
    /// The columns of comma-separated values, separated by commas: `user_id` and what else is wanted,
    /// such as `profile.email` or, to be read back as it is, `profile.age:number`. All that there is
    /// unless given, with the profile as JSON.
    #[arg(long, value_delimiter = ',')]
    columns: Vec<String>,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Box<RawValue>>,
    paging: Paging,
}

#[derive(Deserialize)]
struct Paging {
    cursor: Option<String>,
}

#[derive(Deserialize)]
struct Count {
    count: u64,
}

enum Out {
    Lines(Box<dyn Write>),
    Records(Box<csv::Writer<Box<dyn Write>>>, Columns),
}

impl Options {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let format = match (self.format, &self.file) {
            (None, None) => Format::Jsonl,
            (asked, path) => Format::of(asked, path.as_deref())?,
        };
        let columns = self.columns(format)?;
        let server = Server::at(&self.address)?;
        let Count { count } = server.get("/v1/users?limit=1")?;
        // Whatever is there stays until there is something whole in its place.
        let new = self.file.as_ref().map(|path| beside(path, ".new"));
        let written = Self::write(&server, count, out(new.as_deref(), columns)?);
        if let (Err(_), Some(new)) = (&written, &new) {
            // What is half there is of no use; the failure is told all the same.
            let _ = fs::remove_file(new);
        }
        written?;
        if let (Some(new), Some(path)) = (new, &self.file) {
            File::open(&new)?.sync_all()?;
            fs::rename(new, path)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn write(server: &Server, count: u64, mut out: Out) -> anyhow::Result<()> {
        let bar = ProgressBar::new(count).with_style(ProgressStyle::with_template(
            "{bar:40} {human_pos}/{human_len} users  {per_sec}  {eta} left",
        )?);
        let mut path = "/v1/users:batch?limit=1000".to_owned();
        loop {
            let page: Page = server.get(&path)?;
            for user in &page.items {
                out.write(user.get())?;
            }
            bar.inc(page.items.len() as u64);
            let Some(cursor) = page.paging.cursor else {
                break;
            };
            let next = format!("/v1/users:batch?limit=1000&cursor={cursor}");
            ensure!(
                next != path,
                "the server gives the same page again and again"
            );
            path = next;
        }
        out.finish()?;
        bar.finish_and_clear();
        Ok(())
    }

    /// The columns, where there are such.
    fn columns(&self, format: Format) -> anyhow::Result<Option<Columns>> {
        if format == Format::Jsonl {
            ensure!(
                self.columns.is_empty(),
                "--columns is for comma-separated values"
            );
            return Ok(None);
        }
        let names = if self.columns.is_empty() {
            ALL.iter().map(|name| (*name).to_owned()).collect()
        } else {
            self.columns.clone()
        };
        Columns::of(names, &[]).map(Some)
    }
}

fn out(path: Option<&Path>, columns: Option<Columns>) -> anyhow::Result<Out> {
    let out: Box<dyn Write> = match path {
        Some(path) => {
            let file = File::create(path);
            let file = file.with_context(|| format!("{} cannot be written", path.display()))?;
            Box::new(BufWriter::with_capacity(1 << 20, file))
        }
        None => Box::new(BufWriter::new(io::stdout().lock())),
    };
    let Some(columns) = columns else {
        return Ok(Out::Lines(out));
    };
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(columns.names())?;
    Ok(Out::Records(Box::new(writer), columns))
}

impl Out {
    fn write(&mut self, user: &str) -> anyhow::Result<()> {
        match self {
            Self::Lines(out) => writeln!(out, "{user}")?,
            Self::Records(out, columns) => {
                let user = parse_json(user.as_bytes())?;
                out.write_record(columns.cells(&user))?;
            }
        }
        Ok(())
    }

    fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Lines(mut out) => out.flush()?,
            Self::Records(mut out, _) => out.flush()?,
        }
        Ok(())
    }
}
