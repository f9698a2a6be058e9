use std::sync::Arc;
use std::time::Duration;

use api::Metrics;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, getrlimit};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;

/// Connections at the same time, where the operating system allows as many.
const CONNECTIONS_MAX: usize = 10_000;
/// Files that are kept free for the store and for what else the process opens.
const FILES_KEPT: u64 = 64;
/// How long the head of a request may take to arrive, and a connection may be idle.
const HEAD_TIME_MAX: Duration = Duration::from_secs(30);
/// How long whoever is answered may take none of it.
const WRITE_TIME_MAX: Duration = Duration::from_secs(30);
/// The head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How long to wait when no connection can be accepted, for want of files say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts and serves connections until it is told to stop, gives open requests so much time to
/// end, and then cuts them off. When it returns, nothing of the router is in use any more.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    metrics: Arc<Metrics>,
    mut stop: watch::Receiver<bool>,
    stop_time_max: Duration,
) {
    let room = Arc::new(Semaphore::new(connections_max()));
    let mut connections = JoinSet::new();
    loop {
        // While there is no room, those who ask wait in the operating system's queue.
        let free = Arc::clone(&room).acquire_owned();
        let accepted = tokio::select! {
            biased;
            () = told(&mut stop) => break,
            Ok(free) = free => tokio::select! {
                biased;
                () = told(&mut stop) => break,
                accepted = listener.accept() => accepted.map(|(stream, _)| (stream, free)),
            },
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, free)) => {
                let (router, stop) = (router.clone(), stop.clone());
                let (tls, metrics) = (tls.clone(), Arc::clone(&metrics));
                connections.spawn(async move {
                    let _counted = (metrics.connection(), free);
                    accept(stream, tls, router, stop).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(stop_time_max, ended).await.is_err() {
        // What a request that is cut off wrote is durable, or was never acknowledged.
        connections.shutdown().await;
    }
}

async fn accept(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    // Answers are written whole; waiting for more to send would only delay them.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else {
        return serve_one(stream, router, stop).await;
    };
    let shaken = tokio::select! {
        () = told(&mut stop) => return,
        shaken = tokio::time::timeout(HEAD_TIME_MAX, tls.accept(stream)) => shaken,
    };
    match shaken {
        Ok(Ok(stream)) => serve_one(stream, router, stop).await,
        Ok(Err(error)) => tracing::debug!(%error, "a connection is not encrypted as it should be"),
        Err(_) => tracing::debug!("a connection took too long to be encrypted"),
    }
}

async fn serve_one<S>(stream: S, router: Router, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIME_MAX));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(
            TokioIo::new(Box::pin(stream)),
            TowerToHyperService::new(router),
        );
    let mut connection = std::pin::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = told(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection ended badly");
    }
}

async fn told(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone means the same as being told.
    let _ = stop.wait_for(|stop| *stop).await;
}

fn connections_max() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let connections = files.saturating_sub(FILES_KEPT).max(1);
    usize::try_from(connections)
        .unwrap_or(usize::MAX)
        .min(CONNECTIONS_MAX)
}
