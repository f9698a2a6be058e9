use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Args;
use clap::builder::TypedValueParser as _;
use server::{Config, Server, Stopped};
use tokio::signal::unix::{SignalKind, signal};

use super::DataDir;
use crate::output;

/// The event log failed: what `sysexits.h` calls an input/output error.
const EXIT_LOG_FAILED: u8 = 74;

/// Serve the API.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    data: DataDir,
    /// Address and port to listen on; port 0 takes any free one.
    #[arg(long, env = "MUSTER_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// A key with full access, good as long as it is given. Without it one is made at the first start.
    #[arg(long = "api-key", env = "MUSTER_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// Levels of a tenant's ancestry that are loaded, the tenant's own included: 1 to 32.
    #[arg(
        long,
        env = "MUSTER_TENANT_LEVELS",
        default_value_t = server::TENANT_LEVELS_LOADED,
        value_parser = clap::value_parser!(u8).range(1..=32).map(usize::from)
    )]
    tenant_levels: usize,
}

impl Options {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let api_key = self.api_key.filter(|key| !key.is_empty());
        let config = Config {
            data_dir: self.data.path,
            listen: self.listen,
            api_key,
            tenant_levels: self.tenant_levels,
        };
        let runtime = tokio::runtime::Runtime::new()?;
        let outcome = runtime.block_on(serve(config));
        // A start that was broken off is still reading the log; there is nothing to wait for.
        runtime.shutdown_background();
        outcome
    }
}

async fn serve(config: Config) -> anyhow::Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut stop = std::pin::pin!(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    });
    let server = tokio::select! {
        server = Server::start(&config) => server?,
        () = &mut stop => return Ok(ExitCode::SUCCESS),
    };
    let url = format!("http://{}", server.address());
    output::data(&format!("Muster listens on {url}"))?;
    if let Some(key) = server.new_key() {
        let key = key.reveal();
        output::data(&format!("API key, shown this once: {key}"))?;
        output::data(&format!(
            "Try: curl -X PUT {url}/profiles/ada -H 'Authorization: Bearer {key}' \
             -d '{{\"profile\":{{\"email\":\"ada@example.com\"}}}}'"
        ))?;
    }
    match server.run(stop).await? {
        Stopped::Asked => Ok(ExitCode::SUCCESS),
        Stopped::LogFailed(why) => {
            output::problem(&format!(
                "{why}. Nothing more is written; what was acknowledged is durable. Mend the cause \
                 and start again"
            ));
            Ok(ExitCode::from(EXIT_LOG_FAILED))
        }
    }
}
