use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use providers::{Address, BreakerState, FailureKind, Outgoing, ProviderStatus, Providers};
use serde_json::json;
use tokio::sync::Barrier;
use tokio::time::{Instant, advance, pause, resume};

use crate::facts::{assert_kind, deliver, outgoing, providers};
use crate::http_server::{HttpServer, Reply, reply};

fn to_device() -> Outgoing {
    outgoing(Address::Expo("ExponentPushToken[abc]".to_owned()))
}

fn taken() -> Reply {
    reply(200, json!({ "data": { "status": "ok", "id": "x" } }))
}

fn through(server: &HttpServer, limits: &str) -> Providers {
    let url = &server.url;
    providers(&format!(
        "[expo]\nbase_url = '{url}'\nlimits = {{ {limits} }}"
    ))
}

#[track_caller]
fn status(providers: &Providers) -> ProviderStatus {
    let mut status = providers.status().into_iter();
    status.find(|it| it.name == "expo").expect("it")
}

#[tokio::test]
async fn a_provider_that_asks_for_time_is_given_it() {
    let server = HttpServer::start(|_, before| match before {
        0 => reply(429, "").with("retry-after", "1"),
        _ => taken(),
    })
    .await;
    let providers = through(&server, "backoff_first_ms = 1, backoff_max_ms = 2");
    let begun = Instant::now();
    let receipt = deliver(&providers, &to_device()).await.expect("sent");
    assert_eq!(receipt.attempts, 2);
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn nobody_waits_for_an_attempt_that_would_be_too_late() {
    let server = HttpServer::start(|_, _| reply(503, "").with("retry-after", "60")).await;
    let providers = through(&server, "attempts_max = 5");
    let begun = Instant::now();
    let delivered = deliver(&providers, &to_device()).await;
    assert_eq!(assert_kind(delivered, FailureKind::Unavailable).attempts, 1);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_provider_that_fails_is_left_alone_until_a_probe_finds_it_well() {
    let is_well = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_well);
    let server = HttpServer::start(move |_, _| {
        if seen.load(Ordering::Relaxed) {
            taken()
        } else {
            reply(500, "")
        }
    })
    .await;
    let providers = through(&server, "attempts_max = 1");
    for _ in 0..7 {
        assert_kind(
            deliver(&providers, &to_device()).await,
            FailureKind::Unavailable,
        );
    }
    assert_eq!(server.asked().len(), 5, "the last two were not asked");
    assert_eq!(status(&providers).breaker, BreakerState::Open);

    after(Duration::from_secs(10)).await;
    let nowhere = outgoing(Address::Expo(String::new()));
    assert_kind(deliver(&providers, &nowhere).await, FailureKind::Malformed);
    assert_eq!(
        status(&providers).breaker,
        BreakerState::Open,
        "nobody was asked"
    );
    assert_kind(
        deliver(&providers, &to_device()).await,
        FailureKind::Unavailable,
    );
    assert_eq!(server.asked().len(), 6, "a probe");
    assert_eq!(status(&providers).breaker, BreakerState::Open);

    is_well.store(true, Ordering::Relaxed);
    after(Duration::from_secs(10)).await;
    assert_kind(
        deliver(&providers, &to_device()).await,
        FailureKind::Unavailable,
    );
    after(Duration::from_secs(10)).await;
    deliver(&providers, &to_device()).await.expect("sent");
    let status = status(&providers);
    assert_eq!(status.breaker, BreakerState::Closed);
    assert_eq!((status.sent, status.failed, status.in_flight), (1, 10, 0));
}

/// Lets time pass at once. It stands still only here: with servers that are real it has to go by itself.
async fn after(time: Duration) {
    pause();
    advance(time).await;
    resume();
}

#[tokio::test]
async fn refusals_of_single_addresses_open_nothing() {
    let server = HttpServer::start(|_, _| reply(400, "")).await;
    let providers = through(&server, "attempts_max = 1");
    for _ in 0..20 {
        assert_kind(
            deliver(&providers, &to_device()).await,
            FailureKind::Refused,
        );
    }
    assert_eq!(status(&providers).breaker, BreakerState::Closed);
}

/// Requests are answered in pairs: with one at a time they would wait for each other for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn so_many_attempts_are_under_way_as_the_limit_says() {
    let pair = Arc::new(Barrier::new(2));
    let most = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let now = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (seen_most, seen_now) = (Arc::clone(&most), Arc::clone(&now));
    let server = HttpServer::start(move |_, _| {
        let under_way = seen_now.fetch_add(1, Ordering::SeqCst) + 1;
        seen_most.fetch_max(under_way, Ordering::SeqCst);
        let wait = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| wait.block_on(pair.wait()));
        seen_now.fetch_sub(1, Ordering::SeqCst);
        taken()
    })
    .await;
    let providers = through(&server, "concurrency = 2");
    let mut deliveries = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let providers = providers.clone();
        deliveries.spawn(async move { deliver(&providers, &to_device()).await });
    }
    while let Some(delivered) = deliveries.join_next().await {
        delivered.expect("no panic").expect("sent");
    }
    assert_eq!(most.load(Ordering::SeqCst), 2);
}
