use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use api::{ApiState, Authenticator};
use auth::{ApiKey, SCOPE_ALL};
use engine::{
    Actor, Command, Engine, EngineOptions, History, KeyToIssue, Origin, Until, Writer, replay,
};
use event_log::EventLog;
use events::KeyIssued;
use tokio::net::TcpListener;
use tokio::sync::watch;
use types::{Clock, CommandId, SystemClock};

use crate::config::Config;
use crate::store::open_log;

/// How long open requests may take to end once the server is told to stop.
const STOP_TIME_MAX: Duration = Duration::from_secs(10);

/// The whole server, ready to accept connections.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    state: ApiState,
    engine: Engine,
    writer: Writer,
    log: Arc<dyn EventLog>,
    new_key: Option<ApiKey>,
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
    /// Opens the log, rebuilds the read models and takes the address. Where no key is given and
    /// none was ever issued, one is issued.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("cannot listen on {}", config.listen))?;
        let address = listener.local_addr()?;
        let data_dir = config.data_dir.clone();
        let opening = tokio::task::spawn_blocking(move || {
            let log = open_log(&data_dir)?;
            let rebuilt = replay(&log, Until::Head, &mut |_| ())?;
            anyhow::Ok((log, rebuilt))
        });
        let (log, rebuilt) = opening.await.context("opening the log panicked")??;
        let read_models = Arc::clone(&rebuilt.read_models);
        let (engine, writer) = engine::start(
            Arc::clone(&log),
            rebuilt,
            Arc::new(SystemClock),
            EngineOptions::default(),
        );
        let new_key = if config.api_key.is_none() && read_models.keys.is_empty() {
            Some(issue_first_key(&engine).await?)
        } else {
            None
        };
        let history = History::new(Arc::clone(&log), Arc::clone(&read_models));
        let authenticator = Authenticator::new(config.api_key.as_deref(), Arc::clone(&read_models));
        let state = ApiState::new(engine.clone(), read_models, history, authenticator);
        Ok(Self {
            listener,
            address,
            state,
            engine,
            writer,
            log,
            new_key,
        })
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
            ..
        } = self;
        let (told, telling) = watch::channel(false);
        let mut told_to_stop = telling.clone();
        let serving =
            axum::serve(listener, api::router(state)).with_graceful_shutdown(async move {
                // A sender that is gone means the same as being told.
                let _ = told_to_stop.wait_for(|stop| *stop).await;
            });
        let mut serving = tokio::spawn(serving.into_future());
        drop(telling);
        tokio::select! {
            () = stop => {}
            failed = writer.stopped() => {
                let why = failed.err().map_or_else(|| "it ended by itself".to_owned(), |it| it.to_string());
                serving.abort();
                return Ok(Stopped::LogFailed(why));
            }
            ended = &mut serving => {
                ended.context("serving panicked")?.context("serving failed")?;
            }
        }
        told.send_replace(true);
        // Requests that do not end in time are cut off; what they wrote is durable or was never
        // acknowledged.
        if tokio::time::timeout(STOP_TIME_MAX, &mut serving)
            .await
            .is_err()
        {
            serving.abort();
            let _ = serving.await;
        }
        drop(engine);
        let outcome = tokio::time::timeout(STOP_TIME_MAX, writer.stopped()).await;
        // Closing the log syncs the head file; it blocks.
        tokio::task::spawn_blocking(move || drop(log))
            .await
            .context("closing the log panicked")?;
        match outcome {
            Ok(Err(failure)) => Ok(Stopped::LogFailed(failure.to_string())),
            Ok(Ok(())) | Err(_) => Ok(Stopped::Asked),
        }
    }
}

async fn issue_first_key(engine: &Engine) -> anyhow::Result<ApiKey> {
    let key = ApiKey::generate();
    let issued = KeyIssued {
        name: "first key".to_owned(),
        prefix: key.prefix().to_owned(),
        hash: key.hash().to_string(),
        scopes: vec![SCOPE_ALL.to_owned()],
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
