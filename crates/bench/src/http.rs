//! The real server over HTTP, against handlers that do nothing.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::Context as _;
use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post, put};
use server::{Config, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::RUNS;
use crate::client::KEY;
use crate::engine_writes::to_f64;
use crate::table::Table;

pub(crate) fn run(table: &mut Table) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let data = tempfile::tempdir_in(".")?;
        let config = Config {
            data_dir: data.path().join("data"),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            api_key: Some(KEY.to_owned()),
            ..Config::default()
        };
        let server = Server::start(&config).await?;
        let ours = server.address();
        let serving = tokio::spawn(server.run(std::future::pending()));
        let nothing = do_nothing().await?;
        for connections in [1, 64] {
            let mut pairs = Vec::new();
            for run in 0..RUNS {
                let write = move |connection, n| put_request(connection, n, run);
                pairs.push((
                    load(ours, connections, 200, write).await?,
                    load(nothing, connections, 200, write).await?,
                ));
            }
            let what =
                format!("durable writes/s over HTTP, {connections} connections, against no engine");
            table.row(&what, &pairs, "")?;
        }
        let read = |_, _| {
            format!(
                "GET /profiles/user-0-1 HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer {KEY}\r\n\r\n"
            )
        };
        for connections in [1, 64] {
            let mut pairs = Vec::new();
            for _ in 0..RUNS {
                pairs.push((
                    load(ours, connections, 1_000, read).await?,
                    load(nothing, connections, 1_000, read).await?,
                ));
            }
            let what = format!(
                "point reads/s over HTTP, {connections} connections, against an empty handler"
            );
            table.row(&what, &pairs, "")?;
        }
        let mut pairs = Vec::new();
        for run in 0..RUNS {
            let batch = move |connection, n| batch_request(connection, n, run);
            let events = to_f64(EVENTS_IN_BATCH);
            pairs.push((
                load(ours, 3, 20, batch).await? * events,
                load(nothing, 3, 20, batch).await? * events,
            ));
        }
        let what = "events/s of new users in batches over HTTP, against no engine";
        table.row(what, &pairs, "500 users a request, 3 connections")?;
        serving.abort();
        Ok(())
    })
}

/// The same routes, with handlers that read the body and answer.
async fn do_nothing() -> anyhow::Result<SocketAddr> {
    let batch = post(async |_: Bytes| r#"{"accepted":0}"#).layer(DefaultBodyLimit::disable());
    let router: Router = Router::new().route("/v1/users:batch", batch).route(
        "/profiles/{user_id}",
        put(async |_: Bytes| r#"{"status":"SUCCESS"}"#).merge(get(async || r#"{"profile":{}}"#)),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(axum::serve(listener, router).into_future());
    Ok(address)
}

fn put_request(connection: usize, n: usize, run: usize) -> String {
    let body = format!(r#"{{"profile":{{"email":"u{n}@example.com","plan":"pro","run":{run}}}}}"#);
    let length = body.len();
    format!(
        "PUT /profiles/user-{connection}-{n} HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

/// Somebody who is new is registered and gets a profile.
const EVENTS_IN_BATCH: u64 = 2 * USERS_IN_BATCH;
const USERS_IN_BATCH: u64 = 500;

fn batch_request(connection: usize, n: usize, run: usize) -> String {
    let user = |user: u64| {
        format!(
            r#"{{"user_id":"batch-{run}-{connection}-{n}-{user}","profile":{{"email":"u{user}@example.com","name":"User {user}","plan":"pro","age":{},"city":"Lagos","signed_up":"2026-01-30"}}}}"#,
            user % 90
        )
    };
    let users: Vec<String> = (0..USERS_IN_BATCH).map(user).collect();
    let body = format!(r#"{{"users":[{}]}}"#, users.join(","));
    let length = body.len();
    format!(
        "POST /v1/users:batch HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

/// Requests per second with so many connections that each send one request after the other.
async fn load(
    address: SocketAddr,
    connections: usize,
    requests: usize,
    request: impl Fn(usize, usize) -> String + Copy + Send + 'static,
) -> anyhow::Result<f64> {
    let started = Instant::now();
    let clients: Vec<_> = (0..connections)
        .map(|connection| {
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                let mut received = Vec::new();
                for n in 0..requests {
                    stream.write_all(request(connection, n).as_bytes()).await?;
                    answer(&mut stream, &mut received).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for client in clients {
        client.await??;
    }
    Ok(to_f64((connections * requests) as u64) / started.elapsed().as_secs_f64())
}

/// Reads one answer, which must be a success.
async fn answer(stream: &mut TcpStream, received: &mut Vec<u8>) -> anyhow::Result<()> {
    received.clear();
    loop {
        anyhow::ensure!(stream.read_buf(received).await? > 0, "the server hung up");
        let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = std::str::from_utf8(&received[..end])?;
        anyhow::ensure!(head.starts_with("HTTP/1.1 20"), "{head}");
        let length: usize = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse()
                    .ok()
            })
            .context("the answer says how long it is")?;
        if received.len() >= end + 4 + length {
            return Ok(());
        }
    }
}
