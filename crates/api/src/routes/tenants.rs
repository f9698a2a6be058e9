use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use domain::limits::{NAME_BYTES_MAX, TENANT_DOCUMENT_BYTES_MAX, TOPICS_MAX};
use domain::{Change, TenantCommand};
use engine::{Command, TenantDetails};
use projections::{JoinKey, TenantFilter, TenantView};
use serde::Serialize;
use types::{Channel, Choice, JsonDocument, TenantId, TopicId};
use utoipa::ToSchema;

use crate::cursor;
use crate::error::ApiError;
use crate::extract::body::Fields;
use crate::extract::origin::{Authenticated, Origin};
use crate::extract::path::{Id, Ids};
use crate::extract::query::Parameters;
use crate::reach::Reach;
use crate::routes::memberships::{Association, join_key, place_of};
use crate::routes::{LinkedPage, at, json, no_content};
use crate::state::ApiState;

const COLLECTION: &str = "tenants";
const USERS: &str = "users of tenant";
/// Rows of a page when the caller does not say.
pub(crate) const ROWS_BY_DEFAULT: u64 = 20;

#[derive(Serialize, ToSchema)]
pub(crate) struct Tenant {
    id: String,
    name: String,
    parent_tenant_id: Option<String>,
    brand_id: Option<String>,
    #[schema(value_type = Option<Object>)]
    properties: Option<JsonDocument>,
    #[schema(value_type = Option<Object>)]
    user_profile: Option<JsonDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_preferences: Option<DefaultPreferences>,
    #[serde(rename = "type")]
    kind: &'static str,
    created_at: String,
    updated_at: String,
    /// Members of the tenant itself.
    user_count: usize,
    /// Members of the tenant and of all below it; where one tenant is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_count_with_descendants: Option<u64>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct DefaultPreferences {
    items: Vec<DefaultPreference>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct DefaultPreference {
    id: String,
    status: &'static str,
    has_custom_routing: bool,
    custom_routing: Vec<&'static str>,
}

impl From<TenantView> for Tenant {
    fn from(view: TenantView) -> Self {
        let TenantDetails {
            name,
            parent_tenant_id,
            brand_id,
            properties,
            user_profile,
            default_preferences,
        } = view.details;
        let items = default_preferences.into_iter().map(|(topic, choice)| {
            let Choice { status, routing } = choice;
            DefaultPreference {
                id: topic.into(),
                status: status.name(),
                has_custom_routing: routing.is_some(),
                custom_routing: names(routing.as_deref()),
            }
        });
        let items: Vec<_> = items.collect();
        Self {
            id: view.id.into(),
            name,
            parent_tenant_id: parent_tenant_id.map(Into::into),
            brand_id: brand_id.map(Into::into),
            properties,
            user_profile,
            default_preferences: (!items.is_empty()).then_some(DefaultPreferences { items }),
            kind: "tenant",
            created_at: view.created_at.to_rfc3339_millis(),
            updated_at: view.updated_at.to_rfc3339_millis(),
            user_count: view.user_count,
            user_count_with_descendants: None,
        }
    }
}

/// The names of channels; none where none are chosen.
pub(crate) fn names(channels: Option<&[Channel]>) -> Vec<&'static str> {
    let channels = channels.unwrap_or_default().iter();
    channels.map(|channel| channel.name()).collect()
}

/// `GET /tenants`: by id; all, the children of `parent_tenant_id`, or those that `q` begins.
pub(crate) async fn page(
    State(state): State<ApiState>,
    reach: Reach,
    uri: Uri,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let filter = TenantFilter {
        within: reach.tenant().cloned(),
        parent: parameters.id("parent_tenant_id")?,
        prefix: parameters.get("q").map(str::to_owned),
    };
    if let Some(parent) = &filter.parent {
        let reached = reach.tenant_within(&state.read_models, parent);
        reached.map_err(|error| error.at("/parent_tenant_id"))?;
    }
    let after = parameters.place(COLLECTION);
    let after = after.and_then(|id| TenantId::parse(&id).ok());
    let limit = parameters.limit_clamped_from(ROWS_BY_DEFAULT);
    let answer = move |state: &ApiState, _: &dyn Fn() -> bool| {
        let tenants = &state.read_models.tenants;
        let (views, more) = tenants.page(&filter, after.as_ref(), limit);
        let last = views.last();
        let cursor = last.map(|last| cursor::encode(COLLECTION, last.id.as_str()));
        let items = views.into_iter().map(|it| shown(it, &reach)).collect();
        json(&LinkedPage::new(items, &uri, more, cursor))
    };
    state.scan(answer).await
}

/// `GET /tenants/{tenant_id}`.
pub(crate) async fn get(
    State(state): State<ApiState>,
    reach: Reach,
    Id(tenant): Id<TenantId>,
) -> Result<Response, ApiError> {
    let answer = move |state: &ApiState, _: &dyn Fn() -> bool| view(state, &reach, &tenant);
    Ok(json(&state.scan(answer).await??))
}

/// The parent of the tenant to which a key is restricted is beyond its reach.
fn shown(view: TenantView, reach: &Reach) -> Tenant {
    let is_root = reach.tenant() == Some(&view.id);
    let mut tenant = Tenant::from(view);
    if is_root {
        tenant.parent_tenant_id = None;
    }
    tenant
}

fn view(state: &ApiState, reach: &Reach, tenant: &TenantId) -> Result<Tenant, ApiError> {
    let tenants = &state.read_models.tenants;
    let view = tenants.get(tenant).ok_or_else(ApiError::tenant_not_found)?;
    Ok(Tenant {
        user_count_with_descendants: Some(tenants.user_count_with_descendants(tenant)),
        ..shown(view, reach)
    })
}

