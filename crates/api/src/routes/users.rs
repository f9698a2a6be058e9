pub(crate) mod batch;
pub(crate) mod effective_profile;
pub(crate) mod timeline;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::limits::FILTERS_MAX;
use engine::{Command, Committed, Outcome, Removed};
use projections::{AttributeFilter, UserCounts, UserFilter, UserSummary, UserView};
use serde::Serialize;
use serde_json::{Map, Value, json as value};
use types::{AttributePath, JsonDocument, ListId, PageLimit, TenantId, Timestamp, UserId};
use utoipa::ToSchema;

use crate::cursor;
use crate::error::ApiError;
use crate::extract::origin::Origin;
use crate::extract::path::Id;
use crate::extract::query::Parameters;
use crate::reach::Reach;
use crate::routes::preferences::ShownQuietHours;
use crate::routes::users::batch::chosen;
use crate::routes::{Paging, at, json, kept, tokens};
use crate::state::ApiState;

const COLLECTION: &str = "users";

#[derive(Serialize, ToSchema)]
pub(crate) struct UsersPage {
    items: Vec<UserRow>,
    paging: Paging,
    count: u64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct UserRow {
    user_id: String,
    #[schema(value_type = Option<Object>)]
    profile: Option<JsonDocument>,
    created: Option<String>,
    updated: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct User {
    #[serde(rename = "user_id")]
    id: String,
    #[schema(value_type = Option<Object>)]
    profile: Option<JsonDocument>,
    created: Option<String>,
    updated: Option<String>,
    #[schema(value_type = Vec<Object>)]
    tokens: Vec<Map<String, Value>>,
    #[schema(value_type = Vec<Object>)]
    lists: Vec<Value>,
    #[schema(value_type = Vec<Object>)]
    audiences: Vec<Value>,
    #[schema(value_type = Vec<Object>)]
    tenants: Vec<Value>,
    #[schema(value_type = Vec<Object>)]
    preferences: Vec<Value>,
    #[schema(value_type = Option<Object>)]
    recipient_preferences: Option<JsonDocument>,
    quiet_hours: Option<ShownQuietHours>,
    counts: Counts,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Counts {
    tokens: usize,
    lists: usize,
    audiences: usize,
    tenants: usize,
    preferences: usize,
}

impl From<UserSummary> for UserRow {
    fn from(user: UserSummary) -> Self {
        let profile = user.profile;
        let time = |at: Timestamp| at.to_rfc3339_millis();
        Self {
            user_id: user.user_id.into(),
            created: profile.as_ref().map(|profile| time(profile.created_at)),
            updated: profile.as_ref().map(|profile| time(profile.updated_at)),
            profile: profile.map(|profile| profile.document),
        }
    }
}

impl From<UserCounts> for Counts {
    fn from(counts: UserCounts) -> Self {
        Self {
            tokens: counts.tokens,
            lists: counts.lists,
            audiences: counts.audiences,
            tenants: counts.tenants,
            preferences: counts.preferences,
        }
    }
}

impl From<UserView> for User {
    fn from(view: UserView) -> Self {
        let time = |at: Timestamp| at.to_rfc3339_millis();
        let lists = view.lists.iter().map(|subscription| {
            let list = &subscription.list;
            with_some(
                value!({"id": list.id.as_str(), "name": list.name}),
                "preferences",
                subscription.preferences.as_ref(),
            )
        });
        let tenants = view.memberships.iter().map(|membership| {
            value!({
                "tenant_id": membership.tenant.as_str(),
                "profile": membership.profile,
                "created_at": time(membership.created_at),
            })
        });
        let audiences = view.audiences.iter().map(|audience| {
            value!({
                "audience_id": audience.id.as_str(),
                "name": audience.name,
                "added_at": time(audience.member.joined.at),
                "reason": audience.reason,
            })
        });
        let profile = view.profile.as_ref();
        Self {
            id: view.user_id.into(),
            created: profile.map(|profile| time(profile.created_at)),
            updated: profile.map(|profile| time(profile.updated_at)),
            tokens: view.tokens.iter().map(tokens::shown).collect(),
            lists: lists.collect(),
            audiences: audiences.collect(),
            tenants: tenants.collect(),
            preferences: view.preferences.choices.iter().map(chosen).collect(),
            recipient_preferences: view.preferences.recipient,
            quiet_hours: view.preferences.quiet_hours.as_ref().map(Into::into),
            counts: view.counts.into(),
            profile: view.profile.map(|profile| profile.document),
        }
    }
}

fn with_some(mut object: Value, name: &str, document: Option<&JsonDocument>) -> Value {
    if let Some(document) = document {
        object[name] = document.to_value();
    }
    object
}

/// `GET /v1/users`: everybody of whom anything is known, by user id.
pub(crate) async fn page(
    State(state): State<ApiState>,
    reach: Reach,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let mut filter = UserFilter {
        prefix: parameters.get("q").map(str::to_owned),
        attributes: attribute_filters(&parameters)?,
        people: None,
    };
    let limit = parameters.limit()?;
    let after = parameters.place_checked(COLLECTION)?;
    let after = after.map(|place| UserId::parse(&place)).transpose();
    let after = after.map_err(|_| ApiError::invalid_cursor())?;
    let answer = move |state: &ApiState, still_wanted: &dyn Fn() -> bool| {
        filter.people = reach.people(&state.read_models);
        let page = state
            .read_models
            .users(&filter, after.as_ref(), limit, still_wanted);
        let last = page.items.last();
        let cursor = last.map(|last| cursor::encode(COLLECTION, last.user_id.as_str()));
        json(&UsersPage {
            items: page.items.into_iter().map(UserRow::from).collect(),
            paging: Paging::new(page.more, || cursor),
            count: page.count,
        })
    };
    state.scan(answer).await
}

/// All `attribute.<path>=value`.
pub(crate) fn attribute_filters(parameters: &Parameters) -> Result<Vec<AttributeFilter>, ApiError> {
    let filters = parameters.attributes().map(|(path, operand)| {
        let parsed = AttributePath::parse(path);
        Ok(AttributeFilter {
            path: parsed.map_err(|error| ApiError::invalid_attribute(path, error))?,
            operand: operand.to_owned(),
        })
    });
    let filters = filters.collect::<Result<Vec<AttributeFilter>, ApiError>>()?;
    if filters.len() > FILTERS_MAX {
        return Err(ApiError::too_many_items("/attribute", FILTERS_MAX));
    }
    Ok(filters)
}

/// `GET /v1/users/{user_id}`: everything about one person; of lists, tenants and audiences the first
/// thousand each, with how many there are.
pub(crate) async fn get(
    State(state): State<ApiState>,
    reach: Reach,
    Id(user_id): Id<UserId>,
) -> Result<Response, ApiError> {
    let answer = move |state: &ApiState, _: &dyn Fn() -> bool| {
        let models = &state.read_models;
        let subject = models.subjects.number(user_id.as_str());
        let within = reach.tenant();
        let user = subject.and_then(|it| models.user(it, within, PageLimit::MOST));
        let user = user.ok_or_else(ApiError::user_not_found)?;
        Ok(json(&User::from(user)))
    };
    state.scan(answer).await?
}

/// `DELETE /v1/users/{user_id}`: everything that is known about a person, in one go; who is not known
/// need not be.
pub(crate) async fn delete(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(user_id): Id<UserId>,
) -> Result<Response, ApiError> {
    let command = Command::DeleteUser { user_id };
    let committed = state.execute(command, origin).await?;
    let removed = match &committed.outcome {
        Outcome::Removed(removed) => removed.clone(),
        Outcome::Done
        | Outcome::Choices(_)
        | Outcome::Users(_)
        | Outcome::Duplicates(_)
        | Outcome::Marked(_) => Removed::default(),
    };
    let choices = removed.choices.iter().map(|(tenant, topic)| {
        let tenant = tenant.as_ref().map(TenantId::as_str);
        value!({"topic_id": topic.as_str(), "tenant_id": tenant})
    });
    let answer = value!({"removed": {
        "profile": removed.profile,
        "tokens": removed.tokens.iter().map(types::DeviceToken::as_str).collect::<Vec<_>>(),
        "lists": removed.lists.iter().map(ListId::as_str).collect::<Vec<_>>(),
        "audiences": removed.audiences.iter().map(types::AudienceId::as_str).collect::<Vec<_>>(),
        "tenants": removed.tenants.iter().map(TenantId::as_str).collect::<Vec<_>>(),
        "preferences": choices.collect::<Vec<_>>(),
        "recipient_preferences": removed.recipient_preferences,
        "quiet_hours": removed.quiet_hours,
        "tracked_events": removed.tracked_events,
        "inbox": removed.inbox,
    }});
    Ok(at(&committed, json(&answer)))
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Erased {
    erased: bool,
    /// Of the event that says so.
    position: u64,
}

/// `POST /v1/users/{user_id}/erase`: everything that is known about a person is removed, and the key of all
/// that the log says of them destroyed. Sent again it finds nobody.
pub(crate) async fn erase(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(user_id): Id<UserId>,
) -> Result<Response, ApiError> {
    let command = Command::EraseUser { user_id };
    let answer = |committed: &Committed| {
        let position = committed.position.0;
        kept(
            StatusCode::OK,
            &Erased {
                erased: true,
                position,
            },
        )
    };
    Ok(state.execute_once(command, origin, answer).await?)
}
