//! The feed as Server-Sent Events, as the HTML standard has them (section 9.2).

use std::convert::Infallible;
use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use auth::Principal;
use axum::Extension;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use engine::{EventsQuery, Followed, Subscription};
use http_body::Frame;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use types::Position;

use crate::admission;
use crate::error::ApiError;
use crate::extract::query::Parameters;
use crate::reach::Reach;
use crate::state::ApiState;

use super::filters;

/// Streams at the same time; more are told that the server is busy.
pub(crate) const STREAMS_MAX: usize = 256;
/// So often something is sent, whether anything happened or not: what stands between takes a connection
/// on which nothing comes for one that is dead.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// So often it is asked whether the credential is still good.
const CREDENTIAL_CHECK: Duration = Duration::from_secs(1);
/// Whoever is further behind than so many events is told,
const LAG_TOLD: u64 = 10_000;
/// and told again after so long.
const LAG_TOLD_AGAIN: Duration = Duration::from_secs(5);
/// Whoever has read everything waits so long for the next piece, so that many small groups become one.
const BREATH: Duration = Duration::from_millis(10);
/// So long a reader that is slow is waited for to be told why the stream ends.
const LAST_WORD: Duration = Duration::from_millis(500);
/// How a client is told to wait before it comes again, in milliseconds.
const RETRY: &str = "retry: 1000\n";

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// `GET /v1/events/stream`: what happens from a position on, as it happens.
pub(crate) async fn follow(
    State(state): State<ApiState>,
    reach: Reach,
    Extension(principal): Extension<Principal>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    for name in ["before", "since", "until", "order", "limit", "cursor"] {
        if parameters.get(name).is_some() {
            let expected = "left out: a stream goes on for ever, oldest first";
            return Err(ApiError::invalid_parameter(name, expected));
        }
    }
    let mut query = filters(&parameters)?;
    query.within = reach.tenant().cloned();
    query.after = Some(from(&state, &headers, &parameters)?);
    let room = Arc::clone(&state.streams).try_acquire_owned();
    let room = room.map_err(|_| ApiError::busy())?;
    // One piece waits while the one before is taken; what comes after stands in the log.
    let (sender, pieces) = mpsc::channel(1);
    let following = Following {
        subscription: subscription(&state, query),
        sender,
        state,
        headers,
        principal,
    };
    tokio::spawn(async move {
        let _room = room;
        following.run().await;
    });
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream"),
        ),
        (X_ACCEL_BUFFERING, HeaderValue::from_static("no")),
    ];
    Ok((headers, Body::new(Pieces(pieces))).into_response())
}

fn subscription(state: &ApiState, query: EventsQuery) -> Subscription {
    let (history, turns) = (state.history.clone(), Arc::clone(&state.stream_turns));
    Subscription::new(history, query, state.engine.progress(), turns)
}

/// Where to begin: where the client was before, or where it asks to, or now. A position that the log has
/// not reached is one of another log, and waiting for it would pass over events in silence.
fn from(
    state: &ApiState,
    headers: &HeaderMap,
    parameters: &Parameters,
) -> Result<Position, ApiError> {
    const EXPECTED: &str = "a position that the log has reached";
    let head = state.read_models.checkpoint();
    let known = |position: &u64| *position <= head.0;
    if let Some(last) = headers.get(&LAST_EVENT_ID) {
        let last = last.to_str().ok().and_then(|last| last.parse().ok());
        let last = last.filter(known);
        let refused = || ApiError::invalid_header(LAST_EVENT_ID.as_str(), EXPECTED);
        return last.map(Position).ok_or_else(refused);
    }
    match parameters.parsed::<u64>("after", EXPECTED)? {
        None => Ok(head),
        Some(after) if known(&after) => Ok(Position(after)),
        Some(_) => Err(ApiError::invalid_parameter("after", EXPECTED)),
    }
}

struct Following {
    subscription: Subscription,
    sender: mpsc::Sender<Bytes>,
    state: ApiState,
    /// With the credential, which may end before the stream does.
    headers: HeaderMap,
    principal: Principal,
}

