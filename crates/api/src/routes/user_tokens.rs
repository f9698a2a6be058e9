use auth::{Principal, Rights, UserAccess};
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use domain::limits::{TOKEN_USERS_MAX, USER_TOKEN_LIFETIME_MAX};
use serde::Serialize;
use types::{Clock as _, CommandId, SystemClock};
use utoipa::ToSchema;

use crate::duration;
use crate::error::ApiError;
use crate::extract::body::Fields;
use crate::reach::Reach;
use crate::routes::json;
use crate::state::{ApiState, seconds};

/// The words of a scope, in bytes.
const SCOPE_BYTES_MAX: usize = 8 * 1024;

#[derive(Serialize, ToSchema)]
pub(crate) struct Issued {
    token: String,
}

/// `POST /auth/issue-token`: a token with which people reach what is theirs, signed and not kept. It
/// ends when it says, and with the key that had it issued.
pub(crate) async fn issue(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    reach: Reach,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let scope = body.required_text("scope", SCOPE_BYTES_MAX)?;
    let lifetime = body.take("expires_in").unwrap_or_default();
    if lifetime.is_null() {
        return Err(ApiError::missing_field("/expires_in"));
    }
    let lifetime = duration::seconds(&lifetime);
    let lifetime = lifetime.filter(|it| (1..=USER_TOKEN_LIFETIME_MAX).contains(it));
    let lifetime = lifetime.ok_or_else(|| {
        let expected = "a duration of at least a second and at most 365 days, such as `2 hours`";
        ApiError::invalid_field("/expires_in", expected)
    })?;
    check(&state, &principal, &reach, &scope)?;
    let now = SystemClock.now();
    let (iat, jti) = (seconds(now), CommandId::generate(now).to_string());
    let secret = state.authenticator.secret();
    let key = principal.id.as_ref().to_owned();
    let claims = secret.claims(scope, key, jti, iat, iat + lifetime);
    let token = secret.issue(&claims);
    Ok(json(&Issued { token }))
}

/// A key gives away no more than it has.
fn check(
    state: &ApiState,
    principal: &Principal,
    reach: &Reach,
    scope: &str,
) -> Result<(), ApiError> {
    const SCOPE: &str = "/scope";
    let access = UserAccess::parse(scope).map_err(|word| {
        let expected = format!("known words separated by spaces, and `{word}` is none");
        ApiError::invalid_field(SCOPE, expected)
    })?;
    if access == UserAccess::default() {
        return Err(ApiError::invalid_field(SCOPE, "at least one word"));
    }
    if access.users().count() > TOKEN_USERS_MAX {
        return Err(ApiError::too_many_items(SCOPE, TOKEN_USERS_MAX));
    }
    let Rights::Key(held) = &principal.rights else {
        return Err(ApiError::token_insufficient());
    };
    for grant in access.granted() {
        if !held.allows(grant.scope()) {
            return Err(ApiError::scope_missing(grant.scope().name()).at(SCOPE));
        }
    }
    let models = &state.read_models;
    for user in access.users() {
        reach.user(models, user).map_err(|error| error.at(SCOPE))?;
    }
    for tenant in access.tenants() {
        let reached = reach.tenant_within(models, tenant);
        reached.map_err(|error| error.at(SCOPE))?;
    }
    Ok(())
}
