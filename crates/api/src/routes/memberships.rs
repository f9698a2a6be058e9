use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use domain::limits::USER_TENANTS_MAX;
use engine::Command;
use projections::{JoinKey, MembershipView};
use serde::Serialize;
use types::{JsonDocument, Position, TenantId, UserId};
use utoipa::ToSchema;

use crate::cursor;
use crate::error::ApiError;
use crate::extract::body::Fields;
use crate::extract::origin::{Authenticated, Origin};
use crate::extract::path::{Id, Ids};
use crate::extract::query::Parameters;
use crate::reach::Reach;
use crate::routes::tenants::{ROWS_BY_DEFAULT, membership_profile};
use crate::routes::{LinkedPage, json, no_content};
use crate::state::ApiState;

const COLLECTION: &str = "tenants of user";

/// One person's membership of one tenant.
#[derive(Serialize, ToSchema)]
pub(crate) struct Association {
    tenant_id: String,
    user_id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[schema(value_type = Option<Object>)]
    profile: Option<JsonDocument>,
    created_at: String,
}

impl Association {
    pub(crate) fn new(view: MembershipView, user_id: impl Into<String>) -> Self {
        Self {
            tenant_id: view.tenant.into(),
            user_id: user_id.into(),
            kind: "user",
            profile: view.profile,
            created_at: view.created_at.to_rfc3339_millis(),
        }
    }
}

/// A place among those who joined, as cursors hold it.
pub(crate) fn place_of(joined: JoinKey) -> String {
    format!("{} {}", joined.position, joined.ordinal)
}

pub(crate) fn join_key(place: &str) -> Option<JoinKey> {
    let (position, ordinal) = place.split_once(' ')?;
    Some(JoinKey {
        position: Position(position.parse().ok()?),
        ordinal: ordinal.parse().ok()?,
    })
}

/// `GET /users/{user_id}/tenants`: by the tenants' ids.
pub(crate) async fn page(
    State(state): State<ApiState>,
    reach: Reach,
    Id(user_id): Id<UserId>,
    uri: Uri,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let after = parameters.place(COLLECTION);
    let after = after.and_then(|id| TenantId::parse(&id).ok());
    let limit = parameters.limit_clamped_from(ROWS_BY_DEFAULT);
    let models = &state.read_models;
    let (views, more) = match models.subjects.number(user_id.as_str()) {
        Some(subject) => {
            let within = reach.tenant();
            let tenants = &models.tenants;
            tenants.memberships(subject, within, after.as_ref(), limit)
        }
        None => (Vec::new(), false),
    };
    let last = views.last();
    let cursor = last.map(|last| cursor::encode(COLLECTION, last.tenant.as_str()));
    let items = views.into_iter();
    let items = items.map(|view| Association::new(view, user_id.clone()));
    Ok(json(&LinkedPage::new(items.collect(), &uri, more, cursor)))
}

/// `GET /users/{user_id}/tenants/{tenant_id}`.
pub(crate) async fn get(
    State(state): State<ApiState>,
    _: Authenticated,
    Ids(user_id, tenant): Ids<UserId, TenantId>,
) -> Result<Response, ApiError> {
    let models = &state.read_models;
    let subject = models.subjects.number(user_id.as_str());
    let membership = subject.and_then(|it| models.tenants.membership(&tenant, it));
    let membership = membership.ok_or_else(ApiError::membership_not_found)?;
    Ok(json(&Association::new(membership, user_id)))
}

/// `PUT /users/{user_id}/tenants`: these as well; other memberships stay.
pub(crate) async fn join_many(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    reach: Reach,
    Id(user_id): Id<UserId>,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let tenants = body.array("tenants", USER_TENANTS_MAX)?;
    let tenants = tenants.into_iter().enumerate().map(|(place, tenant)| {
        let mut tenant = Fields::of(tenant, format!("/tenants/{place}"))?;
        let id = tenant.required_id("tenant_id")?;
        let reached = reach.tenant_within(&state.read_models, &id);
        reached.map_err(|error| error.at(tenant.pointer("tenant_id")))?;
        check_user(&mut tenant, &user_id)?;
        Ok((id, membership_profile(&mut tenant)?))
    });
    let tenants = tenants.collect::<Result<_, ApiError>>()?;
    let command = Command::JoinTenants { user_id, tenants };
    Ok(no_content(&state.execute(command, origin).await?))
}

/// Whoever is named in the body has to be the one in the path.
fn check_user(body: &mut Fields, user_id: &UserId) -> Result<(), ApiError> {
    let given: Option<UserId> = body.id("user_id")?;
    if given.is_some_and(|given| given != *user_id) {
        let pointer = body.pointer("user_id");
        return Err(ApiError::invalid_field(&pointer, "the user of the path"));
    }
    body.named("type", |name| (name == "user").then_some(()), &["user"])?;
    Ok(())
}

/// `PUT /users/{user_id}/tenants/{tenant_id}`.
pub(crate) async fn join(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Ids(user_id, tenant): Ids<UserId, TenantId>,
    mut body: Fields,
) -> Result<Response, ApiError> {
    check_user(&mut body, &user_id)?;
    let profile = membership_profile(&mut body)?;
    let tenants = vec![(tenant, profile)];
    let command = Command::JoinTenants { user_id, tenants };
    Ok(no_content(&state.execute(command, origin).await?))
}

/// `DELETE /users/{user_id}/tenants/{tenant_id}`: who is not a member need not be.
pub(crate) async fn leave(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Ids(user_id, tenant): Ids<UserId, TenantId>,
) -> Result<Response, ApiError> {
    let command = Command::LeaveTenant { user_id, tenant };
    Ok(no_content(&state.execute(command, origin).await?))
}

/// `DELETE /users/{user_id}/tenants`: out of every tenant.
pub(crate) async fn leave_all(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(user_id): Id<UserId>,
) -> Result<Response, ApiError> {
    let command = Command::LeaveEveryTenant { user_id };
    Ok(no_content(&state.execute(command, origin).await?))
}
