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

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpStream};

    use types::Position;

    use super::*;

    async fn ask(address: SocketAddr, path: &'static str) -> String {
        let ask = move || {
            let mut stream = TcpStream::connect(address).unwrap();
            write!(
                stream,
                "GET {path} HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n"
            )
            .unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        tokio::task::spawn_blocking(ask).await.unwrap()
    }

    #[tokio::test]
    async fn whoever_asks_is_told_how_far_the_start_is() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let progress = Arc::new(Progress::default());
        progress.tell(Position(3), Position(10));
        let metrics = Arc::new(Metrics::default());
        let starting = Starting::serve(listener, None, metrics, Arc::clone(&progress));
        let ready = ask(address, "/readyz").await;
        assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
        assert!(ready.contains(r#""position":3,"head":10"#), "{ready}");
        progress.tell(Position(7), Position(10));
        assert!(ask(address, "/readyz").await.contains(r#""position":7"#));
        assert!(ask(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        let other = ask(address, "/profiles/ada").await;
        assert!(other.starts_with("HTTP/1.1 503"), "{other}");
        assert!(
            other.contains("retry-after: 1") && other.contains("\"starting\""),
            "{other}"
        );
        starting.stop().await;
        assert!(
            TcpStream::connect(address).is_err(),
            "nobody listens any more"
        );
    }
}
