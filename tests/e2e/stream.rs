//! The feed as it happens.

use std::hash::{BuildHasher as _, RandomState};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{KEY, TestServer};

/// One connection that follows the feed. It speaks HTTP/1.0, so that what comes is the stream itself.
struct Follower(BufReader<TcpStream>);

#[derive(Debug, Default, PartialEq)]
struct Message {
    id: Option<u64>,
    event: String,
    data: Value,
}

impl Follower {
    fn start(server: &TestServer, query: &str, headers: &str) -> Self {
        Self::start_as(server, KEY, query, headers)
    }

    fn start_as(server: &TestServer, key: &str, query: &str, headers: &str) -> Self {
        let mut stream = server.connect();
        stream
            .set_read_timeout(Some(Duration::from_mins(1)))
            .unwrap();
        let request = format!(
            "GET /v1/events/stream?{query} HTTP/1.0\r\nAuthorization: Bearer {key}\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut follower = Self(BufReader::new(stream));
        let mut head = String::new();
        while follower.0.read_line(&mut head).unwrap() > 2 {}
        assert!(head.starts_with("HTTP/1.0 200"), "{head}");
        assert!(head.contains("content-type: text/event-stream"), "{head}");
        follower
    }

    /// The next message, those without data included; nothing at the end.
    fn next(&mut self) -> Option<Message> {
        let mut message = Message::default();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            let line = line.strip_suffix('\n').unwrap();
            match line.split_once(':') {
                None if line.is_empty() => return Some(message),
                Some(("id", id)) => message.id = Some(id.trim().parse().unwrap()),
                Some(("event", event)) => event.trim().clone_into(&mut message.event),
                Some(("data", data)) => message.data = serde_json::from_str(data).unwrap(),
                Some(("" | "retry", _)) => {}
                _ => panic!("`{line}` is no line of a stream of events"),
            }
        }
    }

    /// The next that is an event of the log.
    fn next_event(&mut self) -> Option<Value> {
        loop {
            let message = self.next()?;
            if message.event.is_empty() && !message.data.is_null() {
                assert_eq!(message.id, message.data["position"].as_u64());
                return Some(message.data);
            }
        }
    }
}

fn position(event: &Value) -> u64 {
    event["position"].as_u64().unwrap()
}

/// A cheap source of numbers, for which a seed is enough.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % end
    }
}

#[test]
fn whoever_follows_gets_every_event_once_however_often_the_connection_is_cut() {
    const WRITERS: u64 = 4;
    const READERS: u64 = 4;
    const WRITES: u64 = 400;
    let seed = RandomState::new().hash_one(0);
    println!("seed {seed}");
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::start(data.path());
    // Where it ends; 0 as long as that is not known.
    let end = AtomicU64::new(0);
    let follow = |number: u64| {
        let mut numbers = Numbers(seed ^ number);
        let (mut found, mut cuts) = (Vec::<u64>::new(), 0);
        loop {
            let last = found.last().copied().unwrap_or(0);
            // What `after` says counts for nothing beside the last event.
            let resume = format!("Last-Event-ID: {last}\r\n");
            let mut follower = Follower::start(&server, "after=1", &resume);
            for _ in 0..=numbers.below(300) {
                found.push(position(&follower.next_event().unwrap()));
                let end = end.load(Ordering::Acquire);
                if end > 0 && found[found.len() - 1] >= end {
                    return (found, cuts);
                }
            }
            cuts += 1;
        }
    };
    let (found, head) = thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|n| scope.spawn(move || follow(n)))
            .collect();
        let write = |writer: u64| {
            for n in 0..WRITES {
                let body = format!(r#"{{"profile":{{"n":{n}}}}}"#);
                let path = format!("/profiles/u{writer}-{}", n % 50);
                assert_eq!(server.ask("PUT", &path, &body).status, 200);
            }
        };
        let writers: Vec<_> = (0..WRITERS)
            .map(|n| scope.spawn(move || write(n)))
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        let last = server.ask("PUT", "/profiles/last", r#"{"profile":{}}"#);
        end.store(last.position(), Ordering::Release);
        // So that nobody waits who had read the last before it was known to be that.
        server.ask("PUT", "/profiles/more", r#"{"profile":{}}"#);
        let found: Vec<_> = readers.into_iter().map(|it| it.join().unwrap()).collect();
        (found, last.position())
    });
    for (positions, cuts) in found {
        assert!(cuts > 2, "seed {seed}");
        assert!(positions.len() as u64 >= head, "seed {seed}");
        let all: Vec<u64> = (1..=positions.len() as u64).collect();
        assert_eq!(positions, all, "seed {seed}");
    }
    server.stop();
}

#[test]
fn whoever_reads_slowly_is_told_and_loses_nothing() {
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::start(data.path());
    let mut follower = Follower::start(&server, "", "");
    assert_eq!(follower.next().unwrap().id, Some(0), "from now on");
    for batch in 0..25 {
        let user = |n| {
            let text = "x".repeat(400);
            json!({"user_id": format!("u{batch}-{n}"), "profile": {"text": text}})
        };
        let users: Vec<Value> = (0..1_000).map(user).collect();
        let body = json!({"users": users}).to_string();
        assert_eq!(server.ask("POST", "/v1/users:batch", &body).status, 200);
    }
    let head = server.ask("GET", "/healthz", "").position();
    assert_eq!(head, 50_000);
    let (mut next, mut told) = (1, Vec::new());
    while next <= head {
        let message = follower.next().unwrap();
        if message.event == "lag" {
            assert_eq!(message.id, None, "it is no place to go on from");
            let told_of = |name: &str| message.data[name].as_u64().unwrap();
            assert_eq!(told_of("position") + told_of("behind"), told_of("head"));
            assert_eq!(told_of("position"), next - 1);
            told.push(told_of("behind"));
        } else {
            assert_eq!(message.id, Some(next));
            next += 1;
        }
    }
    assert!(told.iter().any(|behind| *behind > 10_000), "{told:?}");
    server.stop();
}

