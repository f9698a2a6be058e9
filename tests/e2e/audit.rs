//! The command line of whoever asks what happened.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::cli::{binary, done, muster};
use crate::client::{KEY, TestServer};

fn asked(server: &TestServer, arguments: &[&str]) -> Output {
    let url = server.url();
    let mut command = Command::new(binary());
    command
        .args(arguments)
        .args(["--url", &url, "--api-key", KEY]);
    command.output().unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    let text = done(output);
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

fn written(server: &TestServer) {
    for (method, path, body) in [
        (
            "PUT",
            "/profiles/ada",
            r#"{"profile":{"plan":"free","city":"Rome"}}"#,
        ),
        ("PUT", "/lists/news", r#"{"name":"News"}"#),
        ("PUT", "/lists/news/subscriptions/ada", ""),
        ("PUT", "/tenants/acme", r#"{"name":"Acme"}"#),
        (
            "PUT",
            "/audiences/pros",
            r#"{"name":"Pros","filter":{"operator":"AND","filters":[{"operator":"EQ","path":"plan","value":"pro"}]}}"#,
        ),
        ("POST", "/profiles/ada", r#"{"profile":{"plan":"pro"}}"#),
        (
            "PUT",
            "/users/ada/tenants/acme",
            r#"{"profile":{"role":"admin"}}"#,
        ),
        ("PUT", "/profiles/bob", r#"{"profile":{"plan":"free"}}"#),
    ] {
        let answer = server.ask(method, path, body);
        assert!(answer.status < 300, "{path}: {}", answer.text);
    }
}

#[test]
fn what_happened_to_a_person_and_why_is_told() {
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::start(data.path());
    written(&server);
    let history = lines(&asked(&server, &["history", "ada"]));
    let types: Vec<&str> = history
        .iter()
        .map(|it| it["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        types,
        [
            "tenant.member_added",
            "profile.updated",
            "list.member_added",
            "profile.updated",
            "subject.registered"
        ]
    );
    let changed = json!([{"path": "/profile/plan", "before": "free", "after": "pro"}]);
    assert_eq!(history[1]["changes"], changed);
    let two = lines(&asked(
        &server,
        &["history", "ada", "-n", "2", "--oldest-first"],
    ));
    assert_eq!(two.len(), 2);
    assert_eq!(two[0]["type"], "subject.registered");
    assert!(!asked(&server, &["history", "nobody"]).status.success());

    let why = &lines(&asked(&server, &["explain", "pros", "ada"]))[0];
    assert_eq!(why["member"], true);
    let since = history[1]["position"].as_u64().unwrap();
    assert_eq!(why["since"], since);
    let before = (since - 1).to_string();
    let then = &lines(&asked(
        &server,
        &["explain", "pros", "ada", "--as-of", &before],
    ))[0];
    assert_eq!(then["member"], false);
    server.stop();
}

#[test]
fn what_changed_between_two_moments_is_told() {
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::start(data.path());
    written(&server);
    let head = server.ask("GET", "/profiles/ada", "").position();
    server.ask(
        "POST",
        "/profiles/ada",
        r#"{"profile":{"city":null,"age":42}}"#,
    );
    server.ask("DELETE", "/lists/news", "");
    server.ask("PUT", "/brands/none", "{}");
    server.ask("POST", "/brands", r#"{"id":"b","name":"B","settings":{}}"#);
    server.ask("POST", "/v1/users/bob/erase", "{}");
    let from = head.to_string();
    let all = lines(&asked(&server, &["diff", "--from", &from]));
    let of = |kind: &str, id: &str| {
        let found = all.iter().find(|it| it["kind"] == kind && it["id"] == id);
        found
            .unwrap_or_else(|| panic!("{kind} {id}: {all:?}"))
            .clone()
    };
    assert_eq!(of("list", "news")["change"], "gone");
    assert_eq!(of("brand", "b")["change"], "created");
    let changes = of("user", "ada")["changes"].clone();
    let changes = changes.as_array().unwrap();
    let age = json!({"path": "/profile/age", "before": null, "after": 42});
    let city = json!({"path": "/profile/city", "before": "Rome", "after": null});
    assert!(
        changes.contains(&age) && changes.contains(&city),
        "{changes:?}"
    );
    assert!(!all.iter().any(|it| it["kind"] == "tenant"));
    // Nobody can say what was of somebody who is erased.
    assert!(!all.iter().any(|it| it["id"] == "bob"));
    let erased = lines(&asked(&server, &["history", "erased:1"]));
    assert_eq!(erased[0]["type"], "subject.erased");
    for wrong in [["--only", "wombat"], ["--to", "1"]] {
        let refused = asked(&server, &[&["diff", "--from", &from][..], &wrong].concat());
        assert!(!refused.status.success(), "{wrong:?}");
    }
    let lists = lines(&asked(
        &server,
        &["diff", "--from", &from, "--only", "list"],
    ));
    assert_eq!(lists.len(), 1);
    let nothing = lines(&asked(&server, &["diff", "--from", &from, "--to", &from]));
    assert!(nothing.is_empty(), "{nothing:?}");
    let future = asked(&server, &["diff", "--from", "999999"]);
    assert!(!future.status.success());
    server.stop();
}

#[test]
fn the_log_can_be_followed_and_gone_on_with_from_a_moment() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = TestServer::start(&data);
    written(&server);
    let last = lines(&asked(
        &server,
        &["log", "tail", "-n", "2", "--type", "profile.*"],
    ));
    assert_eq!(last.len(), 2);
    assert_eq!(last[1]["subjects"], json!(["bob"]));
    let mut following = Command::new(binary())
        .args([
            "log",
            "tail",
            "-n",
            "1",
            "--follow",
            "--url",
            &server.url(),
            "--api-key",
            KEY,
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut shown = BufReader::new(following.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&shown.next().unwrap().unwrap()).unwrap();
    let first = next();
    for n in 0..5 {
        let path = format!("/lists/list-{n}");
        server.ask("PUT", &path, r#"{"name":"L"}"#);
    }
    for n in 1..=5 {
        let event = next();
        assert_eq!(event["position"], first["position"].as_u64().unwrap() + n);
        assert_eq!(event["type"], "list.created");
    }
    following.kill().unwrap();
    following.wait().unwrap();
    server.stop();

    let until = last[0]["position"].to_string();
    let then = directory.path().join("then");
    let to = then.to_str().unwrap();
    let digest = done(&muster(
        &data,
        &["replay", "--until", &until, "--to", to],
        "",
    ));
    assert_eq!(done(&muster(&then, &["digest"], "")), digest);
    done(&muster(&then, &["log", "verify"], ""));
    let again = muster(&data, &["replay", "--until", &until, "--to", to], "");
    assert!(!again.status.success(), "it is there already");
    let server = TestServer::start(&then);
    assert_eq!(server.ask("GET", "/profiles/ada", "").status, 200);
    assert_eq!(server.ask("GET", "/profiles/bob", "").status, 404);
    server.ask("PUT", "/profiles/carol", r#"{"profile":{"a":1}}"#);
    server.stop();
}
