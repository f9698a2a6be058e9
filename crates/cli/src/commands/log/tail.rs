use std::io::{BufRead as _, BufReader, Read};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use crate::commands::server::{Address, Refused, Server, encoded};
use crate::output;

/// The newest events of a running server, and those that follow.
#[derive(Debug, Args)]
pub(crate) struct Tail {
    /// So many of those that are there, at most a thousand.
    #[arg(short = 'n', long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=1000))]
    lines: u64,
    /// Go on as things happen, through restarts of the server.
    #[arg(short, long)]
    follow: bool,
    /// Only this type, or those that begin so: `profile.*`.
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Only this stream, or this category of streams: `list-*`.
    #[arg(long)]
    stream: Option<String>,
    #[command(flatten)]
    address: Address,
    /// One JSON object for each event, as also whenever nobody looks at a terminal.
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Value>,
}

/// How long to wait before a stream that broke off is asked for again.
const PAUSE: Duration = Duration::from_secs(1);

impl Tail {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let server = Server::at(&self.address)?;
        let mut filter = String::new();
        for (name, value) in [("type", &self.event_type), ("stream", &self.stream)] {
            if let Some(value) = value {
                filter.extend(["&", name, "=", &encoded(value)]);
            }
        }
        // From where to go on has to be known before the newest are asked for, or one could be missed.
        let newest: Page = server.get("/v1/events?order=desc&limit=1")?;
        let mut last = newest.items.first().map_or(0, position);
        if self.lines > 0 {
            let path = format!(
                "/v1/events?order=desc&before={}&limit={}{filter}",
                last + 1,
                self.lines
            );
            let page: Page = server.get(&path)?;
            page.items
                .iter()
                .rev()
                .try_for_each(|event| self.show(event))?;
        }
        if !self.follow {
            return Ok(ExitCode::SUCCESS);
        }
        loop {
            let path = format!("/v1/events/stream?after={last}{filter}");
            let ended = server
                .stream(&path)
                .and_then(|stream| self.read(stream, &mut last));
            match ended {
                // The key is no good any more, or what was asked for cannot be.
                Err(error) if error.downcast_ref::<Refused>().is_some() => return Err(error),
                Err(error) if output::is_broken_pipe(&error) => return Err(error),
                Ok(()) | Err(_) => thread::sleep(PAUSE),
            }
        }
    }

    /// Shows what is sent until it ends; where that was.
    fn read(&self, stream: impl Read, last: &mut u64) -> anyhow::Result<()> {
        let (mut name, mut id) = (String::new(), None);
        for line in BufReader::new(stream).lines() {
            let line = line?;
            if let Some(value) = line.strip_prefix("event: ") {
                value.clone_into(&mut name);
            } else if let Some(value) = line.strip_prefix("id: ") {
                id = value.parse().ok();
            } else if let Some(data) = line.strip_prefix("data: ") {
                if name.is_empty() {
                    self.show(&serde_json::from_str(data)?)?;
                } else if name == "lag" {
                    output::note(&format!("behind: {data}"));
                }
            } else if line.is_empty() {
                name.clear();
                *last = id.take().unwrap_or(*last);
            }
        }
        Ok(())
    }

    fn show(&self, event: &Value) -> anyhow::Result<()> {
        if self.json || !output::is_terminal() {
            output::data_json(event)
        } else {
            output::data(&output::event_line(event))
        }
    }
}

fn position(event: &Value) -> u64 {
    event["position"].as_u64().unwrap_or_default()
}
