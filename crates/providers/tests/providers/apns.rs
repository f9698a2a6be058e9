use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use providers::{Address, FailureKind, Outgoing, Providers};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use serde_json::json;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use crate::facts::{P256_KEY, QUICK, assert_kind, deliver, outgoing, providers};
use crate::http_server::{HttpServer, reply};

fn to_device() -> Outgoing {
    outgoing(Address::Apns("00ff".to_owned()))
}

fn through(server: &HttpServer) -> Providers {
    let url = &server.url;
    providers(&format!(
        "[apns]\nkey = '''{P256_KEY}'''\nkey_id = 'K1'\nteam_id = 'T1'\ntopic = 'com.example.shop'\nbase_url = '{url}'\nlimits = {{ {QUICK} }}"
    ))
}

#[tokio::test]
async fn a_notification_goes_out_with_a_signed_token_and_the_same_id_each_time() {
    let server = HttpServer::start(|_, before| match before {
        0 => reply(503, json!({ "reason": "ServiceUnavailable" })),
        _ => reply(200, ""),
    })
    .await;
    let receipt = deliver(&through(&server), &to_device())
        .await
        .expect("sent");
    assert_eq!(receipt.attempts, 2);
    let asked = server.asked();
    let id = receipt.provider_message_id.expect("an id");
    for asked in &asked {
        assert_eq!(asked.path, "/3/device/00ff");
        assert_eq!(asked.header("apns-id"), id);
        assert_eq!(asked.header("apns-topic"), "com.example.shop");
        assert_eq!(asked.header("apns-push-type"), "alert");
    }
    let parts: Vec<usize> = id.split('-').map(str::len).collect();
    assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
    let expected = json!({
        "aps": { "alert": { "title": "Your order", "body": "It is on its way." } },
        "order": 7,
        "actions": [{ "label": "Follow", "href": "https://example.com/follow" }],
    });
    assert_eq!(asked[1].json(), expected);

    let authorization = asked[1].header("authorization");
    let token = authorization
        .to_lowercase()
        .starts_with("bearer ")
        .then(|| &authorization[7..]);
    let (signed, signature) = token
        .expect("a token")
        .rsplit_once('.')
        .expect("a signature");
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).expect("base64");
    let der = PrivatePkcs8KeyDer::from_pem_slice(P256_KEY.as_bytes()).expect("a key");
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let key = EcdsaKeyPair::from_pkcs8(algorithm, der.secret_pkcs8_der(), &SystemRandom::new());
    let key = key.expect("a key");
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.public_key());
    public
        .verify(signed.as_bytes(), &signature)
        .expect("our signature");
    let header = signed.split('.').next().expect("a header");
    let header = BASE64_URL_SAFE_NO_PAD.decode(header).expect("base64");
    let header: serde_json::Value = serde_json::from_slice(&header).expect("JSON");
    assert_eq!(header, json!({ "alg": "ES256", "typ": "JWT", "kid": "K1" }));
}

#[tokio::test]
async fn a_device_that_is_gone_is_told_from_a_message_that_is_refused() {
    for (status, reason, kind, attempts) in [
        (410, "Unregistered", FailureKind::DeadAddress, 1),
        (400, "BadDeviceToken", FailureKind::DeadAddress, 1),
        (400, "DeviceTokenNotForTopic", FailureKind::Refused, 1),
        (413, "PayloadTooLarge", FailureKind::Malformed, 1),
        (429, "TooManyRequests", FailureKind::Unavailable, 5),
        (403, "InvalidProviderToken", FailureKind::Unavailable, 5),
    ] {
        let answer = reply(status, json!({ "reason": reason }));
        let server = HttpServer::start(move |_, _| answer.clone()).await;
        let undelivered = assert_kind(deliver(&through(&server), &to_device()).await, kind);
        assert_eq!(undelivered.attempts, attempts);
        assert_eq!(undelivered.reason, format!("it answered {status} {reason}"));
    }
}

#[tokio::test]
async fn a_token_cannot_lead_to_another_path() {
    let server = HttpServer::start(|_, _| reply(200, "")).await;
    let outgoing = outgoing(Address::Apns("../../other".to_owned()));
    assert_kind(
        deliver(&through(&server), &outgoing).await,
        FailureKind::Malformed,
    );
    assert!(server.asked().is_empty());
}
