use axum::extract::{Path, State};
use axum::response::Response;
use engine::{Order, TimelineEvent, TimelineQuery};
use serde::Serialize;
use types::Position;
use utoipa::ToSchema;

use crate::cursor;
use crate::error::ApiError;
use crate::extract::query::Parameters;
use crate::reach::Reach;
use crate::routes::{Paging, json};
use crate::state::ApiState;

const COLLECTION: &str = "timeline";

#[derive(Serialize, ToSchema)]
pub(crate) struct TimelinePage {
    #[schema(value_type = Vec<Object>)]
    items: Vec<TimelineEvent>,
    paging: Paging,
}

/// `GET /v1/users/{user_id}/timeline`: everything that happened to a person, and what it changed. Who was
/// erased is found by what they are called since.
pub(crate) async fn page(
    State(state): State<ApiState>,
    reach: Reach,
    Path(user): Path<String>,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let subject = state.read_models.subjects.named(&user);
    let subject = subject.ok_or_else(ApiError::user_not_found)?;
    let order = match parameters.get("order") {
        None | Some("desc") => Order::Descending,
        Some("asc") => Order::Ascending,
        Some(_) => return Err(ApiError::invalid_parameter("order", "asc or desc")),
    };
    let place = parameters.place_checked(COLLECTION)?;
    let from = place.map(|place| place.parse().map(Position)).transpose();
    let query = TimelineQuery {
        order,
        from: from.map_err(|_| ApiError::invalid_cursor())?,
        limit: parameters.limit()?,
        within: reach.tenant().cloned(),
    };
    let answer = move |state: &ApiState, still_wanted: &dyn Fn() -> bool| {
        let page = state.history.timeline(subject, &query, still_wanted)?;
        let next = page.next;
        Ok(json(&TimelinePage {
            items: page.items,
            paging: Paging::new(next.is_some(), || {
                next.map(|next| cursor::encode(COLLECTION, &next.to_string()))
            }),
        }))
    };
    state.scan(answer).await?
}
