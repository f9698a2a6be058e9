use auth::Principal;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use engine::Actor;

use crate::error::ApiError;
use crate::request::RequestId;

/// A handler that takes it can only be reached with a credential.
pub(crate) struct Authenticated;

/// Where a write comes from. As [`Authenticated`], for handlers that record it.
pub(crate) struct Origin(pub(crate) engine::Origin);

impl<S: Send + Sync> FromRequestParts<S> for Authenticated {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        principal(parts).map(|_| Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Origin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let principal = principal(parts)?;
        let request_id = parts.extensions.get::<RequestId>();
        Ok(Self(engine::Origin {
            actor: Actor {
                id: principal.id.as_ref().to_owned(),
                name: principal.name.as_ref().to_owned(),
                on_behalf_of: None,
            },
            tenant_id: None,
            correlation_id: request_id.and_then(RequestId::given).map(str::to_owned),
        }))
    }
}

fn principal(parts: &Parts) -> Result<&Principal, ApiError> {
    parts
        .extensions
        .get::<Principal>()
        .ok_or_else(ApiError::credential_missing)
}
