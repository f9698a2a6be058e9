use engine::{History, HistoryError};
use projections::{ReadModels, StepPlace};
use serde::Serialize;
use types::{AudienceId, Position, SubjectId};

use crate::pending::What;
use crate::topics::audience_type;

/// What is sent.
#[derive(Serialize)]
struct Content<'a, T> {
    #[serde(rename = "type")]
    kind: &'a str,
    data: T,
}

/// What is said of somebody who joined an audience or left it.
#[derive(Serialize)]
struct Membership<'a> {
    audience_id: &'a AudienceId,
    user_id: String,
    version: u32,
    position: Position,
    at: &'a str,
    cause: Cause<'a>,
}

#[derive(Serialize)]
struct Cause<'a> {
    position: Position,
    #[serde(rename = "type")]
    kind: &'a str,
}

/// The body: the type, and what happened as feeds show it now. Read anew for each attempt, so that
/// nothing is kept of anybody meanwhile.
pub(crate) fn content(
    history: &History,
    read_models: &ReadModels,
    place: StepPlace,
    what: &What,
) -> Result<Option<Vec<u8>>, HistoryError> {
    let Some(event) = history.event(place.position, None)? else {
        return Ok(None);
    };
    let position = place.position;
    let kind = event.event_type.as_str();
    let body = match what {
        What::Event => serde_json::to_vec(&Content { kind, data: &event }),
        What::Membership {
            audience,
            subject,
            joined,
            version,
        } => {
            let user_id = read_models.subjects.user_id(SubjectId(*subject));
            let user_id = user_id.map_or_else(
                || format!("erased:{subject}"),
                |user_id| user_id.as_str().to_owned(),
            );
            serde_json::to_vec(&Content {
                kind: audience_type(*joined),
                data: Membership {
                    audience_id: audience,
                    user_id,
                    version: *version,
                    position,
                    at: &event.recorded_at,
                    cause: Cause { position, kind },
                },
            })
        }
    };
    Ok(Some(body.expect("what is sent is plain data")))
}
