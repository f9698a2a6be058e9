//! Who is told off, erased or in the way of others while a message goes out.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use server::Config;

use crate::client::TestServer;
use crate::target::{Reaction, WebhookTarget};

/// Attempts that the provider of webhooks makes at a time.
const TOGETHER: usize = 2;
const READERS: usize = 20;
/// Longer than anything takes that works.
const DEADLINE: Duration = Duration::from_mins(1);

/// Readers of a list, whose webhooks lead to a target that answers when it is told to.
struct Slow {
    server: TestServer,
    target: WebhookTarget,
    /// Whose webhook is being asked.
    asked: Receiver<String>,
    /// One answer more.
    answers: Sender<()>,
}

impl Slow {
    fn start(data: &Path) -> Self {
        let (tell, asked) = channel();
        let (answers, may_answer) = channel();
        let (tell, may_answer) = (Mutex::new(tell), Arc::new(Mutex::new(may_answer)));
        let target = WebhookTarget::start(move |body| {
            tell.lock().unwrap().send(user_of(body)).unwrap();
            // Once nobody is left who could tell, it goes on as well.
            let _ = may_answer.lock().unwrap().recv_timeout(DEADLINE);
            Reaction::Answer(200)
        });
        let limits = json!({"concurrency": TOGETHER, "timeout_ms": 60_000});
        let providers = json!({"webhook": {"allow_private": true, "limits": limits}});
        let server = TestServer::start_with(
            data,
            Config {
                providers: serde_json::from_value(providers).unwrap(),
                ..Config::default()
            },
        );
        for reader in 0..READERS {
            let profile = json!({"profile": {"webhook": {"url": target.url}}});
            let path = format!("/profiles/reader-{reader}");
            assert_eq!(server.ask("PUT", &path, &profile.to_string()).status, 200);
            let path = format!("/lists/readers/subscriptions/reader-{reader}");
            server.ask("PUT", &path, "{}");
        }
        Self {
            server,
            target,
            asked,
            answers,
        }
    }

    fn send(&self, key: &str, to: &Value, channel: &str) -> String {
        let message = json!({"message": {"to": to, "content": {"title": "T", "body": "B"},
            "routing": {"method": "single", "channels": [channel]}}});
        let sent = self.server.once("/send", key, &message);
        sent.body["requestId"].as_str().unwrap().to_owned()
    }

    /// The next whose webhooks are asked.
    fn next(&self, count: usize) -> Vec<String> {
        let next = (0..count).map(|_| self.asked.recv_timeout(DEADLINE).unwrap());
        next.collect()
    }
}

