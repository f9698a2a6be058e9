use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::Committed;
use serde::Serialize;

use crate::request::AnswerPosition;

pub(crate) mod audiences;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod health;
pub(crate) mod lists;
pub(crate) mod members;
pub(crate) mod metrics;
pub(crate) mod preview;
pub(crate) mod profiles;
pub(crate) mod subscriptions;

/// Courier's older SDKs parse a body only if its type is exactly this, without a character set.
pub(crate) fn json<T: Serialize>(body: &T) -> Response {
    let text = serde_json::to_vec(body).expect("answers are plain data");
    let content_type = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}

#[derive(Serialize)]
pub(crate) struct Paging {
    pub(crate) more: bool,
    pub(crate) cursor: Option<String>,
}

impl Paging {
    /// With a cursor only when there is more.
    pub(crate) fn new(more: bool, cursor: impl FnOnce() -> Option<String>) -> Self {
        Self {
            more,
            cursor: if more { cursor() } else { None },
        }
    }
}

/// 200 with Courier's word for a write that took effect.
pub(crate) fn success(committed: Committed) -> Response {
    #[derive(Serialize)]
    struct Success {
        status: &'static str,
    }
    at(committed, json(&Success { status: "SUCCESS" }))
}

/// 204: a write took effect.
pub(crate) fn no_content(committed: Committed) -> Response {
    at(committed, StatusCode::NO_CONTENT.into_response())
}

pub(crate) fn at(committed: Committed, mut response: Response) -> Response {
    response
        .extensions_mut()
        .insert(AnswerPosition(committed.position));
    response
}
