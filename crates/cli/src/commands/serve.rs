use std::process::ExitCode;

use clap::Args;
use server::{Config, Server, Stopped};
use tokio::signal::unix::{SignalKind, signal};

use super::settings::Flags;
use crate::output;

/// The event log failed: what `sysexits.h` calls an input/output error.
const EXIT_LOG_FAILED: u8 = 74;

/// Serve the API.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    flags: Flags,
}

impl Options {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.flags.settings()?;
        server::start_tracing(settings.log_format()?);
        let config = settings.config()?;
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
    let scheme = if server.is_secure() { "https" } else { "http" };
    let url = format!("{scheme}://{}", server.address());
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
