//! Who is erased is nowhere any more, and everything else is as it was.

use std::fs;
use std::num::NonZeroU64;
use std::path::Path;

use serde_json::{Value, json};
use server::{Config, MasterKey, MasterKeySource, Server};
use tokio::runtime::Runtime;

use crate::cli::{done, muster};
use crate::client::TestServer;

/// In every value that is Ada's and in no other.
const MARKER: &str = "Xm4rk3rX";

fn ada() -> String {
    format!("ada-{MARKER}@example.com")
}

/// What is sent about somebody, wherever people can be spoken of; `mark` stands in each value.
fn plant(server: &TestServer, user: &str, mark: &str) {
    let sent = |method: &str, path: &str, body: Value| {
        let answer = server.ask(method, path, &body.to_string());
        assert!(answer.status < 300, "{method} {path}: {}", answer.text);
    };
    let plain = json!({"profile": {"email": user, "a": {"b": [mark]}, mark: mark}});
    sent("PUT", &format!("/profiles/{user}"), plain);
    let merged = json!({"profile": {"phone": mark}});
    let profile = format!("/profiles/{user}");
    server.once(&profile, &profile, &merged);
    let patch = json!({"patch": [{"op": "add", "path": "/c", "value": mark}]});
    sent("PATCH", &format!("/profiles/{user}"), patch);
    let token = json!({"provider_key": "apn", "device": {"ad_id": mark}, "tracking": {"ip": mark},
                       "properties": {"p": mark}});
    sent("PUT", &format!("/users/{user}/tokens/token-{mark}"), token);
    let preferences = json!({"notifications": {mark: {"status": "OPTED_IN"}}});
    let subscribed = json!({"preferences": preferences});
    sent(
        "PUT",
        &format!("/lists/news/subscriptions/{user}"),
        subscribed,
    );
    let several = json!({"recipients": [
        {"recipientId": user, "preferences": preferences}, {"recipientId": "bob"}]});
    sent("PUT", "/lists/sports/subscriptions", several);
    let member = json!({"profile": {"role": mark}});
    sent("PUT", &format!("/users/{user}/tenants/acme"), member);
    let member = json!({"tenants": [{"tenant_id": "beta", "profile": {"role": mark}}]});
    sent("PUT", &format!("/users/{user}/tenants"), member);
    let older = json!({"notifications": {mark: {"status": "OPTED_OUT"}}, "categories": {}});
    sent("PUT", &format!("/preferences/{user}"), older);
    let hours = json!({"time_zone": "UTC", "from": "22:01", "to": "07:02"});
    sent("PUT", &format!("/v1/users/{user}/quiet-hours"), hours);
    let chosen = json!({"topic": {"status": "OPTED_OUT"}});
    sent("PUT", &format!("/users/{user}/preferences/topic"), chosen);
    // Rows that are refused quote what is wrong with them, and are kept as an answer about several.
    let rows = json!({"users": [
        {"user_id": user, "profile": {"d": mark}, "tokens": [{"token": mark, "provider_key": mark}]},
        {"user_id": "bob", "profile": {"d": 1}},
        {"user_id": format!("{user}-2"), "profile": {"d": mark}},
    ]});
    server.once("/v1/users:batch", "/v1/users:batch", &rows);
    plant_sending(server, user, mark);
}

