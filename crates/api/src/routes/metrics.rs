use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};

use crate::extract::origin::Authenticated;
use crate::state::ApiState;

/// `GET /metrics`: the text format of `OpenMetrics`, which Prometheus reads.
pub(crate) async fn get(State(state): State<ApiState>, _: Authenticated) -> Response {
    let position = state.read_models.checkpoint();
    let text = state.metrics.encode(position);
    let content_type =
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}
