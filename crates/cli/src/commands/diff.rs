mod changes;

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use self::changes::changes;
use super::server::{Address, Paging, Refused, Server, encoded};
use crate::output;
use crate::progress::Progress;

/// What changed between two moments: of every person, list, tenant, audience and so on that an event in
/// between names, the fields that are not what they were.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A position or an RFC 3339 time.
    #[arg(long, value_name = "POSITION|TIME")]
    from: String,
    /// A position or an RFC 3339 time; now unless given.
    #[arg(long, value_name = "POSITION|TIME")]
    to: Option<String>,
    /// Only these kinds, separated by commas: `user`, `list`, `tenant`, `audience`, `section`, `topic`,
    /// `brand`, `key`, `webhook`.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    #[command(flatten)]
    address: Address,
    /// One JSON object for each that changed, as also whenever nobody looks at a terminal.
    #[arg(long)]
    json: bool,
}

const KINDS: [&str; 9] = [
    "user", "list", "tenant", "audience", "section", "topic", "brand", "key", "webhook",
];

/// What an event names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Thing {
    kind: &'static str,
    id: String,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Event>,
    paging: Paging,
}

#[derive(Deserialize)]
struct Event {
    position: u64,
    stream: String,
    subjects: Vec<String>,
}

impl Options {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        if let Some(unknown) = self.only.iter().find(|it| !KINDS.contains(&it.as_str())) {
            bail!(
                "there is no kind `{unknown}`; there are {}",
                KINDS.join(", ")
            );
        }
        let server = Server::at(&self.address)?;
        // What is written meanwhile is not looked at.
        let newest: Page = server.get("/v1/events?order=desc&limit=1")?;
        let newest = newest.items.first().map_or(0, |event| event.position);
        let to = self.to.clone().unwrap_or_else(|| newest.to_string());
        // A moment that is none is told before anything is asked as of it.
        for (name, moment) in [("--from", &self.from), ("--to", &to)] {
            let path = format!("/brands?as_of={}", encoded(moment));
            server.get::<Value>(&path).with_context(|| {
                format!("{name} {moment} cannot be asked about; the log ends at position {newest}")
            })?;
        }
        if let (Ok(from), Ok(to)) = (self.from.parse::<u64>(), to.parse::<u64>()) {
            ensure!(from <= to, "--from is after --to");
        }
        let things = self.things(&server, &to)?;
        let mut sections = None;
        for thing in things {
            let (before, after) = (
                state(&server, &thing, &self.from, &mut sections)?,
                state(&server, &thing, &to, &mut sections)?,
            );
            let changes = changes(&before, &after);
            if changes.is_empty() {
                continue;
            }
            let Thing { kind, id } = &thing;
            let what = match (before.is_null(), after.is_null()) {
                (true, _) => "created",
                (_, true) => "gone",
                (false, false) => "changed",
            };
            if self.json || !output::is_terminal() {
                let changes = changes.iter().map(
                    |(path, before, after)| json!({"path": path, "before": before, "after": after}),
                );
                let changes: Vec<Value> = changes.collect();
                output::data_json(
                    &json!({"kind": kind, "id": id, "change": what, "changes": changes}),
                )?;
            } else {
                output::data(&format!("{kind} {id} {what}"))?;
                for (path, before, after) in &changes {
                    output::data(&output::change_line(path, before, after))?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Everything that the events between the moments name.
    fn things(&self, server: &Server, to: &str) -> anyhow::Result<BTreeSet<Thing>> {
        let is_position = |moment: &str| moment.bytes().all(|it| it.is_ascii_digit());
        let from = if is_position(&self.from) {
            format!("after={}", self.from)
        } else {
            format!("since={}", encoded(&self.from))
        };
        let to = match to.parse::<u64>() {
            Ok(to) => format!("before={}", to.saturating_add(1)),
            Err(_) => format!("until={}", encoded(to)),
        };
        let mut things = BTreeSet::new();
        let progress = Progress::endless();
        let mut cursor = String::new();
        loop {
            let page: Page = server.get(&format!("/v1/events?{from}&{to}&limit=1000{cursor}"))?;
            for event in page.items {
                progress.reached(types::Position(event.position));
                things.extend(named(event));
            }
            let Some(next) = page.paging.cursor else {
                break;
            };
            cursor = format!("&cursor={}", encoded(&next));
        }
        if !self.only.is_empty() {
            things.retain(|thing| self.only.iter().any(|only| only == thing.kind));
        }
        Ok(things)
    }
}

fn named(event: Event) -> Vec<Thing> {
    let users = event.subjects.into_iter();
    let mut things: Vec<Thing> = users.map(|id| Thing { kind: "user", id }).collect();
    let (category, id) = event.stream.split_once('-').unwrap_or((&event.stream, ""));
    let kind = match category {
        "list" => "list",
        "tenant" => "tenant",
        "audience" => "audience",
        "section" => "section",
        "topic" => "topic",
        "brand" => "brand",
        "key" => "key",
        "webhook" => "webhook",
        _ => return things,
    };
    let id = id.to_owned();
    things.push(Thing { kind, id });
    things
}

/// The thing as it was at the moment; null if it was not there.
fn state(
    server: &Server,
    thing: &Thing,
    moment: &str,
    sections: &mut Option<BTreeSet<String>>,
) -> anyhow::Result<Value> {
    let id = encoded(&thing.id);
    let path = match thing.kind {
        "user" => format!("/v1/users/{id}"),
        "list" => format!("/lists/{id}"),
        "tenant" => format!("/tenants/{id}"),
        "audience" => format!("/audiences/{id}"),
        "section" => format!("/preferences/sections/{id}"),
        "topic" => return topic(server, &id, moment, sections),
        "brand" => format!("/brands/{id}"),
        "key" => format!("/v1/keys/{id}"),
        _ => format!("/v1/webhooks/{id}"),
    };
    found(server, &path, moment)
}

fn found(server: &Server, path: &str, moment: &str) -> anyhow::Result<Value> {
    match server.get(&format!("{path}?as_of={}", encoded(moment))) {
        Err(error) if is_not_found(&error) => Ok(Value::Null),
        other => other,
    }
}

fn is_not_found(error: &anyhow::Error) -> bool {
    let refused = error.downcast_ref::<Refused>();
    refused.is_some_and(|refused| matches!(refused.status, 400 | 404))
}

/// A topic is found by its section, which its events do not name: every section that was ever there is
/// asked for it.
fn topic(
    server: &Server,
    id: &str,
    moment: &str,
    sections: &mut Option<BTreeSet<String>>,
) -> anyhow::Result<Value> {
    if sections.is_none() {
        *sections = Some(every_section(server)?);
    }
    for section in sections.iter().flatten() {
        let path = format!("/preferences/sections/{}/topics/{id}", encoded(section));
        let topic = found(server, &path, moment)?;
        if !topic.is_null() {
            return Ok(topic);
        }
    }
    Ok(Value::Null)
}

fn every_section(server: &Server) -> anyhow::Result<BTreeSet<String>> {
    let mut sections = BTreeSet::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/events?type=section.created&limit=1000{cursor}");
        let page: Page = server.get(&path)?;
        let streams = page.items.into_iter().map(|event| event.stream);
        sections.extend(streams.filter_map(|it| Some(it.strip_prefix("section-")?.to_owned())));
        let Some(next) = page.paging.cursor else {
            return Ok(sections);
        };
        cursor = format!("&cursor={}", encoded(&next));
    }
}
