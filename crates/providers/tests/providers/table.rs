use providers::{
    Address, FailureKind, ProviderStatus, ProvidersConfig, WebhookAddress, WebhookAuthentication,
    WebhookMethod,
};
use types::Channel;

use crate::facts::{P256_KEY, RSA_KEY, assert_kind, deliver, outgoing, providers};

fn email() -> Address {
    Address::Email("ada@example.com".to_owned())
}

fn webhook() -> Address {
    Address::Webhook(WebhookAddress {
        url: "https://example.com/".to_owned(),
        method: WebhookMethod::Post,
        headers: Vec::new(),
        authentication: WebhookAuthentication::None,
    })
}

#[tokio::test]
async fn without_settings_messages_are_logged_and_counted() {
    let providers = providers("");
    let channels = [
        Channel::Email,
        Channel::Sms,
        Channel::Push,
        Channel::Webhook,
    ];
    assert_eq!(providers.channels(), channels);
    assert_eq!(providers.for_address(&email()), ["log"]);
    assert_eq!(
        providers.for_address(&Address::Fcm("t".to_owned())),
        ["log"]
    );
    assert_eq!(providers.for_address(&webhook()), ["webhook"]);
    deliver(&providers, &outgoing(email())).await.expect("sent");
    let sent = |it: &ProviderStatus| (it.name, it.channel, it.sent);
    let status: Vec<_> = providers.status().iter().map(sent).collect();
    let expected = [
        ("webhook", Channel::Webhook, 0),
        ("log", Channel::Email, 1),
        ("log", Channel::Sms, 0),
        ("log", Channel::Push, 0),
    ];
    assert_eq!(status, expected);
    let to_webhook = outgoing(webhook());
    let deadline = tokio::time::Instant::now();
    let delivered = providers
        .deliver("log", &to_webhook, deadline, &|| true)
        .await;
    assert_kind(delivered, FailureKind::Malformed);
    let delivered = providers
        .deliver("pigeon", &to_webhook, deadline, &|| true)
        .await;
    assert_kind(delivered, FailureKind::Unavailable);
}

/// To say that a device was told although nobody can tell it would be a lie.
#[test]
fn a_device_without_a_provider_beside_others_that_have_one_gets_nothing() {
    let providers =
        providers("[expo]\n[smtp]\nurl = 'smtps://mail.example.org'\nfrom = 'a@example.org'");
    assert_eq!(providers.for_address(&email()), ["smtp"]);
    assert_eq!(
        providers.for_address(&Address::Expo("t".to_owned())),
        ["expo"]
    );
    assert!(
        providers
            .for_address(&Address::Apns("t".to_owned()))
            .is_empty()
    );
}

#[test]
fn settings_that_are_wrong_are_told_without_being_repeated() {
    for (table, setting) in [
        (
            "[smtp]\nurl = 'http://u:hunter2@x'\nfrom = 'a@example.org'",
            "smtp.url",
        ),
        (
            "[smtp]\nurl = 'smtp://u:hunter2@x'\nfrom = 'hunter2'",
            "smtp.from",
        ),
        ("[fcm]", "fcm.service_account_file"),
        ("[fcm]\nservice_account = 'hunter2'", "fcm.service_account"),
        (
            "[fcm]\nservice_account_file = '/nowhere/hunter2'",
            "fcm.service_account_file",
        ),
        (
            "[apns]\nkey = 'hunter2'\nkey_id = 'k'\nteam_id = 't'\ntopic = 'x'",
            "apns.key",
        ),
        ("[expo]\nbase_url = 'hunter2'", "expo.base_url"),
        (
            "[twilio]\naccount_sid = 'AC1'\nauth_token = 'hunter2'",
            "twilio.from",
        ),
        (
            "[webhook]\nlimits = { attempts_max = 0 }",
            "webhook.limits.attempts_max",
        ),
    ] {
        let config: ProvidersConfig = toml::from_str(table).expect("a table");
        let error = config.check().expect_err("wrong").to_string();
        assert!(error.contains(setting), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    assert!(toml::from_str::<ProvidersConfig>("[pigeon]").is_err());
    assert!(toml::from_str::<ProvidersConfig>("[expo]\nspeed = 1").is_err());
}

#[test]
fn secrets_are_not_in_what_is_debugged() {
    let account = serde_json::json!({ "private_key": RSA_KEY }).to_string();
    let table = format!(
        "[smtp]\nurl = 'smtp://u:hunter2@x'\nfrom = 'a@example.org'\n[fcm]\nservice_account = '{account}'\n[apns]\nkey = '''{P256_KEY}'''\nkey_id = 'k'\nteam_id = 't'\ntopic = 'x'\n[expo]\naccess_token = 'hunter2'\n[twilio]\naccount_sid = 'AC1'\nauth_token = 'hunter2'\n[webhook]\nsecret = 'hunter2'"
    );
    let config: ProvidersConfig = toml::from_str(&table).expect("a table");
    let shown = format!("{config:?}");
    assert!(
        !shown.contains("hunter2") && !shown.contains("PRIVATE"),
        "{shown}"
    );
}
