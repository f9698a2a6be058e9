use axum::extract::State;
use axum::response::Response;
use domain::limits::BACKTEST_POINTS_MAX;
use engine::BacktestPoint;
use serde::Serialize;
use types::filter::{Moment, Window};
use types::{Clock as _, SystemClock, Timestamp};
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::extract::body::Fields;
use crate::extract::origin::Authenticated;
use crate::routes::json;
use crate::state::ApiState;

#[derive(Serialize, ToSchema)]
pub(crate) struct BacktestAnswer {
    points: Vec<Point>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Point {
    at: String,
    /// Of the last event that is counted.
    position: u64,
    count: u64,
}

impl From<BacktestPoint> for Point {
    fn from(point: BacktestPoint) -> Self {
        Self {
            at: point.at.to_rfc3339_millis(),
            position: point.position.0,
            count: point.count,
        }
    }
}

/// `POST /v1/audiences/backtest`: how many people a rule would have matched, step by step.
pub(crate) async fn backtest(
    State(state): State<ApiState>,
    _: Authenticated,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let rule = body.required_rule()?;
    let from = required_past(&mut body, "from")?;
    let to = required_past(&mut body, "to")?;
    if to < from {
        return Err(ApiError::invalid_field(
            "/to",
            "a time that is not before `from`",
        ));
    }
    let step = body.string("step")?;
    let step = Window::parse(&step).map_err(|_| {
        let expected = "an ISO 8601 duration longer than nothing, such as P1D";
        ApiError::invalid_field("/step", expected)
    })?;
    let times = times(from, to, &step).ok_or_else(|| {
        let expected = format!("so long that there are at most {BACKTEST_POINTS_MAX} points");
        ApiError::invalid_field("/step", &expected)
    })?;
    let points = state.backtest(rule, times).await?;
    Ok(json(&BacktestAnswer {
        points: points.into_iter().map(Point::from).collect(),
    }))
}

fn required_past(body: &mut Fields, name: &str) -> Result<Timestamp, ApiError> {
    let pointer = body.pointer(name);
    let time = body.moment(name)?;
    let time = time.ok_or_else(|| ApiError::missing_field(&pointer))?;
    if time > SystemClock.now() {
        return Err(ApiError::invalid_field(
            &pointer,
            "a time that is not in the future",
        ));
    }
    Ok(time)
}

/// From the first time on, each a step after the one before; nothing if that are too many.
fn times(from: Timestamp, to: Timestamp, step: &Window) -> Option<Vec<Timestamp>> {
    let (mut at, last) = (Moment::from(from), Moment::from(to));
    let mut times = Vec::new();
    while at <= last {
        if times.len() == BACKTEST_POINTS_MAX {
            return None;
        }
        times.push(at.to_timestamp());
        at = step.after(at);
    }
    Some(times)
}