fn user_of(body: &Value) -> String {
    let found = body
        .pointer("/data/user_id")
        .or_else(|| body.get("user_id"));
    found.and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[test]
fn what_is_canceled_goes_to_nobody_whose_turn_it_was_not() {
    let data = tempfile::tempdir().unwrap();
    let slow = Slow::start(data.path());
    let request = slow.send("all", &json!({"list_id": "readers"}), "webhook");
    slow.next(TOGETHER);
    let path = format!("/messages/{request}/cancel");
    let canceled = slow.server.ask("POST", &path, "");
    assert!(canceled.status < 300, "{}", canceled.text);
    // Somebody else is next, so nobody was in between.
    slow.send("one", &json!({"user_id": "reader-7"}), "webhook");
    for _ in 0..=TOGETHER {
        slow.answers.send(()).unwrap();
    }
    assert_eq!(slow.next(1), ["reader-7"]);
    let path = format!("/v1/requests/{request}");
    for (status, count) in [("SENT", TOGETHER), ("CANCELED", READERS - TOGETHER)] {
        let counted = format!(r#"{{"status":"{status}","reason":null,"count":{count}}}"#);
        slow.server.ask_until(&path, &counted);
    }
    slow.server.stop();
    assert_eq!(slow.target.received().len(), TOGETHER + 1);
}

#[test]
fn whoever_is_erased_is_told_nothing_more() {
    let data = tempfile::tempdir().unwrap();
    let slow = Slow::start(data.path());
    slow.send("all", &json!({"list_id": "readers"}), "webhook");
    let mut told = slow.next(TOGETHER);
    let waits = |reader: &String| !told.contains(reader);
    let erased = (0..READERS).map(|it| format!("reader-{it}"));
    let erased: Vec<String> = erased.filter(waits).skip(5).take(3).collect();
    for reader in &erased {
        let path = format!("/v1/users/{reader}/erase");
        assert_eq!(slow.server.ask("POST", &path, "{}").status, 200);
    }
    for _ in 0..READERS {
        slow.answers.send(()).unwrap();
    }
    told.extend(slow.next(READERS - TOGETHER - erased.len()));
    told.sort_unstable();
    let mut everybody_else: Vec<String> = (0..READERS).map(|it| format!("reader-{it}")).collect();
    everybody_else.retain(|it| !erased.contains(it));
    everybody_else.sort_unstable();
    assert_eq!(told, everybody_else);
    slow.server.stop();
    assert_eq!(slow.target.received().len(), READERS - erased.len());
}

#[test]
fn who_does_not_answer_holds_up_nobody_who_goes_another_way() {
    let data = tempfile::tempdir().unwrap();
    let slow = Slow::start(data.path());
    // More than may wait for webhooks.
    for number in 0..40 {
        slow.send(
            &format!("{number}"),
            &json!({"list_id": "readers"}),
            "webhook",
        );
    }
    slow.next(TOGETHER);
    let request = slow.send("inbox", &json!({"user_id": "reader-0"}), "inbox");
    let path = format!("/messages/{request}");
    slow.server.ask_until(&path, "DELIVERED");
    // Whoever comes last waits for a place and for those who had one before, not for everybody.
    let profile = json!({"profile": {"webhook": {"url": slow.target.url}}});
    slow.server
        .ask("PUT", "/profiles/late", &profile.to_string());
    slow.send("late", &json!({"user_id": "late"}), "webhook");
    let everybody = 40 * READERS + 1;
    for _ in 0..everybody {
        slow.answers.send(()).unwrap();
    }
    let told = slow.next(everybody - TOGETHER);
    let place = told.iter().position(|it| it == "late");
    assert!(place.is_some_and(|it| it < 300), "{place:?}");
    slow.server.stop();
}

/// A push service that hangs up on the first device, and takes what is for the others: which they are.
fn push_service() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (tell, told) = channel();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().map_while(Result::ok).enumerate() {
            let mut reader = BufReader::new(stream);
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let line = line.trim_end().to_ascii_lowercase();
                if let Some(value) = line.strip_prefix("content-length: ") {
                    length = value.parse().unwrap();
                }
                if line.is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let body: Value = serde_json::from_slice(&body).unwrap();
            let to = body["to"].as_str().unwrap().to_owned();
            if tell.send(to).is_err() {
                return;
            }
            if number > 0 {
                let answer = r#"{"data":{"status":"ok","id":"1"}}"#;
                let length = answer.len();
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
                let answer = format!("{head}\r\nContent-Length: {length}\r\n\r\n{answer}");
                reader.into_inner().write_all(answer.as_bytes()).unwrap();
            }
        }
    });
    (url, told)
}

#[test]
fn a_device_that_may_have_it_keeps_it_from_no_other_and_is_not_told_again() {
    let data = tempfile::tempdir().unwrap();
    let (url, told) = push_service();
    let providers = json!({"expo": {"base_url": url}});
    let server = TestServer::start_with(
        data.path(),
        Config {
            providers: serde_json::from_value(providers).unwrap(),
            ..Config::default()
        },
    );
    let devices = ["ExponentPushToken[a]", "ExponentPushToken[b]"];
    server.ask("PUT", "/profiles/ada", r#"{"profile":{"name":"Ada"}}"#);
    for device in ["ExponentPushToken%5Ba%5D", "ExponentPushToken%5Bb%5D"] {
        let path = format!("/users/ada/tokens/{device}");
        let put = server.ask("PUT", &path, r#"{"provider_key":"expo"}"#);
        assert!(put.status < 300, "{}", put.text);
    }
    let message = json!({"message": {"to": {"user_id": "ada"},
        "content": {"title": "T", "body": "B"},
        "routing": {"method": "single", "channels": ["push", "inbox"]}}});
    let sent = server.once("/send", "one", &message);
    let path = format!("/messages/{}", sent.body["requestId"].as_str().unwrap());
    server.ask_until(&path, r#""status":"SENT""#);
    let mut told: Vec<String> = told.try_iter().collect();
    told.sort_unstable();
    assert_eq!(told, devices);
    server.stop();
}
