use std::sync::{Arc, OnceLock};

use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use engine::{Answer, Command, Committed};
use serde::Serialize;
use types::JsonDocument;
use utoipa::ToSchema;

use crate::admission::is_replayed;
use crate::error::ApiError;
use crate::extract::origin::Caller;
use crate::request::{AnswerPosition, entity_tag};
use crate::state::ApiState;

pub(crate) mod audiences;
pub(crate) mod audit;
pub(crate) mod backtest;
pub(crate) mod backup;
pub(crate) mod brands;
pub(crate) mod bulk;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod health;
pub(crate) mod inbound;
pub(crate) mod inbox;
pub(crate) mod keys;
pub(crate) mod lists;
pub(crate) mod log;
pub(crate) mod members;
pub(crate) mod memberships;
pub(crate) mod messages;
pub(crate) mod metrics;
pub(crate) mod pages;
pub(crate) mod preferences;
pub(crate) mod preview;
pub(crate) mod profiles;
pub(crate) mod resolve;
pub(crate) mod send;
pub(crate) mod subscriptions;
pub(crate) mod templates;
pub(crate) mod tenants;
pub(crate) mod tokens;
pub(crate) mod topics;
pub(crate) mod user_tokens;
pub(crate) mod users;
pub(crate) mod webhooks;

/// Courier's older SDKs parse a body only if its type is exactly this, without a character set.
pub(crate) fn json<T: Serialize>(body: &T) -> Response {
    let text = serde_json::to_vec(body).expect("answers are plain data");
    let content_type = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}

#[derive(Serialize, ToSchema)]
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

/// One page in the shape that tenants and memberships have.
#[derive(Serialize, ToSchema)]
pub(crate) struct LinkedPage<T> {
    items: Vec<T>,
    has_more: bool,
    #[serde(rename = "type")]
    kind: &'static str,
    url: String,
    next_url: Option<String>,
    cursor: Option<String>,
}

impl<T> LinkedPage<T> {
    /// With a cursor and a link, which repeats the question, only when there is more.
    pub(crate) fn new(items: Vec<T>, uri: &Uri, more: bool, cursor: Option<String>) -> Self {
        let cursor = cursor.filter(|_| more);
        let next_url = cursor.as_ref().map(|cursor| {
            let pairs = uri.query().into_iter().flat_map(|query| query.split('&'));
            let question = pairs.filter(|pair| !pair.is_empty() && !pair.starts_with("cursor="));
            let mut pairs: Vec<&str> = question.collect();
            let place = format!("cursor={cursor}");
            pairs.push(&place);
            format!("{}?{}", uri.path(), pairs.join("&"))
        });
        Self {
            items,
            has_more: more,
            kind: "list",
            url: uri.path().to_owned(),
            next_url,
            cursor,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Success {
    status: &'static str,
}

const SUCCESS: Success = Success { status: "SUCCESS" };

/// 200 with Courier's word for a write that took effect.
pub(crate) fn success(committed: &Committed) -> Response {
    at(committed, json(&SUCCESS))
}

/// As [`success`], to be kept.
pub(crate) fn kept_success(_: &Committed) -> Answer {
    kept(StatusCode::OK, &SUCCESS)
}

/// As [`no_content`], to be kept.
pub(crate) fn kept_no_content(_: &Committed) -> Answer {
    Answer {
        status: StatusCode::NO_CONTENT.as_u16(),
        body: None,
    }
}

/// An answer that is kept for the case that the request is sent again.
pub(crate) fn kept<T: Serialize>(status: StatusCode, body: &T) -> Answer {
    Answer {
        status: status.as_u16(),
        body: Some(JsonDocument::of(body).expect("answers are plain data")),
    }
}

/// Creates something of which a secret is shown to whoever asked first, and not kept: sent again, the
/// request is answered without it. `without` is what is kept, `whole` what is shown.
pub(crate) async fn create_with_secret<T: Serialize + Send + Sync + 'static, W: Serialize>(
    state: &ApiState,
    command: Command,
    origin: Caller,
    without: impl FnOnce(&Committed) -> T + Send + 'static,
    whole: impl FnOnce(T) -> W,
) -> Result<Response, ApiError> {
    let created = Arc::new(OnceLock::new());
    let creating = Arc::clone(&created);
    let answer = move |committed: &Committed| {
        let new = without(committed);
        let answer = kept(StatusCode::CREATED, &new);
        let _ = creating.set(new);
        answer
    };
    let response = state.execute_once(command, origin, answer).await?;
    let created = Arc::into_inner(created).and_then(OnceLock::into_inner);
    let Some(created) = created.filter(|_| !is_replayed(&response)) else {
        return Ok(response);
    };
    let mut shown = json(&whole(created));
    *shown.status_mut() = StatusCode::CREATED;
    Ok(at_same(&response, shown))
}

/// The response that an answer is.
pub(crate) fn answered(answer: &Answer) -> Response {
    let mut response = match &answer.body {
        Some(body) => json(body),
        None => Response::default(),
    };
    // What was kept is a status that was answered.
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or_default();
    response
}

/// 204: a write took effect.
pub(crate) fn no_content(committed: &Committed) -> Response {
    at(committed, StatusCode::NO_CONTENT.into_response())
}

/// The response at the position of another.
pub(crate) fn at_same(other: &Response, mut response: Response) -> Response {
    if let Some(position) = other.extensions().get::<AnswerPosition>() {
        response.extensions_mut().insert(*position);
    }
    if let Some(tag) = other.headers().get(header::ETAG) {
        response.headers_mut().insert(header::ETAG, tag.clone());
    }
    response
}

/// The response at the position of what was written, with the version that it left.
pub(crate) fn at(committed: &Committed, mut response: Response) -> Response {
    if let Some(version) = committed.version
        && let Ok(tag) = HeaderValue::from_str(&entity_tag(version))
    {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
        .extensions_mut()
        .insert(AnswerPosition(committed.position));
    response
}
