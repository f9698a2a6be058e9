use std::time::Duration;

use providers::{Address, FailureKind, Outgoing, Providers, ProvidersConfig, Receipt, Undelivered};
use rendering::{Action, Rendered};
use serde_json::{Map, Value};
use tokio::time::Instant;

pub(crate) const RSA_KEY: &str = include_str!("../keys/rsa.pem");
pub(crate) const P256_KEY: &str = include_str!("../keys/p256.pem");

/// Quick to try again, so that no test waits.
pub(crate) const QUICK: &str = "backoff_first_ms = 1, backoff_max_ms = 2, timeout_ms = 5000";

/// From a table as it stands in the file with the settings.
#[track_caller]
pub(crate) fn providers(table: &str) -> Providers {
    let config: ProvidersConfig = toml::from_str(table).expect("settings");
    config.check().expect("settings that are right");
    Providers::new(&config).expect("providers")
}

pub(crate) fn outgoing(address: Address) -> Outgoing {
    Outgoing {
        message_id: "1-abc".to_owned(),
        address,
        content: Rendered {
            title: Some("Your order".to_owned()),
            text: "It is on its way.".to_owned(),
            html: None,
            actions: vec![Action {
                label: "Follow".to_owned(),
                href: "https://example.com/follow".to_owned(),
            }],
            image: None,
        },
        unsubscribe: None,
        data: object(serde_json::json!({ "order": 7 })),
        overrides: Map::new(),
        user_id: Some("ada".to_owned()),
        tenant_id: None,
    }
}

#[track_caller]
pub(crate) fn object(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).expect("an object")
}

/// By the one provider that carries to this address.
pub(crate) async fn deliver(
    providers: &Providers,
    outgoing: &Outgoing,
) -> Result<Receipt, Undelivered> {
    let names = providers.for_address(&outgoing.address);
    let deadline = Instant::now() + Duration::from_secs(30);
    providers
        .deliver(names[0], outgoing, deadline, &|| true)
        .await
}

#[track_caller]
pub(crate) fn assert_kind(
    delivered: Result<Receipt, Undelivered>,
    kind: FailureKind,
) -> Undelivered {
    let undelivered = delivered.expect_err("not delivered");
    assert_eq!(undelivered.kind, kind, "{undelivered}");
    assert!(undelivered.reason.len() <= 300);
    undelivered
}
