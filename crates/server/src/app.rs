use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use api::{ApiOptions, ApiState, Authenticator, Metrics, Progress, RateLimit, Sources};
use auth::{ADMIN, ApiKey};
use axum::http::HeaderValue;
use delivery::Delivery;
use engine::{
    Actor, Command, Engine, EngineOptions, EventStore, History, KeyToIssue, Origin, Snapshots,
    Until, Writer, start_observed,
};
use events::KeyIssued;
use projections::ReadModels;
use providers::Providers;
use sending::{LinkSecret, Links, Sending, SendingSources, Writing};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use transparency::{Background, TransparencyLog};
use types::{Clock, CommandId, Position, SystemClock};

use crate::config::Config;
use crate::secret::{WEBHOOK_SECRET, link_secret, signing_secret, webhook_secret};
use crate::snapshots::open_snapshots;
use crate::starting::Starting;
use crate::store::open_store;
use crate::{clock, connections, process, restore, self_check, snapshots, tls};

/// How long open requests may take to end once the server is told to stop. Together with the next
/// it stays below the ten seconds after which supervisors usually kill.
const REQUESTS_TIME_MAX: Duration = Duration::from_secs(5);
/// How long webhooks may take to note what they have told, after that.
const DELIVERY_TIME_MAX: Duration = Duration::from_millis(1_500);
/// How long the last group may then take to be written.
const WRITER_TIME_MAX: Duration = Duration::from_secs(3);

/// The whole server, ready to accept connections.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    state: ApiState,
    engine: Engine,
    writer: Writer,
    store: EventStore,
    snapshots: Arc<Snapshots>,
    snapshot_events: Option<NonZeroU64>,
    transparency: Arc<TransparencyLog>,
    read_models: Arc<ReadModels>,
    metrics: Arc<Metrics>,
    tls: Option<TlsAcceptor>,
    new_key: Option<ApiKey>,
    delivery: Delivery,
    sending: Sending,
    stopping: watch::Sender<bool>,
}

/// Whether a server could be started with these settings, as far as can be told without starting it.
pub fn check(config: &Config) -> anyhow::Result<()> {
    config.tls.as_ref().map(tls::acceptor).transpose()?;
    Providers::new(&config.providers)?;
    api_options(config).map(|_| ())
}

/// How a server ended.
#[derive(Debug)]
pub enum Stopped {
    /// It was asked to, and everything that it had accepted is durable.
    Asked,
    /// The event log no longer takes writes.
    LogFailed(String),
}

