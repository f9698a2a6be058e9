//! What every request has in common: an id, a credential, a position, one form of error.

use std::sync::Arc;

use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::limits::REQUEST_ID_BYTES_MAX;
use types::{Clock as _, CommandId, Position, SystemClock};

use crate::error::ApiError;
use crate::extract::body::{BodyRead, announced_bytes, read_body};
use crate::state::{ApiState, SMALL_BODY_BYTES_MAX};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MUSTER_POSITION: HeaderName = HeaderName::from_static("muster-position");

/// The position up to which an answer speaks, where that is not simply the present.
#[derive(Clone, Copy)]
pub(crate) struct AnswerPosition(pub(crate) Position);

#[derive(Clone)]
pub(crate) struct RequestId {
    text: Arc<str>,
    given: bool,
}

impl RequestId {
    /// The id, if the caller chose it.
    pub(crate) fn given(&self) -> Option<&str> {
        self.given.then_some(&*self.text)
    }
}

/// Around every request: gives it an id, its answer the position, and an error its body.
pub(crate) async fn frame(
    State(state): State<ApiState>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = request_id(request.headers());
    request.extensions_mut().insert(id.clone());
    // Taken before the query runs: what it shows is at least as new.
    let before = state.read_models.checkpoint();
    tracing::debug!(request.id = &*id.text, method = %request.method(), "request");
    let read = BodyRead::default();
    let (mut request, unread) = match with_small_body(request).await {
        Ok(request) => request,
        Err(error) => return finish(error.into_response(), &id, before, true),
    };
    request.extensions_mut().insert(read.clone());
    let response = next.run(request).await;
    finish(response, &id, before, unread && !read.is_noted())
}

/// A small body is read before anything else, so that the connection can go on whatever becomes of
/// the request. Says whether there is a body that is still to be read.
async fn with_small_body(request: Request) -> Result<(Request, bool), ApiError> {
    match announced_bytes(request.headers()) {
        Some(bytes) if bytes <= SMALL_BODY_BYTES_MAX => {
            let (parts, body) = request.into_parts();
            let bytes = read_body(body, SMALL_BODY_BYTES_MAX).await?;
            Ok((Request::from_parts(parts, Body::from(bytes)), false))
        }
        Some(_) => Ok((request, true)),
        None => {
            let unread = !request.body().is_end_stream();
            Ok((request, unread))
        }
    }
}

fn finish(mut response: Response, id: &RequestId, before: Position, close: bool) -> Response {
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        let allow = response.headers_mut().remove(header::ALLOW);
        response = error.into_response_for(&id.text);
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    let position = response
        .extensions()
        .get::<AnswerPosition>()
        .map_or(before, |position| position.0);
    response
        .headers_mut()
        .insert(MUSTER_POSITION, HeaderValue::from(position.0));
    // A client that is not told would send its next request into a connection that is at its end.
    if close {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    if let Ok(id) = HeaderValue::from_str(&id.text) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Around every route but the health checks: nobody gets in without a credential.
pub(crate) async fn authenticate(
    State(state): State<ApiState>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(credential) = request.headers().get(header::AUTHORIZATION) else {
        return ApiError::credential_missing().into_response();
    };
    let principal = credential
        .to_str()
        .ok()
        .and_then(|credential| credential.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .and_then(|(_, key)| state.authenticator.principal(key.trim()));
    let Some(principal) = principal else {
        return ApiError::credential_invalid().into_response();
    };
    request.extensions_mut().insert(principal);
    next.run(request).await
}

/// The caller's id if it is fit to be one, else a new one.
fn request_id(headers: &HeaderMap) -> RequestId {
    let given = headers
        .get(REQUEST_ID)
        .and_then(|id| id.to_str().ok())
        .filter(|id| {
            !id.is_empty()
                && id.len() <= REQUEST_ID_BYTES_MAX
                && id.bytes().all(|byte| byte.is_ascii_graphic())
        });
    match given {
        Some(id) => RequestId {
            text: id.into(),
            given: true,
        },
        None => RequestId {
            text: CommandId::generate(SystemClock.now()).to_string().into(),
            given: false,
        },
    }
}
