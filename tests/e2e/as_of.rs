//! The past over HTTP: what was answered then is what is answered now, asked as of then.

use std::hash::{BuildHasher as _, RandomState};
use std::num::NonZeroU64;
use std::path::Path;

use serde_json::{Value, json};
use server::Config;
use types::{Clock as _, SystemClock, Timestamp};

use crate::client::{Answer, KEY, TestServer};

/// In nanoseconds.
const MILLISECOND: u64 = 1_000_000;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// Takes snapshots often.
fn start(data: &Path) -> TestServer {
    let config = Config {
        snapshot_events: NonZeroU64::new(30),
        ..Config::default()
    };
    TestServer::start_with(data, config)
}

/// One write of any kind.
fn write(server: &TestServer, random: &mut Random) {
    let mut any = |bound| random.below(bound);
    let (person, list, tenant) = (any(6), any(2), any(3));
    let (number, audience) = (any(9), any(3));
    let (method, path, body) = match any(17) {
        0..4 => (
            "POST",
            format!("/profiles/p{person}"),
            json!({"profile": {"n": number, "seen": SystemClock.now().to_string()}}),
        ),
        4 => ("DELETE", format!("/v1/users/p{person}"), Value::Null),
        5 => (
            "PUT",
            format!("/lists/l{list}"),
            json!({"name": number.to_string()}),
        ),
        6 => (
            "PUT",
            format!("/lists/l{list}/subscriptions/p{person}"),
            Value::Null,
        ),
        7 => ("DELETE", format!("/lists/l{list}"), Value::Null),
        8 => (
            "PUT",
            format!("/audiences/a{audience}"),
            json!({"name": "a", "filter": {"operator": "OR", "filters": [
                {"operator": "GT", "path": "n", "value": number.to_string()},
                {"operator": "MEMBER_OF", "path": "list", "value": format!("l{list}")},
            ]}}),
        ),
        9 => (
            "PUT",
            format!("/tenants/t{tenant}"),
            json!({"name": number.to_string(), "parent_tenant_id":
                if tenant > 0 { json!("t0") } else { Value::Null }}),
        ),
        10 => (
            "PUT",
            format!("/users/p{person}/tenants/t{tenant}"),
            json!({"profile": {"role": number}}),
        ),
        11 => (
            "DELETE",
            format!("/users/p{person}/tenants/t{tenant}"),
            Value::Null,
        ),
        12 => (
            "PUT",
            format!("/users/p{person}/tokens/k{list}"),
            json!({"provider_key": "apn", "properties": {"n": number}}),
        ),
        13 => (
            "POST",
            "/preferences/sections".to_owned(),
            json!({"name": number.to_string()}),
        ),
        14 => (
            "PUT",
            format!("/v1/users/p{person}/quiet-hours"),
            json!({"time_zone": "Europe/Rome", "from": "22:00", "to": format!("0{number}:00")}),
        ),
        15 => (
            "PUT",
            format!("/preferences/p{person}"),
            json!({"categories": {"x": {"status": "OPTED_OUT"}}}),
        ),
        _ => (
            "POST",
            "/brands".to_owned(),
            json!({"id": format!("b{number}"), "name": "B", "settings": {"colors": {"primary": "#112233"}}}),
        ),
    };
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let answer = server.ask(method, &path, &body);
    assert!(
        answer.status < 300 || answer.status == 404 || answer.status == 409,
        "{method} {path}: {}",
        answer.text
    );
}

/// Everything that can be read of some person, list, tenant and audience.
fn questions(random: &mut Random) -> Vec<String> {
    let mut any = |bound| random.below(bound);
    let (p, l, t, a) = (any(6), any(2), any(3), any(3));
    [
        "/profiles?limit=3".to_owned(),
        format!("/profiles/p{p}"),
        format!("/profiles/p{p}/lists"),
        "/lists?limit=1".to_owned(),
        format!("/lists/l{l}"),
        format!("/lists/l{l}/subscriptions"),
        "/audiences".to_owned(),
        format!("/audiences/a{a}"),
        format!("/audiences/a{a}/members"),
        format!("/v1/audiences/a{a}/changes"),
        format!("/v1/explain?audience_id=a{a}&user_id=p{p}"),
        format!("/v1/users/p{p}/audiences"),
        "/tenants?limit=2".to_owned(),
        format!("/tenants/t{t}"),
        format!("/tenants/t{t}/users"),
        format!("/users/p{p}/tenants"),
        format!("/users/p{p}/tenants/t{t}"),
        format!("/users/p{p}/tokens"),
        format!("/users/p{p}/tokens/k{l}"),
        format!("/users/p{p}/preferences"),
        format!("/preferences/p{p}"),
        format!("/v1/users/p{p}/effective-preferences?tenant_id=t{t}"),
        format!("/v1/users/p{p}/quiet-hours"),
        "/preferences".to_owned(),
        "/preferences/sections".to_owned(),
        "/preferences/logs".to_owned(),
        "/brands".to_owned(),
        "/v1/users?limit=3".to_owned(),
        format!("/v1/users/p{p}"),
        "/v1/users:batch".to_owned(),
        format!("/v1/users/p{p}/effective-profile?tenant_id=t{t}"),
        "/v1/events?limit=4&order=desc".to_owned(),
        format!("/v1/events?subject=p{p}"),
        "/v1/events/5".to_owned(),
        "/audit-events".to_owned(),
        "/v1/keys".to_owned(),
    ]
    .into()
}

