use auth::{Principal, Rights, UserAccess};
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use domain::limits::{TOKEN_USERS_MAX, USER_TOKEN_LIFETIME_MAX};
use engine::{Command, KeyUserTokenIssued};
use serde::Serialize;
use types::{Clock as _, CommandId, SystemClock, Timestamp};
use utoipa::ToSchema;

use crate::duration;
use crate::error::ApiError;
use crate::extract::body::Fields;
use crate::extract::origin::Origin;
use crate::reach::Reach;
use crate::routes::{at, json};
use crate::state::{ApiState, seconds};

/// The words of a scope, in bytes.
const SCOPE_BYTES_MAX: usize = 8 * 1024;

#[derive(Serialize, ToSchema)]
pub(crate) struct Issued {
    token: String,
}

/// `POST /auth/issue-token`: a token with which people reach what is theirs, signed and not kept; that it
/// was issued is. It ends when it says, and with the key that had it issued.
pub(crate) async fn issue(
    State(state): State<ApiState>,
    Origin(origin): Origin,
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
        let expected = "a duration of at least a second and at most 366 days, such as `2 hours`";
        ApiError::invalid_field("/expires_in", expected)
    })?;
    let access = check(&state, &principal, &reach, &scope)?;
    let now = SystemClock.now();
    let (iat, jti) = (seconds(now), CommandId::generate(now).to_string());
    let secret = state.authenticator.secret();
    let key = state.authenticator.issuer_of(&principal);
    let claims = secret.claims(scope, key, jti.clone(), iat, iat + lifetime);
    let token = secret.issue(&claims);
    let command = Command::NoteUserToken {
        key: principal.id.as_ref().to_owned(),
        issued: KeyUserTokenIssued {
            token: jti,
            users: u32::try_from(access.users().count()).unwrap_or(u32::MAX),
            grants: access.granted().map(|it| it.name().to_owned()).collect(),
            expires_at: Timestamp((iat + lifetime) * 1_000_000_000),
        },
    };
    let committed = state.execute(command, origin).await?;
    Ok(at(&committed, json(&Issued { token })))
}

/// A key gives away no more than it has.
fn check(
    state: &ApiState,
    principal: &Principal,
    reach: &Reach,
    scope: &str,
) -> Result<UserAccess, ApiError> {
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
    Ok(access)
}
