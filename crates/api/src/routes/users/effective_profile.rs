use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use projections::{ProfileSource, ProfileSources};
use serde::Serialize;
use serde_json::{Map, Value};
use types::{TenantId, UserId};
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::extract::path::Id;
use crate::extract::query::Parameters;
use crate::reach::Reach;
use crate::routes::json;
use crate::routes::preferences::context;
use crate::state::ApiState;

#[derive(Serialize, ToSchema)]
pub(crate) struct EffectiveProfile {
    user_id: String,
    tenant_id: Option<String>,
    /// The tenant was not named: it is the only one of which the person is a member.
    tenant_inferred: bool,
    #[schema(value_type = Object)]
    profile: Map<String, Value>,
    /// By JSON pointer, for whatever in the profile is no object.
    sources: BTreeMap<String, Source>,
    brand_id: Option<String>,
    /// The tenant that has the brand.
    brand_from: Option<String>,
    #[schema(value_type = Object)]
    properties: Map<String, Value>,
    property_sources: BTreeMap<String, Source>,
    /// There are so many and such long pointers that some are left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    sources_incomplete: bool,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Source {
    layer: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_id: Option<String>,
}

impl Source {
    fn of(source: ProfileSource, seen: &dyn Fn(&TenantId) -> bool) -> Self {
        let (layer, tenant) = match source {
            ProfileSource::Tenant(tenant) => ("tenant", Some(tenant)),
            ProfileSource::Profile => ("profile", None),
            ProfileSource::Membership(tenant) => ("membership", Some(tenant)),
        };
        Self {
            layer,
            tenant_id: tenant.filter(seen).map(Into::into),
        }
    }
}

/// `GET /v1/users/{user_id}/effective-profile`: with what a person is reached in a tenant, and which
/// layer each part comes from.
pub(crate) async fn get(
    State(state): State<ApiState>,
    reach: Reach,
    Id(user_id): Id<UserId>,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let named: Option<TenantId> = parameters.id("tenant_id")?;
    let answer = move |state: &ApiState, _: &dyn Fn() -> bool| {
        json(&shown_profile(state, &reach, user_id, named))
    };
    state.scan(answer).await
}

fn shown_profile(
    state: &ApiState,
    reach: &Reach,
    user_id: UserId,
    named: Option<TenantId>,
) -> EffectiveProfile {
    let models = &state.read_models;
    // What is inherited from beyond a key's reach holds, but not whose it is.
    let seen = |tenant: &TenantId| reach.sees_tenant(models, tenant);
    let subject = models.subjects.number(user_id.as_str());
    let (tenant, tenant_inferred) = context(state, reach, subject, named);
    let effective = models.effective_profile(subject, tenant.as_ref(), state.tenant_levels);
    let incomplete = effective.sources.incomplete || effective.property_sources.incomplete;
    let sources = |sources: ProfileSources| {
        let sources = sources.by_pointer.into_iter();
        sources
            .map(|(pointer, source)| (pointer, Source::of(source, &seen)))
            .collect()
    };
    let (brand_id, brand_from) = effective.brand.unzip();
    EffectiveProfile {
        user_id: user_id.into(),
        tenant_id: tenant.map(Into::into),
        tenant_inferred,
        profile: effective.profile,
        sources: sources(effective.sources),
        brand_id: brand_id.map(Into::into),
        brand_from: brand_from.filter(seen).map(Into::into),
        properties: effective.properties,
        property_sources: sources(effective.property_sources),
        sources_incomplete: incomplete,
    }
}
