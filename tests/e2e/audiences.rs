use serde_json::{Value, json};

use crate::client::{Answer, TestServer};

fn ok(answer: Answer) -> Value {
    assert!(answer.status < 300, "{} {}", answer.status, answer.text);
    answer.body
}

fn profile(server: &TestServer, user_id: &str, profile: &Value) {
    let body = json!({"profile": profile}).to_string();
    ok(server.ask("PUT", &format!("/profiles/{user_id}"), &body));
}

fn define(server: &TestServer, audience: &str, filter: &Value) -> Value {
    let body = json!({"filter": filter}).to_string();
    ok(server.ask("PUT", &format!("/audiences/{audience}"), &body))
}

fn leaf(operator: &str, path: &str, value: &str) -> Value {
    json!({"operator": operator, "path": path, "value": value})
}

/// A small world: three people of whom two pay, one of those in a list.
fn world() -> (tempfile::TempDir, TestServer) {
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::start(data.path());
    profile(&server, "ada", &json!({"plan": "pro", "age": 36}));
    profile(&server, "bob", &json!({"plan": "pro", "age": "n/a"}));
    profile(&server, "cy", &json!({"plan": "free", "age": 17}));
    ok(server.ask("PUT", "/lists/news/subscriptions/ada", ""));
    ok(server.ask("PUT", "/lists/news/subscriptions/stranger", ""));
    (data, server)
}

