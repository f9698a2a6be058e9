use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;

pub(crate) const KEY: &str = "a key";

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    /// From before the connection was made.
    pub(crate) took: Duration,
}

/// One request over a connection of its own.
pub(crate) fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> anyhow::Result<Answer> {
    let began = Instant::now();
    let mut stream = TcpStream::connect(address)?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\
         Authorization: Bearer {KEY}\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let took = began.elapsed();
    let status = answer.split(' ').nth(1).context("a status")?.parse()?;
    let (_, body) = answer.split_once("\r\n\r\n").context("a body")?;
    let body = serde_json::from_str(body).unwrap_or_default();
    Ok(Answer { status, body, took })
}

/// As [`ask`], with a body as JSON; what is refused is an error.
pub(crate) fn ask_well(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &Value,
) -> anyhow::Result<Answer> {
    let answer = ask(address, method, path, &body.to_string())?;
    anyhow::ensure!(answer.status < 300, "{path}: {}", answer.body);
    Ok(answer)
}
