use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use providers::{Address, FailureKind, Outgoing, Providers};
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use serde_json::{Value, json};
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use crate::facts::{QUICK, RSA_KEY, assert_kind, deliver, object, outgoing, providers};
use crate::http_server::{Asked, HttpServer, Reply, reply};

fn to_device() -> Outgoing {
    outgoing(Address::Fcm("device:token".to_owned()))
}

fn through(server: &HttpServer) -> Providers {
    let url = &server.url;
    let account = json!({
        "type": "service_account",
        "project_id": "shop",
        "client_email": "muster@shop.example",
        "private_key": RSA_KEY,
        "token_uri": "https://oauth2.googleapis.com/token",
    });
    providers(&format!(
        "[fcm]\nservice_account = '{account}'\nbase_url = '{url}'\ntoken_url = '{url}/token'\nlimits = {{ {QUICK} }}"
    ))
}

fn token() -> Reply {
    reply(
        200,
        json!({ "access_token": "bearer-1", "expires_in": u64::MAX, "token_type": "Bearer" }),
    )
}

fn taken() -> Reply {
    reply(200, json!({ "name": "projects/shop/messages/9" }))
}

fn refused(status: u16, code: &str) -> Reply {
    let detail = json!({
        "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError",
        "errorCode": code,
    });
    reply(
        status,
        json!({ "error": { "code": status, "status": "X", "details": [detail] } }),
    )
}

/// A server that gives tokens, and answers messages in turn.
async fn firebase(answers: Vec<Reply>) -> HttpServer {
    let turn = std::sync::atomic::AtomicUsize::new(0);
    HttpServer::start(move |asked, _| {
        if asked.path == "/token" {
            return token();
        }
        let turn = turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        answers[turn.min(answers.len() - 1)].clone()
    })
    .await
}

fn messages(server: &HttpServer) -> Vec<Asked> {
    let asked = server.asked().into_iter();
    asked.filter(|it| it.path != "/token").collect()
}

#[track_caller]
fn claims_of(assertion: &str) -> Value {
    let (signed, signature) = assertion.rsplit_once('.').expect("a signature");
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).expect("base64");
    let der = PrivatePkcs8KeyDer::from_pem_slice(RSA_KEY.as_bytes()).expect("a key");
    let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).expect("a key");
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key());
    public
        .verify(signed.as_bytes(), &signature)
        .expect("our signature");
    let (_, claims) = signed.split_once('.').expect("claims");
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).expect("base64");
    serde_json::from_slice(&claims).expect("JSON")
}

#[tokio::test]
async fn a_signed_claim_is_exchanged_once_for_a_token_that_carries_all_messages() {
    let server = firebase(vec![taken()]).await;
    let providers = through(&server);
    let mut outgoing = to_device();
    outgoing.overrides = object(json!({ "push": {
        "android": { "priority": "high" },
        "notification": { "title": "Other" },
        "token": "somebody-else",
    }}));
    let receipt = deliver(&providers, &outgoing).await.expect("sent");
    let name = receipt.provider_message_id.expect("a name");
    assert_eq!(name, "projects/shop/messages/9");
    deliver(&providers, &outgoing).await.expect("sent");

    let asked = server.asked();
    assert_eq!(asked.len(), 3, "one token for two messages");
    let assertion = asked[0]
        .text()
        .rsplit_once("assertion=")
        .expect("an assertion")
        .1;
    let claims = claims_of(assertion);
    assert_eq!(claims["iss"], "muster@shop.example");
    assert_eq!(claims["aud"], format!("{}/token", server.url));
    assert_eq!(
        claims["scope"],
        "https://www.googleapis.com/auth/firebase.messaging"
    );
    assert_eq!(asked[1].path, "/v1/projects/shop/messages:send");
    assert_eq!(asked[1].header("authorization"), "Bearer bearer-1");
    let action = r#"[{"href":"https://example.com/follow","label":"Follow"}]"#;
    let expected = json!({ "message": {
        "token": "device:token",
        "notification": { "title": "Other", "body": "It is on its way." },
        "data": { "order": "7", "actions": action },
        "android": { "priority": "high" },
    }});
    assert_eq!(asked[1].json(), expected);
}

#[tokio::test]
async fn a_device_that_is_gone_is_told_from_a_message_that_is_refused() {
    let about_token = json!({ "fieldViolations": [{ "field": "message.token" }] });
    let invalid_token =
        json!({ "error": { "status": "INVALID_ARGUMENT", "details": [about_token] } });
    for (answer, kind) in [
        (refused(404, "UNREGISTERED"), FailureKind::DeadAddress),
        (reply(400, invalid_token), FailureKind::DeadAddress),
        (refused(400, "INVALID_ARGUMENT"), FailureKind::Refused),
        (refused(403, "SENDER_ID_MISMATCH"), FailureKind::Refused),
        // Somebody who knows nothing of devices, such as a proxy, does not bury one.
        (reply(404, "<html>not found</html>"), FailureKind::Refused),
    ] {
        let server = firebase(vec![answer]).await;
        let undelivered = assert_kind(deliver(&through(&server), &to_device()).await, kind);
        assert_eq!((undelivered.attempts, messages(&server).len()), (1, 1));
    }
}

#[tokio::test]
async fn failures_are_tried_again_and_a_token_that_is_refused_is_replaced() {
    let answers = vec![
        refused(503, "UNAVAILABLE"),
        refused(401, "UNAUTHENTICATED"),
        taken(),
    ];
    let server = firebase(answers).await;
    let receipt = deliver(&through(&server), &to_device())
        .await
        .expect("sent");
    assert_eq!(receipt.attempts, 3);
    let tokens = server
        .asked()
        .iter()
        .filter(|it| it.path == "/token")
        .count();
    assert_eq!(tokens, 2);
}

#[tokio::test]
async fn without_a_token_nothing_is_handed_over() {
    for answer in [
        reply(400, json!({ "error": "invalid_grant" })),
        reply(200, "welcome"),
    ] {
        let server = HttpServer::start(move |_, _| answer.clone()).await;
        let delivered = deliver(&through(&server), &to_device()).await;
        let undelivered = assert_kind(delivered, FailureKind::Unavailable);
        assert_eq!(undelivered.attempts, 5);
        assert!(messages(&server).is_empty());
    }
}

#[tokio::test]
async fn a_success_that_firebase_would_not_say_is_no_success() {
    let server = firebase(vec![reply(200, "<html>please log in</html>")]).await;
    assert_kind(
        deliver(&through(&server), &to_device()).await,
        FailureKind::Unknown,
    );
    assert_eq!(messages(&server).len(), 1);
}
