use providers::{Address, FailureKind, Outgoing, Providers};
use serde_json::json;

use crate::facts::{QUICK, assert_kind, deliver, object, outgoing, providers};
use crate::http_server::{HttpServer, reply};

fn to_phone() -> Outgoing {
    outgoing(Address::Phone("+4915112345678".to_owned()))
}

fn through(server: &HttpServer) -> Providers {
    let url = &server.url;
    providers(&format!(
        "[twilio]\naccount_sid = 'AC1'\nauth_token = 'hunter2'\nfrom = '+4930'\nbase_url = '{url}'\nlimits = {{ {QUICK} }}"
    ))
}

#[tokio::test]
async fn a_text_message_is_a_form_under_the_account() {
    let server =
        HttpServer::start(|_, _| reply(201, json!({ "sid": "SM1", "status": "queued" }))).await;
    let providers = through(&server);
    let mut outgoing = to_phone();
    let receipt = deliver(&providers, &outgoing).await.expect("sent");
    assert_eq!(receipt.provider_message_id.as_deref(), Some("SM1"));
    outgoing.overrides = object(json!({ "sms": { "from": "Shop" } }));
    deliver(&providers, &outgoing).await.expect("sent");
    let asked = server.asked();
    assert_eq!(asked[0].path, "/2010-04-01/Accounts/AC1/Messages.json");
    assert_eq!(asked[0].header("authorization"), "Basic QUMxOmh1bnRlcjI=");
    assert_eq!(
        asked[0].text(),
        "To=%2B4915112345678&From=%2B4930&Body=It+is+on+its+way."
    );
    assert!(asked[1].text().contains("From=Shop&"));
}

#[tokio::test]
async fn codes_tell_numbers_that_are_none_from_people_who_do_not_want() {
    for (status, code, kind, attempts) in [
        (400, 21_211, FailureKind::DeadAddress, 1),
        (400, 21_614, FailureKind::DeadAddress, 1),
        (400, 21_610, FailureKind::Refused, 1),
        (400, 21_617, FailureKind::Malformed, 1),
        (500, 20_500, FailureKind::Unavailable, 5),
    ] {
        let answer =
            json!({ "code": code, "message": "The number +4915112345678 is", "status": status });
        let server = HttpServer::start(move |_, _| reply(status, &answer)).await;
        let undelivered = assert_kind(deliver(&through(&server), &to_phone()).await, kind);
        assert_eq!(undelivered.attempts, attempts);
        assert_eq!(undelivered.reason, format!("it answered {status} {code}"));
    }
}

#[tokio::test]
async fn credentials_that_are_not_taken_are_everybodys_trouble() {
    let server = HttpServer::start(|_, _| reply(401, json!({ "code": 20_003 }))).await;
    let providers = through(&server);
    let undelivered = assert_kind(
        deliver(&providers, &to_phone()).await,
        FailureKind::Unavailable,
    );
    assert!(!undelivered.to_string().contains("hunter2"));
    let status = providers.status();
    let twilio = status.iter().find(|it| it.name == "twilio").expect("it");
    assert_eq!(twilio.breaker.name(), "open");
}
