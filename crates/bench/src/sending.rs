//! A send to an audience, against writes of as many people: what resolving, routing and rendering cost on top
//! of making an event durable for each.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};
use server::{Config, Server};

use crate::RUNS;
use crate::client::{KEY, ask_well};
use crate::engine_writes::to_f64;
use crate::table::Table;

const PEOPLE: u64 = 200_000;
/// People whom one request writes.
const BATCH: u64 = 1_000;
/// Sends and writes of one person whose median is a measurement.
const ONES: usize = 101;

pub(crate) fn run(table: &mut Table) -> anyhow::Result<()> {
    let data = tempfile::tempdir_in(".")?;
    let config = Config {
        data_dir: data.path().join("data"),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        api_key: Some(KEY.to_owned()),
        ..Config::default()
    };
    let runtime = tokio::runtime::Runtime::new()?;
    let server = runtime.block_on(Server::start(&config))?;
    let address = server.address();
    let (stop, told) = tokio::sync::oneshot::channel::<()>();
    let running = runtime.spawn(server.run(async {
        let _ = told.await;
    }));
    let rule = json!({"filter": {"filters": [
        {"operator": "EQ", "path": "kind", "value": "reader"}]}});
    ask_well(address, "PUT", "/audiences/readers", &rule)?;
    write_people(address, 0)?;

    let (mut outcomes, mut accepting, mut foreseeing) = (vec![], vec![], vec![]);
    for run in 1..=RUNS {
        let written = per_second(write_people(address, run)?);
        outcomes.push((per_second(send(address)?), written));
        let one = |person: usize| {
            let message = json!({"message": {"to": {"user_id": format!("p{person}")},
                "content": {"title": "T", "body": "B"}}});
            ask_well(address, "POST", "/send", &message).map(|it| it.took)
        };
        let write = |person: usize| {
            let profile = json!({"profile": {"run": run, "kind": "reader"}});
            let path = format!("/profiles/p{person}");
            ask_well(address, "POST", &path, &profile).map(|it| it.took)
        };
        accepting.push((of_one(one)?, of_one(write)?));
        let dry = json!({"message": {"to": {"audience_id": "readers"},
            "content": {"title": "T", "body": "Hello {{profile.name}}"}}, "limit": 1});
        let answer = ask_well(address, "POST", "/v1/resolve", &dry)?;
        anyhow::ensure!(answer.body["people"] == PEOPLE, "{}", answer.body);
        foreseeing.push(per_second(answer.took));
    }
    let what = "people/s sent to in an audience, against writes of them";
    table.row(what, &outcomes, "200,000 people, log provider")?;
    let what = "a send to one person accepted, p50, ms, against a write";
    table.row(what, &accepting, "")?;
    table.figure("people/s in a dry run", &foreseeing, "")?;
    let _ = stop.send(());
    runtime.block_on(running)??;
    Ok(())
}

fn per_second(took: Duration) -> f64 {
    to_f64(PEOPLE) / took.as_secs_f64()
}

/// The median of several, in milliseconds.
fn of_one(one: impl Fn(usize) -> anyhow::Result<Duration>) -> anyhow::Result<f64> {
    let took: anyhow::Result<Vec<_>> = (0..ONES).map(one).collect();
    let took = took?;
    Ok(crate::table::median(
        took.iter().map(|it| it.as_secs_f64() * 1e3),
    ))
}

fn write_people(address: SocketAddr, run: usize) -> anyhow::Result<Duration> {
    let began = Instant::now();
    for first in (0..PEOPLE).step_by(usize::try_from(BATCH)?) {
        let users = (first..first + BATCH).map(|it| {
            let profile = json!({"email": format!("p{it}@example.com"), "name": "Ada",
                                 "kind": "reader", "run": run});
            json!({"user_id": format!("p{it}"), "profile": profile})
        });
        let users = json!({"users": users.collect::<Vec<Value>>()});
        let answer = ask_well(address, "POST", "/v1/users:batch", &users)?;
        anyhow::ensure!(answer.body["errors"] == json!([]), "{}", answer.body);
    }
    Ok(began.elapsed())
}

/// From the request until everybody has an outcome.
fn send(address: SocketAddr) -> anyhow::Result<Duration> {
    let message = json!({"message": {"to": {"audience_id": "readers"},
        "content": {"title": "T", "body": "Hello {{profile.name}}"}}});
    let began = Instant::now();
    let accepted = ask_well(address, "POST", "/send", &message)?;
    let id = accepted.body["requestId"].as_str().context("an id")?;
    let path = format!("/v1/requests/{id}");
    loop {
        let request = ask_well(address, "GET", &path, &Value::Null)?.body;
        if request["done"] == true {
            anyhow::ensure!(request["settled"] == PEOPLE, "{request}");
            return Ok(began.elapsed());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