impl Server {
    /// Takes the address, opens the log and builds the read models; whoever asks meanwhile is told how
    /// far that is. Where no key is given and none was ever issued, one is issued.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        // Whatever is wrong with the settings is told before the log is read.
        let tls = config.tls.as_ref().map(tls::acceptor).transpose()?;
        let options = api_options(config)?;
        let providers = Providers::new(&config.providers)?;
        let (starting_listener, listener) = listen(config.listen).await?;
        let address = listener.local_addr()?;
        let metrics = Arc::new(Metrics::default());
        let progress = Arc::new(Progress::default());
        let starting = Starting::serve(
            starting_listener,
            tls.clone(),
            Arc::clone(&metrics),
            Arc::clone(&progress),
        );
        let (data_dir, master_key) = (config.data_dir.clone(), config.master_key.clone());
        let (snapshot_events, checkable) = (config.snapshot_events, config.transparency());
        let opening = tokio::task::spawn_blocking(move || {
            TransparencyLog::check_keys(&checkable)?;
            let store = open_store(&data_dir, &master_key)?;
            // An anchor that says something else is told before anything is built on the log.
            let transparency = TransparencyLog::open(Arc::clone(&store.log), &checkable)?;
            let snapshots = open_snapshots(&data_dir, &store)?;
            let head = store.log.head().position;
            let tell = &mut |position| {
                progress.tell(position, head);
                ControlFlow::Continue(())
            };
            progress.tell(Position::START, head);
            let rebuilt = snapshots.rebuild(&store, Until::Head, tell)?;
            if let Some(every) = snapshot_events {
                snapshots::take_at_start(&snapshots, &store.log, &rebuilt, every);
            }
            if !rebuilt.read_models.webhooks.is_empty() && !data_dir.join(WEBHOOK_SECRET).exists() {
                tracing::warn!(
                    "the secret of webhooks is gone and made anew: none of their targets believes \
                     what it is told until it is registered again"
                );
            }
            let secrets = (
                signing_secret(&data_dir)?,
                webhook_secret(&data_dir)?,
                link_secret(&data_dir)?,
            );
            anyhow::Ok((store, Arc::new(transparency), snapshots, rebuilt, secrets))
        });
        let opened = opening.await.context("opening the log panicked")??;
        let (store, transparency, snapshots, rebuilt, secrets) = opened;
        let (secret, secret_of_webhooks, secret_of_links) = secrets;
        let snapshots = Arc::new(snapshots);
        let read_models = Arc::clone(&rebuilt.read_models);
        let (observing, forgetting) = (Arc::clone(&metrics), Arc::clone(&snapshots));
        let (engine, writer) = start_observed(
            store.clone(),
            rebuilt,
            Arc::new(SystemClock),
            EngineOptions {
                tenant_levels: config.tenant_levels,
                ..EngineOptions::default()
            },
            Box::new(move |group| {
                observing.group_written(group.events, group.flush, group.fold);
                if group.erased > 0 {
                    snapshots::forget_erased(&forgetting);
                }
            }),
        );
        let new_key = if config.api_key.is_none() && read_models.keys.is_empty() {
            Some(issue_first_key(&engine).await?)
        } else {
            None
        };
        let history = History::new(store.clone(), Arc::clone(&read_models))
            .with_snapshots(Arc::clone(&snapshots));
        let delivery = Delivery::new(
            history.clone(),
            Arc::clone(&read_models),
            engine.progress(),
            secret_of_webhooks,
            config.data_dir.join(restore::WEBHOOKS),
            config.webhooks,
        );
        let links = LinkSecret::derive(&secret_of_links);
        let scheme = if config.tls.is_some() {
            "https"
        } else {
            "http"
        };
        let listens_on = || format!("{scheme}://{address}");
        let public_url = config.public_url.clone().unwrap_or_else(listens_on);
        let sending = Sending::new(SendingSources {
            engine: engine.clone(),
            history: history.clone(),
            read_models: Arc::clone(&read_models),
            providers,
            writing: Writing::new(Some(Links::new(links.clone(), &public_url))),
            tenant_levels: config.tenant_levels,
        });
        let authenticator =
            Authenticator::new(config.api_key.as_deref(), secret, Arc::clone(&read_models));
        let (stopping, told) = watch::channel(false);
        let sources = Sources {
            engine: engine.clone(),
            read_models: Arc::clone(&read_models),
            history,
            transparency: Arc::clone(&transparency),
            delivery: delivery.clone(),
            sending: sending.clone(),
            links,
            authenticator,
            metrics: Arc::clone(&metrics),
            snapshots: Arc::clone(&snapshots),
            stopping: told,
            files: Arc::new({
                let (data_dir, vault) = (config.data_dir.clone(), Arc::clone(&store.vault));
                move || restore::files(&data_dir, &vault)
            }),
        };
        let state = ApiState::new(sources, options);
        starting.stop().await;
        Ok(Self {
            listener,
            address,
            state,
            engine,
            writer,
            store,
            snapshots,
            snapshot_events: config.snapshot_events,
            transparency,
            read_models,
            metrics,
            tls,
            new_key,
            delivery,
            sending,
            stopping,
        })
    }

    /// Whether connections are encrypted.
    pub fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The key that was issued at this start, to be shown once.
    pub fn new_key(&self) -> Option<&ApiKey> {
        self.new_key.as_ref()
    }

    /// Serves until `stop` resolves or the log fails. Then no more connections are accepted, open
    /// requests and the group being written come to their end, and the log is closed.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) -> anyhow::Result<Stopped> {
        let Self {
            listener,
            state,
            engine,
            mut writer,
            store,
            snapshots,
            snapshot_events,
            transparency,
            read_models,
            metrics,
            tls,
            delivery,
            sending,
            stopping,
            ..
        } = self;
        let ticking = clock::tick(engine.clone(), Arc::clone(&read_models), state.clone());
        let ticking = tokio::spawn(ticking);
        let mut delivering = tokio::spawn(delivery.run(stopping.subscribe()));
        let mut sending = tokio::spawn(sending.run(stopping.subscribe()));
        let checking = self_check::run(Arc::clone(&read_models), Arc::clone(&metrics));
        let checking = tokio::spawn(checking);
        let keeping = tokio::spawn({
            let store = store.clone();
            async move {
                if let Some(every) = snapshot_events {
                    snapshots::keep(snapshots, store, read_models, every).await;
                }
            }
        });
        let publishing = Background::start(transparency)?;
        let told = stopping.subscribe();
        let router = api::router(state);
        let mut serving = tokio::spawn(connections::serve(
            listener,
            tls,
            router,
            metrics,
            told,
            REQUESTS_TIME_MAX,
        ));
        tokio::select! {
            () = stop => {}
            failed = writer.stopped() => {
                let why = failed.err().map_or_else(|| "it ended by itself".to_owned(), |it| it.to_string());
                serving.abort();
                ticking.abort();
                checking.abort();
                keeping.abort();
                delivering.abort();
                sending.abort();
                return Ok(Stopped::LogFailed(why));
            }
            ended = &mut serving => {
                ended.context("serving panicked")?;
                anyhow::bail!("serving ended by itself");
            }
        }
        stopping.send_replace(true);
        ticking.abort();
        checking.abort();
        keeping.abort();
        // Only once they are gone is ours the last handle of the engine.
        let _ = tokio::join!(ticking, checking, keeping);
        serving.await.context("serving panicked")?;
        // What was told is noted within this time, or is told again; whoever was not told is looked at again
        // at the next start.
        let ending = async { tokio::join!(&mut delivering, &mut sending) };
        let _ = tokio::time::timeout(DELIVERY_TIME_MAX, ending).await;
        delivering.abort();
        sending.abort();
        // Nothing else reaches the writer now, so it ends when its queue is empty.
        drop(engine);
        let outcome = tokio::time::timeout(WRITER_TIME_MAX, writer.stopped()).await;
        // Publishing the last checkpoint, and closing the log, which syncs the head file, block.
        let closed = tokio::task::spawn_blocking(move || {
            publishing.stop();
            store.log.close()
        });
        let closed = closed.await;
        closed.context("closing the log panicked")??;
        match outcome {
            Ok(Ok(())) => Ok(Stopped::Asked),
            Ok(Err(failure)) => Ok(Stopped::LogFailed(failure.to_string())),
            Err(_) => Ok(Stopped::LogFailed(
                "the last group was not written in time".to_owned(),
            )),
        }
    }
}

