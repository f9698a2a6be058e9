//! A request with an idempotency key takes effect once, whenever the server is killed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::load::Connection;
use crate::process::Server;
use crate::random::Random;

const KILLS: usize = 6;
const CLIENTS: usize = 4;
/// Different requests of each client between two kills, each sent until it is answered.
const REQUESTS: usize = 400;

/// Bodies of answers, by the key of the request.
type Answers = Arc<Mutex<BTreeMap<String, String>>>;

#[test]
fn a_request_takes_effect_once_across_kills() {
    let mut random = Random::of("idempotency");
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let answers = Answers::default();
    let (mut sent, mut again) = (0, 0);
    for kill in 0..KILLS {
        let server = Server::start(&data, None)
            .unwrap()
            .map_err(|it| it.summary());
        let server = server.expect("the server starts after a kill");
        let answered = Arc::new(AtomicUsize::new(0));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (url, answers) = (server.url.clone(), Arc::clone(&answers));
                let answered = Arc::clone(&answered);
                thread::spawn(move || {
                    let connection = Connection::new(&url);
                    for number in 0..REQUESTS {
                        let key = format!("{kill}-{client}-{number}");
                        if send(&connection, &key, &answers).is_err() {
                            return number + 1;
                        }
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                    REQUESTS
                })
            })
            .collect();
        let wanted = random.between(1, CLIENTS * REQUESTS / 2);
        while answered.load(Ordering::Relaxed) < wanted {
            thread::yield_now();
        }
        thread::sleep(Duration::from_micros(
            u64::try_from(random.below(3_000)).unwrap(),
        ));
        server.kill().unwrap();
        sent += clients
            .into_iter()
            .map(|it| it.join().unwrap())
            .sum::<usize>();

        // Whatever was sent is sent again, answered before or not.
        let server = Server::start(&data, None)
            .unwrap()
            .map_err(|it| it.summary());
        let server = server.expect("the server starts after a kill");
        let connection = Connection::new(&server.url);
        for client in 0..CLIENTS {
            for number in 0..REQUESTS {
                send(&connection, &format!("{kill}-{client}-{number}"), &answers).unwrap();
                again += 1;
            }
        }
        server.kill().unwrap();
    }
    let server = Server::start(&data, None)
        .unwrap()
        .map_err(|it| it.summary());
    let server = server.expect("the server starts after a kill");
    let brands = count_brands(&Connection::new(&server.url)).unwrap();
    let keys = answers.lock().expect("nobody panicked").len();
    assert_eq!(keys, KILLS * CLIENTS * REQUESTS);
    assert_eq!(brands, keys, "each request made one brand");
    server.stop().unwrap();
    crate::process::say(&format!(
        "idempotency: {KILLS} kills, {sent} requests before them and {again} after, {brands} effects, \
         none twice and none missing"
    ));
}

/// Makes a brand, of which the server chooses the id. What was answered before is answered the same.
fn send(connection: &Connection, key: &str, answers: &Answers) -> Result<()> {
    let body = json!({"name": key, "settings": {}});
    let reply = connection.post_once("/brands", &body, key)?;
    ensure!(reply.status == 200, "{}: {}", reply.status, reply.body);
    let mut answers = answers.lock().expect("nobody panicked");
    let known = answers
        .entry(key.to_owned())
        .or_insert_with(|| reply.body.clone());
    assert_eq!(*known, reply.body, "{key} was answered otherwise before");
    Ok(())
}

fn count_brands(connection: &Connection) -> Result<usize> {
    let (mut path, mut count) = ("/brands?limit=1000".to_owned(), 0);
    loop {
        let page: Value = serde_json::from_str(&connection.get(&path)?.body)?;
        count += page["results"].as_array().context("an array")?.len();
        let Some(cursor) = page["paging"]["cursor"].as_str() else {
            return Ok(count);
        };
        path = format!("/brands?limit=1000&cursor={cursor}");
    }
}
