//! What is answered while the server's state is still being built.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde::Serialize;
use types::{Clock as _, CommandId, Position, SystemClock};

use crate::error::ApiError;
use crate::routes::{health, json};

/// How far the log has been read.
#[derive(Default)]
pub struct Progress {
    position: AtomicU64,
    head: AtomicU64,
}

impl Progress {
    pub fn tell(&self, position: Position, head: Position) {
        self.position.store(position.0, Ordering::Relaxed);
        self.head.store(head.0, Ordering::Relaxed);
    }
}

#[derive(Serialize)]
struct NotReady {
    status: &'static str,
    reasons: [&'static str; 1],
    /// Up to where the log has been read.
    position: u64,
    /// Up to where it has to be.
    head: u64,
}

/// Every route of a server that is not ready yet.
pub fn starting_router(progress: Arc<Progress>) -> Router {
    Router::new()
        .route("/healthz", get(health::live))
        .route("/readyz", get(ready))
        .fallback(async || starting())
        .with_state(progress)
}

/// Public on purpose, as that of a server that is ready.
async fn ready(State(progress): State<Arc<Progress>>) -> Response {
    let mut response = json(&NotReady {
        status: "not ready",
        reasons: ["the event log is being read"],
        position: progress.position.load(Ordering::Relaxed),
        head: progress.head.load(Ordering::Relaxed),
    });
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

fn starting() -> Response {
    let request_id = CommandId::generate(SystemClock.now()).to_string();
    ApiError::starting()
        .into_response_for(&request_id)
        .into_response()
}
