pub(crate) mod stream;

use axum::extract::State;
use axum::response::Response;
use engine::{EventJson, EventsQuery, Order};
use serde::Serialize;
use types::{Position, TenantId};
use utoipa::ToSchema;

use crate::cursor;
use crate::error::ApiError;
use crate::extract::path::AtPosition;
use crate::extract::query::Parameters;
use crate::reach::Reach;
use crate::routes::{Paging, json};
use crate::state::ApiState;

const COLLECTION: &str = "events";

#[derive(Serialize, ToSchema)]
pub(crate) struct EventsPage {
    #[schema(value_type = Vec<Object>)]
    items: Vec<EventJson>,
    paging: Paging,
}

/// `GET /v1/events`: what happened, by stream, type, person, credential, request,
/// position and time.
pub(crate) async fn page(
    State(state): State<ApiState>,
    reach: Reach,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let mut query = query(&parameters)?;
    query.within = reach.tenant().cloned();
    let answer = move |state: &ApiState, still_wanted: &dyn Fn() -> bool| {
        let page = state.history.page(&query, still_wanted)?;
        let cursor = page
            .next
            .map(|next| cursor::encode(COLLECTION, &next.to_string()));
        let paging = Paging {
            more: cursor.is_some(),
            cursor,
        };
        Ok(json(&EventsPage {
            items: page.items,
            paging,
        }))
    };
    state.scan(answer).await?
}

/// `GET /v1/events/{position}`.
pub(crate) async fn get(
    State(state): State<ApiState>,
    reach: Reach,
    AtPosition(position): AtPosition,
) -> Result<Response, ApiError> {
    // One block is read: too little to wait for one's turn behind others.
    let read = move || {
        let history = &state.history;
        history.event(position, reach.tenant())
    };
    let event = tokio::task::spawn_blocking(read)
        .await
        .expect("reading does not panic")?;
    event
        .map(|event| json(&event))
        .ok_or_else(ApiError::event_not_found)
}

/// Which events, wherever they stand.
fn filters(parameters: &Parameters) -> Result<EventsQuery, ApiError> {
    let text = |name| parameters.get(name).map(str::to_owned);
    let tenant: Option<TenantId> = parameters.id("tenant_id")?;
    Ok(EventsQuery {
        stream: text("stream"),
        event_type: text("type"),
        subject: text("subject"),
        actor: text("actor"),
        tenant_id: tenant.map(Into::into),
        correlation_id: text("correlation_id"),
        ..EventsQuery::default()
    })
}

fn query(parameters: &Parameters) -> Result<EventsQuery, ApiError> {
    let position = |name| {
        parameters
            .parsed::<u64>(name, "a position, which is a whole number")
            .map(|it| it.map(Position))
    };
    let order = match parameters.get("order") {
        None | Some("asc") => Order::Ascending,
        Some("desc") => Order::Descending,
        Some(_) => return Err(ApiError::invalid_parameter("order", "asc or desc")),
    };
    let mut query = EventsQuery {
        since: parameters.parsed("since", "an RFC 3339 time")?,
        until: parameters.parsed("until", "an RFC 3339 time")?,
        after: position("after")?,
        before: position("before")?,
        order,
        limit: parameters.limit()?,
        ..filters(parameters)?
    };
    if let Some(place) = parameters.place_checked(COLLECTION)? {
        let place = Position(place.parse().map_err(|_| ApiError::invalid_cursor())?);
        match order {
            Order::Ascending => query.after = Some(place),
            Order::Descending => query.before = Some(place),
        }
    }
    Ok(query)
}