/// Why a stream ends that its reader did not end.
enum End {
    Stopping,
    CredentialEnded,
    Unreadable,
}

impl End {
    fn reason(&self) -> &'static str {
        match self {
            Self::Stopping => "stopping",
            Self::CredentialEnded => "credential_invalid",
            Self::Unreadable => "internal_error",
        }
    }
}

impl Following {
    async fn run(mut self) {
        let _counted = self.state.metrics.event_stream();
        let mut stopping = self.state.stopping.clone();
        let (sender, state) = (self.sender.clone(), self.state.clone());
        let (headers, principal) = (self.headers.clone(), self.principal.clone());
        let end = tokio::select! {
            // Whoever has gone away does not want to know.
            () = sender.closed() => return,
            _ = stopping.wait_for(|stopping| *stopping) => End::Stopping,
            () = credential_ended(&state, &headers, &principal) => End::CredentialEnded,
            end = self.send_all() => match end {
                Some(end) => end,
                None => return,
            },
        };
        let last = format!("event: end\ndata: {{\"reason\":\"{}\"}}\n\n", end.reason());
        // Whoever does not take even the piece before hears it from the end of the stream.
        let _ = timeout(LAST_WORD, self.sender.send(last.into())).await;
    }

    /// Ends when the reader is gone, or with the reason why nothing more can be sent.
    async fn send_all(&mut self) -> Option<End> {
        // Whoever comes again goes on from here, even if nothing came that was theirs.
        let begin = format!("{RETRY}id: {}\n\n", self.subscription.after());
        self.sender.send(begin.into()).await.ok()?;
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeat.reset();
        let mut told: Option<Instant> = None;
        loop {
            tokio::select! {
                more = self.subscription.wait() => if !more {
                    return Some(End::Stopping);
                },
                _ = heartbeat.tick() => {
                    let beat = format!(": nothing new\nid: {}\n\n", self.subscription.after());
                    self.sender.send(beat.into()).await.ok()?;
                    continue;
                }
            }
            let followed = match self.subscription.next().await {
                Ok(followed) => followed,
                Err(error) => {
                    tracing::error!(%error, "the feed cannot be read");
                    return Some(End::Unreadable);
                }
            };
            let mut text = shown(&followed);
            let behind = followed.behind();
            let is_news = told.is_none_or(|told| told.elapsed() >= LAG_TOLD_AGAIN);
            if behind > LAG_TOLD && is_news {
                told = Some(Instant::now());
                text.push_str(&lag(&followed));
            }
            self.state.metrics.streamed(followed.items.len());
            if !text.is_empty() {
                self.sender.send(text.into()).await.ok()?;
                heartbeat.reset();
            }
            if behind == 0 {
                sleep(BREATH).await;
            }
        }
    }
}

/// Ends once the credential opens nothing here any more, or something else than before.
pub(crate) async fn credential_ended(state: &ApiState, headers: &HeaderMap, principal: &Principal) {
    let mut checks = interval(CREDENTIAL_CHECK);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        checks.tick().await;
        let now = admission::principal(state, headers);
        if !now.is_ok_and(|now| now.id == principal.id && now.tenant == principal.tenant) {
            return;
        }
    }
}

fn shown(followed: &Followed) -> String {
    let mut text = String::new();
    for event in &followed.items {
        let json = serde_json::to_string(event).expect("events are plain data");
        // JSON holds no line break outside its strings, and none inside that is not escaped.
        write!(text, "id: {}\ndata: {json}\n\n", event.position)
            .expect("a string takes every text");
    }
    text
}

fn lag(followed: &Followed) -> String {
    let (behind, through, head) = (followed.behind(), followed.through, followed.head);
    format!("event: lag\ndata: {{\"behind\":{behind},\"position\":{through},\"head\":{head}}}\n\n")
}

/// A body that is sent as its pieces come.
pub(crate) struct Pieces(pub(crate) mpsc::Receiver<Bytes>);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.0.poll_recv(context);
        next.map(|next| next.map(|bytes| Ok(Frame::data(bytes))))
    }
}
