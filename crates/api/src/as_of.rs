//! The past, asked as the present is: which moment is meant, and the state as of it.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;

use auth::Principal;
use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts as _, Request};
use axum::http::request::Parts;
use axum::http::{HeaderName, Method};
use axum::response::Response;
use engine::{BacktestPoint, PastState, Snapshots, Turn, Until};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::Service as _;
use types::filter::Group;
use types::{Clock as _, Position, SystemClock, Timestamp};

use crate::error::ApiError;
use crate::extract::query::Parameters;
use crate::router::past_router;
use crate::state::ApiState;

/// The query parameter, and the field of a body.
pub(crate) const AS_OF: &str = "as_of";
pub(crate) const MUSTER_AS_OF: HeaderName = HeaderName::from_static("muster-as-of");

/// Requests that wait for a past state to be built; more are told that the server is busy.
const WAITING_MAX: usize = 16;

/// The moment about which somebody asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AsOf {
    Position(Position),
    Time(Timestamp),
}

impl AsOf {
    /// A position or an RFC 3339 time.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_number = !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
        if is_number {
            return text.parse().ok().map(|it| Self::Position(Position(it)));
        }
        text.parse().ok().map(Self::Time)
    }

    /// What the body of a request asks for: a position as a number, a time as text.
    pub(crate) fn of_value(value: &Value) -> Option<Self> {
        match value {
            Value::Number(position) => position.as_u64().map(|it| Self::Position(Position(it))),
            Value::String(text) => Self::parse(text),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// What the request asks for in its query or in its header.
    pub(crate) async fn of(parts: &mut Parts, state: &ApiState) -> Result<Option<Self>, ApiError> {
        let header = parts.headers.get(MUSTER_AS_OF);
        // The name may be written in other ways, too.
        let may_ask = |query: &str| query.contains(AS_OF) || query.contains('%');
        let asks = parts.uri.query().is_some_and(may_ask);
        if header.is_none() && !asks {
            return Ok(None);
        }
        let mut pairs = parts.uri.query().into_iter().flat_map(|it| it.split('&'));
        if pairs.any(|pair| pair.trim_end_matches('=') == AS_OF) {
            return Err(ApiError::invalid_parameter(AS_OF, EXPECTED));
        }
        let header = header.map(|value| {
            let read = value.to_str().ok().and_then(Self::parse);
            read.ok_or_else(|| ApiError::invalid_header(MUSTER_AS_OF.as_str(), EXPECTED))
        });
        let header = header.transpose()?;
        let parameters = Parameters::from_request_parts(parts, state).await?;
        let mut given = parameters.all(AS_OF);
        let parameter = given.next().map(|text| {
            Self::parse(text).ok_or_else(|| ApiError::invalid_parameter(AS_OF, EXPECTED))
        });
        let parameter = parameter.transpose()?;
        if given.next().is_some() || parameter.is_some() && header.is_some() {
            return Err(ApiError::invalid_parameter(AS_OF, "given once"));
        }
        Ok(parameter.or(header))
    }
}

pub(crate) const EXPECTED: &str = "a position or an RFC 3339 time, not in the future";

/// The state as of a moment, and how it is asked.
pub(crate) struct PastMoment {
    asked: AsOf,
    position: Position,
    turn: Turn,
    past: PastState,
    pub(crate) state: ApiState,
    router: Router,
    _room: OwnedSemaphorePermit,
}

impl PastMoment {
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// Answers what the request asks, as it would have been answered then.
    pub(crate) async fn answer(&self, parts: Parts) -> Response {
        let mut request = Request::new(Body::empty());
        // What the router found of the path is found again, so it must not be there already.
        if let Some(principal) = parts.extensions.get::<Principal>() {
            request.extensions_mut().insert(principal.clone());
        }
        *request.method_mut() = parts.method;
        *request.uri_mut() = parts.uri;
        *request.headers_mut() = parts.headers;
        let answered = self.router.clone().call(request).await;
        answered.unwrap_or_else(|never| match never {})
    }
}

/// The moments about which somebody asked, the one that was asked for last at the end.
pub(crate) struct PastMoments {
    snapshots: Arc<Snapshots>,
    kept_max: usize,
    kept: Mutex<VecDeque<Arc<PastMoment>>>,
    /// A past state is as large as the present one, so they are built one by one.
    building: Arc<Semaphore>,
    /// For as many as are kept, one that is built, and one that is still asked.
    room: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl PastMoments {
    pub(crate) fn new(snapshots: Arc<Snapshots>, kept_max: usize) -> Self {
        Self {
            snapshots,
            kept_max: kept_max.max(1),
            kept: Mutex::default(),
            building: Arc::new(Semaphore::new(1)),
            room: Arc::new(Semaphore::new(kept_max.max(1) + 2)),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
        }
    }

    fn find(&self, asked: AsOf) -> Option<Arc<PastMoment>> {
        let turn = self.snapshots.turn();
        let mut kept = self.kept.lock();
        let place = kept
            .iter()
            .position(|it| it.asked == asked && it.turn == turn)?;
        let found = kept.remove(place)?;
        kept.push_back(Arc::clone(&found));
        Some(found)
    }

    /// Whoever asks about another time of the same position needs no other state.
    fn at_position(&self, position: Position, turn: Turn) -> Option<PastState> {
        let kept = self.kept.lock();
        let same = kept
            .iter()
            .find(|it| it.position == position && it.turn == turn)?;
        Some(same.past.shared())
    }

    /// Lets go so many that there is room for one more.
    fn make_room(&self) {
        let mut let_go = Vec::new();
        {
            let mut kept = self.kept.lock();
            while kept.len() >= self.kept_max {
                let_go.extend(kept.pop_front());
            }
        }
        // Giving back so much memory takes a while, in which nobody needs to wait.
        drop(let_go);
    }

    /// Lets go what was to be forgotten since.
    pub(crate) fn tidy(&self) {
        let turn = self.snapshots.turn();
        let is_good = |moment: &Arc<PastMoment>| moment.turn == turn;
        let mut kept = self.kept.lock();
        if kept.iter().all(is_good) {
            return;
        }
        let (good, stale): (VecDeque<_>, VecDeque<_>) = kept.drain(..).partition(is_good);
        *kept = good;
        drop(kept);
        // As in `make_room`, and whoever calls must not be held up.
        thread::spawn(move || drop(stale));
    }
}

impl ApiState {
    /// The state as of a moment that is not in the future: one that is kept, or built now. Whoever asks
    /// while another is built waits.
    pub(crate) async fn moment(&self, asked: AsOf) -> Result<Arc<PastMoment>, ApiError> {
        let is_future = match asked {
            AsOf::Position(position) => position > self.read_models.checkpoint(),
            AsOf::Time(time) => time > SystemClock.now(),
        };
        if is_future {
            return Err(ApiError::invalid_parameter(AS_OF, EXPECTED));
        }
        let moments = self.moments.as_ref().ok_or_else(ApiError::busy)?;
        if let Some(found) = moments.find(asked) {
            return Ok(found);
        }
        self.in_turn(move |state, moments, still_wanted| {
            state.build_moment(asked, moments, still_wanted)
        })
        .await
    }

    /// How many people a rule would have matched at each of these times. It takes the turn of those who
    /// build past states, for it builds one, too. Nothing if nobody waits for the answer any more.
    pub(crate) async fn backtest(
        &self,
        rule: Group,
        times: Vec<Timestamp>,
    ) -> Result<Vec<BacktestPoint>, ApiError> {
        let counted = self.in_turn(move |state, moments, still_wanted| {
            let times = times.into_iter();
            let history = &state.history;
            Ok(history.backtest(&moments.snapshots, &rule, times, still_wanted)?)
        });
        Ok(counted.await?.unwrap_or_default())
    }

    /// Runs what takes as much memory as a past state where it holds up nobody, one at a time. It can ask
    /// whether its answer is still wanted: it is not once the client has gone away.
    async fn in_turn<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Self, &PastMoments, &dyn Fn() -> bool) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let moments = self.moments.as_ref().ok_or_else(ApiError::busy)?;
        let waiting = Arc::clone(&moments.waiting).try_acquire_owned();
        let waiting = waiting.map_err(|_| ApiError::busy())?;
        let turn = Arc::clone(&moments.building).acquire_owned().await;
        let wanted = Arc::new(());
        let still_wanted = Arc::downgrade(&wanted);
        let state = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            let _held = (waiting, turn);
            let moments = state.moments.as_ref().ok_or_else(ApiError::busy)?;
            run(&state, moments, &|| still_wanted.strong_count() > 0)
        });
        let answer = done.await.expect("folding the log does not panic");
        drop(wanted);
        answer
    }

    fn build_moment(
        &self,
        asked: AsOf,
        moments: &PastMoments,
        still_wanted: &dyn Fn() -> bool,
    ) -> Result<Arc<PastMoment>, ApiError> {
        // Whoever waited may find that somebody else asked the same.
        if let Some(found) = moments.find(asked) {
            return Ok(found);
        }
        let turn = moments.snapshots.turn();
        let (position, now) = match asked {
            AsOf::Position(position) => (position, self.history.recorded_at(position)?),
            AsOf::Time(time) => (self.history.position_at(time)?, time),
        };
        let same = moments.at_position(position, turn);
        moments.make_room();
        // Those that were let go may be in use still.
        let room = Arc::clone(&moments.room).try_acquire_owned();
        let room = room.map_err(|_| ApiError::busy())?;
        let past = match same {
            Some(same) => same,
            None => self.build_past(position, moments, still_wanted)?,
        };
        if past.read_models.checkpoint() != position {
            // Nobody waits for it any more.
            return Err(ApiError::busy());
        }
        let state = self.of_past(past.shared(), now);
        let moment = Arc::new(PastMoment {
            asked,
            position,
            turn,
            past,
            router: past_router(state.clone()),
            state,
            _room: room,
        });
        if moments.snapshots.turn() != turn {
            return Err(ApiError::busy());
        }
        moments.kept.lock().push_back(Arc::clone(&moment));
        Ok(moment)
    }

    fn build_past(
        &self,
        position: Position,
        moments: &PastMoments,
        still_wanted: &dyn Fn() -> bool,
    ) -> Result<PastState, ApiError> {
        let rebuilt =
            self.history
                .rebuild(&moments.snapshots, Until::Position(position), &mut |_| {
                    if still_wanted() {
                        ControlFlow::Continue(())
                    } else {
                        ControlFlow::Break(())
                    }
                })?;
        Ok(self.history.past(rebuilt))
    }
}

/// Whether the request only reads.
pub(crate) fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}
