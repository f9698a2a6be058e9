use auth::Principal;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::ProfileCommand;
use domain::limits::{
    ID_BYTES_MAX, IDEMPOTENCY_LIFETIME, TRACKED_NAME_BYTES_MAX, TRACKED_PROPERTIES_BYTES_MAX,
};
use engine::{Command, Committed, Once, RequestKey, Terms};
use serde::Serialize;
use serde_json::Value;
use types::{Clock as _, SystemClock, Timestamp, UserId, without_nulls};
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::extract::body::{Fields, bounded};
use crate::extract::origin::Origin;
use crate::routes::{answered, at, kept};
use crate::state::ApiState;

/// How long a message id is known again, in nanoseconds: 30 days.
const REMEMBERED: u64 = 30 * IDEMPOTENCY_LIFETIME;

#[derive(Clone, Serialize, ToSchema)]
pub(crate) struct Taken {
    #[serde(rename = "messageId")]
    message_id: String,
}

/// `POST /inbound/courier`: what a person did elsewhere, told once.
pub(crate) async fn track(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Extension(principal): Extension<Principal>,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let kind = body.required_text("type", ID_BYTES_MAX)?;
    let message_id = body.required_text("messageId", ID_BYTES_MAX)?;
    if message_id.is_empty() {
        return Err(ApiError::invalid_field("/messageId", "1 to 512 bytes"));
    }
    let user_id: Option<UserId> = body.id("userId")?;
    let command = match kind.as_str() {
        "track" => track_command(&mut body, user_id)?,
        "identify" => {
            let user_id = user_id.ok_or_else(|| ApiError::missing_field("/userId"))?;
            let traits = if body.is_given("traits") {
                body.object("traits")?
            } else if body.is_given("properties") {
                body.object("properties")?
            } else {
                return Err(ApiError::missing_field("/traits"));
            };
            Command::Profile {
                user_id,
                command: ProfileCommand::Merge(traits),
            }
        }
        _ => return Err(ApiError::invalid_field("/type", "track or identify")),
    };
    let owner = format!("{}/inbound", principal.id);
    let now = SystemClock.now();
    let told = message_id.clone();
    let once = Once {
        request: RequestKey::new(&["inbound", &message_id], &owner),
        expires_at: Timestamp(now.0.saturating_add(REMEMBERED)),
        answer: Box::new(move |_: &Committed| {
            kept(StatusCode::ACCEPTED, &Taken { message_id: told })
        }),
    };
    let terms = Terms {
        entity: None,
        expected: None,
        once: Some(once),
    };
    let executed = state
        .engine
        .execute_on(command, origin.origin, terms)
        .await?;
    if executed.is_repeated {
        return Err(ApiError::duplicate_message().at("/messageId"));
    }
    let response = executed.answer.as_ref().map(answered).unwrap_or_default();
    Ok(at(&executed, response))
}

fn track_command(body: &mut Fields, user_id: Option<UserId>) -> Result<Command, ApiError> {
    let event = body.required_text("event", TRACKED_NAME_BYTES_MAX)?;
    if event.is_empty() {
        return Err(ApiError::invalid_field("/event", "at least one byte long"));
    }
    let properties = if body.is_given("properties") {
        body.object("properties")?
    } else {
        serde_json::Map::new()
    };
    let properties = without_nulls(Value::Object(properties));
    let properties = bounded(&properties, TRACKED_PROPERTIES_BYTES_MAX, "/properties")?;
    Ok(match user_id {
        Some(user_id) => Command::Track {
            user_id,
            event,
            properties: (!properties.is_empty()).then_some(properties),
        },
        // What nobody did says nothing about anybody, but that it was told.
        None => Command::AdvanceClock,
    })
}
