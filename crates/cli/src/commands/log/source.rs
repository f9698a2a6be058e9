//! Where proofs come from: a running server, or a data directory that no server has open.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use engine::{EventStore, EventsQuery, History, Order, Until};
use serde::Deserialize;
use transparency::TransparencyLog;
use types::{PageLimit, Position, TenantId};

use crate::commands::server::{Address, Server};
use crate::commands::settings::Place;

/// Whom to ask.
#[derive(Debug, Args)]
pub(super) struct From {
    #[command(flatten)]
    place: Place,
    /// A running server; unless given, the data directory is opened, while no server has it.
    #[arg(long, env = "MUSTER_URL")]
    url: Option<String>,
    /// A key with `log:verify`, and for records with `events:read`, where a server is asked.
    #[arg(long, env = "MUSTER_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// Who vouches for the server, as PEM, where it is nobody whom everybody knows.
    #[arg(long, env = "MUSTER_CA_CERTIFICATE", value_name = "FILE")]
    ca_certificate: Option<PathBuf>,
}

/// Of which events.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Filter {
    /// Those of this stream, such as `profile-ada`.
    #[arg(long)]
    stream: Option<String>,
    /// Those of this type, or of all that begin so, with `*` at the end.
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Those about this user.
    #[arg(long, value_name = "USER_ID")]
    subject: Option<String>,
    /// Those by this credential.
    #[arg(long, value_name = "KEY_ID")]
    actor: Option<String>,
    /// Those within this tenant.
    #[arg(long, value_name = "TENANT")]
    tenant_id: Option<String>,
    /// Those of this request.
    #[arg(long, value_name = "ID")]
    correlation_id: Option<String>,
}

pub(super) enum Source {
    Running(Server),
    Directory(Box<Opened>),
}

pub(super) struct Opened {
    log: TransparencyLog,
    history: Option<History>,
    events: EventStore,
}

impl From {
    pub(super) fn open(self) -> anyhow::Result<Source> {
        if let Some(url) = self.url.filter(|_| !self.place.is_given()) {
            let key = self.api_key.context("a server is asked with --api-key")?;
            let address = Address::of(url, key, self.ca_certificate);
            return Ok(Source::Running(Server::at(&address)?));
        }
        let config = self.place.existing_config()?;
        TransparencyLog::check_keys(&config.transparency())?;
        let events = server::open_store(&config.data_dir, &config.master_key)?;
        let log = TransparencyLog::open(Arc::clone(&events.log), &config.transparency())?;
        log.mend()?;
        Ok(Source::Directory(Box::new(Opened {
            log,
            history: None,
            events,
        })))
    }
}

/// What the log says of how much there is about a tenant.
#[derive(Debug, Deserialize)]
pub(super) struct RecordedHead {
    /// Where it says so.
    #[serde(skip)]
    pub(super) position: u64,
    pub(super) size: u64,
    pub(super) root: String,
    pub(super) through: u64,
}

impl Filter {
    pub(super) fn of_tenant(tenant: &str) -> Self {
        Self {
            tenant_id: Some(tenant.to_owned()),
            ..Self::default()
        }
    }

    /// As a query, which is also what a bundle says that it was asked for.
    pub(super) fn query(&self) -> String {
        let pairs = [
            ("stream", &self.stream),
            ("type", &self.event_type),
            ("subject", &self.subject),
            ("actor", &self.actor),
            ("tenant_id", &self.tenant_id),
            ("correlation_id", &self.correlation_id),
        ];
        let given = pairs.into_iter().filter_map(|(name, value)| {
            let value = value.as_ref()?;
            Some(format!("{name}={}", encoded(value)))
        });
        given.collect::<Vec<_>>().join("&")
    }
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Item>,
    paging: Paging,
}

#[derive(Deserialize)]
struct Item {
    position: u64,
}

#[derive(Deserialize)]
struct Heads {
    items: Vec<Head>,
}

#[derive(Deserialize)]
struct Head {
    position: u64,
    data: RecordedHead,
}

#[derive(Deserialize)]
struct Paging {
    cursor: Option<String>,
}

impl Source {
    pub(super) fn checkpoint(&self) -> anyhow::Result<String> {
        match self {
            Self::Running(server) => text(server.get_bytes("/v1/log/checkpoint")?),
            Self::Directory(opened) => Ok(opened.log.checkpoint()?),
        }
    }

    pub(super) fn keys(&self) -> anyhow::Result<String> {
        match self {
            Self::Running(server) => text(server.get_bytes("/v1/log/keys")?),
            Self::Directory(opened) => Ok(opened.log.keys().history().to_string()),
        }
    }

    pub(super) fn inclusion(&self, position: u64, size: Option<u64>) -> anyhow::Result<String> {
        match self {
            Self::Running(server) => {
                let size = size.map_or_else(String::new, |size| format!("&size={size}"));
                let path = format!("/v1/log/proof/inclusion?position={position}{size}");
                text(server.get_bytes(&path)?)
            }
            Self::Directory(opened) => {
                let proof = opened.log.inclusion(Position(position), size)?;
                Ok(proof.to_string())
            }
        }
    }

