//! What happens is told to whoever asked for it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use server::{Config, DeliveryOptions};

use crate::client::TestServer;
use crate::target::{Reaction, Received, WebhookTarget};

fn options() -> DeliveryOptions {
    DeliveryOptions {
        private_targets: true,
        time_max: Duration::from_millis(500),
        first_pause: Duration::from_millis(5),
        attempts_max: 4,
    }
}

fn start(data: &Path, webhooks: DeliveryOptions) -> TestServer {
    TestServer::start_with(
        data,
        Config {
            webhooks,
            ..Config::default()
        },
    )
}

#[track_caller]
fn register(server: &TestServer, url: &str, types: &[&str]) -> Value {
    let body = json!({"url": url, "types": types}).to_string();
    let made = server.ask("POST", "/v1/webhooks", &body);
    assert_eq!(made.status, 201, "{}", made.text);
    made.body
}

#[track_caller]
fn put(server: &TestServer, user: &str, n: u64) {
    let body = format!(r#"{{"profile":{{"n":{n}}}}}"#);
    let answer = server.ask("PUT", &format!("/profiles/{user}"), &body);
    assert_eq!(answer.status, 200, "{}", answer.text);
}

fn place(received: &Received) -> (u64, u64) {
    let (position, part) = received.headers["muster-delivery"].split_once('.').unwrap();
    (position.parse().unwrap(), part.parse().unwrap())
}

/// Asks until it is so.
#[track_caller]
fn ask_until(server: &TestServer, path: &str, enough: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let body = server.ask("GET", path, "").body;
        if enough(&body) {
            return body;
        }
        assert!(began.elapsed() < Duration::from_mins(1), "{path}: {body}");
        std::thread::yield_now();
    }
}

#[test]
fn what_is_told_is_signed_so_that_others_can_check_it() {
    let data = tempfile::tempdir().unwrap();
    let server = start(data.path(), options());
    let target = WebhookTarget::start(|_| Reaction::Answer(200));
    let webhook = register(&server, &target.url, &["profile.*"]);
    let secret = webhook["secret"].as_str().unwrap();
    put(&server, "ada@example.com", 1);
    let told = target.wait_until(|received| !received.is_empty());
    let body = told[0].json();
    assert_eq!(body["type"], "profile.updated");
    assert_eq!(body["data"]["subjects"], json!(["ada@example.com"]));
    assert_eq!(body["data"]["data"]["changes"], json!({"n": 1}));
    let shown = server.ask(
        "GET",
        &format!("/v1/events/{}", body["data"]["position"]),
        "",
    );
    assert_eq!(shown.body, body["data"]);
    // By another implementation.
    let script = "import hmac,hashlib,sys; t,b,s=sys.argv[1:]; \
                  print(hmac.new(s.encode(), (t+'.'+b).encode(), hashlib.sha256).hexdigest())";
    let signature = &told[0].headers["courier-signature"];
    let (time, signature) = signature.split_once(',').unwrap();
    let time = time.strip_prefix("t=").unwrap();
    let python = Command::new("python3")
        .args(["-c", script, time, &told[0].body, secret])
        .output()
        .unwrap();
    let expected = String::from_utf8(python.stdout).unwrap();
    assert_eq!(
        signature.strip_prefix("signature=").unwrap(),
        expected.trim()
    );
    // It is shown once, and stands nowhere in the log.
    let id = webhook["id"].as_str().unwrap();
    let again = server.ask("GET", &format!("/v1/webhooks/{id}"), "");
    assert!(again.body["secret"].is_null());
    assert!(
        !server
            .ask("GET", "/v1/events?limit=1000", "")
            .text
            .contains(secret)
    );
    let attempts = server.ask("GET", &format!("/v1/webhooks/{id}/deliveries"), "");
    assert!(!attempts.text.contains("ada"), "{}", attempts.text);
    server.stop();
}

