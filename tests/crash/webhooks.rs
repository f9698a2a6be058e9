//! Webhooks over kills: whatever was acknowledged is told, at least once and in order.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::process::{API_KEY, Server};
use crate::random::Random;

const KILLS: usize = 6;
const PEOPLE: usize = 25;

type Told = Arc<Mutex<Vec<(String, u64)>>>;

#[test]
fn what_was_acknowledged_is_told_however_often_the_server_is_killed() -> Result<()> {
    let mut random = Random::of("webhooks");
    let data = tempfile::tempdir()?;
    let told = Told::default();
    let url = target(Arc::clone(&told))?;
    let mut server = start(&data)?;
    let body = format!(r#"{{"url":"{url}","types":["profile.*"]}}"#);
    ensure!(ask(&server, "POST", "/v1/webhooks", &body)? == 201);
    let mut acknowledged: BTreeMap<String, u64> = BTreeMap::new();
    for kill in 0..KILLS {
        for _ in 0..random.below(200) + 20 {
            let person = format!("u{}", random.below(PEOPLE));
            let next = acknowledged.get(&person).copied().unwrap_or(0) + 1;
            let body = format!(r#"{{"profile":{{"n":{next},"of":{kill}}}}}"#);
            ensure!(ask(&server, "PUT", &format!("/profiles/{person}"), &body)? == 200);
            acknowledged.insert(person, next);
        }
        server.kill()?;
        server = start(&data)?;
    }
    let began = Instant::now();
    loop {
        let last: BTreeMap<String, u64> = told.lock().unwrap().iter().cloned().collect();
        if last == acknowledged {
            break;
        }
        ensure!(
            began.elapsed() < Duration::from_mins(1),
            "{last:?} {acknowledged:?}"
        );
        thread::sleep(Duration::from_millis(20));
    }
    server.stop()?;
    let told = told.lock().unwrap();
    let mut firsts: BTreeMap<&String, Vec<u64>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (person, version) in told.iter() {
        if seen.insert((person, version)) {
            firsts.entry(person).or_default().push(*version);
        }
    }
    for (person, last) in &acknowledged {
        let all: Vec<u64> = (1..=*last).collect();
        ensure!(firsts[person] == all, "{person}: {:?}", firsts[person]);
    }
    // A kill repeats what was told in the moment before it, once.
    let mut times: BTreeMap<&(String, u64), usize> = BTreeMap::new();
    for one in told.iter() {
        *times.entry(one).or_default() += 1;
    }
    let most = times.values().max().copied().unwrap_or(0);
    println!(
        "{} told, {} of them different, none more than {most} times",
        told.len(),
        times.len()
    );
    ensure!(most <= KILLS + 1, "something was told {most} times");
    Ok(())
}

fn start(data: &tempfile::TempDir) -> Result<Server> {
    let server = Server::start(data.path(), None)?;
    server.map_err(|outcome| anyhow::anyhow!("{}", outcome.summary()))
}

fn ask(server: &Server, method: &str, path: &str, body: &str) -> Result<u16> {
    let address = server.url.strip_prefix("http://").context("an address")?;
    let mut stream = TcpStream::connect(address)?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\
         Authorization: Bearer {API_KEY}\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.split(' ').nth(1).context("a status")?.parse()?)
}

/// Takes everything, and remembers of whom it was told and which version.
fn target(told: Told) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/", listener.local_addr()?);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let told = Arc::clone(&told);
            thread::spawn(move || take(stream, &told));
        }
    });
    Ok(url)
}

/// A request that a kill cut is as if it had not come.
fn take(stream: TcpStream, told: &Told) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim_end().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
            length = value.trim_end().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body: Value = serde_json::from_slice(&body).ok()?;
    let person = body["data"]["subjects"][0].as_str()?.to_owned();
    let version = body["data"]["version"].as_u64()?;
    told.lock().ok()?.push((person, version));
    let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    reader.get_mut().write_all(answer.as_bytes()).ok()
}
