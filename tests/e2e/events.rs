use serde_json::json;

use crate::client::TestServer;

#[test]
fn what_happened_can_be_asked_by_stream_type_subject_and_position() {
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::start(data.path());
    server.ask("PUT", "/profiles/ada", r#"{"profile":{"a":1}}"#);
    server.ask("PUT", "/lists/news/subscriptions/ada", "");
    server.ask("PUT", "/lists/news/subscriptions/bob", "");
    server.ask("POST", "/profiles/ada", r#"{"profile":{"a":2}}"#);

    let types = |query: &str| {
        let answer = server.ask("GET", &format!("/v1/events?{query}"), "");
        assert_eq!(answer.status, 200, "{}", answer.body);
        let items = answer.body["items"].as_array().unwrap().clone();
        items
            .into_iter()
            .map(|event| event["type"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        types("stream=profile-ada"),
        ["profile.updated", "profile.updated"]
    );
    assert_eq!(types("stream=list_member-news:bob"), ["list.member_added"]);
    assert_eq!(
        types("stream=list_member-*"),
        ["list.member_added", "list.member_added"]
    );
    assert_eq!(types("stream=list-*"), ["list.created"]);
    assert_eq!(types("stream=list-*&type=profile.*"), Vec::<String>::new());
    assert_eq!(types("stream=nothing-*"), Vec::<String>::new());
    assert_eq!(types("actor=environment").len(), 7);
    assert_eq!(types("actor=nobody"), Vec::<String>::new());
    assert_eq!(
        types("subject=bob"),
        ["subject.registered", "list.member_added"]
    );
    assert_eq!(
        types("type=list.*&order=desc"),
        ["list.member_added", "list.member_added", "list.created"]
    );
    assert_eq!(types("subject=nobody"), Vec::<String>::new());
    assert_eq!(types("after=2&before=4"), ["list.created"]);

    let first = server.ask("GET", "/v1/events?limit=3", "");
    let cursor = first.body["paging"]["cursor"].as_str().unwrap();
    let rest = server.ask("GET", &format!("/v1/events?limit=100&cursor={cursor}"), "");
    let positions: Vec<u64> = [&first, &rest]
        .iter()
        .flat_map(|page| page.body["items"].as_array().unwrap())
        .map(|event| event["position"].as_u64().unwrap())
        .collect();
    assert_eq!(positions, (1..=rest.position()).collect::<Vec<_>>());

    let event = server.ask("GET", "/v1/events/2", "").body;
    assert_eq!(event["subjects"], json!(["ada"]));
    assert_eq!(event["actor"]["name"], "MUSTER_API_KEY");
    assert_eq!(event["data"]["changes"], json!({"a": 1}));
    for query in [
        "limit=0",
        "limit=x",
        "order=up",
        "after=-1",
        "cursor=cursor",
    ] {
        assert_eq!(
            server.ask("GET", &format!("/v1/events?{query}"), "").status,
            400,
            "{query}"
        );
    }
    assert_eq!(server.ask("GET", "/v1/events/999", "").status, 404);
    server.stop();
}

#[test]
fn profiles_can_be_listed_filtered_and_counted() {
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::start(data.path());
    for n in 0..5 {
        let plan = if n % 2 == 0 { "pro" } else { "free" };
        let body = json!({"profile": {"custom": {"plan": plan}, "n": n}});
        server.ask("PUT", &format!("/profiles/u{n}"), &body.to_string());
    }
    let page = server
        .ask("GET", "/profiles?attribute.custom.plan=pro&limit=2", "")
        .body;
    assert_eq!(page["count"], 3);
    assert_eq!(page["items"][0]["user_id"], "u0");
    assert_eq!(page["items"][1]["user_id"], "u2");
    let cursor = page["paging"]["cursor"].as_str().unwrap();
    let path = format!("/profiles?attribute.custom.plan=pro&cursor={cursor}");
    let page = server.ask("GET", &path, "").body;
    assert_eq!(page["items"][0]["user_id"], "u4");
    assert_eq!(page["paging"]["more"], false);
    assert_eq!(
        server.ask("GET", "/profiles?attribute.n=3", "").body["count"],
        1
    );
    assert_eq!(server.ask("GET", "/profiles", "").body["count"], 5);
    server.stop();
}