#[test]
fn a_rule_can_be_tried_before_it_is_saved() {
    let (_data, server) = world();
    let post = |path: &str, body: Value| server.ask("POST", path, &body.to_string());
    let pros = leaf("EQ", "plan", "pro");
    let preview = ok(post("/v1/audiences/preview", json!({"filter": pros})));
    assert_eq!(
        preview,
        json!({"count": 2, "total": 3, "sample": ["ada", "bob"]})
    );
    let one = post(
        "/v1/audiences/preview",
        json!({"filter": pros, "sample": 0}),
    );
    assert_eq!(ok(one)["sample"], json!([]));
    define(&server, "pros", &pros);
    let adults = leaf("GT", "age", "16");
    let diff = ok(post("/v1/audiences/pros/diff", json!({"filter": adults})));
    assert_eq!(
        diff,
        json!({
            "joining": {"count": 1, "sample": ["cy"]},
            "leaving": {"count": 1, "sample": ["bob"]},
        })
    );
    // Nothing of this was saved.
    assert_eq!(
        ok(server.ask("GET", "/audiences", ""))["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    for (path, body, at) in [
        ("/v1/audiences/preview", json!({}), "/filter"),
        ("/v1/audiences/preview", json!({"filter": null}), "/filter"),
        (
            "/v1/audiences/preview",
            json!({"filter": pros, "sample": 101}),
            "/sample",
        ),
        (
            "/v1/audiences/preview",
            json!({"filter": pros, "as_of": 1_000_000}),
            "/as_of",
        ),
        (
            "/v1/audiences/preview",
            json!({"filter": {"operator": "EQ"}}),
            "/filter/path",
        ),
    ] {
        let refused = post(path, body);
        assert_eq!(refused.status, 400, "{}", refused.text);
        assert_eq!(refused.body["path"], at);
    }
    let unknown = post("/v1/audiences/nobody/diff", json!({"filter": pros}));
    assert_eq!(unknown.status, 404);
    // What could not be saved is not compared either, and the place is that of the body as sent.
    let itself = leaf("MEMBER_OF", "audience", "pros");
    for (filter, path) in [
        (itself.clone(), "/filter/value"),
        (
            json!({"operator": "OR", "rules": [pros, {"operator": "NOT", "filters": [itself]}]}),
            "/filter/rules/1/filters/0/value",
        ),
    ] {
        let body = json!({"filter": filter}).to_string();
        for (method, url) in [
            ("POST", "/v1/audiences/pros/diff"),
            ("PUT", "/audiences/pros"),
        ] {
            let refused = server.ask(method, url, &body);
            assert_eq!(refused.body["code"], "audience_cycle", "{}", refused.text);
            assert_eq!(refused.body["path"], path);
        }
    }
}

/// Nothing need be written for a preview to know what time it is.
#[test]
fn a_preview_knows_the_present() {
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::start(data.path());
    profile(
        &server,
        "ada",
        &json!({"never": "9999-12-31", "born": "1815-12-10"}),
    );
    let count = |filter: Value| {
        let body = json!({"filter": filter}).to_string();
        ok(server.ask("POST", "/v1/audiences/preview", &body))["count"].clone()
    };
    assert_eq!(count(leaf("IS_AFTER", "never", "2026-01-01")), 1);
    assert_eq!(count(leaf("IS_BEFORE", "born", "1900-01-01")), 1);
    let written = server.ask("PUT", "/profiles/ada", r#"{"profile":{"a":1}}"#);
    let event = ok(server.ask("GET", &format!("/v1/events/{}", written.position()), ""));
    profile(&server, "ada", &json!({"seen": event["recorded_at"]}));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while count(leaf("WITHIN_LAST", "seen", "PT1S")) != 0 {
        assert!(std::time::Instant::now() < deadline, "time stands still");
    }
    assert_eq!(count(leaf("WITHIN_LAST", "seen", "PT1H")), 1);
}

/// However long the conditions and the people's attributes are, a page stays small.
#[test]
fn pages_of_members_are_bounded_in_bytes() {
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::start(data.path());
    let large = "x".repeat(200_000);
    for number in 0..40 {
        profile(
            &server,
            &format!("person-{number:02}"),
            &json!({"s": "v", "large": large}),
        );
    }
    let operands: Vec<String> = (0..256)
        .map(|n| format!("{n}{}", "v".repeat(1_000)))
        .collect();
    define(
        &server,
        "all",
        &json!({"operator": "OMIT", "path": "s", "value": operands}),
    );
    let mut seen = 0;
    let mut cursor = String::new();
    loop {
        let path = format!("/audiences/all/members?limit=1000&cursor={cursor}");
        let page = ok(server.ask("GET", &path, ""));
        let items = page["items"].as_array().unwrap();
        assert!((1..40).contains(&items.len()), "{}", items.len());
        assert!(
            items
                .iter()
                .all(|it| it["reason"].as_str().unwrap().len() < 10_000)
        );
        seen += items.len();
        if page["paging"]["more"] == false {
            break;
        }
        page["paging"]["cursor"]
            .as_str()
            .unwrap()
            .clone_into(&mut cursor);
    }
    assert_eq!(seen, 40);
    let explained = ok(server.ask("GET", "/v1/explain?audience_id=all&user_id=person-00", ""));
    assert_eq!(explained["member"], true);
    define(&server, "large", &leaf("EXISTS", "large", "true"));
    let explained = ok(server.ask("GET", "/v1/explain?audience_id=large&user_id=person-00", ""));
    let leaf = &explained["rule"]["filters"][0];
    assert_eq!(
        (&leaf["value"], &leaf["value_bytes"]),
        (&Value::Null, &json!(200_000))
    );
}

#[test]
fn an_explanation_names_every_leaf_and_the_event_that_caused_it() {
    let (_data, server) = world();
    let rule = json!({"operator": "AND", "filters": [
        leaf("EQ", "plan", "pro"),
        {"operator": "NOT", "filters": [leaf("MEMBER_OF", "list", "news")]},
    ]});
    define(&server, "quiet", &rule);
    let explain = |user: &str| {
        ok(server.ask(
            "GET",
            &format!("/v1/explain?audience_id=quiet&user_id={user}"),
            "",
        ))
    };
    let ada = explain("ada");
    assert_eq!(
        (&ada["member"], &ada["since"]),
        (&json!(false), &Value::Null)
    );
    assert_eq!(
        ada["rule"]["filters"],
        json!([
            {"operator": "EQ", "path": "plan", "value": "pro", "operand": "pro", "result": true},
            {"operator": "NOT", "result": false, "filters": [
                {"operator": "MEMBER_OF", "path": "list", "value": true, "operand": "news", "result": true},
            ]},
        ])
    );
    let left = server.ask("DELETE", "/lists/news/subscriptions/ada", "");
    assert_eq!(left.status, 204);
    let ada = explain("ada");
    assert_eq!(ada["member"], true);
    assert_eq!(ada["cause"]["type"], "list.member_removed");
    assert_eq!(ada["since"], left.position());
    assert_eq!(explain("bob")["cause"]["type"], "audience.defined");
    // In a list without a profile is nobody to an audience; nor is who was never heard of.
    for nobody in ["stranger", "unheard"] {
        let explained = explain(nobody);
        assert_eq!(explained["member"], false);
        assert_eq!(explained["has_profile"], false);
    }
    for (query, status) in [
        ("audience_id=quiet", 400),
        ("user_id=ada", 400),
        ("audience_id=none&user_id=ada", 404),
    ] {
        let refused = server.ask("GET", &format!("/v1/explain?{query}"), "");
        assert_eq!(refused.status, status, "{query}");
    }
}

#[test]
fn changes_are_told_in_order_with_their_cause_and_can_be_resumed() {
    let (data, server) = world();
    define(&server, "pros", &leaf("EQ", "plan", "pro"));
    let changes = |server: &TestServer, query: &str| {
        ok(server.ask("GET", &format!("/v1/audiences/pros/changes?{query}"), ""))
    };
    let told = |page: &Value| {
        let items = page["items"].as_array().unwrap().iter();
        items
            .map(|it| {
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                format!(
                    "{} {} {}",
                    text(&it["user_id"]),
                    text(&it["change"]),
                    text(&it["cause"]["type"])
                )
            })
            .collect::<Vec<_>>()
    };
    let first = changes(&server, "");
    assert_eq!(
        told(&first),
        ["ada joined audience.defined", "bob joined audience.defined"]
    );
    let cursor = first["paging"]["cursor"].as_str().unwrap().to_owned();
    assert_eq!(first["paging"]["more"], false);
    profile(&server, "cy", &json!({"plan": "pro"}));
    assert_eq!(server.ask("DELETE", "/profiles/ada", "").status, 204);
    define(&server, "pros", &leaf("EQ", "plan", "none"));
    server.stop();
    // Where one left off holds over a restart.
    let server = TestServer::start(data.path());
    let one = changes(&server, &format!("limit=1&cursor={cursor}"));
    assert_eq!(told(&one), ["cy joined profile.updated"]);
    assert_eq!(one["items"][0]["reason"], "EQ('plan', 'pro') => true");
    assert_eq!(one["paging"]["more"], true);
    let cursor = one["paging"]["cursor"].as_str().unwrap();
    let rest = changes(&server, &format!("cursor={cursor}"));
    assert_eq!(
        told(&rest),
        [
            "ada left profile.deleted",
            "bob left audience.defined",
            "cy left audience.defined",
        ]
    );
    assert_eq!(rest["items"][1]["version"], 2);
    let position = rest["items"][0]["position"].as_u64().unwrap();
    assert_eq!(
        told(&changes(&server, &format!("after={position}"))).len(),
        2
    );
    let refused = server.ask("GET", "/v1/audiences/pros/changes?cursor=x", "");
    assert_eq!(refused.status, 400);
    assert_eq!(
        server.ask("GET", "/v1/audiences/none/changes", "").status,
        404
    );
    server.stop();
}

#[test]
fn sets_can_be_combined() {
    let (_data, server) = world();
    define(&server, "pros", &leaf("EQ", "plan", "pro"));
    define(&server, "adults", &leaf("GT", "age", "18"));
    let query = |body: &Value, parameters: &str| {
        server.ask(
            "POST",
            &format!("/v1/members/query{parameters}"),
            &body.to_string(),
        )
    };
    for (body, expected) in [
        (json!({"audience": "pros"}), json!(["ada", "bob"])),
        (json!({"list": "*"}), json!(["ada", "stranger"])),
        (
            json!({"union": [{"audience": "pros"}, {"list": "news"}]}),
            json!(["ada", "bob", "stranger"]),
        ),
        (
            json!({"intersect": [{"audience": "pros"}, {"list": "news"}]}),
            json!(["ada"]),
        ),
        (
            json!({"except": [{"union": [{"audience": "pros"}, {"list": "news"}]}, {"audience": "adults"}]}),
            json!(["bob", "stranger"]),
        ),
    ] {
        let answer = ok(query(&body, ""));
        let people = answer["items"].as_array().unwrap().iter();
        let people: Vec<&Value> = people.map(|person| &person["user_id"]).collect();
        assert_eq!(json!(people), expected, "{body}");
        assert_eq!(answer["count"], people.len());
    }
    let all = json!({"union": [{"audience": "pros"}, {"list": "news"}]});
    let first = ok(query(&all, "?limit=2"));
    assert_eq!(
        (&first["count"], &first["paging"]["more"]),
        (&json!(3), &json!(true))
    );
    let cursor = first["paging"]["cursor"].as_str().unwrap();
    let rest = ok(query(&all, &format!("?cursor={cursor}")));
    assert_eq!(rest["items"], json!([{"user_id": "stranger"}]));
    for (body, status, code) in [
        (json!({}), 400, "invalid_field"),
        (json!({"list": "a", "audience": "b"}), 400, "invalid_field"),
        (json!({"union": []}), 400, "invalid_field"),
        (json!({"union": [7]}), 400, "invalid_field"),
        (json!({"audience": 7}), 400, "invalid_field"),
        (json!({"list": "a..b"}), 400, "invalid_field"),
        (
            json!({"union": vec![json!({"list": "news"}); 65]}),
            400,
            "too_many_items",
        ),
        (json!({"audience": "none"}), 404, "audience_not_found"),
        (json!({"list": "none"}), 404, "list_not_found"),
        (
            json!({"tenant": "none", "descendants": true}),
            404,
            "tenant_not_found",
        ),
        (
            (0..9).fold(
                json!({"list": "news"}),
                |inner, _| json!({"union": [inner]}),
            ),
            400,
            "invalid_field",
        ),
    ] {
        let refused = query(&body, "");
        assert_eq!(
            (refused.status, &refused.body["code"]),
            (status, &json!(code)),
            "{body}"
        );
    }
}

#[test]
fn the_audiences_of_a_person_are_listed_with_reasons() {
    let (_data, server) = world();
    for audience in ["b", "a", "c"] {
        define(&server, audience, &leaf("EQ", "plan", "pro"));
    }
    define(&server, "other", &leaf("EQ", "plan", "free"));
    let first = ok(server.ask("GET", "/v1/users/ada/audiences?limit=2", ""));
    assert_eq!(first["items"][0]["audience_id"], "a");
    assert_eq!(first["items"][0]["reason"], "EQ('plan', 'pro') => true");
    let cursor = first["paging"]["cursor"].as_str().unwrap();
    let rest = ok(server.ask(
        "GET",
        &format!("/v1/users/ada/audiences?cursor={cursor}"),
        "",
    ));
    assert_eq!(rest["items"][0]["audience_id"], "c");
    assert_eq!(rest["paging"]["more"], false);
    let nobody = ok(server.ask("GET", "/v1/users/unheard/audiences", ""));
    assert_eq!(nobody["items"], json!([]));
}

/// Time itself moves people: nothing else is written here after the audience.
#[test]
fn a_window_closes_by_itself_and_a_restart_knows_the_same() {
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::start(data.path());
    let written = server.ask("PUT", "/profiles/ada", r#"{"profile":{"a":1}}"#);
    let event = ok(server.ask("GET", &format!("/v1/events/{}", written.position()), ""));
    profile(&server, "ada", &json!({"seen": event["recorded_at"]}));
    define(&server, "lately", &leaf("WITHIN_LAST", "seen", "PT2S"));
    let members = |server: &TestServer| {
        ok(server.ask("GET", "/audiences/lately/members", ""))["items"].clone()
    };
    let cause = |server: &TestServer| {
        let page = ok(server.ask("GET", "/v1/audiences/lately/changes", ""));
        let last = page["items"].as_array().unwrap().last().cloned().unwrap();
        (last["change"].clone(), last["cause"]["type"].clone())
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while members(&server) != json!([]) {
        assert!(
            std::time::Instant::now() < deadline,
            "the window stays open"
        );
        std::thread::yield_now();
    }
    assert_eq!(cause(&server), (json!("left"), json!("clock.advanced")));
    let events = ok(server.ask("GET", "/v1/events?stream=clock", ""));
    assert_eq!(events["items"].as_array().unwrap().len(), 1);
    assert_eq!(events["items"][0]["actor"]["name"], "clock");
    server.stop();
    let server = TestServer::start(data.path());
    assert_eq!(members(&server), json!([]));
    assert_eq!(cause(&server), (json!("left"), json!("clock.advanced")));
    server.stop();
}

/// Questions about paths of which nobody has asked before cost most; whoever asks many and hangs up
/// holds up nobody, and the index is as right as before.
#[test]
fn clients_that_ask_much_and_hang_up_do_no_harm() {
    use std::io::Write as _;

    let (_data, server) = world();
    define(&server, "pros", &leaf("EQ", "plan", "pro"));
    let ask_and_hang_up = |round: usize| {
        let about = |path| leaf("NEQ", &format!("path-{round}-{path}"), "x");
        let leaves: Vec<Value> = (0..32).map(about).collect();
        let body = json!({"filter": {"operator": "OR", "filters": leaves}}).to_string();
        let key = crate::client::KEY;
        let length = body.len();
        for (method, path) in [
            ("POST", "/v1/audiences/preview"),
            ("PUT", "/audiences/given-up"),
        ] {
            let request = format!(
                "{method} {path} HTTP/1.1\r\nHost: m\r\nAuthorization: Bearer {key}\r\n\
                 Content-Length: {length}\r\n\r\n{body}"
            );
            let mut stream = server.connect();
            let _ = stream.write_all(request.as_bytes());
        }
    };
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| (0..60).for_each(ask_and_hang_up));
        for number in 0..60 {
            let plan = ["pro", "free"][number % 2];
            profile(&server, &format!("person-{number}"), &json!({"plan": plan}));
        }
        asking.join().unwrap();
    });
    let answered = server.ask("GET", "/audiences/pros", "");
    assert_eq!(ok(answered)["member_count"], 2 + 30);
    let nobody = json!({"filter": leaf("EXISTS", "path-0-0", "true")}).to_string();
    let mut preview = server.ask("POST", "/v1/audiences/preview", &nobody);
    while preview.status == 503 {
        // Those who hung up may still be waited for.
        preview = server.ask("POST", "/v1/audiences/preview", &nobody);
    }
    assert_eq!(ok(preview)["count"], 0);
    server.stop();
}

#[test]
fn metrics_need_a_credential_and_say_how_the_server_fares() {
    let (_data, server) = world();
    let metrics = server.ask("GET", "/metrics", "");
    assert_eq!(metrics.status, 200);
    for line in ["audience_divergence_total 0", "# EOF"] {
        assert!(metrics.text.contains(line), "{}", metrics.text);
    }
    let position = format!("log_position {}", metrics.position());
    assert!(metrics.text.contains(&position), "{}", metrics.text);
    let message = json!({"message": {"to": {"email": "somebody@example.com"},
        "content": {"title": "T", "body": "B"}, "routing": {"method": "all", "channels": ["email"]}}});
    server.once("/send", "one", &message);
    let sent = r#"provider_messages{provider="log",channel="email",outcome="sent"} 1"#;
    let metrics = server.ask_until("/metrics", sent).text;
    for line in [
        "messages_accepted 1",
        r#"provider_breaker_open{provider="log",channel="email"} 0"#,
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    let refused = server.raw(b"GET /metrics HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n");
    assert_eq!(refused.status, 401);
}
