//! Everything that happened to a person, with the fields that each event changed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::client::TestServer;

#[track_caller]
fn ask(server: &TestServer, method: &str, path: &str, body: &Value) {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let answer = server.ask(method, path, &body);
    assert!(answer.status < 300, "{method} {path}: {}", answer.text);
}

fn changes(event: &Value) -> Vec<(String, Value, Value)> {
    let changes = event["changes"].as_array().unwrap().iter();
    let one = |it: &Value| {
        (
            it["path"].as_str().unwrap().to_owned(),
            it["before"].clone(),
            it["after"].clone(),
        )
    };
    changes.map(one).collect()
}

#[test]
fn a_timeline_tells_every_event_about_a_person_and_what_it_changed() {
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::start(data.path());
    let profile = |profile: Value| json!({"profile": profile});
    ask(&server, "PUT", "/tenants/acme", &json!({"name": "Acme"}));
    ask(
        &server,
        "POST",
        "/preferences/sections",
        &json!({"name": "S"}),
    );
    let section = server.ask("GET", "/preferences/sections", "").body["results"][0]["id"].clone();
    let topics = format!("/preferences/sections/{}/topics", section.as_str().unwrap());
    let topic = server
        .ask(
            "POST",
            &topics,
            r#"{"name":"T","default_status":"OPTED_IN"}"#,
        )
        .body["id"]
        .clone();
    let topic = topic.as_str().unwrap();
    ask(
        &server,
        "PUT",
        "/profiles/ada",
        &profile(json!({"email": "a@b.c", "address": {"city": "Ghent"}})),
    );
    ask(
        &server,
        "PUT",
        "/profiles/bob",
        &profile(json!({"email": "b@b.c"})),
    );
    ask(
        &server,
        "POST",
        "/profiles/ada",
        &profile(json!({"address": {"city": "Bruges"}})),
    );
    let both = json!({"recipients": [{"recipientId": "bob"}, {"recipientId": "ada"}]});
    ask(&server, "POST", "/lists/news/subscriptions", &both);
    ask(
        &server,
        "PUT",
        "/users/ada/tenants/acme",
        &json!({"profile": {"role": "admin"}}),
    );
    ask(
        &server,
        "PUT",
        "/users/ada/tenants/acme",
        &json!({"profile": {"role": "user"}}),
    );
    ask(
        &server,
        "PUT",
        "/users/ada/tokens/tok",
        &json!({"provider_key": "apn"}),
    );
    let revoke = json!({"patch": [{"op": "replace", "path": "/status", "value": "revoked"}]});
    ask(&server, "PATCH", "/users/ada/tokens/tok", &revoke);
    let choice = json!({"topic": {"status": "OPTED_OUT"}});
    ask(
        &server,
        "PUT",
        &format!("/users/ada/preferences/{topic}"),
        &choice,
    );
    ask(
        &server,
        "DELETE",
        "/lists/news/subscriptions/ada",
        &Value::Null,
    );
    ask(&server, "DELETE", "/v1/users/ada", &Value::Null);

    let timeline = |query: &str| {
        let answer = server.ask("GET", &format!("/v1/users/ada/timeline?{query}"), "");
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.body
    };
    let all = timeline("order=asc&limit=1000");
    let items = all["items"].as_array().unwrap();
    // As the feed has them, and no others.
    let feed = server
        .ask("GET", "/v1/events?subject=ada&limit=1000", "")
        .body;
    let bare: Vec<Value> = items
        .iter()
        .map(|it| {
            let mut event = it.clone();
            event.as_object_mut().unwrap().remove("changes");
            event
        })
        .collect();
    assert_eq!(json!(bare), feed["items"]);
    let told: Vec<Vec<(String, Value, Value)>> = items.iter().map(changes).collect();
    let one = |path: &str, before: Value, after: Value| (path.to_owned(), before, after);
    let null = || Value::Null;
    assert_eq!(told[0], [one("/user_id", null(), json!("ada"))]);
    assert_eq!(
        told[1],
        [
            one("/profile/address/city", null(), json!("Ghent")),
            one("/profile/email", null(), json!("a@b.c")),
        ]
    );
    assert_eq!(
        told[2],
        [one(
            "/profile/address/city",
            json!("Ghent"),
            json!("Bruges")
        )]
    );
    assert_eq!(told[3], [one("/lists/news", null(), json!(true))]);
    assert_eq!(
        told[4],
        [
            one("/tenants/acme", null(), json!(true)),
            one("/tenants/acme/profile/role", null(), json!("admin")),
        ]
    );
    assert_eq!(
        told[5],
        [one(
            "/tenants/acme/profile/role",
            json!("admin"),
            json!("user")
        )]
    );
    assert!(told[6].contains(&one("/tokens/tok", null(), json!(true))));
    assert!(told[6].contains(&one("/tokens/tok/status", null(), json!("active"))));
    assert!(told[7].contains(&one(
        "/tokens/tok/status",
        json!("active"),
        json!("revoked")
    )));
    assert_eq!(told[8].len(), 1);
    assert_eq!(told[8][0].0, format!("/preferences/{topic}"));
    assert_eq!(told[8][0].2["choice"]["status"], "OPTED_OUT");
    assert_eq!(told[9], [one("/lists/news", json!(true), null())]);

    // Each begins where the one before it ended, and at last nothing is left but the id.
    let mut fields: BTreeMap<String, Value> = BTreeMap::new();
    for (path, before, after) in told.iter().flatten() {
        assert_eq!(fields.get(path).unwrap_or(&Value::Null), before, "{path}");
        if after.is_null() {
            fields.remove(path);
        } else {
            fields.insert(path.clone(), after.clone());
        }
    }
    assert_eq!(
        fields,
        BTreeMap::from([("/user_id".to_owned(), json!("ada"))])
    );

    // Page by page, in either order, it is the same.
    for order in ["asc", "desc"] {
        let (mut pages, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = timeline(&format!("order={order}&limit=3&cursor={cursor}"));
            pages.extend(page["items"].as_array().unwrap().clone());
            let Some(next) = page["paging"]["cursor"].as_str() else {
                break;
            };
            cursor = next.to_owned();
        }
        if order == "desc" {
            pages.reverse();
        }
        assert_eq!(&pages, items, "{order}");
    }
    for (path, status) in [
        ("/v1/users/nobody/timeline", 404),
        ("/v1/users/ada/timeline?order=up", 400),
        ("/v1/users/ada/timeline?limit=0", 400),
        ("/v1/users/ada/timeline?cursor=x", 400),
    ] {
        assert_eq!(server.ask("GET", path, "").status, status, "{path}");
    }
    server.stop();
}
