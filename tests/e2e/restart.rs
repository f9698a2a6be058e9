use std::fs;
use std::num::NonZeroU64;

use server::Config;

use crate::client::TestServer;

#[test]
fn everything_is_there_after_a_restart_and_goes_on() {
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::start(data.path());
    server.ask("PUT", "/profiles/ada", r#"{"profile":{"a":1}}"#);
    server.ask("POST", "/profiles/ada", r#"{"profile":{"b":{"c":2}}}"#);
    server.ask("PUT", "/lists/news", r#"{"name":"News"}"#);
    server.ask("PUT", "/lists/news/subscriptions/ada", "");
    let deleted = server.ask("DELETE", "/lists/news", "");
    server.stop();

    let server = TestServer::start(data.path());
    let profile = server.ask("GET", "/profiles/ada", "");
    assert_eq!(profile.position(), deleted.position());
    assert_eq!(
        profile.body["profile"].to_string(),
        r#"{"a":1,"b":{"c":2}}"#
    );
    assert_eq!(server.ask("GET", "/lists/news", "").status, 404);
    let restored = server.ask("PUT", "/lists/news/restore", "");
    assert_eq!(
        (restored.status, restored.position()),
        (204, deleted.position() + 1)
    );
    let subscribers = server.ask("GET", "/lists/news/subscriptions", "").body;
    assert_eq!(subscribers["items"][0]["recipientId"], "ada");
    server.stop();
}

#[test]
fn a_second_server_on_the_same_directory_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::start(data.path());
    let second = server::open_log(data.path())
        .err()
        .expect("it is locked")
        .to_string();
    assert!(
        second.contains(&format!("in use by process {}", std::process::id())),
        "{second}"
    );
    server.stop();
}

/// The JSON library keeps two names to itself; here they are keys like any other.
#[test]
fn keys_with_a_private_meaning_are_kept_like_any_other() {
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::start(data.path());
    let profile = r#"{"e":1,"x":{"$serde_json::private::Number":"12","$serde_json::private::RawValue":"nonsense"}}"#;
    let body = format!(r#"{{"profile":{profile}}}"#);
    assert_eq!(server.ask("PUT", "/profiles/ada", &body).status, 200);
    let patch =
        r#"{"patch":[{"op":"add","path":"/x/$serde_json::private::RawValue","value":"other"}]}"#;
    assert_eq!(server.ask("PATCH", "/profiles/ada", patch).status, 204);
    server.ask("POST", "/profiles/ada", r#"{"profile":{"city":"Rome"}}"#);
    let expected = r#"{"city":"Rome","e":1,"x":{"$serde_json::private::Number":"12","$serde_json::private::RawValue":"other"}}"#;
    let stored = |server: &TestServer| {
        let answer = server.ask("GET", "/profiles/ada", "");
        answer
            .text
            .strip_prefix(r#"{"profile":"#)
            .unwrap()
            .strip_suffix('}')
            .unwrap()
            .to_owned()
    };
    assert_eq!(stored(&server), expected);
    server.stop();
    let server = TestServer::start(data.path());
    assert_eq!(stored(&server), expected);
    server.stop();
}

#[test]
fn a_list_whose_id_looks_like_another_stream_survives() {
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::start(data.path());
    for (path, body) in [
        ("/lists/a/subscriptions/ada", ""),
        ("/lists/member-a:0", r#"{"name":"n"}"#),
        ("/lists/a/subscriptions/bob", ""),
        ("/lists/member-a:0", r#"{"name":"m"}"#),
    ] {
        assert_eq!(server.ask("PUT", path, body).status, 204);
    }
    server.stop();
    let server = TestServer::start(data.path());
    assert_eq!(server.ask("GET", "/lists/member-a:0", "").body["name"], "m");
    assert_eq!(
        server.ask("GET", "/lists/a", "").body["subscriber_count"],
        2
    );
    server.stop();
}

/// Snapshots that are there, damaged or gone: the server starts, and says the same.
#[test]
fn snapshots_change_nothing_but_the_time_that_a_start_takes() {
    let data = tempfile::tempdir().unwrap();
    let start = || {
        let config = Config {
            snapshot_events: NonZeroU64::new(5),
            ..Config::default()
        };
        TestServer::start_with(data.path(), config)
    };
    let snapshots = || {
        let files = fs::read_dir(data.path().join("snapshots")).unwrap();
        let mut files: Vec<_> = files.map(|it| it.unwrap().path()).collect();
        files.sort_unstable();
        files
    };
    let server = start();
    for number in 0..20 {
        let body = format!(r#"{{"profile":{{"n":{number}}}}}"#);
        let path = format!("/profiles/p{}", number % 7);
        assert_eq!(server.ask("POST", &path, &body).status, 200);
        server.ask(
            "PUT",
            &format!("/lists/l/subscriptions/p{}", number % 5),
            "",
        );
    }
    let said = |server: &TestServer| {
        let paths = [
            "/profiles",
            "/lists/l/subscriptions",
            "/v1/events",
            "/v1/users/p3",
        ];
        paths.map(|path| server.ask("GET", path, "").text)
    };
    let truth = said(&server);
    server.stop();
    // The start folds more than five events, so it leaves a snapshot.
    for round in 0..4 {
        let server = start();
        assert_eq!(said(&server), truth, "round {round}");
        server.stop();
        let files = snapshots();
        assert!(!files.is_empty(), "round {round}");
        match round {
            0 => {}
            1 => {
                for file in files {
                    let mut bytes = fs::read(&file).unwrap();
                    let middle = bytes.len() / 2;
                    bytes[middle] ^= 1;
                    fs::write(&file, bytes).unwrap();
                }
            }
            _ => fs::remove_dir_all(data.path().join("snapshots")).unwrap(),
        }
    }
}
