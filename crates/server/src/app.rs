use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use api::{ApiOptions, ApiState, Authenticator, Metrics, RateLimit};
use auth::{ADMIN, ApiKey};
use axum::http::HeaderValue;
use delivery::Delivery;
use engine::{
    Actor, Command, Engine, EngineOptions, History, KeyToIssue, Origin, Until, Writer, replay,
    start_observed,
};
use event_log::EventLog;
use events::KeyIssued;
use projections::ReadModels;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use types::{Clock, CommandId, SystemClock};

use crate::config::Config;
use crate::secret::{signing_secret, webhook_secret};
use crate::store::open_log;
use crate::{clock, connections, process, self_check, tls};

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
    log: Arc<dyn EventLog>,
    read_models: Arc<ReadModels>,
    metrics: Arc<Metrics>,
    tls: Option<TlsAcceptor>,
    new_key: Option<ApiKey>,
    delivery: Delivery,
    stopping: watch::Sender<bool>,
}

/// Whether a server could be started with these settings, as far as can be told without starting it.
pub fn check(config: &Config) -> anyhow::Result<()> {
    config.tls.as_ref().map(tls::acceptor).transpose()?;
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
    /// Opens the log, rebuilds the read models and then takes the address. Where no key is given
    /// and none was ever issued, one is issued.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        // Whatever is wrong with the settings is told before the log is read.
        let tls = config.tls.as_ref().map(tls::acceptor).transpose()?;
        let options = api_options(config)?;
        let data_dir = config.data_dir.clone();
        let opening = tokio::task::spawn_blocking(move || {
            let log = open_log(&data_dir)?;
            let rebuilt = replay(&log, Until::Head, &mut |_| ())?;
            let secrets = (signing_secret(&data_dir)?, webhook_secret(&data_dir)?);
            anyhow::Ok((log, rebuilt, secrets))
        });
        let (log, rebuilt, (secret, secret_of_webhooks)) =
            opening.await.context("opening the log panicked")??;
        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("cannot listen on {}", config.listen))?;
        let address = listener.local_addr()?;
        let read_models = Arc::clone(&rebuilt.read_models);
        let metrics = Arc::new(Metrics::default());
        let observing = Arc::clone(&metrics);
        let (engine, writer) = start_observed(
            Arc::clone(&log),
            rebuilt,
            Arc::new(SystemClock),
            EngineOptions {
                tenant_levels: config.tenant_levels,
                ..EngineOptions::default()
            },
            Box::new(move |group| observing.group_written(group.events, group.flush, group.fold)),
        );
        let new_key = if config.api_key.is_none() && read_models.keys.is_empty() {
            Some(issue_first_key(&engine).await?)
        } else {
            None
        };
        let history = History::new(Arc::clone(&log), Arc::clone(&read_models));
        let delivery = Delivery::new(
            history.clone(),
            Arc::clone(&read_models),
            engine.progress(),
            secret_of_webhooks,
            config.data_dir.join("webhooks"),
            config.webhooks,
        );
        let authenticator =
            Authenticator::new(config.api_key.as_deref(), secret, Arc::clone(&read_models));
        let (stopping, told) = watch::channel(false);
        let state = ApiState::new(
            engine.clone(),
            Arc::clone(&read_models),
            history,
            delivery.clone(),
            authenticator,
            Arc::clone(&metrics),
            told,
            options,
        );
        Ok(Self {
            listener,
            address,
            state,
            engine,
            writer,
            log,
            read_models,
            metrics,
            tls,
            new_key,
            delivery,
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
            log,
            read_models,
            metrics,
            tls,
            delivery,
            stopping,
            ..
        } = self;
        let ticking = clock::tick(engine.clone(), Arc::clone(&read_models), state.clone());
        let ticking = tokio::spawn(ticking);
        let mut delivering = tokio::spawn(delivery.run(stopping.subscribe()));
        let checking = tokio::spawn(self_check::run(read_models, Arc::clone(&metrics)));
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
                delivering.abort();
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
        // Only once they are gone is ours the last handle of the engine.
        let _ = tokio::join!(ticking, checking);
        serving.await.context("serving panicked")?;
        // What was told is noted within this time, or is told again.
        let _ = tokio::time::timeout(DELIVERY_TIME_MAX, &mut delivering).await;
        delivering.abort();
        // Nothing else reaches the writer now, so it ends when its queue is empty.
        drop(engine);
        let outcome = tokio::time::timeout(WRITER_TIME_MAX, writer.stopped()).await;
        // Closing the log syncs the head file; it blocks.
        let closed = tokio::task::spawn_blocking(move || log.close()).await;
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
        cors_origins: config
            .cors_origins
            .iter()
            .map(origin)
            .collect::<Result<_, _>>()?,
        secure: config.tls.is_some(),
        process: process::process,
    })
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
