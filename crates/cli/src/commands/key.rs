use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::server::{Address, Server};
use super::settings::Place;
use crate::output;

/// Make and end API keys of a running server.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(Create),
    List(List),
    Revoke(Revoke),
    Rotate(Rotate),
    RotateTokenSecret(RotateTokenSecret),
}

/// A new key; it is shown this once.
#[derive(Debug, Args)]
struct Create {
    /// What a person knows it by.
    name: String,
    /// What it may do, separated by commas: `profiles:read`, `lists:write` and so on, or `admin` for
    /// everything.
    #[arg(long, value_delimiter = ',', required = true)]
    scopes: Vec<String>,
    /// Nothing beyond this tenant and those below it.
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// When it ends (ISO 8601); never unless given.
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
    #[command(flatten)]
    address: Address,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// The keys that were issued, oldest first.
#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    address: Address,
    /// One JSON object for each.
    #[arg(long)]
    json: bool,
}

/// From now on the key opens nothing.
#[derive(Debug, Args)]
struct Revoke {
    /// The id of the key, not the key.
    id: String,
    #[command(flatten)]
    address: Address,
}

/// A new key that is good for the same; the old one ends.
#[derive(Debug, Args)]
struct Rotate {
    /// The id of the key, not the key.
    id: String,
    /// How long the old one goes on, such as `2 hours`; `0s` is not at all.
    #[arg(long, value_name = "DURATION", default_value = "1 hour")]
    grace: String,
    #[command(flatten)]
    address: Address,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// Void all tokens that were issued to people, while the server is stopped.
#[derive(Debug, Args)]
struct RotateTokenSecret {
    #[command(flatten)]
    place: Place,
}

#[derive(Deserialize, Serialize)]
struct Key {
    id: String,
    name: String,
    prefix: String,
    scopes: Vec<String>,
    tenant_id: Option<String>,
    created_at: String,
    expires_at: Option<String>,
    revoked_at: Option<String>,
    last_used_at: Option<String>,
    /// The key itself, where it was just made.
    #[serde(rename = "key", skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Key>,
    paging: Paging,
}

#[derive(Deserialize)]
struct Paging {
    cursor: Option<String>,
}

impl Options {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Create(options) => options.run(),
            Command::List(options) => options.run(),
            Command::Revoke(options) => options.run(),
            Command::Rotate(options) => options.run(),
            Command::RotateTokenSecret(options) => options.run(),
        }
    }
}

impl Create {
    fn run(self) -> anyhow::Result<ExitCode> {
        let body = json!({
            "name": self.name,
            "scopes": self.scopes,
            "tenant_id": self.tenant,
            "expires_at": self.expires_at,
        });
        let key = Server::at(&self.address)?.post_once("/v1/keys", &body.to_string())?;
        show_new(&key, self.json)
    }
}

impl List {
    fn run(self) -> anyhow::Result<ExitCode> {
        let server = Server::at(&self.address)?;
        let mut path = "/v1/keys?limit=1000".to_owned();
        loop {
            let page: Page = server.get(&path)?;
            for key in &page.items {
                if self.json {
                    output::data_json(key)?;
                } else {
                    output::data(&line(key))?;
                }
            }
            let Some(cursor) = page.paging.cursor else {
                return Ok(ExitCode::SUCCESS);
            };
            path = format!("/v1/keys?limit=1000&cursor={cursor}");
        }
    }
}

impl Revoke {
    fn run(self) -> anyhow::Result<ExitCode> {
        let server = Server::at(&self.address)?;
        server.delete(&format!("/v1/keys/{}", self.id))?;
        output::note("revoked");
        Ok(ExitCode::SUCCESS)
    }
}

impl Rotate {
    fn run(self) -> anyhow::Result<ExitCode> {
        let body = json!({ "grace": self.grace });
        let path = format!("/v1/keys/{}/rotate", self.id);
        let key = Server::at(&self.address)?.post_once(&path, &body.to_string())?;
        show_new(&key, self.json)
    }
}

impl RotateTokenSecret {
    fn run(self) -> anyhow::Result<ExitCode> {
        let data = self.place.existing()?;
        // Whoever has the log open has read the secret that is there.
        let log = server::open_log(&data)?;
        server::rotate_signing_secret(&data)?;
        log.close()?;
        output::note("tokens that were issued before are good for nothing");
        Ok(ExitCode::SUCCESS)
    }
}

/// The key alone on standard output, so that it can be put where it belongs.
fn show_new(key: &Key, as_json: bool) -> anyhow::Result<ExitCode> {
    if as_json {
        output::data_json(key)?;
        return Ok(ExitCode::SUCCESS);
    }
    output::note(&line(key));
    output::note("the key is shown this once:");
    output::data(key.secret.as_deref().unwrap_or_default())?;
    Ok(ExitCode::SUCCESS)
}

fn line(key: &Key) -> String {
    let shown = format!("{}…", key.prefix);
    let mut words = vec![
        key.id.clone(),
        shown,
        key.name.clone(),
        key.scopes.join(","),
    ];
    for (word, value) in [
        ("tenant", &key.tenant_id),
        ("expires", &key.expires_at),
        ("used", &key.last_used_at),
        ("revoked", &key.revoked_at),
    ] {
        words.extend(value.as_ref().map(|value| format!("{word} {value}")));
    }
    words.join("  ")
}
