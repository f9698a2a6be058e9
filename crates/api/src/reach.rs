use std::sync::Arc;

use auth::Principal;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use projections::{PeopleWithin, ReadModels};
use types::{ListId, TenantId, UserId};

use crate::error::ApiError;
use crate::state::ApiState;

/// How far a credential reaches: everywhere, or no further than a tenant and those below it. What is
/// beyond is to it as if it were not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    Everywhere,
    Within(Arc<TenantId>),
}

impl Reach {
    pub(crate) fn of(principal: &Principal) -> Self {
        match &principal.tenant {
            Some(tenant) => Self::Within(Arc::clone(tenant)),
            None => Self::Everywhere,
        }
    }

    /// The tenant beyond which it does not reach.
    pub(crate) fn tenant(&self) -> Option<&TenantId> {
        match self {
            Self::Everywhere => None,
            Self::Within(tenant) => Some(tenant),
        }
    }

    /// Those whom it reaches, if that is not everybody.
    pub(crate) fn people(&self, models: &ReadModels) -> Option<PeopleWithin> {
        self.tenant().map(|tenant| models.people_within(tenant))
    }

    pub(crate) fn user(&self, models: &ReadModels, user: &UserId) -> Result<(), ApiError> {
        let Self::Within(tenant) = self else {
            return Ok(());
        };
        let subject = models.subjects.number(user.as_str());
        let reached = subject.is_some_and(|it| models.tenants.is_member_of_tree(tenant, it));
        if reached {
            Ok(())
        } else {
            Err(ApiError::user_not_found())
        }
    }

    pub(crate) fn tenant_within(
        &self,
        models: &ReadModels,
        tenant: &TenantId,
    ) -> Result<(), ApiError> {
        if self.sees_tenant(models, tenant) {
            Ok(())
        } else {
            Err(ApiError::tenant_not_found())
        }
    }

    pub(crate) fn sees_tenant(&self, models: &ReadModels, tenant: &TenantId) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Within(root) => models.tenants.is_in_tree(tenant, root),
        }
    }

    pub(crate) fn list(&self, models: &ReadModels, list: &ListId) -> Result<(), ApiError> {
        if self.sees_list(models, list) {
            Ok(())
        } else {
            Err(ApiError::list_not_found())
        }
    }

    /// A list belongs to the tenant with the longest id that its own begins with, up to a dot.
    pub(crate) fn sees_list(&self, models: &ReadModels, list: &ListId) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Within(root) => models.tenants.is_list_in_tree(list, root),
        }
    }

    /// Whether it reaches all lists of which the ids begin so.
    pub(crate) fn sees_lists(&self, models: &ReadModels, beginning: &str) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Within(root) => models.tenants.are_all_lists_in_tree(beginning, root),
        }
    }
}

impl FromRequestParts<ApiState> for Reach {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, ApiError> {
        let principal = parts.extensions.get::<Principal>();
        principal
            .map(Self::of)
            .ok_or_else(ApiError::credential_missing)
    }
}