fn api_options(config: &Config) -> anyhow::Result<ApiOptions> {
    /// A credential that pauses saves up so many seconds.
    const BURST_SECONDS: NonZeroU32 = NonZeroU32::new(10).expect("not zero");
    let rate_limit = config.rate_per_second.map(|per_second| RateLimit {
        per_second,
        burst: config
            .rate_burst
            .unwrap_or_else(|| per_second.saturating_mul(BURST_SECONDS)),
    });
    let origin = |origin: &String| {
        let is_origin = origin == "*" || origin.contains("://") && !origin.ends_with('/');
        anyhow::ensure!(
            is_origin,
            "`{origin}` is no origin: one is `https://app.example.com`, without a path"
        );
        HeaderValue::from_str(origin).with_context(|| format!("`{origin}` is no origin"))
    };
    let any = config.cors_origins.iter().any(|origin| origin == "*");
    anyhow::ensure!(
        !any || config.cors_origins.len() == 1,
        "`*` is every origin, and stands alone"
    );
    Ok(ApiOptions {
        tenant_levels: config.tenant_levels,
        rate_limit,
        requests_max: config.requests_max,
        past_states_max: config.past_states_max,
        cors_origins: config
            .cors_origins
            .iter()
            .map(origin)
            .collect::<Result<_, _>>()?,
        secure: config.tls.is_some(),
        process: process::process,
    })
}

/// The address, twice: once to tell from that the server starts, and then to serve from.
async fn listen(address: SocketAddr) -> anyhow::Result<(TcpListener, TcpListener)> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    let listener = listener.into_std()?;
    let again = listener.try_clone()?;
    Ok((
        TcpListener::from_std(listener)?,
        TcpListener::from_std(again)?,
    ))
}

async fn issue_first_key(engine: &Engine) -> anyhow::Result<ApiKey> {
    let key = ApiKey::generate();
    let issued = KeyIssued {
        name: "first key".to_owned(),
        prefix: key.prefix().to_owned(),
        hash: key.hash().to_string(),
        scopes: vec![ADMIN.to_owned()],
        tenant_id: None,
        expires_at: None,
    };
    let id = CommandId::generate(SystemClock.now()).to_string();
    let actor = Actor {
        id: "system".to_owned(),
        name: "first start".to_owned(),
        on_behalf_of: None,
    };
    let command = Command::IssueKey(KeyToIssue { id, issued });
    engine
        .execute(
            command,
            Origin {
                actor,
                ..Origin::default()
            },
        )
        .await?;
    Ok(key)
}