#[test]
fn a_stream_shows_what_was_asked_for_and_what_its_key_may_see() {
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::start(data.path());
    let put = |path: &str, body: &str| {
        let answer = server.ask("PUT", path, body);
        assert!(answer.status < 300, "{path}: {}", answer.text);
    };
    put("/tenants/acme", r#"{"name":"Acme"}"#);
    put("/tenants/other", r#"{"name":"Other"}"#);
    let body = r#"{"name":"theirs","scopes":["events:read"],"tenant_id":"acme"}"#;
    let key = server.ask("POST", "/v1/keys", body).body;
    let start = server.ask("GET", "/healthz", "").position();
    let mut lists = Follower::start(&server, "type=list.*", "");
    let mut of_ada = Follower::start(&server, "subject=ada", "");
    let theirs = key["key"].as_str().unwrap();
    let mut theirs = Follower::start_as(&server, theirs, &format!("after={start}"), "");
    put("/profiles/eve", r#"{"profile":{}}"#);
    put("/users/eve/tenants/other", "{}");
    put("/users/ada/tenants/acme", "{}");
    put("/lists/news/subscriptions/eve", "");
    put("/profiles/ada", r#"{"profile":{"a":1}}"#);
    put("/lists/news/subscriptions/ada", "");
    let types = |follower: &mut Follower, count: usize| {
        let events = (0..count).map(|_| follower.next_event().unwrap());
        let name = |event: &Value| event["type"].as_str().unwrap().to_owned();
        events.map(|event| name(&event)).collect::<Vec<_>>()
    };
    assert_eq!(
        types(&mut lists, 3),
        ["list.created", "list.member_added", "list.member_added"]
    );
    // Nobody had heard of her when it began.
    assert_eq!(
        types(&mut of_ada, 4),
        [
            "subject.registered",
            "tenant.member_added",
            "profile.updated",
            "list.member_added"
        ]
    );
    let mut seen = Vec::new();
    while seen.len() < 3 {
        seen.push(theirs.next_event().unwrap());
    }
    assert!(
        seen.iter().all(|event| event["subjects"] == json!(["ada"])),
        "{seen:?}"
    );
    server.stop();
}

#[test]
fn a_stream_ends_with_its_credential_and_with_the_server() {
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::start(data.path());
    let body = r#"{"name":"short","scopes":["events:read"]}"#;
    let key = server.ask("POST", "/v1/keys", body).body;
    let mut follower = Follower::start_as(&server, key["key"].as_str().unwrap(), "", "");
    let mut other = Follower::start(&server, "", "");
    follower.next().unwrap();
    let revoke = format!("/v1/keys/{}", key["id"].as_str().unwrap());
    assert_eq!(server.ask("DELETE", &revoke, "").status, 204);
    let revoked = Instant::now();
    let last = std::iter::from_fn(|| follower.next()).last().unwrap();
    assert!(revoked.elapsed() < Duration::from_secs(5));
    assert_eq!(last.event, "end");
    assert_eq!(last.data, json!({"reason": "credential_invalid"}));
    let asked = Instant::now();
    server.stop();
    assert!(
        asked.elapsed() < Duration::from_secs(4),
        "nobody was cut off"
    );
    let last = std::iter::from_fn(|| other.next()).last().unwrap();
    assert_eq!(last.data, json!({"reason": "stopping"}));
}

#[test]
fn what_is_no_place_in_this_log_is_refused_and_so_is_the_stream_that_is_one_too_many() {
    const STREAMS_MAX: usize = 256;
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::start(data.path());
    server.ask("PUT", "/profiles/ada", r#"{"profile":{}}"#);
    for query in [
        "after=3",
        "after=-1",
        "after=x",
        "order=desc",
        "limit=5",
        "cursor=x",
        "until=2026-01-01T00:00:00Z",
    ] {
        let answer = server.ask("GET", &format!("/v1/events/stream?{query}"), "");
        assert_eq!(answer.status, 400, "{query}: {}", answer.text);
        assert_eq!(answer.body["code"], "invalid_parameter", "{query}");
    }
    for last in ["3", "-1", "x", ""] {
        let headers = format!("Authorization: Bearer {KEY}\r\nLast-Event-ID: {last}\r\n");
        let answer = server.ask_with("GET", "/v1/events/stream", &headers);
        assert_eq!(answer.status, 400, "{last}: {}", answer.text);
        assert_eq!(answer.body["code"], "invalid_header", "{last}");
    }
    let begin = || Follower::start(&server, "after=0", "");
    let mut followers: Vec<_> = (0..STREAMS_MAX).map(|_| begin()).collect();
    let refused = server.ask("GET", "/v1/events/stream", "");
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (503, &json!("busy"))
    );
    for follower in &mut followers {
        assert_eq!(position(&follower.next_event().unwrap()), 1);
    }
    // Whoever goes away makes room.
    let gone = followers.pop().unwrap().0.into_inner();
    gone.shutdown(std::net::Shutdown::Both).unwrap();
    let asked = Instant::now();
    loop {
        let mut stream = server.connect();
        let head = format!("GET /v1/events/stream HTTP/1.0\r\nAuthorization: Bearer {KEY}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut first_bytes = [0; 12];
        stream.read_exact(&mut first_bytes).unwrap();
        if first_bytes.ends_with(b"200") {
            break;
        }
        assert!(asked.elapsed() < Duration::from_secs(20));
    }
    server.stop();
}
