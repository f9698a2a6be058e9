use providers::{Address, FailureKind, Outgoing, Providers};
use serde_json::json;

use crate::facts::{QUICK, assert_kind, deliver, outgoing, providers};
use crate::http_server::{HttpServer, Reply, reply};

fn to_device() -> Outgoing {
    outgoing(Address::Expo("ExponentPushToken[abc]".to_owned()))
}

fn through(server: &HttpServer) -> Providers {
    let url = &server.url;
    providers(&format!(
        "[expo]\naccess_token = 'hunter2'\nbase_url = '{url}'\nlimits = {{ {QUICK} }}"
    ))
}

fn ticket_error(code: &str) -> Reply {
    let text = "\"ExponentPushToken[abc]\" is not right";
    let ticket = json!({ "status": "error", "message": text, "details": { "error": code } });
    reply(200, json!({ "data": ticket }))
}

#[tokio::test]
async fn a_ticket_is_the_receipt() {
    for tickets in [
        json!({ "status": "ok", "id": "x-1" }),
        json!([{ "status": "ok", "id": "x-1" }]),
    ] {
        let answer = reply(200, json!({ "data": tickets }));
        let server = HttpServer::start(move |_, _| answer.clone()).await;
        let receipt = deliver(&through(&server), &to_device())
            .await
            .expect("sent");
        assert_eq!(receipt.provider_message_id.as_deref(), Some("x-1"));
        let asked = &server.asked()[0];
        assert_eq!(asked.path, "/--/api/v2/push/send");
        assert_eq!(asked.header("authorization"), "Bearer hunter2");
        let expected = json!({
            "to": "ExponentPushToken[abc]",
            "title": "Your order",
            "body": "It is on its way.",
            "data": {
                "order": 7,
                "actions": [{ "label": "Follow", "href": "https://example.com/follow" }],
            },
        });
        assert_eq!(asked.json(), expected);
    }
}

#[tokio::test]
async fn a_ticket_that_is_an_error_tells_what_is_wrong() {
    for (answer, kind, attempts) in [
        (
            ticket_error("DeviceNotRegistered"),
            FailureKind::DeadAddress,
            1,
        ),
        (ticket_error("MessageTooBig"), FailureKind::Malformed, 1),
        (ticket_error("MismatchSenderId"), FailureKind::Refused, 1),
        (
            ticket_error("MessageRateExceeded"),
            FailureKind::Unavailable,
            5,
        ),
        (
            reply(400, json!({ "errors": [{ "code": "VALIDATION_ERROR" }] })),
            FailureKind::Refused,
            1,
        ),
        (reply(502, "bad gateway"), FailureKind::Unavailable, 5),
        (reply(200, json!({ "data": [] })), FailureKind::Unknown, 1),
    ] {
        let server = HttpServer::start(move |_, _| answer.clone()).await;
        let undelivered = assert_kind(deliver(&through(&server), &to_device()).await, kind);
        assert_eq!(undelivered.attempts, attempts);
        assert!(!undelivered.reason.contains("abc"), "{undelivered}");
    }
}
