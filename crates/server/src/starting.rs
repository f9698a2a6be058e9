//! The server while its state is still being built.

use std::sync::Arc;
use std::time::Duration;

use api::{Metrics, Progress};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::connections;

/// How long whoever asks at the last moment may take.
const STOP_TIME_MAX: Duration = Duration::from_millis(500);

/// Tells whoever asks how far the server is, until it is told to stop.
pub(crate) struct Starting {
    told: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Starting {
    pub(crate) fn serve(
        listener: TcpListener,
        tls: Option<TlsAcceptor>,
        metrics: Arc<Metrics>,
        progress: Arc<Progress>,
    ) -> Self {
        let (told, telling) = watch::channel(false);
        let router = api::starting_router(progress);
        let serving = connections::serve(listener, tls, router, metrics, telling, STOP_TIME_MAX);
        Self {
            told,
            serving: tokio::spawn(serving),
        }
    }

    /// Whoever comes from now on waits to be answered by the server itself.
    pub(crate) async fn stop(mut self) {
        self.told.send_replace(true);
        // A panic there is no reason not to serve.
        let _ = (&mut self.serving).await;
    }
}

/// A start that fails leaves nobody behind who answers.
impl Drop for Starting {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