/// `PUT /tenants/{tenant_id}`: create the tenant or replace all that it is; what is left out is
/// cleared.
pub(crate) async fn put(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    reach: Reach,
    Id(tenant): Id<TenantId>,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let mut details = details(&mut body)?;
    narrow_parent(&state, &reach, &tenant, &mut details)?;
    let command = Command::Tenant {
        tenant: tenant.clone(),
        command: TenantCommand::Put(details),
    };
    let committed = state.execute(command, origin).await?;
    let answer = move |state: &ApiState, _: &dyn Fn() -> bool| view(state, &reach, &tenant);
    // Somebody may have deleted it in between.
    Ok(at(&committed, json(&state.scan(answer).await??)))
}

/// A restricted key moves tenants about within its own, which itself stays where it is.
fn narrow_parent(
    state: &ApiState,
    reach: &Reach,
    tenant: &TenantId,
    details: &mut TenantDetails,
) -> Result<(), ApiError> {
    const PARENT: &str = "/parent_tenant_id";
    let Some(root) = reach.tenant() else {
        return Ok(());
    };
    match &details.parent_tenant_id {
        Some(_) if tenant == root => {
            let expected = "left out: the key is restricted to this tenant";
            return Err(ApiError::invalid_field(PARENT, expected));
        }
        Some(parent) => {
            let reached = reach.tenant_within(&state.read_models, parent);
            reached.map_err(|error| error.at(PARENT))?;
        }
        None if tenant == root => {
            details.parent_tenant_id = state.read_models.tenants.parent(tenant);
        }
        None => return Err(ApiError::missing_field(PARENT)),
    }
    Ok(())
}

fn details(body: &mut Fields) -> Result<TenantDetails, ApiError> {
    let mut document = |name: &str| {
        let document = body.document(name, TENANT_DOCUMENT_BYTES_MAX)?;
        Ok::<_, ApiError>(document.applied_to(None))
    };
    let (properties, user_profile) = (document("properties")?, document("user_profile")?);
    Ok(TenantDetails {
        name: body.required_text("name", NAME_BYTES_MAX)?,
        parent_tenant_id: body.id("parent_tenant_id")?,
        brand_id: body.id("brand_id")?,
        properties,
        user_profile,
        default_preferences: default_preferences(body)?,
    })
}

/// Of a topic that is named twice the last counts.
fn default_preferences(body: &mut Fields) -> Result<BTreeMap<TopicId, Choice>, ApiError> {
    const NAME: &str = "default_preferences";
    const ITEMS: &str = "items";
    let Some(value) = body.take(NAME).filter(|value| !value.is_null()) else {
        return Ok(BTreeMap::new());
    };
    let mut preferences = Fields::of(value, body.pointer(NAME))?;
    if !preferences.is_given(ITEMS) {
        return Ok(BTreeMap::new());
    }
    let pointer = preferences.pointer(ITEMS);
    let items = preferences.array(ITEMS, TOPICS_MAX)?;
    let items = items.into_iter().enumerate().map(|(place, item)| {
        let mut item = Fields::of(item, format!("{pointer}/{place}"))?;
        Ok((item.required_id("id")?, item.choice()?))
    });
    items.collect()
}

/// `DELETE /tenants/{tenant_id}`: with its memberships; the profiles of its members stay.
pub(crate) async fn delete(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    reach: Reach,
    Id(tenant): Id<TenantId>,
) -> Result<Response, ApiError> {
    // The key would end with it, and whatever is below would be nobody's.
    if reach.tenant() == Some(&tenant) {
        return Err(ApiError::key_restricted());
    }
    let command = Command::Tenant {
        tenant,
        command: TenantCommand::Delete,
    };
    Ok(no_content(&state.execute(command, origin).await?))
}

/// `GET /tenants/{tenant_id}/users`: members in the order in which they joined.
pub(crate) async fn users(
    State(state): State<ApiState>,
    _: Authenticated,
    Id(tenant): Id<TenantId>,
    uri: Uri,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let after: Option<JoinKey> = parameters.place(USERS).and_then(|it| join_key(&it));
    let limit = parameters.limit_clamped_from(ROWS_BY_DEFAULT);
    let models = &state.read_models;
    let members = models.tenants.members(&tenant, after, limit);
    let (views, more) = members.ok_or_else(ApiError::tenant_not_found)?;
    let last = views.last();
    let cursor = last.map(|last| cursor::encode(USERS, &place_of(last.joined)));
    let items = views.into_iter();
    let items = items.map(|view| {
        let user_id = models.subjects.shown(view.subject);
        Association::new(view, user_id)
    });
    Ok(json(&LinkedPage::new(items.collect(), &uri, more, cursor)))
}

/// `PUT /tenants/{tenant_id}/default_preferences/items/{topic_id}`.
pub(crate) async fn set_default_preference(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Ids(tenant, topic): Ids<TenantId, TopicId>,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let choice = body.choice()?;
    let command = Command::Tenant {
        tenant,
        command: TenantCommand::SetDefaultPreference { topic, choice },
    };
    Ok(no_content(&state.execute(command, origin).await?))
}

/// `DELETE /tenants/{tenant_id}/default_preferences/items/{topic_id}`.
pub(crate) async fn clear_default_preference(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Ids(tenant, topic): Ids<TenantId, TopicId>,
) -> Result<Response, ApiError> {
    let command = Command::Tenant {
        tenant,
        command: TenantCommand::ClearDefaultPreference { topic },
    };
    Ok(no_content(&state.execute(command, origin).await?))
}

/// The profile of a membership: kept when left out, cleared when `null`.
pub(crate) fn membership_profile(body: &mut Fields) -> Result<Change<JsonDocument>, ApiError> {
    body.document("profile", TENANT_DOCUMENT_BYTES_MAX)
}
