use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};

use crate::extract::origin::Authenticated;
use crate::metrics::Moment;
use crate::state::ApiState;

/// `GET /metrics`: the text format of `OpenMetrics`, which Prometheus reads.
pub(crate) async fn get(State(state): State<ApiState>, _: Authenticated) -> Response {
    let models = &state.read_models;
    let moment = Moment {
        position: models.checkpoint().0,
        head: state.history.head().0,
        queue: state.engine.queue_length() as u64,
        answers: models.requests.count() as u64,
        people: u64::from(models.subjects.next().0),
        audiences: models.audiences.len() as u64,
        audience_changes: models.audiences.change_count(),
        messages: models.messages.count() as u64,
        requests_to_send: models.messages.active_count() as u64,
        being_sent: state.sending.in_flight(),
        log: state.transparency.status(),
        deliveries: state.delivery.counts(),
        process: (state.process)(),
    };
    state
        .metrics
        .webhooks_reached(moment.position, state.delivery.reached());
    let providers = state.sending.providers();
    state.metrics.providers_fare(providers.status());
    let text = state.metrics.encode(&moment);
    let content_type =
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}
