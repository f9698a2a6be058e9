//! What it takes to check the log from outside, in the text forms of C2SP.

use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use domain::TenantCommand;
use engine::{Command, Committed, TenantHistoryRecorded};
use proofs::Tile;
use serde::Serialize;
use transparency::{ProveError, TransparencyLog};
use types::{Position, TenantId};
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::extract::origin::{Authenticated, Origin};
use crate::extract::path::{AtPosition, Id};
use crate::extract::query::Parameters;
use crate::reach::Reach;
use crate::routes::kept;
use crate::state::ApiState;

/// `GET /v1/log/checkpoint`: how large the log is and which root it has, signed now.
pub(crate) async fn checkpoint(
    State(state): State<ApiState>,
    _: Authenticated,
) -> Result<Response, ApiError> {
    prove(&state, TransparencyLog::checkpoint).await
}

/// `GET /v1/log/proof/inclusion`: that a record is in the log.
pub(crate) async fn inclusion(
    State(state): State<ApiState>,
    reach: Reach,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let position = required(&parameters, "position")?;
    let size = number(&parameters, "size")?;
    if position == 0 {
        let expected = "a position, which begin at 1";
        return Err(ApiError::invalid_parameter("position", expected));
    }
    visible(&state, reach, Position(position)).await?;
    prove(&state, move |log| {
        let proof = log.inclusion(Position(position), size)?;
        Ok(proof.to_string())
    })
    .await
}

/// `GET /v1/log/proof/consistency`: that the log only grew.
pub(crate) async fn consistency(
    State(state): State<ApiState>,
    _: Authenticated,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let from = required(&parameters, "from")?;
    let to = number(&parameters, "to")?;
    prove(&state, move |log| {
        Ok(log.consistency(from, to)?.to_string())
    })
    .await
}

/// `GET /v1/log/keys`: with what checkpoints are checked, and how the keys came one after the other.
pub(crate) async fn keys(State(state): State<ApiState>, _: Authenticated) -> Response {
    text(state.transparency.keys().history().to_string())
}

/// `GET /v1/log/tile/…`: hashes of the tree, in the layout of tlog-tiles.
pub(crate) async fn tile(
    State(state): State<ApiState>,
    _: Authenticated,
    path: Result<Path<String>, axum::extract::rejection::PathRejection>,
) -> Result<Response, ApiError> {
    let Ok(Path(path)) = path else {
        return Err(ApiError::tile_not_found());
    };
    let tile: Result<Tile, _> = format!("tile/{path}").parse();
    let tile = tile.map_err(|_| ApiError::tile_not_found())?;
    let answer = move |state: &ApiState, _: &dyn Fn() -> bool| state.transparency.tile(tile);
    let bytes = state.scan(answer).await?.map_err(ApiError::from)?;
    bytes.map(octets).ok_or_else(ApiError::tile_not_found)
}

/// `GET /v1/log/records/{position}`: a record as it is stored, which is what the tree covers.
pub(crate) async fn record(
    State(state): State<ApiState>,
    reach: Reach,
    AtPosition(position): AtPosition,
) -> Result<Response, ApiError> {
    visible(&state, reach, position).await?;
    let answer = move |state: &ApiState, _: &dyn Fn() -> bool| state.transparency.record(position);
    let record = state.scan(answer).await?.map_err(ApiError::from)?;
    Ok(octets(record))
}

#[derive(Serialize, ToSchema)]
pub(crate) struct TenantHistory {
    /// Records about the tenant.
    size: u64,
    /// The root of the tree over them, in hexadecimal digits.
    root: String,
    /// Up to which position.
    through: u64,
}

/// `POST /v1/tenants/{tenant_id}/log/checkpoint`: has the log take note of how much there is about the
/// tenant.
pub(crate) async fn record_history(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(tenant): Id<TenantId>,
) -> Result<Response, ApiError> {
    if state.read_models.tenants.details(&tenant).is_none() {
        return Err(ApiError::tenant_not_found());
    }
    let of = tenant.clone();
    let read = move |state: &ApiState, still_wanted: &dyn Fn() -> bool| {
        state.history.tenant_head(&of, still_wanted)
    };
    let head = state.scan(read).await?.map_err(ApiError::from)?;
    let recorded = TenantHistoryRecorded {
        size: head.size,
        root: head.root.to_string(),
        through: head.through.0,
    };
    let shown = TenantHistory {
        size: recorded.size,
        root: recorded.root.clone(),
        through: recorded.through,
    };
    let command = Command::Tenant {
        tenant,
        command: TenantCommand::RecordHistory(recorded),
    };
    let answer = move |_: &Committed| kept(StatusCode::OK, &shown);
    Ok(state.execute_once(command, origin, answer).await?)
}

/// What a key that is restricted to a tenant does not see is to it as if it were not there.
async fn visible(state: &ApiState, reach: Reach, position: Position) -> Result<(), ApiError> {
    if reach.tenant().is_none() {
        return Ok(());
    }
    let answer = move |state: &ApiState, _: &dyn Fn() -> bool| {
        let event = state.history.event(position, reach.tenant())?;
        event.map(drop).ok_or_else(ApiError::event_not_found)
    };
    state.scan(answer).await?
}

async fn prove(
    state: &ApiState,
    make: impl FnOnce(&TransparencyLog) -> Result<String, ProveError> + Send + 'static,
) -> Result<Response, ApiError> {
    let answer = move |state: &ApiState, _: &dyn Fn() -> bool| make(&state.transparency);
    let proof = state.scan(answer).await?.map_err(ApiError::from)?;
    Ok(text(proof))
}

fn number(parameters: &Parameters, name: &str) -> Result<Option<u64>, ApiError> {
    parameters.parsed(name, "a whole number")
}

fn required(parameters: &Parameters, name: &str) -> Result<u64, ApiError> {
    number(parameters, name)?.ok_or_else(|| ApiError::missing_parameter(name))
}

fn text(text: String) -> Response {
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

fn octets(bytes: Vec<u8>) -> Response {
    let kind = HeaderValue::from_static("application/octet-stream");
    ([(header::CONTENT_TYPE, kind)], bytes).into_response()
}