    pub(super) fn consistency(&self, from: u64, to: Option<u64>) -> anyhow::Result<String> {
        match self {
            Self::Running(server) => {
                let to = to.map_or_else(String::new, |to| format!("&to={to}"));
                let path = format!("/v1/log/proof/consistency?from={from}{to}");
                text(server.get_bytes(&path)?)
            }
            Self::Directory(opened) => Ok(opened.log.consistency(from, to)?.to_string()),
        }
    }

    pub(super) fn record(&self, position: u64) -> anyhow::Result<Vec<u8>> {
        match self {
            Self::Running(server) => server.get_bytes(&format!("/v1/log/records/{position}")),
            Self::Directory(opened) => Ok(opened.log.record(Position(position))?),
        }
    }

    /// What the log said last of how much there is about a tenant.
    pub(super) fn recorded_head(&mut self, tenant: &str) -> anyhow::Result<Option<RecordedHead>> {
        let (stream, event_type) = (format!("tenant-{tenant}"), "tenant.history_recorded");
        let found = match self {
            Self::Running(server) => {
                let stream = encoded(&stream);
                let path =
                    format!("/v1/events?stream={stream}&type={event_type}&order=desc&limit=1");
                let heads: Heads = server.get(&path)?;
                heads.items.into_iter().next()
            }
            Self::Directory(opened) => {
                let query = EventsQuery {
                    stream: Some(stream),
                    event_type: Some(event_type.to_owned()),
                    order: Order::Descending,
                    limit: PageLimit::clamped(1),
                    ..EventsQuery::default()
                };
                let page = opened.history()?.page(&query, &|| true)?;
                let event = page.items.into_iter().next();
                event
                    .map(|event| {
                        let data = serde_json::from_str(event.data.get())?;
                        let position = event.position;
                        anyhow::Ok(Head { position, data })
                    })
                    .transpose()?
            }
        };
        Ok(found.map(|head| RecordedHead {
            position: head.position,
            ..head.data
        }))
    }

    /// The positions of the events that the filter takes, in order, up to `until`.
    pub(super) fn positions(
        &mut self,
        filter: &Filter,
        until: u64,
        take: &mut dyn FnMut(&Self, u64) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut after = 0;
        loop {
            let (positions, next) = match self {
                Self::Running(server) => running_page(server, filter, after, until)?,
                Self::Directory(opened) => opened.page(filter, after, until)?,
            };
            for position in positions {
                take(self, position)?;
            }
            match next {
                Some(next) => after = next,
                None => return Ok(()),
            }
        }
    }
}

/// Positions, and after which to go on if there is more.
type Positions = (Vec<u64>, Option<u64>);

fn running_page(
    server: &Server,
    filter: &Filter,
    after: u64,
    until: u64,
) -> anyhow::Result<Positions> {
    let (query, before) = (filter.query(), until + 1);
    let path = format!("/v1/events?{query}&after={after}&before={before}&limit=100");
    let mut page: Page = server.get(&path)?;
    let mut positions = Vec::new();
    loop {
        positions.extend(page.items.iter().map(|it| it.position));
        // A page may be empty although there is more.
        let (Some(last), Some(_)) = (positions.last(), &page.paging.cursor) else {
            let Some(cursor) = page.paging.cursor else {
                return Ok((positions, None));
            };
            page = server.get(&format!(
                "/v1/events?{query}&before={before}&limit=100&cursor={cursor}"
            ))?;
            continue;
        };
        return Ok((positions.clone(), Some(*last)));
    }
}

impl Opened {
    fn history(&mut self) -> anyhow::Result<&History> {
        if self.history.is_none() {
            let rebuilt = engine::replay(&self.events, Until::Head, &mut |_| ())?;
            let history = History::new(self.events.clone(), rebuilt.read_models);
            self.history = Some(history);
        }
        self.history.as_ref().context("it was just made")
    }

    fn page(&mut self, filter: &Filter, after: u64, until: u64) -> anyhow::Result<Positions> {
        let history = self.history()?;
        let tenant = filter
            .tenant_id
            .as_deref()
            .map(TenantId::parse)
            .transpose()?;
        let query = EventsQuery {
            stream: filter.stream.clone(),
            event_type: filter.event_type.clone(),
            subject: filter.subject.clone(),
            actor: filter.actor.clone(),
            tenant_id: tenant.map(|it| it.as_str().to_owned()),
            correlation_id: filter.correlation_id.clone(),
            after: Some(Position(after)),
            before: Some(Position(until + 1)),
            limit: PageLimit::MOST,
            ..EventsQuery::default()
        };
        let page = history.page(&query, &|| true)?;
        let positions = page.items.iter().map(|it| it.position).collect();
        Ok((positions, page.next.map(|next| next.0)))
    }
}

/// A value as it may stand in a query.
fn encoded(value: &str) -> String {
    let plain = |it: u8| it.is_ascii_alphanumeric() || b"-._~*:".contains(&it);
    let parts = value.bytes().map(|byte| {
        if plain(byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    });
    parts.collect()
}

fn text(bytes: Vec<u8>) -> anyhow::Result<String> {
    String::from_utf8(bytes).context("the answer is not UTF-8")
}
