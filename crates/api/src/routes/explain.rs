use axum::extract::State;
use axum::response::Response;
use engine::MembershipEvent;
use projections::ChangePlace;
use serde::Serialize;
use serde_json::Value;
use types::{AudienceId, Position, SubjectId, UserId};
use utoipa::ToSchema;

use crate::cursor;
use crate::error::ApiError;
use crate::extract::origin::Authenticated;
use crate::extract::path::Id;
use crate::extract::query::Parameters;
use crate::routes::{Paging, json};
use crate::state::ApiState;

const CHANGES: &str = "changes of audience";

#[derive(Serialize, ToSchema)]
pub(crate) struct Explanation {
    member: bool,
    /// Without a stored profile somebody is in no audience, whatever the rule says.
    has_profile: bool,
    since: Option<u64>,
    added_at: Option<String>,
    cause: Option<Cause>,
    version: u32,
    #[schema(value_type = Option<Object>)]
    rule: Option<Value>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Cause {
    position: u64,
    #[serde(rename = "type")]
    event_type: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Change {
    user_id: String,
    #[serde(rename = "change")]
    kind: &'static str,
    position: u64,
    at: String,
    version: u32,
    reason: String,
    cause: Cause,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ChangesPage {
    items: Vec<Change>,
    paging: Paging,
}

/// `GET /v1/explain?audience_id=&user_id=`: every leaf of the rule with what it found.
pub(crate) async fn explain(
    State(state): State<ApiState>,
    _: Authenticated,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let required = |name| {
        let value = parameters.get(name);
        value.ok_or_else(|| ApiError::missing_parameter(name))
    };
    let audience = AudienceId::parse(required("audience_id")?)
        .map_err(|error| ApiError::invalid_id(error, "/audience_id"))?;
    let user_id = UserId::parse(required("user_id")?)
        .map_err(|error| ApiError::invalid_id(error, "/user_id"))?;
    let answer = move |state: &ApiState, _: &dyn Fn() -> bool| {
        let models = &state.read_models;
        let subject = models.subjects.number(user_id.as_str());
        let explained = models
            .explain(&audience, subject)
            .ok_or_else(ApiError::audience_not_found)?;
        let since = explained.member.map(|member| member.joined.position);
        let cause = match since {
            Some(position) => state.history.event(position, None)?.map(|event| Cause {
                position: position.0,
                event_type: event.event_type,
            }),
            None => None,
        };
        let joined = explained.member.map(|member| member.joined.at);
        Ok(json(&Explanation {
            member: explained.member.is_some(),
            has_profile: explained.has_profile,
            since: since.map(|position| position.0),
            added_at: joined.map(types::Timestamp::to_rfc3339_millis),
            cause,
            version: explained.version,
            rule: explained.rule,
        }))
    };
    state.scan(answer).await?
}

/// `GET /v1/audiences/{audience_id}/changes`: who joined and who left, oldest first. The cursor is
/// good for coming back later, too.
pub(crate) async fn changes(
    State(state): State<ApiState>,
    _: Authenticated,
    Id(audience): Id<AudienceId>,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let limit = parameters.limit()?;
    let after = parameters.parsed::<u64>("after", "a position, which is a whole number")?;
    let mut place = after.map_or_else(ChangePlace::default, |position| ChangePlace {
        position: Position(position),
        subject: SubjectId(u32::MAX),
    });
    // A place in the changes of one audience means nothing in those of another.
    let collection = format!("{CHANGES} {audience}");
    if let Some(given) = parameters.place_checked(&collection)? {
        place = place_of(&given).ok_or_else(ApiError::invalid_cursor)?;
    }
    let answer = move |state: &ApiState, still_wanted: &dyn Fn() -> bool| {
        let page = state
            .history
            .audience_changes(&audience, place, limit, still_wanted)?
            .ok_or_else(ApiError::audience_not_found)?;
        let ChangePlace { position, subject } = page.next;
        let cursor = cursor::encode(&collection, &format!("{position} {subject}"));
        let items = page.items.into_iter();
        Ok(json(&ChangesPage {
            items: items.map(|event| shown(state, event)).collect(),
            paging: Paging {
                more: page.more,
                cursor: Some(cursor),
            },
        }))
    };
    state.scan(answer).await?
}

fn place_of(text: &str) -> Option<ChangePlace> {
    let (position, subject) = text.split_once(' ')?;
    Some(ChangePlace {
        position: Position(position.parse().ok()?),
        subject: SubjectId(subject.parse().ok()?),
    })
}

fn shown(state: &ApiState, event: MembershipEvent) -> Change {
    let MembershipEvent { change, cause } = event;
    let position = change.occasion.position.0;
    Change {
        user_id: state.read_models.subjects.shown(change.subject),
        kind: if change.joined { "joined" } else { "left" },
        position,
        at: change.occasion.at.to_string(),
        version: change.version,
        reason: change.reason,
        cause: Cause {
            position,
            event_type: cause,
        },
    }
}
