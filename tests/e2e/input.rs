use crate::client::{KEY, TestServer};

#[test]
fn no_input_makes_a_5xx_or_leaves_an_event() {
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::start(data.path());
    let deep = format!(
        r#"{{"profile":{}1{}}}"#,
        r#"{"a":"#.repeat(40),
        "}".repeat(40)
    );
    let deeper = format!(
        r#"{{"profile":{}1{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let large = format!(r#"{{"profile":{{"a":"{}"}}}}"#, "x".repeat(300 * 1024));
    let long_id = "x".repeat(513);
    let many = format!(
        r#"{{"recipients":[{}{{"recipientId":"a"}}]}}"#,
        r#"{"recipientId":"a"},"#.repeat(10_000)
    );
    for (method, path, body, status, code) in [
        ("PUT", "/profiles/a", "{", 400, "malformed_json"),
        ("PUT", "/profiles/a", "[]", 400, "invalid_body"),
        ("PUT", "/profiles/a", "", 400, "missing_field"),
        (
            "PUT",
            "/profiles/a",
            r#"{"profile":null}"#,
            400,
            "missing_field",
        ),
        (
            "PUT",
            "/profiles/a",
            r#"{"profile":[1]}"#,
            400,
            "invalid_field",
        ),
        ("PUT", "/profiles/a", deep.as_str(), 400, "profile_too_deep"),
        ("PUT", "/profiles/a", deeper.as_str(), 400, "malformed_json"),
        (
            "POST",
            "/profiles/a",
            large.as_str(),
            413,
            "profile_too_large",
        ),
        (
            "PUT",
            &format!("/profiles/{long_id}"),
            r#"{"profile":{}}"#,
            400,
            "invalid_id",
        ),
        (
            "PUT",
            "/profiles/a%00b",
            r#"{"profile":{}}"#,
            400,
            "invalid_id",
        ),
        (
            "PUT",
            "/profiles/a%ffb",
            r#"{"profile":{}}"#,
            400,
            "invalid_id",
        ),
        (
            "PATCH",
            "/profiles/a",
            r#"{"patch":[{"op":"explode","path":"/a"}]}"#,
            400,
            "invalid_field",
        ),
        (
            "PATCH",
            "/profiles/a",
            r#"{"patch":[{"op":"remove","path":"/a"}]}"#,
            400,
            "patch_failed",
        ),
        ("PUT", "/lists/a..b", r#"{"name":"x"}"#, 400, "invalid_id"),
        ("PUT", "/lists/a", r#"{"name":5}"#, 400, "invalid_field"),
        (
            "PUT",
            "/lists/a",
            r#"{"name":"x","preferences":{"notifications":{"n":{}}}}"#,
            400,
            "missing_field",
        ),
        (
            "POST",
            "/lists/a/subscriptions",
            r#"[{"recipientId":"a"}]"#,
            400,
            "invalid_body",
        ),
        (
            "POST",
            "/lists/a/subscriptions",
            r#"{"recipients":[{"recipientId":""}]}"#,
            400,
            "invalid_id",
        ),
        (
            "POST",
            "/lists/a/subscriptions",
            many.as_str(),
            400,
            "too_many_items",
        ),
        ("GET", "/lists?pattern=**", "", 400, "invalid_pattern"),
        ("DELETE", "/lists/a", "", 404, "list_not_found"),
        ("GET", "/profiles/a", "", 404, "profile_not_found"),
        ("GET", "/nowhere", "", 404, "route_not_found"),
        ("POST", "/lists/a", "", 405, "method_not_allowed"),
        ("DELETE", "/healthz", "", 405, "method_not_allowed"),
    ] {
        let answer = server.ask(method, path, body);
        let what = format!("{method} {path:.40} {body:.60}: {}", answer.body);
        assert_eq!(answer.status, status, "{what}");
        assert_eq!(answer.body["code"], code, "{what}");
        for field in ["type", "message", "request_id"] {
            assert!(answer.body[field].is_string(), "{what}");
        }
        assert_eq!(answer.position(), 0, "{what} left an event");
    }
    server.stop();
}

#[test]
fn what_is_not_utf8_or_too_large_is_refused_before_it_is_kept() {
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::start(data.path());
    let mut request = format!(
        "PUT /profiles/a HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\
         Authorization: Bearer {KEY}\r\nContent-Length: 22\r\n\r\n"
    )
    .into_bytes();
    request.extend(b"{\"profile\":{\"a\":\"\xff\xfe\"}}");
    assert_eq!(server.raw(&request).body["code"], "malformed_json");
    let announced = format!(
        "PUT /profiles/a HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\
         Authorization: Bearer {KEY}\r\nContent-Length: 100000000\r\n\r\n"
    );
    assert_eq!(
        server.raw(announced.as_bytes()).body["code"],
        "body_too_large"
    );
    server.stop();
}

#[test]
fn without_a_credential_only_the_health_checks_answer() {
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::start(data.path());
    let bare = |path: &str, credential: &str| {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: m\r\nConnection: close\r\n{credential}\r\n");
        server.raw(request.as_bytes())
    };
    assert_eq!(bare("/healthz", "").status, 200);
    assert_eq!(bare("/readyz", "").status, 200);
    for path in ["/profiles/a", "/lists", "/v1/events", "/nowhere"] {
        assert_eq!(bare(path, "").body["code"], "credential_missing");
        let wrong = bare(path, "Authorization: Bearer wrong\r\n");
        assert_eq!(
            (wrong.status, &wrong.body["code"]),
            (401, &"credential_invalid".into())
        );
    }
    server.stop();
}
