use axum::extract::State;
use axum::response::Response;
use domain::ProfileCommand;
use domain::limits::PATCH_OPERATIONS_MAX;
use engine::Command;
use serde::Serialize;
use types::{JsonDocument, JsonPatch, UserId};
use utoipa::ToSchema;

use crate::cursor;
use crate::error::ApiError;
use crate::extract::body::Fields;
use crate::extract::origin::{Authenticated, Origin};
use crate::extract::path::Id;
use crate::extract::query::Parameters;
use crate::reach::Reach;
use crate::routes::users::attribute_filters;
use crate::routes::{Paging, json, kept_success, no_content, success};
use crate::state::ApiState;

const COLLECTION: &str = "profiles";

#[derive(Serialize, ToSchema)]
pub(crate) struct Profile<'a> {
    #[schema(value_type = Object)]
    profile: &'a JsonDocument,
    /// Those of the older form.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    preferences: Option<JsonDocument>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ProfileRow {
    user_id: String,
    #[schema(value_type = Object)]
    profile: JsonDocument,
    created: String,
    updated: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ProfilesPage {
    items: Vec<ProfileRow>,
    paging: Paging,
    count: usize,
}

/// `GET /profiles`: everyone with a stored profile, by user id; `attribute.<path>=value` filters.
pub(crate) async fn page(
    State(state): State<ApiState>,
    reach: Reach,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let filters = attribute_filters(&parameters)?;
    let after = parameters
        .place(COLLECTION)
        .and_then(|id| UserId::parse(&id).ok());
    let limit = parameters.limit_clamped();
    let query = move |state: &ApiState, still_wanted: &dyn Fn() -> bool| {
        let profiles = &state.read_models.profiles;
        let people = reach.people(&state.read_models);
        json(&ProfilesPage::from(profiles.page(
            &filters,
            people.as_ref(),
            after.as_ref(),
            limit,
            still_wanted,
        )))
    };
    state.scan(query).await
}

impl From<projections::ProfilesPage> for ProfilesPage {
    fn from(page: projections::ProfilesPage) -> Self {
        let last = page
            .items
            .last()
            .map(|last| cursor::encode(COLLECTION, last.user_id.as_str()));
        let row = |view: projections::ProfileView| ProfileRow {
            user_id: view.user_id.into(),
            profile: view.document,
            created: view.created_at.to_rfc3339_millis(),
            updated: view.updated_at.to_rfc3339_millis(),
        };
        Self {
            paging: Paging::new(page.more, || last),
            count: page.count,
            items: page.items.into_iter().map(row).collect(),
        }
    }
}

/// `GET /profiles/{user_id}`: somebody of whom only other things are known has an empty one.
pub(crate) async fn get(
    State(state): State<ApiState>,
    _: Authenticated,
    Id(user_id): Id<UserId>,
) -> Result<Response, ApiError> {
    let models = &state.read_models;
    let subject = models
        .subjects
        .number(user_id.as_str())
        .ok_or_else(ApiError::profile_not_found)?;
    let preferences = models.preferences.recipient(subject);
    if let Some(document) = models.profiles.document(subject) {
        return Ok(json(&Profile {
            profile: &document,
            preferences,
        }));
    }
    if !models.is_known(subject) {
        return Err(ApiError::profile_not_found());
    }
    let empty = JsonDocument::from(serde_json::Map::new());
    Ok(json(&Profile {
        profile: &empty,
        preferences,
    }))
}

/// `POST /profiles/{user_id}`: merge into the profile, creating it if absent.
pub(crate) async fn merge(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(user_id): Id<UserId>,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let command = ProfileCommand::Merge(body.object("profile")?);
    let command = Command::Profile { user_id, command };
    Ok(state.execute_once(command, origin, kept_success).await?)
}

/// `PUT /profiles/{user_id}`: replace the profile, creating it if absent.
pub(crate) async fn replace(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(user_id): Id<UserId>,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let command = ProfileCommand::Replace(body.object("profile")?);
    let committed = state
        .execute(Command::Profile { user_id, command }, origin)
        .await?;
    Ok(success(&committed))
}

/// `PATCH /profiles/{user_id}`: apply a JSON Patch (RFC 6902) to the profile.
pub(crate) async fn patch(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(user_id): Id<UserId>,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let operations = body.array("patch", PATCH_OPERATIONS_MAX)?;
    let patch =
        JsonPatch::parse(operations).map_err(|invalid| ApiError::invalid_patch(&invalid))?;
    let command = ProfileCommand::Patch(patch);
    let committed = state
        .execute(Command::Profile { user_id, command }, origin)
        .await?;
    Ok(no_content(&committed))
}

/// `DELETE /profiles/{user_id}`: subscriptions stay; deleting what is not there is fine.
pub(crate) async fn delete(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(user_id): Id<UserId>,
) -> Result<Response, ApiError> {
    let command = Command::Profile {
        user_id,
        command: ProfileCommand::Delete,
    };
    Ok(no_content(&state.execute(command, origin).await?))
}