/// What is sent to somebody, and what they did: messages, a bulk job, events and the inbox.
fn plant_sending(server: &TestServer, user: &str, mark: &str) {
    let content = json!({"title": format!("T {mark} {{{{name}}}}"), "body": mark});
    let message = json!({"message": {"to": {"user_id": user, "data": {"own": mark}},
        "content": content, "data": {"name": mark, mark: mark}, "context": {"tenant_id": "acme"},
        "routing": {"method": "all", "channels": ["inbox", "email"]},
        "metadata": {"tags": [mark], "trace_id": mark}}});
    let sent = server.once("/send", &format!("send {user}"), &message);
    let request = sent.body["requestId"].as_str().unwrap();
    let both = json!({"message": {"to": [{"user_id": "bob"}, {"user_id": user, "data": {"own": mark}},
            {"email": format!("{mark}@example.com"), "user_id": user}],
        "content": {"title": "T", "body": "{{own}}"}}});
    server.once("/send", &format!("both {user}"), &both);
    let later = json!({"message": {"to": {"user_id": user}, "content": content,
        "delay": {"duration": 3_600_000}}});
    server.once("/send", &format!("later {user}"), &later);
    let path = format!("/messages/{request}/output");
    server.ask_until(&path, mark);
    let event = json!({"type": "track", "messageId": format!("m-{mark}"), "userId": user,
        "event": format!("did {mark}"), "properties": {"p": mark}});
    server.once("/inbound/courier", &format!("track {user}"), &event);
    let job =
        json!({"message": {"event": "welcome", "content": {"title": "T", "body": "{{own}}"}}});
    let job = server.once("/bulk", &format!("bulk {user}"), &job);
    let job = format!("/bulk/{}", job.body["jobId"].as_str().unwrap());
    let users = json!({"users": [{"recipient": user, "data": {"own": mark}, "profile": {"own": mark},
        "to": {"data": {"other": mark}}}, {"recipient": "bob"}]});
    server.once(&job, &format!("users {user}"), &users);
    server.once(&format!("{job}/run"), &format!("run {user}"), &json!({}));
}

