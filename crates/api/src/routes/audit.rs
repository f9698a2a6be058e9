use axum::extract::State;
use axum::response::Response;
use engine::{EventJson, EventsQuery, Order};
use serde::Serialize;
use types::{PageLimit, Position};
use utoipa::ToSchema;

use crate::cursor;
use crate::error::ApiError;
use crate::extract::origin::Authenticated;
use crate::extract::path::{AuditEventId, Id};
use crate::extract::query::Parameters;
use crate::routes::{Paging, json};
use crate::state::ApiState;

const COLLECTION: &str = "audit events";
/// What administers the server and how it looks, not what is written about people: that is in
/// `/v1/events`.
const ADMINISTRATIVE: &[&str] = &[
    "key.issued",
    "key.expiry_set",
    "key.revoked",
    "webhook.*",
    "brand.*",
    "section.*",
    "topic.*",
    "preference_page.*",
];

fn administrative() -> Vec<String> {
    ADMINISTRATIVE.iter().map(|it| (*it).to_owned()).collect()
}

#[derive(Serialize, ToSchema)]
pub(crate) struct AuditEvent {
    #[serde(rename = "auditEventId")]
    id: String,
    actor: Actor,
    source: String,
    target: String,
    timestamp: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Actor {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_behalf_of: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct AuditEventsPage {
    results: Vec<AuditEvent>,
    paging: Paging,
}

impl From<EventJson> for AuditEvent {
    fn from(event: EventJson) -> Self {
        Self {
            id: event.position.to_string(),
            actor: Actor {
                id: event.actor.id,
                on_behalf_of: event.actor.on_behalf_of,
            },
            source: event.actor.name,
            target: event.stream,
            timestamp: event.recorded_at,
            kind: event.event_type,
        }
    }
}

/// `GET /audit-events`: administrative acts, newest first.
pub(crate) async fn page(
    State(state): State<ApiState>,
    _: Authenticated,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let before = parameters.place(COLLECTION);
    let query = EventsQuery {
        event_types: administrative(),
        order: Order::Descending,
        before: before.and_then(|place| place.parse().ok().map(Position)),
        limit: parameters.limit_clamped(),
        ..EventsQuery::default()
    };
    let answer = move |state: &ApiState, still_wanted: &dyn Fn() -> bool| {
        let page = state.history.page(&query, still_wanted)?;
        let next = page.next;
        let cursor = next.map(|next| cursor::encode(COLLECTION, &next.to_string()));
        Ok(json(&AuditEventsPage {
            results: page.items.into_iter().map(AuditEvent::from).collect(),
            paging: Paging::new(cursor.is_some(), || cursor),
        }))
    };
    state.scan(answer).await?
}

/// `GET /audit-events/{audit_event_id}`.
pub(crate) async fn get(
    State(state): State<ApiState>,
    _: Authenticated,
    Id(AuditEventId(id)): Id<AuditEventId>,
) -> Result<Response, ApiError> {
    // Written as it was shown, and no other way.
    let position = id.parse::<u64>().ok().filter(|it| it.to_string() == id);
    let position = position.ok_or_else(ApiError::audit_event_not_found)?;
    let query = EventsQuery {
        event_types: administrative(),
        after: Some(Position(position.saturating_sub(1))),
        before: Some(Position(position.saturating_add(1))),
        limit: PageLimit::default(),
        ..EventsQuery::default()
    };
    let answer = move |state: &ApiState, still_wanted: &dyn Fn() -> bool| {
        let page = state.history.page(&query, still_wanted)?;
        let event = page.items.into_iter().find(|it| it.position == position);
        let event = event.ok_or_else(ApiError::audit_event_not_found)?;
        Ok(json(&AuditEvent::from(event)))
    };
    state.scan(answer).await?
}
