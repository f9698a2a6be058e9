use axum::extract::State;
use axum::response::Response;
use domain::limits::{LISTS_MAX, RECIPIENTS_MAX};
use engine::{Command, SubscribeMode, Subscriber};
use serde::Serialize;
use types::{JsonDocument, ListId, PageLimit, UserId};
use utoipa::ToSchema;

use crate::cursor;
use crate::error::ApiError;
use crate::extract::body::Fields;
use crate::extract::origin::{Caller, Origin};
use crate::extract::path::{Id, Ids};
use crate::extract::query::Parameters;
use crate::reach::Reach;
use crate::routes::lists::List;
use crate::routes::memberships::{join_key, place_of};
use crate::routes::{Paging, json, kept_no_content, kept_success, no_content, success};
use crate::state::ApiState;

const SUBSCRIBERS: &str = "subscribers";
const LISTS_OF_USER: &str = "lists of user";

#[derive(Serialize, ToSchema)]
pub(crate) struct Subscription {
    #[serde(rename = "recipientId")]
    recipient_id: String,
    created: String,
    #[schema(value_type = Option<Object>)]
    preferences: Option<JsonDocument>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct SubscribersPage {
    items: Vec<Subscription>,
    paging: Paging,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ListsOfUser {
    results: Vec<List>,
    paging: Paging,
}

/// `GET /lists/{list_id}/subscriptions`: subscribers in the order in which they joined.
pub(crate) async fn subscribers(
    State(state): State<ApiState>,
    reach: Reach,
    Id(list): Id<ListId>,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let after = parameters
        .place(SUBSCRIBERS)
        .and_then(|place| join_key(&place));
    let limit = parameters.limit_clamped();
    let models = &state.read_models;
    let people = reach.people(models);
    let (views, more) = models
        .lists
        .subscribers(&list, people.as_ref(), after, limit)
        .ok_or_else(ApiError::list_not_found)?;
    let cursor = views
        .last()
        .map(|last| cursor::encode(SUBSCRIBERS, &place_of(last.joined)));
    let items = views.into_iter().map(|view| Subscription {
        recipient_id: models.subjects.shown(view.subject),
        created: view.created_at.to_rfc3339_millis(),
        preferences: view.preferences,
    });
    Ok(json(&SubscribersPage {
        items: items.collect(),
        paging: Paging::new(more, || cursor),
    }))
}

/// `POST /lists/{list_id}/subscriptions`: add; subscriptions that exist stay as they are.
pub(crate) async fn add(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    reach: Reach,
    Id(list): Id<ListId>,
    body: Fields,
) -> Result<Response, ApiError> {
    subscribe_many(state, origin, &reach, list, body, SubscribeMode::Add).await
}

/// `PUT /lists/{list_id}/subscriptions`: these are the subscribers, and nobody else.
pub(crate) async fn overwrite(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    reach: Reach,
    Id(list): Id<ListId>,
    body: Fields,
) -> Result<Response, ApiError> {
    subscribe_many(state, origin, &reach, list, body, SubscribeMode::Overwrite).await
}

async fn subscribe_many(
    state: ApiState,
    origin: Caller,
    reach: &Reach,
    list: ListId,
    mut body: Fields,
    mode: SubscribeMode,
) -> Result<Response, ApiError> {
    let recipients = body.array("recipients", RECIPIENTS_MAX)?;
    let subscribers = recipients
        .into_iter()
        .enumerate()
        .map(|(place, recipient)| {
            let mut recipient = Fields::of(recipient, format!("/recipients/{place}"))?;
            let user_id = UserId::parse(&recipient.string("recipientId")?)
                .map_err(|error| ApiError::invalid_id(error, &recipient.pointer("recipientId")))?;
            let reached = reach.user(&state.read_models, &user_id);
            reached.map_err(|error| error.at(recipient.pointer("recipientId")))?;
            Ok(Subscriber {
                user_id,
                preferences: recipient.preferences()?,
            })
        })
        .collect::<Result<_, ApiError>>()?;
    let command = Command::Subscribe {
        list,
        subscribers,
        mode,
    };
    Ok(state.execute_once(command, origin, kept_no_content).await?)
}

/// `PUT /lists/{list_id}/subscriptions/{user_id}`: subscribe one person.
pub(crate) async fn subscribe(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Ids(list, user_id): Ids<ListId, UserId>,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let subscribers = vec![Subscriber {
        user_id,
        preferences: body.preferences()?,
    }];
    let command = Command::Subscribe {
        list,
        subscribers,
        mode: SubscribeMode::Put,
    };
    Ok(no_content(&state.execute(command, origin).await?))
}

/// `DELETE /lists/{list_id}/subscriptions/{user_id}`: who is not subscribed need not be.
pub(crate) async fn unsubscribe(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Ids(list, user_id): Ids<ListId, UserId>,
) -> Result<Response, ApiError> {
    let command = Command::Unsubscribe { list, user_id };
    Ok(no_content(&state.execute(command, origin).await?))
}

/// `GET /profiles/{user_id}/lists`: the live lists of a person, by id.
pub(crate) async fn lists_of_user(
    State(state): State<ApiState>,
    reach: Reach,
    Id(user_id): Id<UserId>,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let after = parameters
        .place(LISTS_OF_USER)
        .and_then(|id| ListId::parse(&id).ok());
    let limit: PageLimit = parameters.limit_clamped();
    let models = &state.read_models;
    let (views, more) = match models.subjects.number(user_id.as_str()) {
        Some(subject) => {
            let visible = |list: &ListId| reach.sees_list(models, list);
            let lists = &models.lists;
            lists.subscriptions(subject, &visible, after.as_ref(), limit)
        }
        None => (Vec::new(), false),
    };
    let last = views
        .last()
        .map(|last| cursor::encode(LISTS_OF_USER, last.list.id.as_str()));
    let people = reach.people(models);
    let shown = |view| List::seen_by_subscriber(view, models, people.as_ref());
    let results = views.into_iter().map(shown).collect();
    Ok(json(&ListsOfUser {
        results,
        paging: Paging::new(more, || last),
    }))
}

/// `POST /profiles/{user_id}/lists`: add or update these subscriptions, leave the others.
pub(crate) async fn subscribe_to_lists(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    reach: Reach,
    Id(user_id): Id<UserId>,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let lists = body
        .array("lists", LISTS_MAX)?
        .into_iter()
        .enumerate()
        .map(|(place, list)| {
            let mut list = Fields::of(list, format!("/lists/{place}"))?;
            let id = ListId::parse(&list.string("listId")?)
                .map_err(|error| ApiError::invalid_id(error, &list.pointer("listId")))?;
            let reached = reach.list(&state.read_models, &id);
            reached.map_err(|error| error.at(list.pointer("listId")))?;
            Ok((id, list.preferences()?))
        })
        .collect::<Result<_, ApiError>>()?;
    let command = Command::SubscribeToLists { user_id, lists };
    Ok(state.execute_once(command, origin, kept_success).await?)
}

/// `DELETE /profiles/{user_id}/lists`: end every subscription.
pub(crate) async fn leave_every_list(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(user_id): Id<UserId>,
) -> Result<Response, ApiError> {
    let command = Command::LeaveEveryList { user_id };
    Ok(success(&state.execute(command, origin).await?))
}
