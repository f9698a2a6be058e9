use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::error::ApiError;

/// Where the request comes from. A handler that takes it can only be reached with a credential.
pub(crate) struct Origin(pub(crate) engine::Origin);

impl<S: Send + Sync> FromRequestParts<S> for Origin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let origin = parts.extensions.remove::<engine::Origin>();
        origin.map(Self).ok_or_else(ApiError::credential_missing)
    }
}
