use axum::http::Method;
use providers::{
    Address, FailureKind, Outgoing, Providers, WebhookAddress, WebhookAuthentication, WebhookMethod,
};
use ring::hmac;
use serde_json::json;

use crate::facts::{QUICK, assert_kind, deliver, outgoing, providers};
use crate::http_server::{HttpServer, nobody, reply};

fn to(url: &str) -> Outgoing {
    outgoing(Address::Webhook(WebhookAddress {
        url: url.to_owned(),
        method: WebhookMethod::Post,
        headers: Vec::new(),
        authentication: WebhookAuthentication::None,
    }))
}

fn open() -> Providers {
    providers(&format!(
        "[webhook]\nsecret = 'whsec'\nallow_private = true\nlimits = {{ {QUICK} }}"
    ))
}

#[tokio::test]
async fn what_is_told_is_signed_and_has_a_key() {
    let server = HttpServer::start(|_, _| reply(204, "")).await;
    deliver(&open(), &to(&format!("{}/hook?a=1", server.url)))
        .await
        .expect("sent");
    let asked = &server.asked()[0];
    assert_eq!(
        (&asked.method, asked.path.as_str()),
        (&Method::POST, "/hook")
    );
    assert_eq!(asked.header("content-type"), "application/json");
    assert_eq!(asked.header("idempotency-key"), "1-abc");
    let expected = json!({
        "message_id": "1-abc",
        "user_id": "ada",
        "tenant_id": null,
        "title": "Your order",
        "text": "It is on its way.",
        "actions": [{ "label": "Follow", "href": "https://example.com/follow" }],
        "data": { "order": 7 },
    });
    assert_eq!(asked.json(), expected);
    let signature = asked.header("courier-signature");
    let (at, code) = signature.split_once(",signature=").expect("two parts");
    let at = at.strip_prefix("t=").expect("a time");
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"whsec");
    let signed = [at.as_bytes(), b".", &asked.body].concat();
    let expected = types::hex(hmac::sign(&key, &signed).as_ref());
    assert_eq!(code, expected);
}

#[tokio::test]
async fn a_recipient_says_how_it_is_asked_but_not_what_is_ours_to_say() {
    let server = HttpServer::start(|_, _| reply(200, "ok")).await;
    let headers = [
        ("X-Mine", "1"),
        ("Host", "elsewhere.example"),
        ("Content-Length", "1"),
        ("Courier-Signature", "forged"),
        ("Idempotency-Key", "forged"),
        ("X-Broken", "a\r\nb"),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let address = WebhookAddress {
        url: server.url.clone(),
        method: WebhookMethod::Put,
        headers: headers.to_vec(),
        authentication: WebhookAuthentication::Basic {
            username: "ada".to_owned(),
            password: "hunter2".to_owned(),
        },
    };
    let outgoing = outgoing(Address::Webhook(address));
    assert!(!format!("{outgoing:?}").contains("hunter2"));
    deliver(&open(), &outgoing).await.expect("sent");
    let asked = &server.asked()[0];
    assert_eq!(asked.method, Method::PUT);
    assert_eq!(asked.header("x-mine"), "1");
    assert_eq!(
        asked.header("host"),
        server.url.trim_start_matches("http://")
    );
    assert_eq!(asked.header("idempotency-key"), "1-abc");
    assert!(asked.header("courier-signature").starts_with("t="));
    assert_eq!(asked.header("authorization"), "Basic YWRhOmh1bnRlcjI=");
    assert!(!asked.headers.contains_key("x-broken"));
}

#[tokio::test]
async fn this_machine_and_private_networks_are_refused_however_they_are_written() {
    let server = HttpServer::start(|_, _| reply(200, "ok")).await;
    let port = server.url.rsplit_once(':').expect("a port").1;
    let strict = providers(&format!("[webhook]\nlimits = {{ {QUICK} }}"));
    for host in [
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f000001",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "10.0.0.1",
        "169.254.169.254",
    ] {
        let outgoing = to(&format!("http://{host}:{port}/"));
        let undelivered = assert_kind(deliver(&strict, &outgoing).await, FailureKind::Refused);
        assert_eq!(undelivered.attempts, 1, "{host}");
    }
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn nobody_is_followed_elsewhere() {
    let elsewhere = HttpServer::start(|_, _| reply(200, "ok")).await;
    let location = elsewhere.url.clone();
    let server = HttpServer::start(move |_, _| reply(307, "").with("location", &location)).await;
    assert_kind(
        deliver(&open(), &to(&server.url)).await,
        FailureKind::Refused,
    );
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn a_server_that_fails_is_asked_again_and_fails_nobody_else() {
    let providers = open();
    for status in [408, 425, 429, 500, 503] {
        let failing = HttpServer::start(move |_, _| reply(status, "")).await;
        let delivered = deliver(&providers, &to(&failing.url)).await;
        assert_eq!(assert_kind(delivered, FailureKind::Unavailable).attempts, 5);
    }
    let delivered = deliver(&providers, &to(&nobody().await)).await;
    assert_eq!(assert_kind(delivered, FailureKind::Unavailable).attempts, 5);
    let gone = HttpServer::start(|_, _| reply(410, "")).await;
    assert_kind(
        deliver(&providers, &to(&gone.url)).await,
        FailureKind::Refused,
    );
    let well = HttpServer::start(|_, _| reply(200, "")).await;
    deliver(&providers, &to(&well.url)).await.expect("sent");
}

#[tokio::test]
async fn what_is_no_url_is_told_so() {
    let providers = open();
    for url in [
        "",
        "example.com",
        "ftp://example.com/",
        "http://",
        "http://a:b@example.com/",
    ] {
        assert_kind(deliver(&providers, &to(url)).await, FailureKind::Malformed);
    }
}
