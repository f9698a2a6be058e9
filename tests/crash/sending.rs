//! A send over kills: everybody to whom it is has one outcome in the log, whenever the process ends.
//!
//! `MUSTER_CRASH_RECIPIENTS` sets how many people it is to, `MUSTER_CRASH_SENDING_KILLS` how often the process is
//! killed meanwhile: without a kill, it measures.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::process::{API_KEY, Server, offline, say};
use crate::random::Random;

/// People written in one request.
const BATCH: u64 = 1_000;
const TIME_MAX: Duration = Duration::from_mins(20);

#[test]
fn everybody_has_one_outcome_however_often_the_server_is_killed() -> Result<()> {
    let mut random = Random::of("sending");
    let number = |name: &str, by_default: u64| {
        std::env::var(name).map_or(Ok(by_default), |it| it.parse::<u64>())
    };
    let recipients = number("MUSTER_CRASH_RECIPIENTS", 20_000)?;
    let kills = number("MUSTER_CRASH_SENDING_KILLS", 3)?;
    let data = tempfile::tempdir()?;
    let mut server = start(data.path())?;
    write_people(&server, recipients)?;
    let before = size_of(data.path())?;
    let memory_before = memory_of(&server)?;
    let message = json!({"message": {
        "to": {"audience_id": "everybody"},
        "content": {"title": "News", "body": "Hello {{profile.name}}, here is what is new."},
    }});
    let began = Instant::now();
    let accepted = ask(&server, "POST", "/send", Some(&message))?;
    let accept = began.elapsed();
    let id = accepted["requestId"].as_str().context("an id")?.to_owned();
    let resolved = wait(&server, &id, |it| it["resolved"] == true)?;
    ensure!(resolved["people"] == recipients, "{resolved}");
    let resolve = began.elapsed();
    for kill in 1..=kills {
        // Somewhere between what was reached last time and the end.
        let percent = (random.below(20) as u64 + 5) * kill;
        let at = recipients * percent / 100;
        wait(&server, &id, |it| it["settled"].as_u64() >= Some(at))?;
        server.kill()?;
        server = start(data.path())?;
    }
    let from = wait(&server, &id, |_| true)?["settled"]
        .as_u64()
        .unwrap_or(0);
    let resumed = Instant::now();
    let done = wait(&server, &id, |it| it["done"] == true)?;
    let took = resumed.elapsed();
    ensure!(done["settled"] == recipients, "{done}");
    let memory = memory_of(&server)?;
    server.stop()?;
    let bytes = size_of(data.path())?.saturating_sub(before);
    let outcomes = outcomes(data.path())?;
    let twice = outcomes.values().filter(|count| **count != 1).count();
    ensure!(twice == 0, "{twice} people have more than one outcome");
    ensure!(outcomes.len() as u64 == recipients, "{}", outcomes.len());
    #[expect(
        clippy::cast_precision_loss,
        reason = "a rate is shown with a few digits"
    )]
    let per_second = (recipients - from) as f64 / took.as_secs_f64().max(0.001);
    say(&format!(
        "sending: {recipients} people, {kills} kills, {} outcomes, none missing and none twice; \
         accepted in {accept:?}, resolved {:?} later; to the last {} in {took:?}, \
         {per_second:.0}/s; {} bytes of files for each; before {memory_before}, after {memory}",
        outcomes.len(),
        resolve.saturating_sub(accept),
        recipients - from,
        bytes / recipients,
    ));
    Ok(())
}

fn start(data: &Path) -> Result<Server> {
    let server = Server::start(data, None)?;
    server.map_err(|outcome| anyhow::anyhow!("{}", outcome.summary()))
}

fn write_people(server: &Server, recipients: u64) -> Result<()> {
    let rule = json!({"filter": {"filters": [
        {"operator": "EQ", "path": "kind", "value": "reader"}]}});
    ask(server, "PUT", "/audiences/everybody", Some(&rule))?;
    for first in (0..recipients).step_by(usize::try_from(BATCH)?) {
        let people = first..recipients.min(first + BATCH);
        let users = people.map(|it| {
            let profile = json!({"email": format!("p{it}@example.com"), "name": "Ada",
                                 "kind": "reader"});
            json!({"user_id": format!("p{it}"), "profile": profile})
        });
        let users: Vec<Value> = users.collect();
        let written = ask(
            server,
            "POST",
            "/v1/users:batch",
            Some(&json!({"users": users})),
        )?;
        ensure!(written["errors"] == json!([]), "{written}");
    }
    Ok(())
}

fn wait(server: &Server, id: &str, until: impl Fn(&Value) -> bool) -> Result<Value> {
    let began = Instant::now();
    loop {
        let request = ask(server, "GET", &format!("/v1/requests/{id}"), None)?;
        if until(&request) {
            return Ok(request);
        }
        ensure!(began.elapsed() < TIME_MAX, "{request}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn ask(server: &Server, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
    let url = format!("{}{path}", server.url);
    let request = ureq::http::Request::builder()
        .method(method)
        .uri(url)
        .header("Authorization", format!("Bearer {API_KEY}"))
        .body(body.map(Value::to_string).unwrap_or_default())?;
    let mut answer = ureq::run(request)?;
    let text = answer.body_mut().read_to_string()?;
    Ok(serde_json::from_str(&text)?)
}

/// How often each person has an outcome, by user id, as an export of the log has it.
fn outcomes(data: &Path) -> Result<BTreeMap<String, u64>> {
    let export = offline(data, &["export"])?;
    ensure!(export.succeeded(), "{}", export.summary());
    let mut outcomes = BTreeMap::new();
    for line in export.stdout.split(|it| *it == b'\n') {
        if !line.windows(17).any(|it| it == b"\"message.settled\"") {
            continue;
        }
        let event: Value = serde_json::from_slice(line)?;
        for subject in event["subjects"].as_array().into_iter().flatten() {
            let subject = subject.as_str().context("a user id")?;
            *outcomes.entry(subject.to_owned()).or_default() += 1;
        }
    }
    Ok(outcomes)
}

fn size_of(data: &Path) -> Result<u64> {
    let mut size = 0;
    for entry in fs::read_dir(data)? {
        let entry = entry?;
        let of_entry = entry.metadata()?;
        // What can be made again is no part of it.
        if of_entry.is_dir() && entry.file_name() != "snapshots" {
            size += size_of(&entry.path())?;
        } else if of_entry.is_file() {
            size += of_entry.len();
        }
    }
    Ok(size)
}

fn memory_of(server: &Server) -> Result<String> {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid()))?;
    let line = |name: &str| status.lines().find(|it| it.starts_with(name));
    let shown = ["VmRSS", "VmHWM"].iter().filter_map(|it| line(it));
    Ok(shown
        .map(|it| it.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join(", "))
}
