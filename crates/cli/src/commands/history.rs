use std::process::ExitCode;

use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use super::server::{Address, Paging, Server, encoded};
use crate::output;

/// Everything that happened to a person, with what each event changed.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The user id; `erased:<number>` of somebody who was erased.
    user_id: String,
    /// Oldest first.
    #[arg(long)]
    oldest_first: bool,
    /// Not more than so many events.
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    address: Address,
    /// One JSON object for each event, as also whenever nobody looks at a terminal.
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Value>,
    paging: Paging,
}

/// Events asked for at a time.
const PAGE: usize = 200;

impl Options {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let server = Server::at(&self.address)?;
        let order = if self.oldest_first { "asc" } else { "desc" };
        let path = format!(
            "/v1/users/{}/timeline?order={order}",
            encoded(&self.user_id)
        );
        let mut left = self.limit.unwrap_or(usize::MAX);
        let mut cursor = String::new();
        while left > 0 {
            let limit = left.min(PAGE);
            let page: Page = server.get(&format!("{path}&limit={limit}{cursor}"))?;
            for event in page.items.iter().take(left) {
                if self.json || !output::is_terminal() {
                    output::data_json(event)?;
                } else {
                    show(event)?;
                }
            }
            left -= page.items.len().min(left);
            let Some(next) = page.paging.cursor else {
                break;
            };
            cursor = format!("&cursor={}", encoded(&next));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A line for the event and one for each field that it changed.
fn show(event: &Value) -> anyhow::Result<()> {
    output::data(&output::event_line(event))?;
    for change in event["changes"].as_array().into_iter().flatten() {
        let path = change["path"].as_str().unwrap_or_default();
        output::data(&output::change_line(
            path,
            &change["before"],
            &change["after"],
        ))?;
    }
    Ok(())
}
