use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use types::{AudienceId, ListId, UserId};

use crate::error::ApiError;

/// The user id in the path `/…/{user_id}/…`.
pub(crate) struct UserPath(pub(crate) UserId);

/// The list id in the path `/…/{list_id}/…`.
pub(crate) struct ListPath(pub(crate) ListId);

/// The audience id in the path `/…/{audience_id}/…`.
pub(crate) struct AudiencePath(pub(crate) AudienceId);

/// The ids in the path `/lists/{list_id}/subscriptions/{user_id}`.
pub(crate) struct SubscriptionPath(pub(crate) ListId, pub(crate) UserId);

impl<S: Send + Sync> FromRequestParts<S> for UserPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let raw: String = segments(parts, state, "/user_id").await?;
        user_id(&raw).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ListPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let raw: String = segments(parts, state, "/list_id").await?;
        list_id(&raw).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for AudiencePath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let raw: String = segments(parts, state, "/audience_id").await?;
        let id = AudienceId::parse(&raw);
        id.map(Self)
            .map_err(|error| ApiError::invalid_id(error, "/audience_id"))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SubscriptionPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let (list, user): (String, String) = segments(parts, state, "/list_id").await?;
        Ok(Self(list_id(&list)?, user_id(&user)?))
    }
}

fn user_id(raw: &str) -> Result<UserId, ApiError> {
    UserId::parse(raw).map_err(|error| ApiError::invalid_id(error, "/user_id"))
}

fn list_id(raw: &str) -> Result<ListId, ApiError> {
    ListId::parse(raw).map_err(|error| ApiError::invalid_id(error, "/list_id"))
}

/// The path is split at `/` first and each segment decoded afterwards, so an id may hold a slash.
async fn segments<T, S>(parts: &mut Parts, state: &S, name: &str) -> Result<T, ApiError>
where
    T: serde::de::DeserializeOwned + Send,
    S: Send + Sync,
{
    let segments = Path::<T>::from_request_parts(parts, state).await;
    segments
        .map(|Path(segments)| segments)
        .map_err(|_| ApiError::invalid_path_segment().at(name))
}
