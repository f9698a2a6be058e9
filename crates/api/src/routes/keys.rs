use auth::{ApiKey, Principal, Rights, Scopes};
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use domain::limits::NAME_BYTES_MAX;
use engine::{Command, Committed, KeyIssued, KeyToIssue};
use projections::KeyView;
use serde::Serialize;
use types::{Clock as _, CommandId, Position, SystemClock, TenantId, Timestamp};
use utoipa::ToSchema;

use crate::cursor;
use crate::duration;
use crate::error::ApiError;
use crate::extract::body::Fields;
use crate::extract::origin::{Authenticated, Caller, Origin};
use crate::extract::path::{Id, KeyId};
use crate::extract::query::Parameters;
use crate::routes::{Paging, create_with_secret, json, no_content};
use crate::state::ApiState;

const COLLECTION: &str = "keys";
/// The longest that a key that was replaced goes on, in seconds: 30 days.
const GRACE_SECONDS_MAX: u64 = 30 * 24 * 60 * 60;

#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Key {
    id: String,
    name: String,
    /// The first characters, by which a person recognises the key.
    prefix: String,
    scopes: Vec<String>,
    /// The key reaches only this tenant and those below it.
    tenant_id: Option<String>,
    created_at: String,
    expires_at: Option<String>,
    revoked_at: Option<String>,
    /// To the second since the server started, to the hour before.
    last_used_at: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct KeysPage {
    items: Vec<Key>,
    paging: Paging,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct NewKey {
    #[serde(flatten)]
    shown: Key,
    /// The whole key, this once: not where the request is answered again.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl Key {
    fn of(view: KeyView, used_at: Option<Timestamp>) -> Self {
        let time = |at: Timestamp| at.to_rfc3339_millis();
        Self {
            id: view.id,
            name: view.name,
            prefix: view.prefix,
            scopes: view.scopes,
            tenant_id: view.tenant_id,
            created_at: time(view.issued_at),
            expires_at: view.expires_at.map(time),
            revoked_at: view.revoked_at.map(time),
            last_used_at: used_at.map(time),
        }
    }

    fn new(id: String, issued: &KeyIssued, at: Timestamp) -> Self {
        let view = KeyView {
            id,
            name: issued.name.clone(),
            prefix: issued.prefix.clone(),
            hash: issued.hash.clone(),
            scopes: issued.scopes.clone(),
            tenant_id: issued.tenant_id.clone(),
            issued_at: at,
            expires_at: issued.expires_at,
            revoked_at: None,
            used_at: None,
        };
        Self::of(view, None)
    }
}

/// `GET /v1/keys`: the keys that were issued, oldest first; of those that are no good any more the last.
pub(crate) async fn list(
    State(state): State<ApiState>,
    _: Authenticated,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let limit = parameters.limit()?.rows();
    let after = parameters.place_checked(COLLECTION)?;
    let after: Option<u64> = after.map(|it| it.parse()).transpose().ok().flatten();
    let mut keys = state
        .read_models
        .keys
        .after(Position(after.unwrap_or(0)), limit + 1);
    let more = keys.len() > limit;
    keys.truncate(limit);
    let last = keys.last().map(|(Position(last), _)| last.to_string());
    let items = keys.into_iter().map(|(_, key)| {
        let used_at = state.authenticator.used_at(&key);
        Key::of(key, used_at)
    });
    Ok(json(&KeysPage {
        items: items.collect(),
        paging: Paging::new(more, || last.map(|last| cursor::encode(COLLECTION, &last))),
    }))
}

/// `GET /v1/keys/{key_id}`.
pub(crate) async fn get(
    State(state): State<ApiState>,
    _: Authenticated,
    Id(KeyId(id)): Id<KeyId>,
) -> Result<Response, ApiError> {
    let key = state.read_models.keys.get(&id);
    let key = key.ok_or_else(ApiError::key_not_found)?;
    let used_at = state.authenticator.used_at(&key);
    Ok(json(&Key::of(key, used_at)))
}

/// `POST /v1/keys`: a new key, which can do no more than the one that asks for it.
pub(crate) async fn create(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Extension(principal): Extension<Principal>,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let name = body.required_text("name", NAME_BYTES_MAX)?;
    let scopes = scopes(&mut body)?;
    check_holds(&principal, scopes)?;
    let tenant: Option<TenantId> = body.id("tenant_id")?;
    if let Some(tenant) = &tenant {
        let known = state.read_models.tenants.is_known(tenant);
        if !known {
            return Err(ApiError::tenant_not_found().at("/tenant_id"));
        }
    }
    let now = SystemClock.now();
    let expires_at = body.moment("expires_at")?;
    if expires_at.is_some_and(|expires_at| expires_at <= now) {
        return Err(ApiError::invalid_field("/expires_at", "a time to come"));
    }
    let key = ApiKey::generate();
    let issued = KeyIssued {
        name,
        prefix: key.prefix().to_owned(),
        hash: key.hash().to_string(),
        scopes: scopes.names().into_iter().map(str::to_owned).collect(),
        tenant_id: tenant.map(Into::into),
        expires_at,
    };
    let id = CommandId::generate(now).to_string();
    let command = Command::IssueKey(KeyToIssue {
        id: id.clone(),
        issued: issued.clone(),
    });
    answer_with_key(&state, command, origin, id, issued, &key).await
}

/// `POST /v1/keys/{key_id}/rotate`: a new key that is good for the same; the old one ends at once, or
/// after `grace`.
pub(crate) async fn rotate(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Extension(principal): Extension<Principal>,
    Id(KeyId(id)): Id<KeyId>,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let old = state.read_models.keys.get(&id);
    let old = old.ok_or_else(ApiError::key_not_found)?;
    check_holds(&principal, scopes_of(&old))?;
    let now = SystemClock.now();
    let grace = match body.take("grace") {
        None | Some(serde_json::Value::Null) => 0,
        Some(grace) => duration::seconds(&grace)
            .filter(|grace| *grace <= GRACE_SECONDS_MAX)
            .ok_or_else(|| {
                let expected = "a duration of at most 30 days, such as `2 hours`";
                ApiError::invalid_field("/grace", expected)
            })?,
    };
    let ends_at = (grace > 0).then(|| Timestamp(now.0 + grace * 1_000_000_000));
    let key = ApiKey::generate();
    let issued = KeyIssued {
        name: old.name,
        prefix: key.prefix().to_owned(),
        hash: key.hash().to_string(),
        scopes: old.scopes,
        tenant_id: old.tenant_id,
        expires_at: old.expires_at,
    };
    let new_id = CommandId::generate(now).to_string();
    let command = Command::ReplaceKey {
        id,
        successor: Box::new(KeyToIssue {
            id: new_id.clone(),
            issued: issued.clone(),
        }),
        ends_at,
    };
    answer_with_key(&state, command, origin, new_id, issued, &key).await
}

async fn answer_with_key(
    state: &ApiState,
    command: Command,
    origin: Caller,
    id: String,
    issued: KeyIssued,
    key: &ApiKey,
) -> Result<Response, ApiError> {
    let without = move |committed: &Committed| Key::new(id, &issued, committed.decided_at);
    let whole = |shown| NewKey {
        shown,
        key: Some(key.reveal().to_owned()),
    };
    create_with_secret(state, command, origin, without, whole).await
}

/// `DELETE /v1/keys/{key_id}`: from now on it opens nothing.
pub(crate) async fn revoke(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Extension(principal): Extension<Principal>,
    Id(KeyId(id)): Id<KeyId>,
) -> Result<Response, ApiError> {
    // What is not there is told by the engine.
    if let Some(key) = state.read_models.keys.get(&id) {
        check_holds(&principal, scopes_of(&key))?;
    }
    let command = Command::RevokeKey { id };
    Ok(no_content(&state.execute(command, origin).await?))
}

fn scopes(body: &mut Fields) -> Result<Scopes, ApiError> {
    const NAME: &str = "scopes";
    let words = body.array(NAME, 64)?;
    let mut texts = Vec::with_capacity(words.len());
    for (place, word) in words.iter().enumerate() {
        let known = word.as_str().filter(|word| Scopes::parse([*word]).is_ok());
        texts.push(known.ok_or_else(|| {
            let expected = "a scope; docs/scopes.md has them all";
            ApiError::invalid_field(&format!("/{NAME}/{place}"), expected)
        })?);
    }
    let scopes = Scopes::known(texts);
    if scopes.is_empty() {
        return Err(ApiError::invalid_field("/scopes", "at least one scope"));
    }
    Ok(scopes)
}

fn scopes_of(key: &KeyView) -> Scopes {
    Scopes::known(key.scopes.iter().map(String::as_str))
}

/// Whoever issues, replaces or revokes a key has what it has.
fn check_holds(principal: &Principal, scopes: Scopes) -> Result<(), ApiError> {
    match &principal.rights {
        Rights::Key(held) if held.include(scopes) => Ok(()),
        Rights::Key(_) | Rights::Users(_) => Err(ApiError::scope_too_wide()),
    }
}
