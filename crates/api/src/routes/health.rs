use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::routes::json;
use crate::state::ApiState;

#[derive(Serialize)]
struct Health {
    status: &'static str,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<&'static str>,
}

/// The process answers. Public on purpose.
pub(crate) async fn live() -> Response {
    json(&Health {
        status: "ok",
        reasons: vec![],
    })
}

/// The log is open and every read model is built, for the server listens only after that; and writes are
/// taken. Public on purpose.
pub(crate) async fn ready(State(state): State<ApiState>) -> Response {
    let mut reasons = Vec::new();
    if state.engine.is_stopped() {
        reasons.push("the event log takes no more writes");
    } else if state.engine.is_busy() {
        reasons.push("the queue of writes is full");
    }
    if reasons.is_empty() {
        return json(&Health {
            status: "ready",
            reasons,
        });
    }
    let mut response = json(&Health {
        status: "not ready",
        reasons,
    });
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}
