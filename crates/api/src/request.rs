//! What every request has in common: an id, a position, one form of error, a line in the trace.

use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::limits::REQUEST_ID_BYTES_MAX;
use types::{Clock as _, CommandId, Position, StreamVersion, SystemClock};

use crate::admission::Route;
use crate::error::ApiError;
use crate::extract::body::{BodyRead, announced_bytes, read_body};
use crate::state::{ApiState, SMALL_BODY_BYTES_MAX};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MUSTER_POSITION: HeaderName = HeaderName::from_static("muster-position");

/// The position up to which an answer speaks, where that is not simply the present.
#[derive(Clone, Copy)]
pub(crate) struct AnswerPosition(pub(crate) Position);

/// The position of the past state that an answer shows.
#[derive(Clone, Copy)]
pub(crate) struct PastPosition(pub(crate) Position);

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

/// Around every request but a browser's preflight: gives it an id, its answer the position, and an error its body; counts it and
/// traces it. A trace names routes and not paths: those hold user ids.
pub(crate) async fn frame(
    State(state): State<ApiState>,
    mut request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let _counted = state.metrics.request();
    let trace = TraceParent::of(request.headers());
    let id = request_id(request.headers(), trace.as_ref());
    request.extensions_mut().insert(id.clone());
    let method = known_method(request.method());
    let unmatched = match request.uri().path() {
        "/healthz" => "/healthz",
        "/readyz" => "/readyz",
        _ => "none",
    };
    // Taken before the query runs: what it shows is at least as new.
    let before = state.read_models.checkpoint();
    let mut response = within_room(&state, request, next, &id, before).await;
    let route = response.extensions_mut().remove::<Route>();
    let route = route.map_or(unmatched, |Route(path)| path);
    let took = began.elapsed();
    let status = response.status().as_u16();
    state.metrics.request_ended(method, route, status, took);
    tracing::info!(
        request.id = &*id.text,
        trace.id = trace.as_ref().map(|trace| &*trace.id),
        trace.parent = trace.as_ref().map(|trace| &*trace.parent),
        method,
        route,
        status,
        milliseconds = took.as_secs_f64() * 1_000.0,
        "answered"
    );
    protect(response.headers_mut(), state.secure);
    response
}

async fn within_room(
    state: &ApiState,
    request: Request,
    next: Next,
    id: &RequestId,
    before: Position,
) -> Response {
    let read = BodyRead::default();
    let (mut request, unread) = match with_small_body(request).await {
        Ok(request) => request,
        Err(error) => return finish(error.into_response(), id, before, true),
    };
    request.extensions_mut().insert(read.clone());
    // Whoever sends slowly takes no room from others, and whoever asks after the server's health is told.
    let room = state.requests.try_acquire();
    if room.is_err() && !is_health(request.uri().path()) {
        return finish(ApiError::busy().into_response(), id, before, unread);
    }
    let response = state.answers.hold(next.run(request).await);
    finish(response, id, before, unread && !read.is_noted())
}

fn is_health(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz")
}

/// What browsers are told about every answer: that it is data, for whoever asked and nobody else.
fn protect(headers: &mut HeaderMap, secure: bool) {
    const HEADERS: [(HeaderName, HeaderValue); 5] = [
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
        ),
    ];
    headers.reserve(HEADERS.len() + 1);
    for (name, value) in HEADERS {
        // The pages of the documentation say something else.
        headers.entry(name).or_insert(value);
    }
    if secure {
        let a_year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, a_year);
    }
}

/// There are only so many methods to count by.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Of which trace the request is a part (W3C Trace Context, section 3.2).
struct TraceParent {
    id: Arc<str>,
    parent: Arc<str>,
}

impl TraceParent {
    /// Nothing where the header is missing, given twice or not well-formed.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let mut given = headers.get_all("traceparent").iter();
        let (Some(text), None) = (given.next(), given.next()) else {
            return None;
        };
        let mut parts = text.to_str().ok()?.split('-');
        let (version, id, parent) = (parts.next()?, parts.next()?, parts.next()?);
        let flags = parts.next()?;
        let hex = |text: &str, length| {
            let digits = text
                .bytes()
                .all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
            text.len() == length && digits
        };
        let some = |text: &str| text.bytes().any(|it| it != b'0');
        let fits = hex(version, 2)
            && version != "ff"
            && (version != "00" || parts.next().is_none())
            && hex(id, 32)
            && some(id)
            && hex(parent, 16)
            && some(parent)
            && hex(flags, 2);
        fits.then(|| Self {
            id: id.into(),
            parent: parent.into(),
        })
    }
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
        let (parts, _) = response.into_parts();
        response = error.into_response_for(&id.text);
        *response.extensions_mut() = parts.extensions;
        // What the body does not say: which methods there are, and how many requests are left.
        let said =
            |name: &HeaderName| *name == header::ALLOW || name.as_str().starts_with("ratelimit-");
        let kept = parts.headers.iter().filter(|(name, _)| said(name));
        for (name, value) in kept {
            response.headers_mut().insert(name, value.clone());
        }
    }
    let extensions = response.extensions();
    let past = extensions.get::<PastPosition>().map(|past| past.0);
    let position = past.unwrap_or_else(|| {
        let answered = extensions.get::<AnswerPosition>();
        answered.map_or(before, |position| position.0)
    });
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

/// The version of something as a strong entity tag (RFC 9110, section 8.8.3).
pub(crate) fn entity_tag(version: StreamVersion) -> String {
    format!("\"{}\"", version.0)
}

/// The caller's id if it is fit to be one, else that of its trace, else a new one.
fn request_id(headers: &HeaderMap, trace: Option<&TraceParent>) -> RequestId {
    let given = headers
        .get(REQUEST_ID)
        .and_then(|id| id.to_str().ok())
        .filter(|id| {
            !id.is_empty()
                && id.len() <= REQUEST_ID_BYTES_MAX
                && id.bytes().all(|byte| byte.is_ascii_graphic())
        });
    let given = given.map(Arc::from);
    match given.or_else(|| trace.map(|trace| Arc::clone(&trace.id))) {
        Some(text) => RequestId { text, given: true },
        None => RequestId {
            text: CommandId::generate(SystemClock.now()).to_string().into(),
            given: false,
        },
    }
}
