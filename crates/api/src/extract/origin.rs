use auth::Principal;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use engine::{Entity, Expected, RequestKey};
use types::Timestamp;

use crate::error::ApiError;

/// A handler that takes it can only be reached with a credential.
pub(crate) struct Authenticated;

/// Where a write comes from. As [`Authenticated`], for handlers that record it.
pub(crate) struct Origin(pub(crate) Caller);

/// Where a command comes from and on what terms it is sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Caller {
    pub(crate) origin: engine::Origin,
    /// What the request is about, if that has a version.
    pub(crate) entity: Option<Entity>,
    /// What has to be so of it.
    pub(crate) expected: Option<Expected>,
    /// The request is to take effect once, and its answer is kept so long.
    pub(crate) once: Option<(RequestKey, Timestamp)>,
}

impl<S: Send + Sync> FromRequestParts<S> for Authenticated {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        match parts.extensions.get::<Principal>() {
            Some(_) => Ok(Self),
            None => Err(ApiError::credential_missing()),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Origin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let caller = parts.extensions.get::<Caller>().cloned();
        caller.map(Self).ok_or_else(ApiError::credential_missing)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Origin(caller) = Origin::from_request_parts(parts, state).await?;
        Ok(caller)
    }
}
