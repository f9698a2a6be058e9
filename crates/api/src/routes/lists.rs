use axum::extract::State;
use axum::response::Response;
use domain::ListCommand;
use domain::limits::NAME_BYTES_MAX;
use engine::Command;
use projections::{ListView, PeopleWithin, ReadModels};
use serde::Serialize;
use types::{JsonDocument, ListId, ListPattern};
use utoipa::ToSchema;

use crate::cursor;
use crate::error::ApiError;
use crate::extract::body::Fields;
use crate::extract::origin::Origin;
use crate::extract::path::Id;
use crate::extract::query::Parameters;
use crate::reach::Reach;
use crate::routes::{Paging, json, no_content};
use crate::state::ApiState;

const COLLECTION: &str = "lists";

#[derive(Serialize, ToSchema)]
pub(crate) struct List {
    id: String,
    name: String,
    created: String,
    updated: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    preferences: Option<JsonDocument>,
    subscriber_count: usize,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ListsPage {
    items: Vec<List>,
    paging: Paging,
}

impl From<ListView> for List {
    fn from(view: ListView) -> Self {
        Self {
            id: view.id.into(),
            name: view.name,
            created: view.created_at.to_rfc3339_millis(),
            updated: view.updated_at.to_rfc3339_millis(),
            preferences: view.preferences,
            subscriber_count: view.subscriber_count,
        }
    }
}

impl List {
    /// With as many subscribers as there are of these people.
    fn shown(view: ListView, models: &ReadModels, people: Option<&PeopleWithin>) -> Self {
        let count = people.map(|people| models.lists.subscriber_count_within(&view.id, people));
        Self {
            subscriber_count: count.unwrap_or(view.subscriber_count),
            ..view.into()
        }
    }

    /// The list as one of its subscribers sees it: with the subscription's preferences.
    pub(crate) fn seen_by_subscriber(
        view: projections::SubscriptionView,
        models: &ReadModels,
        people: Option<&PeopleWithin>,
    ) -> Self {
        Self {
            preferences: view.preferences,
            ..Self::shown(view.list, models, people)
        }
    }
}

/// `GET /lists`: live lists by id, all or those that match `pattern`.
pub(crate) async fn page(
    State(state): State<ApiState>,
    reach: Reach,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let pattern = parameters
        .get("pattern")
        .map(ListPattern::parse)
        .transpose()
        .map_err(ApiError::invalid_pattern)?;
    let after = parameters
        .place(COLLECTION)
        .and_then(|id| ListId::parse(&id).ok());
    let limit = parameters.limit_clamped();
    let models = &state.read_models;
    let visible = |list: &ListId| reach.sees_list(models, list);
    let lists = &models.lists;
    let (views, more) = lists.page(pattern.as_ref(), &visible, after.as_ref(), limit);
    let last = views
        .last()
        .map(|last| cursor::encode(COLLECTION, last.id.as_str()));
    let people = reach.people(models);
    let shown = |view| List::shown(view, models, people.as_ref());
    let items = views.into_iter().map(shown).collect();
    Ok(json(&ListsPage {
        items,
        paging: Paging::new(more, || last),
    }))
}

/// `GET /lists/{list_id}`.
pub(crate) async fn get(
    State(state): State<ApiState>,
    reach: Reach,
    Id(list): Id<ListId>,
) -> Result<Response, ApiError> {
    let models = &state.read_models;
    let view = models.lists.live(&list);
    let view = view.ok_or_else(ApiError::list_not_found)?;
    let people = reach.people(models);
    Ok(json(&List::shown(view, models, people.as_ref())))
}

/// `PUT /lists/{list_id}`: create the list or replace its name and preferences.
pub(crate) async fn put(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(list): Id<ListId>,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let name = body.string("name")?;
    if name.len() > NAME_BYTES_MAX {
        let expected = format!("at most {NAME_BYTES_MAX} bytes long");
        return Err(ApiError::invalid_field(&body.pointer("name"), expected));
    }
    let command = ListCommand::Put {
        name,
        preferences: body.preferences()?,
    };
    Ok(no_content(
        &state
            .execute(Command::List { list, command }, origin)
            .await?,
    ))
}

/// `DELETE /lists/{list_id}`: put the list aside with its subscribers.
pub(crate) async fn delete(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(list): Id<ListId>,
) -> Result<Response, ApiError> {
    let command = Command::List {
        list,
        command: ListCommand::Delete,
    };
    Ok(no_content(&state.execute(command, origin).await?))
}

/// `PUT /lists/{list_id}/restore`: bring the deleted list back with its subscribers.
pub(crate) async fn restore(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(list): Id<ListId>,
) -> Result<Response, ApiError> {
    let command = Command::List {
        list,
        command: ListCommand::Restore,
    };
    Ok(no_content(&state.execute(command, origin).await?))
}
