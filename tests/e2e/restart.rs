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