/// What of an answer says something about the state.
fn told(answer: &Answer) -> (u16, String, Option<String>) {
    let mut body = answer.body.clone();
    if let Some(members) = body.as_object_mut() {
        // An error has its request's id; and what holds at a time says what that is: of a position it is
        // that of its event, and not of the question.
        members.remove("request_id");
        members.remove("at");
        if members.contains_key("tenant_inferred") {
            members.remove("quiet_hours");
        }
    }
    let tag = |line: &str| line.strip_prefix("etag: ").map(str::to_owned);
    let tag = answer.head.lines().find_map(tag);
    (answer.status, body.to_string(), tag)
}

fn then(server: &TestServer, path: &str, as_of: &str) -> Answer {
    let headers = format!("Authorization: Bearer {KEY}\r\nMuster-As-Of: {as_of}\r\n");
    server.ask_with("GET", path, &headers)
}

/// From the seed in the environment, or a new one, which whoever calls this prints.
fn seeded() -> (u64, Random) {
    let seed = std::env::var("MUSTER_AS_OF_SEED").map_or_else(
        |_| RandomState::new().hash_one(0),
        |seed| seed.parse().unwrap(),
    );
    (seed, Random(seed))
}

#[test]
fn what_was_answered_then_is_answered_as_of_then() {
    let (seed, mut random) = seeded();
    println!("MUSTER_AS_OF_SEED={seed}");
    let data = tempfile::tempdir().unwrap();
    let mut server = start(data.path());
    let mut truth = Vec::new();
    for round in 0..30 {
        for _ in 0..random.below(10) {
            write(&server, &mut random);
        }
        for path in questions(&mut random) {
            let answer = server.ask("GET", &path, "");
            truth.push((answer.position(), path, told(&answer)));
        }
        if round % 10 == 9 {
            server.stop();
            server = start(data.path());
        }
    }
    let snapshots = std::fs::read_dir(data.path().join("snapshots")).unwrap();
    assert!(snapshots.count() >= 2, "some were taken");
    // Positions in any order, all questions about one together: each is a state of its own.
    truth.sort_by_key(|(position, ..)| position.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    for (position, path, expected) in &truth {
        let answer = then(&server, path, &position.to_string());
        assert_eq!(
            told(&answer),
            *expected,
            "{path} as of {position}, seed {seed}"
        );
        assert_eq!(answer.position(), *position, "{path}");
    }
    // The time of an event is that from which on it holds.
    for (position, path, expected) in truth.iter().filter(|it| it.0 > 0).step_by(97) {
        let event = server.ask("GET", &format!("/v1/events/{position}"), "");
        let at = event.body["recorded_at"].as_str().unwrap();
        let answer = then(&server, path, at);
        assert_eq!(told(&answer), *expected, "{path} as of {at}, seed {seed}");
        assert_eq!(answer.position(), *position);
    }
    server.stop();
}

#[test]
fn a_moment_that_is_none_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::start(data.path());
    let written = server.ask("PUT", "/profiles/ada", r#"{"profile":{"a":1}}"#);
    let status = |as_of: &str| {
        let path = format!("/profiles/ada?as_of={as_of}");
        let answer = server.ask("GET", &path, "");
        (answer.status, answer.position())
    };
    let head = written.position();
    assert_eq!(status(&head.to_string()), (200, head));
    assert_eq!(status("0"), (404, 0));
    assert_eq!(status("1970-01-01T00:00:00Z"), (404, 0));
    for wrong in [
        &(head + 1).to_string(),
        "99999999999999999999999",
        "2999-01-01T00:00:00Z",
        "yesterday",
        "-1",
        "1&as_of=1",
    ] {
        assert_eq!(status(wrong).0, 400, "{wrong}");
    }
    let pages = [
        "/profiles?as_of=0",
        "/lists?as_of=0",
        "/v1/events?as_of=0",
        "/v1/users?as_of=0",
    ];
    for path in pages {
        let page = server.ask("GET", path, "");
        assert_eq!((page.status, page.position()), (200, 0), "{path}");
        let items = page.body.get("items").or_else(|| page.body.get("profiles"));
        assert!(
            items.is_none_or(|items| items.as_array().unwrap().is_empty()),
            "{}",
            page.text
        );
    }
    for (method, path) in [
        ("PUT", "/profiles/ada?as_of=1"),
        ("DELETE", "/profiles/ada?as_of=1"),
    ] {
        let answer = server.ask(method, path, r#"{"profile":{}}"#);
        assert_eq!(
            (answer.status, &answer.body["path"]),
            (400, &json!("/as_of")),
            "{method}"
        );
    }
    let both = then(&server, "/profiles/ada?as_of=1", "1");
    assert_eq!(both.status, 400);
    assert_eq!(then(&server, "/profiles/ada", "soon").status, 400);
    assert_eq!(then(&server, "/nowhere", "1").status, 404);
    // No credential, no past.
    let nobody = server.ask_with("GET", "/profiles/ada?as_of=1", "");
    assert_eq!(nobody.status, 401);
    // A key that reaches no further than a tenant reads the present only.
    server.ask("PUT", "/tenants/t", r#"{"name":"T"}"#);
    let key = server.ask(
        "POST",
        "/v1/keys",
        r#"{"name":"k","scopes":["admin"],"tenant_id":"t"}"#,
    );
    let key = key.body["key"].as_str().unwrap().to_owned();
    let with_key = |path: &str| {
        let headers = format!("Authorization: Bearer {key}\r\n");
        server.ask_with("GET", path, &headers).status
    };
    assert_eq!(with_key("/tenants/t"), 200);
    assert_eq!(with_key("/tenants/t?as_of=1"), 403);
    server.stop();
}

/// A backtest counts what previews count, moment by moment.
#[test]
fn a_backtest_counts_what_previews_do() {
    let (seed, mut random) = seeded();
    println!("MUSTER_AS_OF_SEED={seed}");
    let data = tempfile::tempdir().unwrap();
    let mut server = start(data.path());
    let milliseconds = || SystemClock.now().0 / MILLISECOND;
    let time = |milliseconds: u64| Timestamp(milliseconds * MILLISECOND).to_rfc3339_millis();
    let first = milliseconds();
    server.ask("PUT", "/profiles/p0", r#"{"profile":{"n":1}}"#);
    for round in 0..6 {
        for _ in 0..25 {
            write(&server, &mut random);
        }
        if round == 3 {
            server.stop();
            server = start(data.path());
        }
    }
    let last = milliseconds();
    let (from, to) = (time(first), time(last));
    // Some sixty moments, however long that took.
    let step = format!(
        "PT{}S",
        f64::from(u32::try_from(last - first).unwrap() / 60 + 1) / 1_000.0
    );
    let rules = [
        json!({"operator": "LT", "path": "n", "value": "5"}),
        json!({"operator": "MEMBER_OF", "path": "audience", "value": "a0"}),
        json!({"operator": "NOT", "filters": [
            {"operator": "MEMBER_OF", "path": "tenant_tree", "value": "t0"}]}),
        json!({"operator": "WITHIN_LAST", "path": "seen", "value": "PT0.05S"}),
    ];
    for rule in rules {
        let filter = json!({"operator": "AND", "filters": [rule]});
        let asked = json!({"filter": filter, "from": from, "to": to, "step": step});
        let answer = server.ask("POST", "/v1/audiences/backtest", &asked.to_string());
        assert_eq!(answer.status, 200, "{}", answer.text);
        let points = answer.body["points"].as_array().unwrap();
        assert!(points.len() > 20, "{}", answer.text);
        let mut counts = std::collections::BTreeSet::new();
        for point in points.iter().step_by(3) {
            let asked = json!({"filter": filter, "as_of": point["at"]});
            let preview = server.ask("POST", "/v1/audiences/preview", &asked.to_string());
            assert_eq!(preview.status, 200, "{}", preview.text);
            assert_eq!(
                preview.body["count"], point["count"],
                "{rule}, {point}, seed {seed}"
            );
            assert_eq!(preview.position(), point["position"].as_u64().unwrap());
            counts.insert(point["count"].as_u64());
        }
        println!(
            "{rule}: {} points, {} different counts",
            points.len(),
            counts.len()
        );
    }
    let refused = |change: (&str, Value)| {
        let filter = json!({"operator": "EXISTS", "path": "n", "value": "true"});
        let filter = json!({"operator": "AND", "filters": [filter]});
        let mut asked = json!({"filter": filter, "from": from, "to": to, "step": "PT1S"});
        asked[change.0] = change.1;
        let answer = server.ask("POST", "/v1/audiences/backtest", &asked.to_string());
        (answer.status, answer.body["path"].clone())
    };
    for (name, value) in [
        ("step", json!("P0D")),
        ("step", json!("PT0.0000001S")),
        ("step", json!(1)),
        ("from", json!("2999-01-01T00:00:00Z")),
        ("from", json!("then")),
        ("to", json!("2020-01-01T00:00:00Z")),
        ("to", Value::Null),
        ("filter", json!({"operator": "AND", "filters": []})),
    ] {
        let (status, path) = refused((name, value.clone()));
        assert_eq!(status, 400, "{name} {value}");
        assert!(
            path.as_str().unwrap().starts_with(&format!("/{name}")),
            "{name} {value}: {path}"
        );
    }
    server.stop();
}