#[test]
fn each_failure_is_tried_again_until_it_is_given_up_and_what_comes_after_it_goes_on() {
    let data = tempfile::tempdir().unwrap();
    let server = start(data.path(), options());
    let bad = [
        ("hangs", Reaction::Hang, "timed_out"),
        ("redirects", Reaction::Redirect, "redirected"),
        ("fails", Reaction::Answer(500), "status"),
        ("gone", Reaction::Answer(404), "status"),
        ("cuts", Reaction::Cut, "connection_cut"),
    ];
    // The first thing about each of them is never taken.
    let target = WebhookTarget::start(move |body| {
        let subject = body["data"]["subjects"][0].as_str().unwrap();
        let found = bad.iter().find(|(user, ..)| *user == subject);
        match found {
            Some((_, reaction, _)) if body["data"]["version"] == 1 => *reaction,
            Some(_) | None => Reaction::Answer(204),
        }
    });
    let webhook = register(&server, &target.url, &["profile.updated"]);
    let id = webhook["id"].as_str().unwrap();
    for (user, ..) in bad {
        put(&server, user, 1);
        put(&server, user, 2);
    }
    put(&server, "ada", 1);
    let told = target.wait_until(|received| {
        received.iter().filter(|it| it.was_taken()).count() == bad.len() + 1
    });
    for (user, ..) in bad {
        let of_user = |it: &&Received| it.json()["data"]["subjects"][0] == user;
        let versions: Vec<u64> = told
            .iter()
            .filter(of_user)
            .map(|it| it.json()["data"]["version"].as_u64().unwrap())
            .collect();
        assert_eq!(versions, [1, 1, 1, 1, 2], "{user}");
        let attempts = told
            .iter()
            .filter(of_user)
            .map(|it| &it.headers["muster-attempt"]);
        let attempts: Vec<&String> = attempts.collect();
        assert_eq!(attempts, ["1", "2", "3", "4", "1"], "{user}");
    }
    let path = format!("/v1/webhooks/{id}/dead-letters");
    let dead = ask_until(&server, &path, |it| {
        it["items"].as_array().unwrap().len() == 5
    });
    for (letter, (user, _, error)) in dead["items"].as_array().unwrap().iter().zip(bad) {
        assert_eq!(letter["error"], error, "{user}");
        assert_eq!(letter["attempts"], 4, "{user}");
        assert!(letter["subject"].is_u64(), "{user}");
    }
    let page = server.ask("GET", &format!("{path}?limit=2"), "").body;
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    let cursor = page["paging"]["cursor"].as_str().unwrap();
    let rest = server
        .ask("GET", &format!("{path}?cursor={cursor}"), "")
        .body;
    assert_eq!(
        rest["items"].as_array().unwrap()[..],
        dead["items"].as_array().unwrap()[2..]
    );
    let path = format!("/v1/webhooks/{id}/deliveries");
    let all = ask_until(&server, &path, |it| {
        it["items"].as_array().unwrap().len() == 26
    });
    let failed = all["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| !it["error"].is_null());
    assert_eq!(failed.count(), 20);
    let metrics = server.ask("GET", "/metrics", "").text;
    for line in [
        "webhook_deliveries{outcome=\"delivered\"} 6",
        "webhook_deliveries{outcome=\"failed\"} 20",
        "webhook_deliveries{outcome=\"given_up\"} 5",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    // What was given up is remembered, and told when somebody asks for it.
    server.stop();
    let server = start(data.path(), options());
    target.react(|_| Reaction::Answer(200));
    let again = ask_until(&server, &format!("/v1/webhooks/{id}"), |it| {
        it["dead_letters"] == 5
    });
    assert_eq!(again["pending"], 0);
    let from = dead["items"][0]["position"].clone();
    let before = target.received().len();
    let redeliver = format!("/v1/webhooks/{id}/redeliver");
    let answer = server.ask("POST", &redeliver, &json!({"from": from}).to_string());
    assert_eq!((answer.status, &answer.body), (202, &json!({"from": from})));
    let told = target.wait_until(|received| received.len() == before + 11);
    assert!(told[before..].iter().all(Received::was_taken));
    ask_until(&server, &format!("/v1/webhooks/{id}"), |it| {
        it["dead_letters"] == 0 && it["pending"] == 0
    });
    server.stop();
}

#[test]
fn a_target_that_comes_back_is_told_everything_in_the_order_of_each_person() {
    const PEOPLE: u64 = 20;
    const WRITES: u64 = 15;
    let data = tempfile::tempdir().unwrap();
    let patient = DeliveryOptions {
        attempts_max: 1_000,
        ..options()
    };
    let server = start(data.path(), patient);
    // Every third request fails, in one way or another.
    let count = AtomicU64::new(0);
    let flaky = move |_: &Value| match count.fetch_add(1, Ordering::Relaxed) % 12 {
        0 => Reaction::Answer(503),
        3 => Reaction::Cut,
        6 => Reaction::Redirect,
        9 => Reaction::Answer(429),
        5 => Reaction::Flood,
        _ => Reaction::Answer(200),
    };
    let target = WebhookTarget::start(flaky);
    register(&server, &target.url, &["profile.*", "list.*"]);
    for n in 1..=WRITES {
        for person in 0..PEOPLE {
            put(&server, &format!("u{person}"), n);
        }
    }
    let is_last = |it: &Received| it.was_taken() && it.json()["data"]["version"] == WRITES;
    let told = target
        .wait_until(|received| received.iter().filter(|it| is_last(it)).count() as u64 == PEOPLE);
    let mut versions: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for received in told.iter().filter(|it| it.was_taken()) {
        let body = received.json();
        let subject = body["data"]["subjects"][0].as_str().unwrap().to_owned();
        let version = body["data"]["version"].as_u64().unwrap();
        versions.entry(subject).or_default().push(version);
    }
    assert_eq!(versions.len() as u64, PEOPLE);
    for (user, versions) in versions {
        assert_eq!(versions, (1..=WRITES).collect::<Vec<_>>(), "{user}");
    }
    server.stop();
}

#[test]
fn whoever_joins_an_audience_or_leaves_it_is_told_of() {
    let data = tempfile::tempdir().unwrap();
    let server = start(data.path(), options());
    let target = WebhookTarget::start(|_| Reaction::Answer(200));
    let audience = |value: &str| {
        json!({"name": "A", "filter": {"operator": "AND", "filters": [
            {"operator": "EQ", "path": "plan", "value": value}]}})
        .to_string()
    };
    for id in ["pros", "others"] {
        let answer = server.ask("PUT", &format!("/audiences/{id}"), &audience("pro"));
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    let both = ["audiences:user:matched", "audiences:user:unmatched"];
    let body = json!({"url": target.url, "types": both, "audience_id": "pros"}).to_string();
    assert_eq!(server.ask("POST", "/v1/webhooks", &body).status, 201);
    let plan = |user: &str, plan: &str| {
        let body = json!({"profile": {"plan": plan}}).to_string();
        assert_eq!(
            server
                .ask("PUT", &format!("/profiles/{user}"), &body)
                .status,
            200
        );
    };
    plan("ada", "pro");
    plan("bob", "free");
    plan("ada", "free");
    plan("bob", "pro");
    plan("ada", "pro");
    // All leave at once, and then one comes back.
    server.ask("PUT", "/audiences/pros", &audience("free"));
    plan("bob", "free");
    server.ask("DELETE", "/audiences/pros", "");
    let told = target.wait_until(|received| received.len() == 8);
    let mut of: HashMap<String, Vec<String>> = HashMap::new();
    for received in &told {
        let body = received.json();
        assert_eq!(body["data"]["audience_id"], "pros");
        let user = body["data"]["user_id"].as_str().unwrap().to_owned();
        let kind = body["type"]
            .as_str()
            .unwrap()
            .rsplit(':')
            .next()
            .unwrap()
            .to_owned();
        of.entry(user).or_default().push(kind);
        let (position, part) = place(received);
        assert!(part > 0);
        assert_eq!(body["data"]["cause"]["position"], position);
    }
    assert_eq!(of["ada"], ["matched", "unmatched", "matched", "unmatched"]);
    assert_eq!(of["bob"], ["matched", "unmatched", "matched", "unmatched"]);
    server.stop();
}

#[test]
fn a_webhook_goes_on_where_it_was_and_ends_when_it_is_removed() {
    let data = tempfile::tempdir().unwrap();
    let server = start(data.path(), options());
    let target = WebhookTarget::start(|_| Reaction::Answer(200));
    put(&server, "before", 1);
    let webhook = register(&server, &target.url, &["profile.*"]);
    let id = webhook["id"].as_str().unwrap().to_owned();
    put(&server, "first", 1);
    target.wait_until(|received| received.len() == 1);
    server.stop();
    let server = start(data.path(), options());
    put(&server, "second", 1);
    let told = target.wait_until(|received| received.len() == 2);
    let users: Vec<Value> = told
        .iter()
        .map(|it| it.json()["data"]["subjects"][0].clone())
        .collect();
    assert_eq!(users, ["first", "second"]);
    let path = format!("/v1/webhooks/{id}");
    ask_until(&server, &path, |it| it["behind"] == 0 && it["pending"] == 0);
    assert_eq!(
        server.ask("GET", "/v1/webhooks", "").body["items"][0]["id"],
        id
    );
    let kinds = || {
        std::fs::read_dir(data.path().join("webhooks"))
            .unwrap()
            .count()
    };
    assert_eq!(server.ask("DELETE", &path, "").status, 204);
    put(&server, "third", 1);
    for (method, path) in [
        ("GET", path.clone()),
        ("DELETE", path.clone()),
        ("GET", format!("{path}/deliveries")),
        ("GET", format!("{path}/dead-letters")),
    ] {
        let answer = server.ask(method, &path, "");
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (404, &json!("webhook_not_found"))
        );
    }
    let answer = server.ask("POST", &format!("{path}/redeliver"), r#"{"from":1}"#);
    assert_eq!(answer.status, 404);
    server.stop();
    // Nothing is kept of one that is gone.
    let server = start(data.path(), options());
    put(&server, "fourth", 1);
    let began = Instant::now();
    while kinds() > 0 {
        assert!(began.elapsed() < Duration::from_secs(20));
        std::thread::yield_now();
    }
    server.stop();
    assert_eq!(target.received().len(), 2);
}

#[test]
fn what_cannot_be_a_webhook_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let server = start(data.path(), DeliveryOptions::default());
    let good = json!(["profile.*"]);
    for (url, types, path) in [
        ("http://127.0.0.1:9/", good.clone(), "/url"),
        ("http://localhost/", good.clone(), "/url"),
        (
            "http://169.254.169.254/latest/meta-data",
            good.clone(),
            "/url",
        ),
        ("http://[::1]/", good.clone(), "/url"),
        ("https://user:pass@example.com/", good.clone(), "/url"),
        ("ftp://example.com/", good.clone(), "/url"),
        ("example.com", good.clone(), "/url"),
        ("https://example.com/", json!([]), "/types"),
        ("https://example.com/", json!(["profile"]), "/types/0"),
        ("https://example.com/", json!(["profile.*", 7]), "/types/1"),
    ] {
        let body = json!({"url": url, "types": types}).to_string();
        let answer = server.ask("POST", "/v1/webhooks", &body);
        assert_eq!(answer.status, 400, "{body}: {}", answer.text);
        assert_eq!(answer.body["code"], "invalid_field", "{body}");
        assert_eq!(answer.body["path"], path, "{body}");
    }
    let narrow = json!({"url": "https://example.com/", "types": ["profile.*"], "audience_id": "x"});
    assert_eq!(
        server
            .ask("POST", "/v1/webhooks", &narrow.to_string())
            .status,
        404
    );
    assert_eq!(
        server.ask("POST", "/v1/webhooks", "{}").body["code"],
        "missing_field"
    );
    // Whoever may not read events may not have them told.
    let key = json!({"name": "narrow", "scopes": ["webhooks:write"]}).to_string();
    let key = server.ask("POST", "/v1/keys", &key).body;
    let body = json!({"url": "https://example.com/", "types": ["*"]}).to_string();
    let request = format!(
        "POST /v1/webhooks HTTP/1.1\r\nHost: m\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        key["key"].as_str().unwrap(),
        body.len()
    );
    let refused = server.raw(request.as_bytes());
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (403, &json!("scope_missing"))
    );
    let made = register(&server, "https://example.com/", &["*"]);
    let path = format!("/v1/webhooks/{}/redeliver", made["id"].as_str().unwrap());
    for from in [
        json!(0),
        json!(-1),
        json!("1"),
        json!(1_000_000),
        json!(null),
    ] {
        let answer = server.ask("POST", &path, &json!({"from": from}).to_string());
        assert_eq!(answer.status, 400, "{from}");
    }
    server.stop();
}

/// A name that was good when the webhook was registered may lead here later.
#[test]
fn a_private_address_is_refused_where_it_is_connected_to() {
    let data = tempfile::tempdir().unwrap();
    let target = WebhookTarget::start(|_| Reaction::Answer(200));
    let server = start(data.path(), options());
    let webhook = register(&server, &target.url, &["profile.*"]);
    server.stop();
    let strict = DeliveryOptions {
        private_targets: false,
        ..options()
    };
    let server = start(data.path(), strict);
    put(&server, "ada", 1);
    let path = format!("/v1/webhooks/{}", webhook["id"].as_str().unwrap());
    ask_until(&server, &path, |it| it["dead_letters"] == 1);
    let dead = server.ask("GET", &format!("{path}/dead-letters"), "").body;
    assert_eq!(dead["items"][0]["error"], "address_refused");
    assert!(target.received().is_empty());
    server.stop();
}

#[test]
fn one_person_who_cannot_be_told_holds_up_nobody_else() {
    let data = tempfile::tempdir().unwrap();
    let patient = DeliveryOptions {
        attempts_max: 1_000_000,
        ..options()
    };
    let server = start(data.path(), patient);
    let open = Arc::new(Mutex::new(false));
    let opened = Arc::clone(&open);
    let target = WebhookTarget::start(move |body| {
        let is_stuck = body["data"]["subjects"][0] == "stuck";
        if is_stuck && !*opened.lock().unwrap() {
            Reaction::Answer(500)
        } else {
            Reaction::Answer(200)
        }
    });
    let webhook = register(&server, &target.url, &["profile.*"]);
    put(&server, "stuck", 1);
    put(&server, "stuck", 2);
    for n in 0..300 {
        put(&server, &format!("u{n}"), 1);
    }
    target.wait_until(|received| received.iter().filter(|it| it.was_taken()).count() == 300);
    let path = format!("/v1/webhooks/{}", webhook["id"].as_str().unwrap());
    let shown = ask_until(&server, &path, |it| it["behind"] == 0 && it["pending"] == 2);
    assert_eq!(shown["failing"], 1);
    // That two are left is remembered, and the others are not told again.
    server.stop();
    let server = start(data.path(), patient);
    *open.lock().unwrap() = true;
    let told =
        target.wait_until(|received| received.iter().filter(|it| it.was_taken()).count() == 302);
    let versions: Vec<Value> = told
        .iter()
        .filter(|it| it.was_taken() && it.json()["data"]["subjects"][0] == "stuck")
        .map(|it| it.json()["data"]["version"].clone())
        .collect();
    assert_eq!(versions, [1, 2]);
    server.stop();
}
