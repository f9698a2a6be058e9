use std::time::Duration;

use providers::{Address, FailureKind, Outgoing, Providers, WebhookAddress};
use tokio::time::Instant;

use crate::facts::{assert_kind, deliver, outgoing, providers};
use crate::http_server::{Unfriendly, nobody, unfriendly};

fn through(url: &str) -> Providers {
    let limits =
        "limits = { timeout_ms = 300, backoff_first_ms = 1, backoff_max_ms = 2, attempts_max = 3 }";
    providers(&format!(
        "[expo]\nbase_url = '{url}'\n{limits}\n[webhook]\nallow_private = true\n{limits}"
    ))
}

fn to_device() -> Outgoing {
    outgoing(Address::Expo("ExponentPushToken[abc]".to_owned()))
}

fn to_webhook(url: &str) -> Outgoing {
    outgoing(Address::Webhook(WebhookAddress {
        url: url.to_owned(),
        method: providers::WebhookMethod::Post,
        headers: Vec::new(),
        authentication: providers::WebhookAuthentication::None,
    }))
}

#[tokio::test]
async fn what_was_handed_over_without_an_answer_is_unknown_and_not_sent_again() {
    for manner in [
        Unfriendly::Hangs,
        Unfriendly::HangsUp,
        Unfriendly::Babbles,
        Unfriendly::Dawdles,
        Unfriendly::Floods,
    ] {
        let providers = through(&unfriendly(manner).await);
        let undelivered = assert_kind(
            deliver(&providers, &to_device()).await,
            FailureKind::Unknown,
        );
        assert_eq!(undelivered.attempts, 1, "{manner:?}");
    }
}

#[tokio::test]
async fn a_webhook_without_an_answer_is_told_again_under_its_key() {
    for manner in [Unfriendly::Hangs, Unfriendly::HangsUp, Unfriendly::Babbles] {
        let url = unfriendly(manner).await;
        let delivered = deliver(&through(&url), &to_webhook(&url)).await;
        let undelivered = assert_kind(delivered, FailureKind::Unavailable);
        assert_eq!(undelivered.attempts, 3, "{manner:?}");
    }
}

#[tokio::test]
async fn a_webhook_that_says_yes_need_not_say_more() {
    for manner in [Unfriendly::Dawdles, Unfriendly::Floods] {
        let url = unfriendly(manner).await;
        let receipt = deliver(&through(&url), &to_webhook(&url)).await;
        assert_eq!(receipt.expect("sent").attempts, 1, "{manner:?}");
    }
}

#[tokio::test]
async fn nothing_was_handed_over_while_encryption_was_not_agreed() {
    let url = unfriendly(Unfriendly::Hangs).await;
    let providers = through(&url.replace("http://", "https://"));
    let delivered = deliver(&providers, &to_device()).await;
    assert_eq!(assert_kind(delivered, FailureKind::Unavailable).attempts, 3);
}

#[tokio::test]
async fn who_is_not_reached_is_tried_again() {
    let providers = through(&nobody().await);
    let delivered = deliver(&providers, &to_device()).await;
    assert_eq!(assert_kind(delivered, FailureKind::Unavailable).attempts, 3);
}

#[tokio::test]
async fn no_attempt_goes_on_beyond_the_deadline() {
    let providers = providers(&format!(
        "[expo]\nbase_url = '{}'",
        unfriendly(Unfriendly::Hangs).await
    ));
    let begun = Instant::now();
    let deadline = begun + Duration::from_millis(100);
    let delivered = providers
        .deliver("expo", &to_device(), deadline, &|| true)
        .await;
    assert_kind(delivered, FailureKind::Unknown);
    assert!(begun.elapsed() < Duration::from_secs(5));
}