/// Files below the directory that hold the text, whatever the case.
fn files_with(directory: &Path, text: &str) -> Vec<String> {
    let wanted = text.to_ascii_lowercase().into_bytes();
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else {
            let bytes = fs::read(&path).unwrap().to_ascii_lowercase();
            if bytes.windows(wanted.len()).any(|it| it == wanted) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

/// Whether any record, uncompressed, holds the text.
fn records_with(data: &Path, text: &str) -> usize {
    let log = server::open_log(data).unwrap();
    let blocks = log.read(types::Position(1), usize::MAX).unwrap();
    let blocks = blocks.iter().map(|block| block.decode().unwrap());
    let holds = |record: &[u8]| record.windows(text.len()).any(|it| it == text.as_bytes());
    blocks
        .map(|block| block.record_bytes().filter(|it| holds(it)).count())
        .sum()
}

#[test]
fn who_is_erased_is_in_no_file_and_no_answer() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = TestServer::start(&data);
    server.ask("PUT", "/lists/news", r#"{"name":"News"}"#);
    server.ask("POST", "/preferences/sections", r#"{"id":"s","name":"S"}"#);
    let topic = r#"{"id":"topic","name":"Topic","default_status":"OPTED_IN"}"#;
    let topic = server.ask("POST", "/preferences/sections/s/topics", topic);
    assert!(topic.status < 300, "{}", topic.text);
    let rule = json!({"name": "A", "filter": {"operator": "AND", "filters": [
        {"operator": "NEQ", "path": "plan", "value": "none"}]}});
    server.ask("PUT", "/audiences/all", &rule.to_string());
    plant(&server, &ada(), MARKER);
    plant(&server, "carol", "of-carol");
    let user = |user: &str| server.ask("GET", &format!("/v1/users/{user}"), "").text;
    assert!(
        user(&ada()).matches(MARKER).count() > 10,
        "{}",
        user(&ada())
    );
    let carol = user("carol");
    // A snapshot, and a state of the past, that hold her.
    server.stop();
    let server = TestServer::start_with(
        &data,
        Config {
            snapshot_events: NonZeroU64::new(5),
            ..Config::default()
        },
    );
    let snapshots = || fs::read_dir(data.join("snapshots")).unwrap().count();
    assert_eq!(snapshots(), 1);
    let user = |user: &str| server.ask("GET", &format!("/v1/users/{user}"), "").text;
    let then = server.ask("GET", "/brands", "").position();
    let past = format!("/v1/users/{}?as_of={then}", ada());
    let past = || server.ask("GET", &past, "");
    assert!(past().text.matches(MARKER).count() > 10);
    // Who was removed before is erased as well as anybody.
    let second = format!("{}-2", ada());
    server.ask("DELETE", &format!("/profiles/{second}"), "");

    let erase = |user: &str| server.ask("POST", &format!("/v1/users/{user}/erase"), "{}");
    let erased = erase(&ada());
    assert_eq!(erased.status, 200, "{}", erased.text);
    assert_eq!(erased.body["erased"], true);
    assert_eq!(snapshots(), 0);
    assert_eq!(past().status, 404);
    assert_eq!(erased.body["position"], erased.position());
    assert_eq!(erase(&second).status, 200);
    for unknown in [&ada(), "nobody"] {
        let again = erase(unknown);
        assert_eq!(
            (again.status, &again.body["code"]),
            (404, &json!("user_not_found"))
        );
    }
    assert_eq!(user("carol"), carol);
    check_answers(&server);
    // The request that was answered before is still known, and its answer is not.
    let again = server.once("/v1/users:batch", "/v1/users:batch", &json!({"users": []}));
    assert_eq!(again.body, json!({"erased": true}));
    assert!(files_with(&data, MARKER).is_empty());
    // The same id is somebody new.
    let path = format!("/profiles/{}", ada());
    server.ask("PUT", &path, r#"{"profile":{"new":true}}"#);
    let new = server.ask("GET", &path, "");
    assert_eq!(new.body["profile"], json!({"new": true}));
    erase(&ada());
    server.stop();

    assert_eq!(files_with(&data, MARKER), Vec::<String>::new());
    assert_eq!(records_with(&data, MARKER), 0);
    // What is of nobody is found, so that what is not found is not there.
    assert_eq!(records_with(&data, "list.created"), 2);
    assert!(!files_with(&data, "list.created").is_empty());
    done(&muster(&data, &["log", "verify"], ""));
    let digest = done(&muster(&data, &["digest"], ""));
    let export = done(&muster(&data, &["export"], ""));
    assert!(
        !export.contains(MARKER) && export.contains("of-carol"),
        "{export}"
    );
    assert!(export.contains(r#""subjects":["erased:0"]"#), "{export}");
    assert!(export.contains(r#""changes":{"erased":true}"#), "{export}");
    let copy = directory.path().join("copy");
    done(&muster(&copy, &["import"], &export));
    assert_eq!(done(&muster(&copy, &["digest"], "")), digest);
    assert_eq!(done(&muster(&copy, &["export"], "")), export);

    let server = TestServer::start(&data);
    check_answers(&server);
    assert_eq!(server.ask("GET", "/v1/users/carol", "").text, carol);
    server.stop();
}

/// Nothing that can be asked says anything of Ada.
fn check_answers(server: &TestServer) {
    let ada = ada();
    for path in [
        format!("/profiles/{ada}"),
        format!("/v1/users/{ada}"),
        format!("/users/{ada}/tokens"),
        "/v1/users".to_owned(),
        "/v1/users:batch".to_owned(),
        "/lists/news/subscriptions".to_owned(),
        "/lists/sports/subscriptions".to_owned(),
        "/tenants/acme/users".to_owned(),
        "/audiences/all/members".to_owned(),
        "/v1/audiences/all/changes".to_owned(),
        "/preferences/logs".to_owned(),
        "/v1/events?limit=1000".to_owned(),
        "/messages".to_owned(),
        format!("/messages?recipient={ada}"),
        format!("/v1/users/{ada}/inbox"),
    ] {
        let text = server.ask("GET", &path, "").text;
        // What was asked for by name may be named.
        let answer = text.replace(&ada, "");
        assert!(!answer.contains(MARKER), "{path}: {text}");
    }
    let events = server.ask("GET", "/v1/events?subject=erased:0&limit=1000", "");
    let events = events.body["items"].as_array().unwrap();
    assert_eq!(events.last().unwrap()["type"], "subject.erased");
    assert_eq!(events[0]["data"], json!({"user_id": {"erased": true}}));
    assert_eq!(events[0]["subjects"], json!(["erased:0"]));
    let stream = server.ask("GET", "/v1/events?stream=profile-erased:0", "");
    assert_eq!(stream.body["items"][0]["stream"], "profile-erased:0");
}

#[test]
fn nobody_is_called_what_the_erased_are_called() {
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::start(data.path());
    let body = r#"{"profile":{"a":1}}"#;
    let refused = server.ask("PUT", "/profiles/erased:0", body);
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (400, &json!("invalid_id"))
    );
    assert_eq!(server.ask("PUT", "/profiles/erased:x", body).status, 200);
    server.stop();
}

/// Starts on the data and stops, or says why not.
fn started(data: &Path, master_key: MasterKeySource) -> Result<(), String> {
    let runtime = Runtime::new().unwrap();
    let config = Config {
        data_dir: data.to_owned(),
        listen: ([127, 0, 0, 1], 0).into(),
        api_key: Some(crate::client::KEY.to_owned()),
        master_key,
        ..Config::default()
    };
    let server = runtime.block_on(Server::start(&config));
    let server = server.map_err(|error| format!("{error:#}"))?;
    let stopped = runtime.block_on(server.run(async {}));
    stopped.map(|_| ()).map_err(|error| format!("{error:#}"))
}

#[test]
fn without_its_master_key_a_server_does_not_start() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let key = MasterKeySource::File(directory.path().join("key"));
    let said = started(&data, key.clone()).unwrap_err();
    assert!(said.contains("there is no master key in"), "{said}");
    let path = directory.path().join("key");
    done(&muster_plain(&["vault", "new-key", path.to_str().unwrap()]));
    let server = TestServer::start_with(
        &data,
        Config {
            master_key: key.clone(),
            ..Config::default()
        },
    );
    server.ask("PUT", "/profiles/ada", r#"{"profile":{"a":1}}"#);
    server.stop();
    let said = started(&data, MasterKeySource::Beside).unwrap_err();
    assert!(said.contains("there is no master key in"), "{said}");
    let other = MasterKeySource::Given(MasterKey::generate().to_hex());
    let said = started(&data, other).unwrap_err();
    assert!(said.contains("sealed with another master key"), "{said}");
    let said = started(&data, MasterKeySource::Given("0a".to_owned())).unwrap_err();
    assert!(said.contains("64 hexadecimal digits"), "{said}");

    // Another master key takes over.
    let second = directory.path().join("second");
    let second = second.to_str().unwrap();
    done(&muster_plain(&["vault", "new-key", second]));
    let (path, second) = (path.to_str().unwrap(), second);
    let rotate = ["vault", "rotate", "--master-key-file", path, "--to", second];
    done(&muster(&data, &rotate, ""));
    let said = started(&data, key).unwrap_err();
    assert!(said.contains("sealed with another master key"), "{said}");
    started(&data, MasterKeySource::File(second.into())).unwrap();

    // A lost vault is not quietly replaced by another.
    fs::remove_file(data.join("vault")).unwrap();
    let said = started(&data, MasterKeySource::File(second.into())).unwrap_err();
    assert!(said.contains("is missing"), "{said}");
}

/// Without a data directory.
fn muster_plain(arguments: &[&str]) -> std::process::Output {
    let mut command = std::process::Command::new(crate::cli::binary());
    command.args(arguments).output().unwrap()
}

/// The log says that somebody is erased, and the process ends before their key is destroyed.
#[test]
fn an_erasure_that_a_crash_cut_short_is_finished_at_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = TestServer::start(&data);
    for user in ["ada", "bob", "carol"] {
        let body = json!({"profile": {"name": format!("{user}-{MARKER}")}});
        server.ask("PUT", &format!("/profiles/{user}"), &body.to_string());
    }
    server.ask("POST", "/v1/users/bob/erase", "{}");
    let before = fs::read(data.join("vault")).unwrap();
    server.ask("POST", "/v1/users/ada/erase", "{}");
    server.stop();
    let after = fs::read(data.join("vault")).unwrap();
    fs::write(data.join("vault"), &before).unwrap();

    let server = TestServer::start(&data);
    let events = server
        .ask("GET", "/v1/events?type=profile.updated", "")
        .text;
    assert_eq!(events.matches(MARKER).count(), 1, "{events}");
    assert!(events.contains(&format!("carol-{MARKER}")), "{events}");
    server.stop();
    let finished = fs::read(data.join("vault")).unwrap();
    assert_ne!(finished, before);
    assert_eq!(finished.len(), after.len());
}
