use axum::extract::State;
use axum::response::Response;
use domain::limits::{PATCH_OPERATIONS_MAX, USER_TOKENS_MAX};
use domain::{TokenRefusal, token_object};
use engine::{Command, ExecuteError, Refusal};
use projections::TokenView;
use serde::Serialize;
use serde_json::{Map, Value};
use types::{Clock as _, DeviceToken, JsonPatch, SystemClock, UserId};
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::extract::body::{Body, Fields};
use crate::extract::origin::{Authenticated, Origin};
use crate::extract::path::{Id, Ids};
use crate::routes::{json, no_content};
use crate::state::ApiState;

#[derive(Serialize, ToSchema)]
pub(crate) struct Tokens {
    #[schema(value_type = Vec<Object>)]
    tokens: Vec<Map<String, Value>>,
}

/// A token as it is shown: what is not known is left out.
pub(crate) fn shown(view: &TokenView) -> Map<String, Value> {
    let mut token = token_object(&view.token, &view.details);
    token.retain(|_, value| !value.is_null());
    let times = [
        ("created_at", view.created_at),
        ("updated_at", view.updated_at),
    ];
    for (name, time) in times {
        token.insert(name.to_owned(), time.to_rfc3339_millis().into());
    }
    token
}

/// `GET /users/{user_id}/tokens`: those that have not expired.
pub(crate) async fn list(
    State(state): State<ApiState>,
    _: Authenticated,
    Id(user_id): Id<UserId>,
) -> Result<Response, ApiError> {
    let models = &state.read_models;
    let subject = models.subjects.number(user_id.as_str());
    let views = subject.map_or_else(Vec::new, |subject| models.tokens.of_subject(subject));
    let tokens = views.iter().map(shown).collect();
    Ok(json(&Tokens { tokens }))
}

/// `GET /users/{user_id}/tokens/{token}`.
pub(crate) async fn get(
    State(state): State<ApiState>,
    _: Authenticated,
    Ids(user_id, token): Ids<UserId, DeviceToken>,
) -> Result<Response, ApiError> {
    let models = &state.read_models;
    let subject = models.subjects.number(user_id.as_str());
    let view = subject.and_then(|subject| models.tokens.get(subject, &token));
    let view = view.ok_or_else(ApiError::token_not_found)?;
    Ok(json(&shown(&view)))
}

/// `PUT /users/{user_id}/tokens`: register these, others stay. The body is an object with `tokens`,
/// an array, or nothing.
pub(crate) async fn register_many(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(user_id): Id<UserId>,
    body: Body,
) -> Result<Response, ApiError> {
    let (tokens, pointer) = match body.value {
        None => (Vec::new(), ""),
        Some(Value::Array(tokens)) if tokens.len() <= USER_TOKENS_MAX => (tokens, ""),
        Some(Value::Array(_)) => return Err(ApiError::too_many_items("", USER_TOKENS_MAX)),
        Some(Value::Object(object)) if object.is_empty() => (Vec::new(), ""),
        Some(value) => {
            let mut fields = Fields::of(value, String::new())?;
            (fields.array("tokens", USER_TOKENS_MAX)?, "/tokens")
        }
    };
    let now = SystemClock.now();
    let tokens = tokens.into_iter().enumerate().map(|(place, token)| {
        let mut fields = Fields::of(token, format!("{pointer}/{place}"))?;
        let token = fields.required_id("token")?;
        fields.token(token, now)
    });
    let tokens = tokens.collect::<Result<_, ApiError>>()?;
    let command = Command::RegisterTokens { user_id, tokens };
    Ok(no_content(&state.execute(command, origin).await?))
}

/// `PUT /users/{user_id}/tokens/{token}`.
pub(crate) async fn register(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Ids(user_id, token): Ids<UserId, DeviceToken>,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let given: Option<DeviceToken> = body.id("token")?;
    if given.is_some_and(|given| given != token) {
        return Err(ApiError::invalid_field("/token", "the token of the path"));
    }
    let tokens = vec![body.token(token, SystemClock.now())?];
    let command = Command::RegisterTokens { user_id, tokens };
    Ok(no_content(&state.execute(command, origin).await?))
}

/// `PATCH /users/{user_id}/tokens/{token}`: a JSON Patch (RFC 6902) to the token as it is shown, with
/// `null` for what is not known. An operation without the value that it needs sets `null`.
pub(crate) async fn patch(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Ids(user_id, token): Ids<UserId, DeviceToken>,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let mut operations = body.array("patch", PATCH_OPERATIONS_MAX)?;
    for operation in &mut operations {
        let op = operation.get("op").and_then(Value::as_str);
        if matches!(op, Some("add" | "replace" | "test"))
            && let Some(operation) = operation.as_object_mut()
        {
            operation.entry("value").or_insert(Value::Null);
        }
    }
    let target = |operation: &Value| {
        operation
            .get("path")
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let paths: Vec<String> = operations.iter().filter_map(target).collect();
    let patch =
        JsonPatch::parse(operations).map_err(|invalid| ApiError::invalid_patch(&invalid))?;
    let command = Command::PatchToken {
        user_id,
        token,
        patch,
    };
    let executed = state.execute(command, origin).await;
    let committed = executed.map_err(|error| {
        let at_fault = at_fault_in(&error);
        let error = ApiError::from(error);
        // The operation that made it so is the last one that wrote there, above or below.
        let operation = at_fault.and_then(|pointer| {
            let related =
                |path: &String| is_at_or_below(path, &pointer) || is_at_or_below(&pointer, path);
            paths.iter().rposition(related)
        });
        match operation {
            Some(operation) => error.at(format!("/patch/{operation}")),
            None => error,
        }
    })?;
    Ok(no_content(&committed))
}

fn is_at_or_below(pointer: &str, above: &str) -> bool {
    let rest = pointer.strip_prefix(above);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What of the token a patch would have made invalid.
fn at_fault_in(error: &ExecuteError) -> Option<String> {
    let ExecuteError::Refused(Refusal::Token(refusal)) = error else {
        return None;
    };
    match refusal {
        TokenRefusal::Invalid(invalid) => Some(invalid.pointer.clone()),
        TokenRefusal::OtherToken => Some("/token".to_owned()),
        TokenRefusal::NotFound | TokenRefusal::Patch(_) | TokenRefusal::TooMany => None,
    }
}

/// `DELETE /users/{user_id}/tokens/{token}`: removing what is not there is fine.
pub(crate) async fn delete(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Ids(user_id, token): Ids<UserId, DeviceToken>,
) -> Result<Response, ApiError> {
    let command = Command::RemoveToken { user_id, token };
    Ok(no_content(&state.execute(command, origin).await?))
}
