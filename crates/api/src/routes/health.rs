use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::routes::json;

#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    status: &'static str,
}

/// The process answers. Public on purpose.
pub(crate) async fn live() -> Response {
    json(&Health { status: "ok" })
}

/// The log is open and every read model is built: the server listens only after that. Public on
/// purpose.
pub(crate) async fn ready() -> Response {
    json(&Health { status: "ready" })
}
